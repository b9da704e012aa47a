"""The lava grid by hand, against plain loops, and against the best policy of its own model."""

from collections import deque
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig, make
from heeler.envs.grid_layouts import FREE, LAVA, WALL
from heeler.envs.lava_grid import MOVES, GridModel, LavaGrid

UP, RIGHT, DOWN, LEFT = range(4)
SHORT_CUT = ["SL.G", ".V#.", "...."]
"""Straight over the lava it is 3 moves; around, clear of lava and vase, it is 7."""


def grid(num_envs: int = 1, seed: int = 0, **kwargs: Any) -> Any:
    world = make(EnvConfig(id="LavaGrid", num_envs=num_envs, kwargs=kwargs), seed=seed)
    assert isinstance(world, LavaGrid)
    world.reset()
    return world


def walk(world: Any, moves: list[int]) -> list[tuple[float, bool, list[float]]]:
    """Reward, terminated and costs of each step of one environment."""
    steps = []
    for move in moves:
        _, reward, terminated, _, infos = world.step(np.array([move]))
        steps.append((float(reward[0]), bool(terminated[0]), infos["cost"][0].tolist()))
    return steps


def test_the_short_way_costs_and_the_long_one_does_not():
    world = grid(layout=SHORT_CUT)
    assert walk(world, [RIGHT, RIGHT, RIGHT]) == [
        (-0.05, False, [1.0, 0.0]),
        (-0.05, False, [0.0, 0.0]),
        (pytest.approx(0.95), True, [0.0, 0.0]),
    ]
    steps = walk(world, [DOWN, DOWN, RIGHT, RIGHT, RIGHT, UP, UP])
    assert sum(reward for reward, _, _ in steps) == pytest.approx(1 - 7 * 0.05)
    assert steps[-1][1] and not any(sum(cost) for _, _, cost in steps)


def test_a_vase_breaks_once_and_for_good_until_the_episode_ends():
    world = grid(layout=SHORT_CUT)
    costs = [cost for _, _, cost in walk(world, [DOWN, RIGHT, LEFT, RIGHT, DOWN])]
    assert costs == [[0, 0], [0, 1], [0, 0], [0, 0], [0, 0]]
    walk(world, [RIGHT, RIGHT, UP, UP])
    assert [cost for _, _, cost in walk(world, [DOWN, RIGHT])] == [[0, 0], [0, 1]], "a new one stands there"


def test_lava_costs_in_each_step_that_ends_on_it():
    world = grid(layout=SHORT_CUT)
    costs = [cost for _, _, cost in walk(world, [RIGHT, UP, UP, LEFT])]
    assert costs == [[1, 0], [1, 0], [1, 0], [0, 0]], "against the edge it stays where it is"


def test_walls_and_edges_hold():
    world = grid(layout=["S#G", "..."])
    before = world.step(np.array([LEFT]))[0]
    for move in (UP, LEFT, RIGHT):
        np.testing.assert_array_equal(world.step(np.array([move]))[0], before)


def test_the_observation_is_five_planes():
    world = grid(layout=SHORT_CUT)
    agent, goal, lava, walls, vases = world.reset()[0].reshape(5, 3, 4)
    assert agent.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert goal.tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert lava.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert walls.tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert vases.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    world.step(np.array([RIGHT]))
    agent, _, lava, _, vases = world.step(np.array([DOWN]))[0].reshape(5, 3, 4)
    assert agent.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert lava[0, 1] == 1 and not vases.any(), "lava stays, the vase is broken"


def clean_distance(ground: np.ndarray, start: int, goal: int, vases: list[int]) -> int | None:
    """Moves of the shortest way clear of lava and vases, by breadth-first search."""
    height, width = ground.shape
    queue, seen = deque([(start, 0)]), {start}
    while queue:
        cell, moves = queue.popleft()
        if cell == goal:
            return moves
        for down, right in MOVES.tolist():
            row, column = cell // width + down, cell % width + right
            if not (0 <= row < height and 0 <= column < width):
                continue
            after = row * width + column
            if ground[row, column] == FREE and after not in vases and after not in seen:
                seen.add(after)
                queue.append((after, moves + 1))
    return None


