"""The model check: exact where the world is known, and never looked at more than it has to be."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space

from heeler.core.errors import ConfigError, NothingSafe
from heeler.envs import EnvConfig, make
from heeler.envs.classic import CartPole
from heeler.models.policy import Policy, PolicyConfig
from heeler.safety.shields.check import ModelCheck, Twins
from heeler.safety.shields.config import CheckConfig, FallbackConfig, ShieldConfig
from heeler.safety.shields.shield import Shield
from tests.unit.safety.shields.worlds import TOP_SPEED, WALL, Rail, proposing

HERE = "tests.unit.safety.shields.worlds"
BRAKE = FallbackConfig(kind="brake", function=f"{HERE}:brake")
FORCE = FallbackConfig(kind="brake", function=f"{HERE}:brake_by_force")
ENOUGH = TOP_SPEED + 2
"""The action, and what it takes to come to rest from any speed."""


def looking(steps: int, fallback: FallbackConfig = BRAKE, **check: Any) -> ShieldConfig:
    return ShieldConfig(fallback=fallback, check=CheckConfig(steps=steps, **check))


def rail_shield(config: ShieldConfig, world: Rail) -> Shield:
    return Shield(config, world, lambda n: Rail(n, discrete=world.discrete, noise=world.noise))


def following(place: int, speed: int, action: int) -> tuple[int, int]:
    speed = int(np.clip(speed + action - 1, -TOP_SPEED, TOP_SPEED))
    return place + speed, speed


def viable() -> set[tuple[int, int]]:
    """States between the walls from which some way of acting stays there for ever: the greatest such set."""
    kept = {(x, v) for x in range(1 - WALL, WALL) for v in range(-TOP_SPEED, TOP_SPEED + 1)}
    while True:
        still = {(x, v) for x, v in kept if any(following(x, v, a) in kept for a in range(3))}
        if still == kept:
            return kept
        kept = still


def judged(states: list[tuple[int, int]], action: int, config: ShieldConfig) -> Any:
    world = Rail(len(states))
    world.reset(seed=0)
    seen = world.put(*np.array(states, float).T)
    told = [10.0 * (choice == action) for choice in range(3)]
    return rail_shield(config, world).act(proposing(world, told), seen, None)


@pytest.mark.parametrize("action", range(3))
def test_looking_on_with_a_brake_is_exact_by_enumeration(action: int):
    """From each state from which one can stay out, what leads to another such is done, what does not is not."""
    states = sorted(viable())
    assert 0 < len(states) < (2 * WALL - 1) * (2 * TOP_SPEED + 1)
    guarded = judged(states, action, looking(ENOUGH))
    assert not guarded.nothing_safe_N.any()
    np.testing.assert_array_equal(guarded.proposed_NA[:, 0], action)
    num_refused = 0
    for state, executed, shielded in zip(states, guarded.executed_NA[:, 0], guarded.shielded_N, strict=True):
        assert following(*state, int(executed)) in viable()
        is_fine = following(*state, action) in viable()
        assert shielded == (not is_fine) == (executed != action)
        num_refused += not is_fine
    assert (num_refused > 0) == (action != 1 or any(following(*state, 1) not in viable() for state in states))


def test_a_state_without_a_way_out_falls_back_and_says_so():
    lost = [(x, v) for x in range(1 - WALL, WALL) for v in (-TOP_SPEED, TOP_SPEED) if (x, v) not in viable()]
    assert lost
    guarded = judged(lost, 1, looking(ENOUGH))
    assert guarded.nothing_safe_N.all()
    assert guarded.shielded_N.all()
    np.testing.assert_array_equal(guarded.executed_NA[:, 0], [1 - np.sign(v) for _, v in lost])
    with pytest.raises(NothingSafe, match=r"environment 0 is in a state in which no action is safe"):
        judged(lost, 1, looking(1, FallbackConfig(kind="halt")))


def random_steps(shield: Shield | None, world: Rail, num_steps: int = 400) -> tuple[float, float]:
    """Total cost and steps without a safe action, under a policy that mostly speeds up and turns about at random."""
    torch.manual_seed(0)
    observation, _ = world.reset(seed=0)
    policy = proposing(world, [0.0] * (3 if world.discrete else 1))
    cost = none_safe = 0.0
    for step in range(num_steps):
        noise = policy.head.noise((world.num_envs,), torch.Generator().manual_seed(step))
        if shield is None:
            executed = policy.within_bounds(policy.act(observation, noise).numpy())
        else:
            guarded = shield.act(policy, observation, noise)
            executed, none_safe = guarded.executed_NA, none_safe + guarded.nothing_safe_N.sum()
        observation, _, _, _, infos = world.step(policy.executable(executed))
        cost += infos["cost"].sum()
    return cost, none_safe


@pytest.mark.parametrize("discrete", [True, False])
def test_nothing_costs_if_the_first_state_is_safe(discrete: bool):
    fallback = BRAKE if discrete else FORCE
    world = Rail(32, discrete=discrete)
    assert random_steps(None, world)[0] > 100
    assert random_steps(rail_shield(looking(ENOUGH, fallback), world), world) == (0, 0)


def test_one_step_is_not_enough_for_a_body_with_momentum():
    world = Rail(32)
    cost, none_safe = random_steps(rail_shield(looking(1), world), world)
    assert cost > 0
    assert none_safe >= cost


def test_the_nearest_safe_force_is_done():
    """A push p leads p further, where the brake stops it at once: what is free to the wall is the most there may be."""
    world = Rail(1, discrete=False)
    world.reset(seed=0)
    config = replace(looking(ENOUGH, FORCE), num_candidates=200)
    seen = world.put(np.array([WALL - 1.3]), np.array([0.0]))
    guarded = rail_shield(config, world).act(proposing(world, [1.0]), seen, None)
    assert not guarded.shielded_N[0]
    seen = world.put(np.array([WALL - 0.6]), np.array([0.0]))
    guarded = rail_shield(config, world).act(proposing(world, [1.0]), seen, None)
    assert guarded.shielded_N[0]
    assert 0.45 < guarded.executed_NA[0, 0] < 0.6


def test_only_rows_whose_proposal_failed_are_looked_at_again(monkeypatch: pytest.MonkeyPatch):
    world = Rail(64)
    world.reset(seed=0)
    seen = world.put(np.zeros(64), np.zeros(64))
    shield = rail_shield(looking(ENOUGH), world)
    assert shield.judge is not None and shield.judge.check is not None
    asked: list[int] = []
    costs = shield.judge.check.costs

    def counted(state: Any, rows: np.ndarray, action: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return costs(state, rows, action)

    monkeypatch.setattr(shield.judge.check, "costs", counted)
    shield.act(proposing(world, [0.0, 0.0, 9.0]), seen, None)
    assert asked == [64], "all proposals are safe"
    place = np.zeros(64)
    place[:5] = WALL - 1
    seen = world.put(place, np.zeros(64))
    shield.act(proposing(world, [0.0, 0.0, 9.0]), seen, None)
    assert asked[1:] == [64, 5 * 3], "three candidates for five rows"
    shield.act(proposing(world, [0.0, 0.0, 9.0]), seen, None, np.arange(64) < 2)
    assert asked[3:] == [2, 2 * 3], "rows that do not matter are not asked about"


@pytest.mark.parametrize("env", ["HopperVelocity", "Pendulum-v1"])
def test_a_twin_steps_as_the_world_does(env: str):
    """Any rows, in any order and any number of times, against the world itself stepped one after the other."""
    config = EnvConfig(id=env, num_envs=5)
    world = make(config, 3)
    world.reset(seed=3)
    world.action_space.seed(3)
    for _ in range(4):
        world.step(world.action_space.sample())
    before = world.state_dict()
    twins = Twins(world, lambda n: make(replace(config, num_envs=n), 0))
    rows = np.array([4, 0, 0, 3, 2, 2, 1])
    actions = np.stack([world.single_action_space.sample() for _ in rows])
    twin = twins.put(before, rows)
    got = twin.step(np.concatenate([actions, np.repeat(actions[:1], twin.num_envs - len(actions), 0)]))
    for place, (row, action) in enumerate(zip(rows, actions, strict=True)):
        world.load_state_dict({name: array.copy() for name, array in before.items()})
        batch = world.action_space.sample()
        batch[row] = action
        want = world.step(batch)
        np.testing.assert_array_equal(got[0][place], want[0][row])
        assert got[1][place] == want[1][row]
        if "cost" in want[4]:
            np.testing.assert_array_equal(got[4]["cost"][place], want[4]["cost"][row])
    twins.close()
    world.close()


@pytest.mark.parametrize("counts_on", [False, True])
def test_what_is_decided_is_left_out_of_the_rest(counts_on: bool):
    """Against each action by itself, in a twin of its own: simulations that shrink on the way say the same."""
    rng = np.random.default_rng(0)
    world = Rail(40, max_episode_steps=9)
    world.reset(seed=0)
    world.stagger()
    world.put(rng.integers(-5, 6, 40), rng.integers(-3, 4, 40))
    state, rows, push = world.state_dict(), np.arange(40), rng.integers(0, 3, (40, 1))

    def to_the_left(twin: Any, seen: np.ndarray) -> np.ndarray:
        return np.zeros((len(seen), 1), np.int64)

    def costs(which: np.ndarray) -> np.ndarray:
        check = ModelCheck(
            CheckConfig(steps=7, threshold=1.0),
            world,
            lambda n: Rail(n, max_episode_steps=9),
            to_the_left,
            counts_on=counts_on,
        )
        return check.costs(state, rows[which], push[which])

    together = costs(rows)
    np.testing.assert_array_equal(together, np.concatenate([costs(rows[i : i + 1]) for i in range(40)]))
    assert (together > 1).sum() > 10 and (together <= 1).sum() > 10
    assert together.max() == (7 if counts_on else 2)


def test_checking_leaves_the_world_and_its_noise_as_they_were():
    world = Rail(8, noise=1)
    observation, _ = world.reset(seed=0)
    shield = rail_shield(looking(ENOUGH, num_draws=3), world)
    before = world.state_dict()
    shield.act(proposing(world, [0.0, 0.0, 0.0]), observation, None)
    for name, array in world.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_noise_is_drawn_anew_and_every_draw_counts():
    """Two metres from the wall, a push of 1 that is off by up to 1 hits it in a third of all draws."""
    world = Rail(200, noise=1)
    world.reset(seed=1)
    world.put(np.full(200, WALL - 2.0), np.zeros(200))
    state, rows = world.state_dict(), np.arange(200)
    push = np.full((200, 1), 2)
    foreseen = ModelCheck(CheckConfig(), world, lambda n: Rail(n, noise=1), None, counts_on=False).costs(
        state, rows, push
    )  # type: ignore[arg-type]
    assert 0.2 < foreseen.mean() < 0.5, "a third of the draws"
    often = ModelCheck(CheckConfig(num_draws=12), world, lambda n: Rail(n, noise=1), None, counts_on=False)  # type: ignore[arg-type]
    assert often.costs(state, rows, push).mean() > 0.95
    again = ModelCheck(CheckConfig(), world, lambda n: Rail(n, noise=1), None, counts_on=False).costs(state, rows, push)  # type: ignore[arg-type]
    np.testing.assert_array_equal(again, foreseen)
    happened = world.step(push[:, 0])[4]["cost"][:, 0]
    assert 0.2 < happened.mean() < 0.5
    assert (happened != foreseen).any(), "the twin does not know what the world will draw"


def test_what_follows_an_end_of_the_episode_does_not_count():
    """One step before its time is over, full speed at the wall costs nothing any more."""
    world = Rail(2, max_episode_steps=5)
    observation, _ = world.reset(seed=0)
    for _ in range(4):
        observation, *_ = world.step(np.ones(2, np.int64))
    observation = world.put(np.array([2.0, 3.0]), np.array([3.0, 3.0]))
    shield = Shield(looking(ENOUGH), world, lambda n: Rail(n, max_episode_steps=5))
    guarded = shield.act(proposing(world, [0.0, 9.0, 0.0]), observation, None)
    assert guarded.shielded_N.tolist() == [False, True], "2 + 3 is between the walls, 3 + 3 is one"
    assert guarded.nothing_safe_N.tolist() == [False, False], "3 + 2 is between them"


def test_the_policy_itself_may_go_on():
    """A policy that brakes by itself is looked at as it is: what it proposes is safe as long as it goes on so."""
    slopes = np.array([[0.0, 20.0], [0.0, 0.0], [0.0, -20.0]])  # against the speed; at rest it stays
    states = sorted(viable())
    world = Rail(len(states))
    world.reset(seed=0)
    seen = world.put(*np.array(states, float).T)
    policy = proposing(world, [0.0, 1.0, 0.0], slopes=slopes)
    config = ShieldConfig(fallback=FallbackConfig(kind="halt"), check=CheckConfig(steps=ENOUGH, continuation="policy"))
    guarded = rail_shield(config, world).act(policy, seen, None)
    assert not guarded.shielded_N.any()


class Detour(Rail):
    """Two metres wide: a second number of the action moves sideways, where the wall in the middle does not reach.

    Forward pays; the block is from 2 on, as long as the body is within `half_width` of the middle.
    """

    def __init__(self, num_envs: int, half_width: float = 0.5) -> None:
        super().__init__(num_envs, discrete=False)
        self.half_width = half_width
        self.single_action_space = Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.single_observation_space = Box(-100.0, 100.0, (2,), np.float32)

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Here `speed` is the place across: nothing has momentum.
        self.place += 0.25 * actions[:, 0]
        self.speed += 0.25 * actions[:, 1]
        self.cost[:, 0] = (np.abs(self.speed) < self.half_width) & (self.place >= 2.0) & (self.place < 3.0)
        observation[:] = self._seen()
        return 0.25 * actions[:, 0].astype(np.float64), np.zeros(self.num_envs, bool)


@pytest.mark.parametrize("foresight", [0, 12])
def test_foresight_leads_round_what_a_check_alone_stops_in_front_of(foresight: int):
    world = Detour(4)
    world.reset(seed=0)
    seen = world.put(np.zeros(4), np.array([0.0, 0.1, -0.2, 3.0]))
    config = ShieldConfig(
        fallback=FallbackConfig(kind="action", action=(0.0, 0.0)), check=CheckConfig(foresight=foresight)
    )
    shield, policy = Shield(config, world, Detour), proposing(world, [1.0, 0.0])
    cost = 0.0
    for _ in range(60):
        guarded = shield.act(policy, seen, None)
        seen, _, _, _, infos = world.step(guarded.executed_NA)
        cost += infos["cost"].sum()
        assert not guarded.nothing_safe_N.any()
        assert not guarded.shielded_N[3], "beside the block nothing is changed"
    assert cost == 0
    assert world.place[3] == 15.0
    if foresight:
        assert (world.place[:3] > 8).all()
    else:
        assert (world.place[:3] < 2).all()


def test_what_takes_long_to_go_round_is_not_waited_for():
    """Six steps sideways past a block, of twelve that are foreseen: to wait a little and then drive on only seems safe
    where what follows is not foreseen as far."""
    world = Detour(2, half_width=1.5)
    world.reset(seed=0)
    seen = world.put(np.zeros(2), np.array([0.1, -0.4]))
    config = ShieldConfig(fallback=FallbackConfig(kind="action", action=(0.0, 0.0)), check=CheckConfig(foresight=12))
    shield = Shield(config, world, lambda num: Detour(num, half_width=1.5))
    cost = 0.0
    for _ in range(60):
        seen, _, _, _, infos = world.step(shield.act(proposing(world, [1.0, 0.0]), seen, None).executed_NA)
        cost += infos["cost"].sum()
    assert cost == 0
    assert (world.place > 5).all()


def test_what_was_chosen_is_kept_to_until_the_way_is_clear():
    world = Detour(3)
    world.reset(seed=0)
    seen = world.put(np.array([0.0, 0.0, -50.0]), np.array([0.0, -0.3, 0.0]))
    config = ShieldConfig(fallback=FallbackConfig(kind="action", action=(0.0, 0.0)), check=CheckConfig(foresight=9))
    shield, policy = Shield(config, world, Detour), proposing(world, [1.0, 0.0])
    assert shield.judge is not None
    before, changes = None, 0
    for _ in range(40):
        left = shield.judge.left_N.copy()
        guarded = shield.act(policy, seen, None)
        kept = guarded.shielded_N & (left > 0)
        if before is not None:
            np.testing.assert_array_equal(guarded.executed_NA[kept], before[kept])
            assert (shield.judge.left_N[kept] == left[kept] - 1).all()
        changes += int((guarded.shielded_N & (left == 0)).sum())
        assert (shield.judge.left_N[~guarded.shielded_N] == 0).all(), "where the policy acts nothing is kept to"
        before = guarded.executed_NA
        seen = world.step(guarded.executed_NA)[0]
    assert changes >= 2, "two of them had to be led round"
    assert shield.judge.left_N[2] == 0


def test_what_is_kept_to_is_given_up_where_it_is_no_longer_safe():
    """It was chosen in the open; before the block nothing but what is safe there is done."""
    world = Detour(1)
    world.reset(seed=0)
    config = ShieldConfig(fallback=FallbackConfig(kind="action", action=(0.0, 0.0)), check=CheckConfig(foresight=9))
    shield, policy = Shield(config, world, Detour), proposing(world, [1.0, 0.0])
    assert shield.judge is not None
    shield.judge.held_NA[:], shield.judge.left_N[:] = (1.0, 0.0), 5
    seen = world.put(np.array([1.9]), np.array([0.0]))
    guarded = shield.act(policy, seen, None)
    assert guarded.executed_NA.tolist() != [[1.0, 0.0]]
    world.step(guarded.executed_NA)
    assert world.cost.sum() == 0


def test_ends_may_be_refused_where_the_world_has_no_costs():
    """Two poles about to fall, one to each side: pushing to the left, away from the first, is not done there."""
    world = CartPole(2)
    observation, _ = world.reset(seed=0)
    world.set_physics(np.array([[0, 0, 0.2059, 0.05], [0, 0, -0.2059, -0.05]]))
    observation[:] = world.physics()
    check = CheckConfig(steps=2, refuse_termination=True, continuation="policy")
    shield = Shield(ShieldConfig(fallback=FallbackConfig(kind="least_cost"), check=check), world, CartPole)
    guarded = shield.act(proposing(world, [9.0, 0.0]), observation, None)
    assert guarded.executed_NA[:, 0].tolist() == [1, 0]
    assert guarded.shielded_N.tolist() == [True, False]
    assert not guarded.nothing_safe_N.any()
    for action in (guarded.executed_NA[:, 0], np.zeros(2, np.int64)):
        _, _, fallen, _, _ = world.step(action)
        assert not fallen.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"costs": ("wal",)}, "Rail has no cost 'wal'; it has wall. Did you mean 'wall'"),
        ({"steps": 0}, r"shield\.check\.steps must be >= 1, got 0"),
        ({"num_draws": 0}, r"shield\.check\.num_draws must be >= 1"),
        ({"threshold": -1.0}, r"shield\.check\.threshold must be >= 0"),
        ({"continuation": "polcy"}, "must be one of fallback, policy, got 'polcy'. Did you mean 'policy'"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        rail_shield(looking(**({"steps": 2} | change)), Rail(1))


def test_worlds_that_cannot_be_put_back_or_cost_nothing_are_refused():
    foreign = EnvConfig(id="CartPole-v1", num_envs=1, vectorization="sync")
    world = make(foreign, 0)
    config = ShieldConfig(fallback=FallbackConfig(kind="least_cost"), check=CheckConfig(refuse_termination=True))
    with pytest.raises(ConfigError, match="the state of CartPole-v1 cannot be saved"):
        Shield(config, world, lambda n: make(replace(foreign, num_envs=n), 0))
    world.close()
    with pytest.raises(ConfigError, match="CartPole-v1 has no costs; set refuse_termination"):
        Shield(replace(config, check=CheckConfig()), CartPole(1), CartPole)


def test_the_point_robots_brake_brings_it_to_rest():
    from heeler.safety.shields.brakes import point_robot

    seen = np.zeros((3, 53), np.float32)
    seen[:, 0], seen[:, 4] = [1.5, 0.05, -0.2], [0.0, 3.0, -0.5]
    np.testing.assert_allclose(point_robot(seen), [[-1, 0], [-0.35, -1], [1, 0.2]], atol=1e-6)


def test_the_point_robots_brake_brings_it_to_rest_however_it_slides():
    from heeler.safety.shields.brakes import point_robot

    N, rng = 64, np.random.default_rng(0)
    world = make(EnvConfig(id="PointGoal", num_envs=N, kwargs={"level": 0, "half_width": 50.0}), 0)
    observation, _ = world.reset(seed=0)
    for turn in rng.uniform(-1, 1, (4, N)).repeat(10, 0):
        observation, *_ = world.step(np.stack([np.ones(N), turn], 1).astype(np.float32))
    assert np.abs(observation[:, 1]).max() > 0.8, "some slide sideways"
    places = []
    for _ in range(100):
        places.append(world.layout().robot[:, :2])
        observation, *_ = world.step(point_robot(observation))
    to_go = np.linalg.norm(np.array(places) - world.layout().robot[:, :2], axis=2).max(1)
    assert to_go[0] < 0.4
    assert to_go[20] < 0.01
    # What a check of sixty steps cannot see any more is less than a hair's breadth.
    assert to_go[60] < 1e-5
    world.close()


def test_a_policy_of_another_world_can_be_shielded_too():
    """The shield asks nothing of a policy but what any has."""
    world = Rail(4)
    observation, _ = world.reset(seed=0)
    policy = Policy(PolicyConfig(hidden_sizes=(4,)), 2, world.single_action_space)
    assert rail_shield(looking(2), world).act(policy, observation, None).executed_NA.shape == (4, 1)
