"""Courses: goals, hazards and vases, as their rules have them, for the ball and for the car."""

import math
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig, make
from heeler.envs.courses_layout import GOAL_RADIUS, HAZARD_RADIUS, CourseLayout
from heeler.envs.courses_model import WALL_DISTANCE
from heeler.envs.courses_task import BONUS, LEVELS, Course

IDS = ("PointGoal", "CarGoal")
FULL = {"PointGoal": [1.0, 0.0], "CarGoal": [1.0, 1.0]}
"""Straight ahead."""
LEFT = {"PointGoal": [0.0, 1.0], "CarGoal": [-1.0, 1.0]}
"""Turning on the spot."""


def course(env_id: str, num_envs: int = 1, **kwargs: Any) -> Any:
    world = make(EnvConfig(id=env_id, num_envs=num_envs, num_threads=1, kwargs=kwargs), seed=5)
    assert isinstance(world, Course)
    world.reset()
    return world


def layout(*, robot=(0.0, 0.0, 0.0), goal=(9.0, 9.0), hazards=(), vases=(), num_envs=1) -> CourseLayout:
    """The same for every environment."""

    def repeated(part, width):
        return np.tile(np.array(part, float).reshape(1, -1, width), (num_envs, 1, 1))

    return CourseLayout(
        robot=repeated(robot, 3)[:, 0],
        goal=repeated(goal, 2)[:, 0],
        hazards=repeated(hazards, 2),
        vases=repeated(vases, 3),
    )


def actions(world: Any, action) -> np.ndarray:
    return np.tile(np.array(action, np.float32), (world.num_envs, 1))


def drive(world: Any) -> np.ndarray:
    """[N, 2]: turn to the goal, then go there."""
    now = world.layout()
    offset = now.goal - now.robot[:, :2]
    angle = np.arctan2(offset[:, 1], offset[:, 0]) - now.robot[:, 2]
    angle = (angle + math.pi) % (2 * math.pi) - math.pi
    ahead, turn = np.clip(np.cos(angle), 0, 1) ** 4, np.clip(2 * angle, -1, 1)
    if world.robot == "point":
        return np.stack((ahead, turn), axis=1).astype(np.float32)
    return np.clip(np.stack((ahead - 0.3 * turn, ahead + 0.3 * turn), axis=1), -1, 1).astype(np.float32)


@pytest.mark.parametrize("env_id", IDS)
def test_a_goal_pays_its_bonus_once_and_moves_on(env_id):
    world = course(env_id, num_hazards=0, num_vases=0)
    world.set_layout(layout(robot=(-1.0, 0.0, 0.0), goal=(0.0, 0.0)))
    distances, rewards, reached = [1.0], [], []
    for _ in range(60):
        _, reward, terminated, _, infos = world.step(actions(world, FULL[env_id]))
        assert not terminated.any()
        place = world.layout().robot[0, :2]
        distances.append(float(np.linalg.norm(place)))
        rewards.append(float(reward[0]))
        reached.append(int(infos["goals_reached"][0]))
        if reached[-1]:
            break
    assert reached[-1] == 1 and set(reached[:-1]) == {0}
    assert distances[-1] <= GOAL_RADIUS < distances[-2]
    pay = -np.diff(distances)
    np.testing.assert_allclose(rewards[:-1], pay[:-1], atol=1e-12)
    assert rewards[-1] == pytest.approx(pay[-1] + BONUS)
    now = world.layout()
    assert np.linalg.norm(now.goal[0] - now.robot[0, :2]) > GOAL_RADIUS + 0.3
    _, reward, _, _, infos = world.step(actions(world, [0.0, 0.0]))
    assert abs(reward[0]) < 0.1 and infos["goals_reached"][0] == 1


@pytest.mark.parametrize("env_id", IDS)
def test_inside_a_hazard_costs_one_a_step_however_many_there_are(env_id):
    world = course(env_id, num_hazards=2, num_vases=0)
    just_in, just_out = HAZARD_RADIUS - 0.005, HAZARD_RADIUS + 0.005
    for hazards, expected in (
        ([(0.1, 0.0), (9.0, 0.0)], 1.0),
        ([(0.1, 0.0), (-0.1, 0.0)], 1.0),
        ([(just_in, 0.0), (9.0, 0.0)], 1.0),
        ([(just_out, 0.0), (0.0, -just_out)], 0.0),
    ):
        world.set_layout(layout(hazards=hazards))
        for _ in range(3):
            cost = world.step(actions(world, [0.0, 0.0]))[4]["cost"]
            assert (cost.shape, cost.dtype) == ((1, 2), np.float64)
            assert cost.tolist() == [[expected, 0.0]]