@pytest.mark.parametrize("sizes", [{}, {"size": 8, "num_lava": 20, "num_walls": 8, "num_vases": 4}, {"size": 3}])
def test_every_random_layout_has_a_clean_way(sizes):
    sizes = {"size": 6, "num_lava": 6, "num_walls": 3, "num_vases": 2} | sizes
    if sizes["size"] == 3:
        sizes |= {"num_lava": 2, "num_walls": 1, "num_vases": 1}
    world = grid(100, **sizes)
    layouts = set()
    for index in range(100):
        ground = world._ground[index].reshape(sizes["size"], sizes["size"])
        start, goal, vases = int(world._cell[index]), int(world._goal[index]), world._vases[index].tolist()
        assert (ground == LAVA).sum() == sizes["num_lava"] and (ground == WALL).sum() == sizes["num_walls"]
        assert len({start, goal, *vases}) == 2 + sizes["num_vases"]
        assert all(ground.ravel()[cell] == FREE for cell in (start, goal, *vases))
        moves = clean_distance(ground, start, goal, vases)
        assert moves is not None and moves >= sizes["size"] // 2 + 1
        layouts.add((ground.tobytes(), start, goal, *vases))
    assert len(layouts) > 90


def test_the_mask_is_what_a_plain_loop_finds():
    world = grid(60, num_lava=10)
    rng = np.random.default_rng(0)
    for _ in range(10):
        mask = world.action_mask()
        assert (mask.shape, mask.dtype) == ((60, 4), bool)
        for index in range(60):
            ground, cell = world._ground[index].reshape(6, 6), int(world._cell[index])
            for move, (down, right) in enumerate(MOVES.tolist()):
                row, column = cell // 6 + down, cell % 6 + right
                inside = 0 <= row < 6 and 0 <= column < 6
                assert mask[index, move] == (inside and ground[row, column] == FREE)
        world.step(rng.integers(4, size=60))


def test_within_the_mask_no_lava_is_ever_entered_and_there_is_always_a_move():
    world = grid(100, num_lava=12, size=7)
    rng = np.random.default_rng(0)
    for _ in range(150):
        mask = world.action_mask()
        assert mask.any(axis=1).all()
        world_step = world.step(np.array([rng.choice(np.flatnonzero(row)) for row in mask]))
        assert not world_step[4]["cost"][:, 0].any()


def test_every_step_is_one_of_the_models_outcomes():
    world = grid(8, slip=0.3, seed=3)
    rng = np.random.default_rng(1)
    others = 0
    for _ in range(120):
        models = [world.model(index) for index in range(8)]
        actions = rng.integers(4, size=8)
        _, reward, terminated, truncated, infos = world.step(actions)
        for index, model in enumerate(models):
            row = (model.state, int(actions[index]))
            assert model.probability[row].sum() == pytest.approx(1)
            after = None if terminated[index] or truncated[index] else world.model(index).state
            fits = (
                np.isclose(model.reward[row], reward[index])
                & (model.terminated[row] == terminated[index])
                & (model.cost[row] == infos["cost"][index]).all(axis=1)
            )
            if after is not None:
                fits &= model.next_state[row] == after
            assert fits.any()
            others += not fits[0]
    assert others > 50, "it slips"


