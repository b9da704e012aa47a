"""Every world keeps the same contract: one table of worlds, one list of promises."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv

from heeler.core.errors import CheckpointError, WorldError
from heeler.envs import DRAWN_IDS, WORLD_IDS, AgentsConfig, EnvConfig, World, make
from heeler.envs.world import BatchedWorld

NUM_ENVS = 3
TOY = "tests.unit.envs.toy_envs"
CONFIGS: dict[str, dict[str, Any]] = {
    **{env_id: {"id": env_id} for env_id in WORLD_IDS},
    "CartPole-v1, sync": {"id": "CartPole-v1", "vectorization": "sync"},
    "Hopper-v5, sync": {"id": "Hopper-v5", "vectorization": "sync"},
    "Pendulum-v1, async": {"id": "Pendulum-v1", "vectorization": "async"},
    "counter by class": {"id": f"{TOY}:Counter"},
    "every kind of space": {"id": f"{TOY}:Mixture"},
    "grid of actions": {"id": f"{TOY}:GridActions"},
    "one of several agents, by class": {
        "id": "tests.unit.envs.toy_agents:Meeting",
        "agents": AgentsConfig(learning=("bob",), others={"ann": "random", "cid": "random"}),
    },
}
EXACT = tuple(WORLD_IDS)


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> EnvConfig:
    return build(request.param)


def build(name: str, **kwargs: Any) -> EnvConfig:
    return EnvConfig(num_envs=NUM_ENVS, kwargs=kwargs, **CONFIGS[name])


@pytest.fixture
def world(config: EnvConfig) -> Iterator[World]:
    made = make(config, seed=7)
    made.action_space.seed(1)
    yield made
    made.close()


def play(world: World, num_steps: int) -> list[tuple[np.ndarray, ...]]:
    """Observations, rewards, terminated, truncated of `num_steps` steps with actions of the world's own sampler."""
    return [tuple(np.copy(part) for part in world.step(world.action_space.sample())[:4]) for _ in range(num_steps)]