@pytest.mark.parametrize("env_id", IDS)
def test_a_vase_that_is_pushed_is_counted_until_it_stands_again(env_id):
    world = course(env_id, num_hazards=0, num_vases=2)
    vases = [(0.5, 0.0, 0.3), (-1.0, 1.0, 0.0)]
    world.set_layout(layout(vases=vases))
    costs = [world.step(actions(world, FULL[env_id]))[4]["cost"][0, 1] for _ in range(30)]
    first = costs.index(1.0)
    assert first > 3 and set(costs[:first]) == {0.0}
    # A light box may be knocked ahead and caught up with: most of these steps count, and the other vase's never does.
    assert set(costs[first:]) <= {0.0, 1.0} and np.mean(costs[first:]) > 0.5
    pushed = world.layout().vases[0]
    assert pushed[0, 0] > 0.6
    np.testing.assert_array_equal(pushed[1], vases[1])
    for _ in range(60):
        costs.append(world.step(actions(world, [-x for x in FULL[env_id]]))[4]["cost"][0, 1])
    assert set(costs[-20:]) == {0.0}
    assert world.layout().vases[0, 0, 0] > 0.6, "it stays where it was pushed"


def test_a_touch_counts_though_nothing_moves():
    world = course("PointGoal", num_hazards=0, num_vases=1)
    limit = world.half_width + WALL_DISTANCE
    # A vase that stands at the wall cannot give way.
    world.set_layout(layout(robot=(limit - 0.26, 0.0, 0.0), vases=[(limit - 0.08, 0.0, 0.0)]))
    for _ in range(40):
        before = world.layout().vases[0, 0, :2]
        cost = world.step(actions(world, [1.0, 0.0]))[4]["cost"]
        moved = np.linalg.norm(world.layout().vases[0, 0, :2] - before)
    assert moved < 1e-4
    assert cost.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("env_id", IDS)
def test_first_states_cost_nothing_and_keep_their_distance(env_id, level):
    world = course(env_id, 64, level=level)
    now = world.layout()
    assert (now.hazards.shape[1], now.vases.shape[1], world.half_width) == LEVELS[level]
    _, _, _, _, infos = world.step(actions(world, [0.0, 0.0]))
    assert not infos["cost"].any()
    np.testing.assert_array_equal(world.layout().vases, now.vases)
    robot = now.robot[:, None, :2]
    to_goal = np.linalg.norm(now.goal[:, None] - robot, axis=2)
    assert to_goal.min() > GOAL_RADIUS + 0.3
    if level:
        assert np.linalg.norm(now.hazards - robot, axis=2).min() > HAZARD_RADIUS + 0.3
        assert np.linalg.norm(now.hazards - now.goal[:, None], axis=2).min() >= HAZARD_RADIUS + GOAL_RADIUS
        assert np.linalg.norm(now.vases[:, :, :2] - robot, axis=2).min() > 0.4
    facing = now.robot[:, 2]
    assert (facing > 1).any() and (facing < -1).any()


@pytest.mark.parametrize("env_id", IDS)
def test_later_goals_keep_clear_of_what_is_there(env_id):
    world = course(env_id, 16, num_hazards=5, num_vases=1)
    goals = world.layout().goal
    num_moved = 0
    for _ in range(400):
        world.step(drive(world))
        now = world.layout()
        moved = (now.goal != goals).any(axis=1)
        goals = now.goal
        for row in np.flatnonzero(moved):
            num_moved += 1
            assert np.linalg.norm(now.hazards[row] - goals[row], axis=1).min() >= HAZARD_RADIUS + GOAL_RADIUS
            assert np.linalg.norm(now.robot[row, :2] - goals[row]) > GOAL_RADIUS + 0.3
            assert (np.abs(goals[row]) <= world.half_width).all()
    assert num_moved > 20


@pytest.mark.parametrize("env_id", IDS)
def test_the_plain_way_to_drive_reaches_goal_after_goal(env_id):
    world = course(env_id, 8, level=0)
    total = np.zeros(8)
    for _ in range(500):
        _, reward, _, _, infos = world.step(drive(world))
        total += reward
    assert infos["goals_reached"].min() >= 3
    assert (total > infos["goals_reached"]).all(), "each goal pays its bonus and the way there"