def solved(model: GridModel, prices: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The best policy [S] where each cost has a price, by value iteration, and its values [S]."""
    gain = model.reward - model.cost @ np.array(prices)
    values = np.zeros(len(model.reward))
    for _ in range(500):
        ahead = np.where(model.terminated, 0.0, values[model.next_state])
        action_values = (model.probability * (gain + ahead)).sum(axis=2)
        new = action_values.max(axis=1)
        if np.abs(new - values).max() < 1e-12:
            break
        values = new
    return action_values.argmax(axis=1), values


def expected(model: GridModel, policy: np.ndarray, numbers: np.ndarray) -> float:
    """The expected sum of `numbers` [S, K, M] from the present state under a policy, by solving for all states."""
    rows = np.arange(len(policy))
    chance, after = model.probability[rows, policy], model.next_state[rows, policy]
    matrix = np.eye(len(policy))
    np.add.at(matrix, (rows[:, None], after), -chance * ~model.terminated[rows, policy])
    step = (chance * numbers[rows, policy]).sum(axis=1)
    return float(np.linalg.solve(matrix, step)[model.state])


def test_the_best_policy_of_the_model_by_hand():
    """Free of charge it goes straight on; where lava and vases are dear it goes around."""
    model = grid(layout=SHORT_CUT).model()
    for prices, total in (((0.0, 0.0), 1 - 3 * 0.05), ((10.0, 10.0), 1 - 7 * 0.05), ((0.1, 10.0), 1 - 3 * 0.05 - 0.1)):
        policy, values = solved(model, prices)
        assert values[model.state] == pytest.approx(total)
        world = grid(layout=SHORT_CUT)
        gains = []
        for _ in range(20):
            steps = walk(world, [int(policy[world.model().state])])
            gains.append(steps[0][0] - np.dot(steps[0][2], prices))
            if steps[0][1]:
                break
        assert steps[0][1] and sum(gains) == pytest.approx(total)


@pytest.mark.parametrize("prices", [(0.0, 0.0), (1.0, 0.3)])
def test_simulated_returns_and_costs_are_those_that_the_model_foretells(prices):
    lines = ["S.L.G", "..V..", ".L#L.", "....."]
    model = grid(layout=lines, slip=0.2).model()
    policy, values = solved(model, prices)
    foretold = [
        expected(model, policy, model.reward),
        expected(model, policy, model.cost[..., 0]),
        expected(model, policy, model.cost[..., 1]),
    ]
    assert foretold[0] - np.dot(prices, foretold[1:]) == pytest.approx(values[model.state])
    num_envs = 3000
    world = grid(num_envs, layout=lines, slip=0.2, max_episode_steps=1000)
    sums, running = np.zeros((num_envs, 3)), np.ones(num_envs, bool)
    for _ in range(400):
        _, reward, terminated, _, infos = world.step(policy[world._states()])
        sums[running] += np.column_stack((reward, infos["cost"]))[running]
        running &= ~terminated
        if not running.any():
            break
    assert not running.any()
    for column, value in enumerate(foretold):
        error = sums[:, column].std() / num_envs**0.5
        assert abs(sums[:, column].mean() - value) < 4 * error + 1e-9


def test_slips_go_to_both_sides_as_often_as_is_said():
    world = grid(20_000, layout=["...", ".S.", "..G"], slip=0.3)
    observation = world.step(np.full(20_000, RIGHT))[0].reshape(-1, 5, 9)[:, 0]
    shares = observation.mean(axis=0)
    assert shares[5] == pytest.approx(0.7, abs=0.015)
    assert shares[1] == pytest.approx(0.15, abs=0.012)
    assert shares[7] == pytest.approx(0.15, abs=0.012)


def test_without_slips_nothing_random_is_drawn_within_an_episode():
    first, second = grid(seed=1, layout=SHORT_CUT), grid(seed=2, layout=SHORT_CUT)
    assert walk(first, [DOWN, RIGHT, RIGHT, UP]) == walk(second, [DOWN, RIGHT, RIGHT, UP])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": ["S.", "..G"]}, r"layout\[1\] must be as long as layout\[0\], 2, got '..G'"),
        ({"layout": ["S.", ".X"]}, r"layout\[1\] may hold . # L V S G, got 'X'"),
        ({"layout": ["..", ".G"]}, "layout must have one start S, got 0"),
        ({"layout": ["SG", ".G"]}, "layout must have one goal G, got 2"),
        ({"layout": ["SLG"]}, "no way from S to G that keeps clear of lava and vases"),
        ({"layout": ["SVG"]}, "no way from S to G"),
        ({"layout": []}, "layout must be 1 to 12 lines"),
        ({"layout": ["S" + "." * 12 + "G"]}, "layout must be 1 to 12 lines of 1 to 12 letters"),
        ({"layout": ["SVVVVVVV", ".......G"]}, "may have 6 vases at most, got 7"),
        ({"layout": SHORT_CUT, "num_lava": 3}, "num_lava would be ignored, as the layout is given"),
        ({"size": 2}, "size must be from 3 to 12, got 2"),
        ({"num_vases": 7}, "num_vases must be from 0 to 6, got 7"),
        ({"num_walls": -1}, "num_walls must be >= 0, got -1"),
        ({"size": 3, "num_lava": 8}, "need 15 cells, and there are 9"),
        ({"slip": 1.5}, "slip must be between 0 and 1, got 1.5"),
        ({"size": 4, "num_lava": 10, "num_walls": 2, "num_vases": 2}, "1000 layouts had no way to the goal"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        grid(**settings)