def assert_same(first: list[tuple[np.ndarray, ...]], second: list[tuple[np.ndarray, ...]]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_shapes_and_types(world: World):
    assert isinstance(world, VectorEnv)
    assert world.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    space = world.single_observation_space
    assert isinstance(space, gymnasium.spaces.Box)
    assert space.dtype == np.float32
    assert len(space.shape) == 1
    assert isinstance(
        world.single_action_space, gymnasium.spaces.Box | gymnasium.spaces.Discrete | gymnasium.spaces.MultiDiscrete
    )
    observation, infos = world.reset()
    assert isinstance(infos, dict)
    for _ in range(5):
        assert observation.dtype == np.float32
        assert observation.shape == (NUM_ENVS, *space.shape) == world.observation_space.shape
        assert world.observation_space.contains(observation)
        observation, reward, terminated, truncated, _ = world.step(world.action_space.sample())
        assert (reward.shape, reward.dtype) == ((NUM_ENVS,), np.float64)
        assert (terminated.shape, terminated.dtype) == ((NUM_ENVS,), bool)
        assert (truncated.shape, truncated.dtype) == ((NUM_ENVS,), bool)


def test_returned_arrays_are_the_callers_own(world: World):
    world.reset()
    kept = world.step(world.action_space.sample())[:4]
    copies = [part.copy() for part in kept]
    for _ in range(3):
        world.step(world.action_space.sample())
    for part, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(part, copy)


def test_the_same_seed_gives_the_same_run_and_another_does_not(config: EnvConfig):
    runs, firsts = [], []
    for seed in (7, 7, 8):
        world = make(config, seed=seed)
        world.action_space.seed(1)
        firsts.append(world.reset()[0])
        runs.append(play(world, 30))
        world.close()
    np.testing.assert_array_equal(firsts[0], firsts[1])
    assert_same(runs[0], runs[1])
    if config.id != f"{TOY}:Mixture":  # whose observations never vary
        assert (firsts[0] != firsts[2]).any()
        assert len(np.unique(firsts[0], axis=0)) == NUM_ENVS


def test_reseeding_forgets_what_happened_before(world: World):
    world.reset()
    play(world, 4)
    again = world.reset(seed=11)[0]
    world.action_space.seed(2)
    after = play(world, 20)
    play(world, 3)
    np.testing.assert_array_equal(world.reset(seed=11)[0], again)
    world.action_space.seed(2)
    assert_same(play(world, 20), after)


@pytest.mark.parametrize("name", [name for name in CONFIGS if "class" not in name])
def test_time_limit_truncates_and_does_not_terminate(name: str):
    world = make(build(name, max_episode_steps=2), seed=7)
    if not isinstance(world.single_action_space, gymnasium.spaces.Box):
        world.action_space.seed(1)
    first = world.reset()[0]
    actions = world.action_space.sample()
    _, _, terminated, truncated, infos = world.step(actions)
    assert not terminated.any() and not truncated.any()
    assert "final_obs" not in infos
    observation, _, terminated, truncated, infos = world.step(actions)
    assert truncated.all() and not terminated.any()
    assert infos["_final_obs"].all()
    assert (infos["final_obs"].shape, infos["final_obs"].dtype) == (first.shape, np.float32)
    if "kind" not in name:
        assert (infos["final_obs"] != observation).any(axis=1).all(), "the terminal observation is kept beside the new"
    world.close()


@pytest.mark.parametrize("name", ["CartPole-v1", "CartPole-v1, sync", "InvertedPendulum-v5", "Hopper-v5", "Ant-v5"])
def test_only_ended_rows_begin_anew_in_the_same_step(name: str):
    world = make(build(name), seed=7)
    world.action_space.seed(3)
    observation = world.reset()[0]
    num_ended = 0
    for _ in range(400):
        before = observation
        observation, _, terminated, truncated, infos = world.step(world.action_space.sample())
        assert not truncated.any()
        if not terminated.any():
            assert "final_obs" not in infos
            continue
        num_ended += int(terminated.sum())
        np.testing.assert_array_equal(infos["_final_obs"], terminated)
        np.testing.assert_array_equal(infos["final_obs"][~terminated], observation[~terminated])
        assert (infos["final_obs"][terminated] != observation[terminated]).any(axis=1).all()
        assert (np.abs(infos["final_obs"] - before).max(axis=1) < 60).all()
    assert num_ended >= 3
    world.close()


@pytest.mark.parametrize("env_id", EXACT)
def test_a_saved_world_goes_on_bit_for_bit(env_id: str):
    config = build(env_id, max_episode_steps=23)  # so that episodes end, and the random stream is used, after loading
    world, other = make(config, seed=7), make(config, seed=8)
    assert world.exact_state
    world.action_space.seed(1)
    world.reset()
    play(world, 30)
    saved = world.state_dict()
    assert all(isinstance(array, np.ndarray) and array.dtype != object for array in saved.values())
    assert saved["rng"].dtype == np.uint8
    expected = play(world, 40)
    expected_snapshot = world.snapshot()
    other.reset()
    play(other, 5)
    other.load_state_dict({name: array.copy() for name, array in saved.items()})
    other.action_space.seed(1)
    for _ in range(30):
        other.action_space.sample()
    assert_same(play(other, 40), expected)
    np.testing.assert_array_equal(other.snapshot(), expected_snapshot)


@pytest.mark.parametrize("env_id", EXACT)
def test_saving_changes_nothing_and_copies(env_id: str):
    world = make(build(env_id), seed=7)
    world.reset()
    play(world, 3)
    first = world.state_dict()
    second = world.state_dict()
    play(world, 3)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


@pytest.mark.parametrize("env_id", ["Hopper-v5", "CartPole-v1"])
def test_a_state_of_another_world_is_refused(env_id: str):
    world = make(build(env_id), seed=0)
    larger = make(EnvConfig(id=env_id, num_envs=NUM_ENVS + 1), seed=0)
    stranger = make(build("Walker2d-v5"), seed=0)
    for made in (world, larger, stranger):
        made.reset()
    before = world.state_dict()
    for state in (larger.state_dict(), stranger.state_dict(), {}):
        with pytest.raises(CheckpointError, match="expected a saved state"):
            world.load_state_dict(state)
    for name, array in world.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_worlds_that_cannot_be_saved_say_so(world: World):
    if world.exact_state:
        assert world.env_id in EXACT
        return
    world.reset()
    play(world, 2)
    assert world.snapshot() is None
    with pytest.raises(NotImplementedError):
        world.state_dict()


def test_snapshots_can_be_drawn():
    assert set(DRAWN_IDS) == set(WORLD_IDS)
    for env_id in WORLD_IDS:
        world = make(build(env_id), seed=0)
        world.reset()
        snapshot = world.snapshot()
        assert snapshot is not None
        assert snapshot.dtype == np.float32
        assert len(snapshot) == NUM_ENVS
        kept = snapshot.copy()
        frames = world.render()
        assert frames is not None
        assert [(frame.shape, frame.dtype) for frame in frames] == [((240, 240, 3), np.uint8)] * NUM_ENVS
        world.step(world.action_space.sample())
        np.testing.assert_array_equal(snapshot, kept)


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Pendulum-v1", "InvertedPendulum-v5"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_non_finite_action_is_refused_by_name(env_id: str, bad: float):
    world = make(build(env_id), seed=0)
    world.reset()
    actions = world.action_space.sample()
    world.step(actions)
    actions[2, 0] = bad
    with pytest.raises(WorldError, match=r"environment 2 was given the non-finite action .* at step 2"):
        world.step(actions)


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Pendulum-v1"])
def test_actions_of_a_wrong_shape_are_refused(env_id: str):
    world = make(build(env_id), seed=0)
    world.reset()
    with pytest.raises(ValueError, match=r"actions must have shape \(3, "):
        world.step(world.action_space.sample()[:2])


@pytest.mark.parametrize("env_id", ["CartPole-v1", "MountainCar-v0", "Acrobot-v1"])
@pytest.mark.parametrize("bad", [[0, 1, 3], [0.0, 1.0, 0.5]])
def test_discrete_actions_that_do_not_exist_are_refused(env_id: str, bad: list[float]):
    world = make(build(env_id), seed=0)
    world.reset()
    with pytest.raises(WorldError, match="actions must be whole numbers from 0 to"):
        world.step(np.array(bad))


def test_staggered_copies_end_at_their_own_times_and_then_last_the_full_length():
    world = make(EnvConfig(id="Pendulum-v1", num_envs=20, kwargs={"max_episode_steps": 30}), seed=0)
    assert isinstance(world, BatchedWorld)
    world.reset()
    world.stagger()
    actions = np.zeros((20, 1), np.float32)
    ends: list[list[int]] = [[] for _ in range(20)]
    for step in range(1, 61):
        for index in np.flatnonzero(world.step(actions)[3]):
            ends[index].append(step)
    assert all(second - first == 30 for first, second in ends)
    assert len({first for first, _ in ends}) >= 10