@pytest.mark.parametrize("env_id", IDS)
def test_a_twin_goes_on_bit_for_bit_goals_and_all(env_id):
    """What a shield needs that looks ahead in a world of its own."""
    world, twin = course(env_id, 4, half_width=1.3), course(env_id, 4, half_width=1.3)
    for _ in range(100):
        world.step(drive(world))
    twin.load_state_dict({name: array.copy() for name, array in world.state_dict().items()})
    reached = world.layout().goal
    for _ in range(200):
        np.testing.assert_array_equal(twin.snapshot(), world.snapshot())
        chosen = drive(world)
        first, second = world.step(chosen), twin.step(drive(twin))
        for one, other in zip(first[:4], second[:4], strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(first[4]["cost"], second[4]["cost"])
    assert (world.layout().goal != reached).any(axis=1).all(), "the random stream was used"


@pytest.mark.parametrize("env_id", IDS)
def test_a_saved_state_can_be_split_by_environment(env_id):
    """So that a twin of another size can try several actions in the state of one environment."""
    world, twin = course(env_id, 4), course(env_id, 3)
    rng = np.random.default_rng(0)
    for _ in range(30):
        world.step(rng.uniform(-1, 1, (4, 2)).astype(np.float32))
    rows = np.array([2, 0, 2])
    whole = {"rng", "num_steps"}
    twin.load_state_dict({name: a if name in whole else a[rows] for name, a in world.state_dict().items()})
    np.testing.assert_array_equal(twin.snapshot(), world.snapshot()[rows])
    for _ in range(20):
        chosen = rng.uniform(-1, 1, (4, 2)).astype(np.float32)
        _, reward, _, _, infos = world.step(chosen)
        _, own_reward, _, _, own_infos = twin.step(chosen[rows])
        np.testing.assert_array_equal(own_reward, reward[rows])
        np.testing.assert_array_equal(own_infos["cost"], infos["cost"][rows])
        np.testing.assert_array_equal(twin.physics()[0], world.physics()[0][rows])
    assert not (infos["goals_reached"][rows] - own_infos["goals_reached"]).any()


@pytest.mark.parametrize("env_id", IDS)
def test_a_batch_is_as_many_single_ones(env_id):
    batch = course(env_id, 5)
    now = batch.layout()
    singles = [course(env_id) for _ in range(5)]
    for index, single in enumerate(singles):
        single.set_layout(
            CourseLayout(**{name: getattr(now, name)[index : index + 1] for name in now.__dataclass_fields__})
        )
        # The very same bits: a heading goes through an angle, and a quaternion back from it is rounded.
        single.set_physics(batch.physics()[0][index : index + 1], batch.physics()[1][index : index + 1])
    rng = np.random.default_rng(0)
    for _ in range(60):
        chosen = rng.uniform(-1, 1, (5, 2)).astype(np.float32)
        observation, reward, _, _, infos = batch.step(chosen)
        assert not infos["goals_reached"].any(), "or their random streams would part"
        for index, single in enumerate(singles):
            own, own_reward, _, _, own_infos = single.step(chosen[index : index + 1])
            np.testing.assert_array_equal(single.physics()[0][0], batch.physics()[0][index])
            np.testing.assert_allclose(own[0], observation[index], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(own_reward[0], reward[index], atol=1e-12)
            np.testing.assert_array_equal(own_infos["cost"][0], infos["cost"][index])


@pytest.mark.parametrize("env_id", IDS)
def test_walls_hold_the_robot_and_what_it_pushes(env_id):
    world = course(env_id, num_hazards=0, num_vases=1)
    limit = world.half_width + WALL_DISTANCE
    world.set_layout(layout(robot=(0.0, 0.0, 0.0), vases=[(0.6, 0.0, 0.0)]))
    for _ in range(300):
        world.step(actions(world, FULL[env_id]))
        now = world.layout()
        assert np.abs(now.robot[0, :2]).max() < limit
        assert np.abs(now.vases[0, 0, :2]).max() < limit
    assert now.vases[0, 0, 0] > limit - 0.2, "it was pushed up to the wall"


@pytest.mark.parametrize("env_id", IDS)
def test_a_robot_sees_its_own_movement_and_keeps_it_for_a_while(env_id):
    world = course(env_id, num_hazards=0, num_vases=0)
    world.set_layout(layout(robot=(-1.0, -1.0, math.pi / 2)))
    for _ in range(15):
        before = world.layout().robot[0]
        observation = world.step(actions(world, FULL[env_id]))[0][0]
    after = world.layout().robot[0]
    assert (after[1] - before[1]) / world.dt == pytest.approx(observation[0], rel=0.05)
    assert after[1] - before[1] > 0.01 and after[0] == pytest.approx(-1.0, abs=0.01)
    assert abs(observation[1]) < 0.01 and abs(observation[4]) < 0.05
    assert observation[2] > 0, "still faster from step to step"
    speed = observation[0]
    observation = world.step(actions(world, [0.0, 0.0]))[0][0]
    assert 0.8 * speed < observation[0] < speed, "it has momentum"
    assert observation[2] == pytest.approx((observation[0] - speed) / world.dt, rel=0.01)
    world.set_layout(layout())
    for _ in range(5):
        observation = world.step(actions(world, LEFT[env_id]))[0][0]
    assert observation[4] > 0.5 and world.layout().robot[0, 2] > 0.05
    if env_id == "CarGoal":
        assert observation[5] < -1 < 1 < observation[6], "the left wheel turns back and the right one ahead"


def test_a_car_stays_on_its_wheels():
    world = course("CarGoal", 8, level=2)
    rng = np.random.default_rng(0)
    for step in range(300):
        if step % 20 == 0:
            chosen = rng.choice([-1.0, 1.0], (8, 2)).astype(np.float32)
        world.step(chosen)
        _, x, y, _ = world.physics()[0][:, 3:7].T
        assert (1 - 2 * (x * x + y * y) > 0.9).all(), "its roof looks up"
        assert (np.abs(world.physics()[0][:, 2] - 0.06) < 0.03).all()


def test_the_observation_holds_a_lidar_for_each_kind():
    world = course("PointGoal", num_hazards=1, num_vases=1)
    world.set_layout(layout(goal=(1.5, 0.0), hazards=[(0.0, 1.5)], vases=[(-1.5, 0.0, 0.0)]))
    observation = world.step(actions(world, [0.0, 0.0]))[0][0]
    assert observation.shape == (5 + 3 * 16,)
    goal, hazards, vases = observation[5:].reshape(3, 16)
    # The goal is seen within four half widths of 1.5 m, the others within 3 m.
    for bins, index, nearness in ((goal, 0, 0.75), (hazards, 4, 0.5), (vases, 8, 0.5)):
        assert bins[index] == pytest.approx(nearness, abs=1e-6)
        assert np.delete(bins, index) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_goal_is_seen_from_one_corner_to_the_other_and_beyond(level):
    world = course("PointGoal", level=level, num_hazards=0, num_vases=0)
    edge = world.half_width
    for away in (edge, 1.4 * edge):
        world.set_layout(layout(robot=(-away, -away, 0.0), goal=(edge, edge)))
        observation, *_ = world.step(actions(world, [0.0, 0.0]))
        assert observation[0, 5:21].max() > 0.05, "who does not see the goal cannot know where to go"


def test_the_lidar_shows_the_next_goal_in_the_step_that_reached_one():
    world = course("PointGoal", num_hazards=0, num_vases=0)
    world.set_layout(layout(robot=(-0.32, 0.0, 0.0), goal=(0.0, 0.0)))
    for _ in range(20):
        observation, _, _, _, infos = world.step(actions(world, [1.0, 0.0]))
        if infos["goals_reached"][0]:
            break
    assert infos["goals_reached"][0] == 1
    now = world.layout()
    distance = np.linalg.norm(now.goal[0] - now.robot[0, :2])
    assert observation[0, 5:21].sum() == pytest.approx(1 - distance / 6, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 3}, "PointGoal: level: Input should be 0, 1 or 2, got 3"),
        ({"num_hazards": 17}, "PointGoal: num_hazards must be from 0 to 16, got 17"),
        ({"num_vases": -1}, "PointGoal: num_vases must be from 0 to 16, got -1"),
        ({"half_width": 0.0}, "PointGoal: half_width must be > 0 and finite, got 0.0"),
        ({"half_width": float("inf")}, "half_width must be > 0 and finite"),
        ({"half_width": 0.4, "num_hazards": 16}, "no room for 20 things"),
        ({"hazards": 3}, "PointGoal has no setting 'hazards'. Did you mean 'num_hazards'"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        course("PointGoal", **settings)
    assert message in str(caught.value)
