"""Foreign Gymnasium environments: flattening, same-step autoreset, and clear words for what is broken."""

import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from heeler.core.errors import ConfigError, WorldError
from heeler.envs import EnvConfig, World, make

TOY = "tests.unit.envs.toy_envs"


def build(name: str, *, num_envs: int = 2, vectorization: Any = "sync", **kwargs: Any) -> World:
    env_id = name if "-v" in name or ":" in name else f"{TOY}:{name}"
    return make(EnvConfig(id=env_id, num_envs=num_envs, vectorization=vectorization, kwargs=kwargs), seed=3)


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_same_step_autoreset_keeps_the_terminal_observation(vectorization: str):
    world = build("Counter", vectorization=vectorization, length=3)
    first, _ = world.reset()
    np.testing.assert_array_equal(first[:, 0], 0)
    actions = np.array([0, 1])
    for step in (1, 2):
        observation, reward, terminated, _, infos = world.step(actions)
        np.testing.assert_array_equal(observation[:, 0], step)
        np.testing.assert_array_equal(observation[:, 1], first[:, 1])
        np.testing.assert_array_equal(reward, [5, 6])  # actions count from 0 here, from 5 in the environment
        assert not terminated.any()
        assert "final_obs" not in infos
    observation, _, terminated, truncated, infos = world.step(actions)
    assert terminated.all() and not truncated.any()
    np.testing.assert_array_equal(observation[:, 0], 0)
    assert infos["final_obs"].dtype == np.float32
    np.testing.assert_array_equal(infos["final_obs"][:, 0], 3)
    np.testing.assert_array_equal(infos["final_obs"][:, 1], first[:, 1])
    assert (observation[:, 1] != first[:, 1]).all()
    world.close()


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_masks_of_infos_are_those_of_the_present_state(vectorization: Any):
    world = build("Masked", vectorization=vectorization, length=2)
    world.reset()
    for step in (0, 1, 0, 1, 0):
        mask = world.action_mask()
        assert mask is not None
        assert (mask.shape, mask.dtype) == ((2, 3), bool)
        np.testing.assert_array_equal(mask, np.tile(np.arange(3) != step, (2, 1)))
        world.step(np.array([2, 2]))
    world.close()


@pytest.mark.parametrize("says", ["never", "words", "at first"])
def test_a_mask_that_is_not_there_is_none(says: str):
    world = build("Masked", says=says)
    world.reset()
    assert (world.action_mask() is None) == (says != "at first")
    world.step(np.array([0, 1]))
    assert world.action_mask() is None
    world.close()


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_costs_of_infos_come_through_the_last_of_an_episode_too(vectorization: Any, nested: bool):
    config = EnvConfig(
        id=f"{TOY}:Costly",
        num_envs=2,
        vectorization=vectorization,
        costs=("wear", "heat"),
        kwargs={"nested": nested, "length": 2},
    )
    world = make(config, seed=3)
    world.reset()
    heats = []
    for _ in range(4):
        infos = world.step(np.array([0, 1]))[4]
        assert (infos["cost"].shape, infos["cost"].dtype) == ((2, 2), np.float64)
        np.testing.assert_array_equal(infos["cost"][:, 0], 0.5)
        heats.append(infos["cost"][:, 1].tolist())
    assert heats == [[1, 1], [2, 2], [1, 1], [2, 2]]
    world.close()


@pytest.mark.parametrize(
    ("costs", "wear", "message"),
    [
        (("rust",), 0.5, r"environment 0 at step 1: its infos hold no cost 'rust'; they hold heat, wear"),
        (("wear",), "nan", r"the cost 'wear' should be one finite number, got nan"),
        (("wear",), [1.0, 2.0], r"the cost 'wear' should be one finite number, got \[1.0, 2.0\]"),
    ],
)
def test_costs_that_are_none_are_named(costs: tuple[str, ...], wear: Any, message: str):
    world = make(EnvConfig(id=f"{TOY}:Costly", num_envs=2, costs=costs, kwargs={"wear": wear}), seed=3)
    world.reset()
    with pytest.raises(WorldError, match=message):
        world.step(np.array([0, 1]))


@pytest.mark.parametrize(
    ("infos", "costs", "expected"),
    [
        ({"cost": 2.5}, ("cost",), [2.5]),
        ({"cost": np.float32(1.0), "steps": 3}, ("cost",), [1.0]),
        ({"cost": True}, ("cost",), [1.0]),
        ({"cost": {"a": 1, "b": 2}}, ("b", "a"), [2.0, 1.0]),
        ({"costs": {"a": 1, "b": 2}}, ("b",), [2.0]),
        ({"cost": 3.0, "costs": {"a": 1}}, ("cost", "a"), [3.0, 1.0]),
        (
            {"cost_sum": 1.0, "cost_hazards": np.array(0.75), "cost_vases": 0.25},
            ("cost_vases", "cost_hazards"),
            [0.25, 0.75],
        ),
        ({"a": 5.0, "cost": {"a": 1}}, ("a",), [5.0]),
    ],
)
def test_every_form_in_which_costs_are_told(infos: dict[str, Any], costs: tuple[str, ...], expected: list[float]):
    world = make(EnvConfig(id=f"{TOY}:Telling", num_envs=2, costs=costs, kwargs={"first": None}), seed=3)
    for env in world._inner.envs:  # type: ignore[attr-defined]
        env._env.first = env._env.then = infos
    world.reset()
    for _ in range(2):
        np.testing.assert_array_equal(world.step(np.array([0, 1]))[4]["cost"], [expected] * 2)


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ({}, "environment 0 at step 2: its infos hold no cost 'cost'; they hold nothing"),
        ({"cost": [1.0, 0.0]}, r"step 2: the cost 'cost' should be one finite number, got \[1.0, 0.0\]"),
        ({"cost": [1.0, [2.0]]}, r"step 2: the cost 'cost' should be one finite number, got \[1.0, \[2.0\]\]"),
        ({"cost": np.zeros(1)}, r"step 2: the cost 'cost' should be one finite number, got array\(\[0.\]\)"),
        ({"cost": {"a": 1.0}}, "should be one finite number, got a mapping; name in env.costs what it holds: a"),
        ({"cost": np.nan}, "step 2: the cost 'cost' should be one finite number, got nan"),
        ({"cost": -np.inf}, "step 2: the cost 'cost' should be one finite number, got -inf"),
        ({"cost": 1e39}, "step 2: the cost 'cost' should be one finite number, got 1e"),
        ({"cost": "1"}, "step 2: the cost 'cost' should be one finite number, got '1'"),
        ({"cost": None}, "step 2: the cost 'cost' should be one finite number, got None"),
        (None, "step 2: infos should be a mapping with the costs cost, got None"),
    ],
)
def test_costs_that_go_wrong_later_are_named_with_their_step(then: Any, message: str):
    world = make(EnvConfig(id=f"{TOY}:Telling", num_envs=2, costs=("cost",)), seed=3)
    for env in world._inner.envs:  # type: ignore[attr-defined]
        env._env.then = then
    world.reset()
    world.step(np.array([0, 1]))
    with pytest.raises(WorldError, match=message):
        world.step(np.array([0, 1]))


def test_heelers_own_worlds_name_their_costs_themselves():
    with pytest.raises(ConfigError, match=r"env\.costs is for foreign worlds"):
        make(EnvConfig(id="HopperVelocity", costs=("velocity",)), seed=0)


def test_every_kind_of_observation_is_flattened():
    world = build("Mixture")
    observation, _ = world.reset()
    # In the space's own order: picture; kind 2 of 1..3 one-hot; pair (1 of 2 and 2 of 3 one-hot; bits).
    expected = [255] * 4 + [0, 1, 0] + [0, 1, 0, 0, 1] + [0, 1]
    np.testing.assert_array_equal(observation, np.array([expected, expected], np.float32))
    assert isinstance(world.single_action_space, gymnasium.spaces.MultiDiscrete)
    np.testing.assert_array_equal(world.single_action_space.nvec, [2, 3, 4, 5])
    reward = world.step(np.array([[1, 2, 3, 4], [0, 0, 0, 1]]))[1]
    np.testing.assert_array_equal(reward, [10, 1])


def test_actions_of_any_shape_and_type_are_flat_float32():
    world = build("GridActions")
    assert world.single_action_space == gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
    world.reset()
    reward = world.step(np.array([[1, 0.5, 0, 0], [0, 0, 0, -1]], np.float32))[1]
    np.testing.assert_array_equal(reward, [1.5, -1])


def test_time_limit_of_a_class():
    world = build("Counter", length=9, max_episode_steps=2)
    world.reset()
    world.step(np.array([0, 0]))
    _, _, terminated, truncated, infos = world.step(np.array([0, 0]))
    assert truncated.all() and not terminated.any()
    assert infos["_final_obs"].all()


def test_copies_are_seeded_apart_and_never_like_their_neighbours():
    world = build("Counter", num_envs=4)
    one, two = world.reset(seed=1)[0][:, 1], world.reset(seed=2)[0][:, 1]
    assert len(np.unique([*one, *two])) == 8


def test_render_gives_the_environments_own_pictures():
    assert build("Counter").render() is None
    world = build("Counter", render_mode="rgb_array")
    world.reset()
    world.step(np.array([0, 0]))
    frames = world.render()
    assert frames is not None
    assert [frame.tolist() for frame in frames] == [np.ones((4, 4, 3), np.uint8).tolist()] * 2


def test_an_id_is_gymnasiums_own_environment():
    world = build("CartPole-v1", num_envs=1)
    other = gymnasium.make("CartPole-v1")
    first = world.reset()[0]
    other.reset()
    inner: Any = other.unwrapped
    inner.state = world._inner.envs[0]._env.unwrapped.state.copy()
    np.testing.assert_array_equal(np.asarray(inner.state, np.float32), first[0])
    for action in (0, 1, 1, 0):
        observation, reward, *_ = world.step(np.array([action]))
        expected, expected_reward, *_ = other.step(action)
        np.testing.assert_array_equal(observation[0], expected)
        assert reward[0] == expected_reward


FAULTS = [
    ("shape", "environment 0 at step 2: observation should have shape (2,), got (3,)"),
    ("dtype", "environment 0 at step 2: observation should have a dtype that fits float32, got complex64"),
    ("list", "environment 0 at step 2: observation should be a NumPy array of shape (2,), got list"),
    ("nan", "environment 0 gave a non-finite observation [ 0. nan] at step 2"),
    ("infinite", "environment 0 gave a non-finite observation [inf  0.] at step 2"),
    ("nan reward", "environment 0 gave a non-finite reward nan at step 2"),
    ("array reward", "environment 0 at step 2: the reward should be one number, got array([1.])"),
    ("no reward", "environment 0 at step 2: the reward should be one number, got None"),
    ("no flag", "environment 0 at step 2: terminated should be True or False, got None"),
    ("raises", "environment 0 at step 2: step raised ZeroDivisionError: 100 % of nothing"),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_a_broken_step_names_environment_and_step(fault: str, message: str):
    world = build("Broken", num_envs=1, fault=fault, when=2)
    world.reset()
    world.step(np.array([0]))
    with pytest.raises(WorldError, match=re.escape(message)):
        world.step(np.array([0]))


@pytest.mark.parametrize("fault", ["shape", "nan", "raises"])
def test_a_broken_step_in_another_process_is_named_too(fault: str):
    message = dict(FAULTS)[fault]
    world = build("Broken", num_envs=1, vectorization="async", fault=fault, when=2)
    world.reset()
    world.step(np.array([0]))
    with pytest.raises(WorldError, match=re.escape(message)):
        world.step(np.array([0]))
    world.close()


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_infos_may_hold_anything(vectorization: str):
    world = build("Talkative", vectorization=vectorization, length=3)
    world.reset()
    for step in (1, 2, 0):
        np.testing.assert_array_equal(world.step(np.array([0, 1]))[0][:, 0], step)
    world.close()


def test_a_process_that_ended_is_named_and_the_rest_end_too():
    world = build("Counter", num_envs=3, vectorization="async")
    world.reset()
    processes = world._inner.processes
    processes[1].kill()
    processes[1].join()
    with pytest.raises(WorldError, match="Counter: environment 1 at step 1: its process ended with exit code -9"):
        world.step(np.zeros(3, int))
    world.close()
    assert not any(process.is_alive() for process in processes)


def test_a_process_that_ended_needs_no_closing():
    world = build("Counter", num_envs=3, vectorization="async")
    processes = world._inner.processes
    processes[1].kill()
    processes[1].join()
    world.close()
    assert not any(process.is_alive() for process in processes)


def test_a_world_that_cannot_be_closed_says_so():
    world = build("Broken", fault="none", closes=False)
    with pytest.raises(WorldError, match="environment 0 at step 0: close raised OSError: the door is stuck"):
        world.close()


def test_a_fault_at_the_end_does_not_hide_the_one_before_it():
    world = build("Broken", fault="raises", closes=False)
    world.reset()
    with pytest.raises(WorldError, match="100 % of nothing"):
        world.step(np.array([0, 0]))
    world.close()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("shape", "environment 0 at step 0: observation should have shape (2,), got (3,)"),
        ("bounds", "environment 0 at step 0: observation[1] should be from -1.0 to 100.0, got 101.0"),
        ("nan", "environment 0 gave a non-finite observation [ 0. nan] at step 0"),
    ],
)
def test_a_broken_reset_names_the_environment(fault: str, message: str):
    world = build("Broken", num_envs=1, fault=fault, when=0)
    with pytest.raises(WorldError, match=re.escape(message)):
        world.reset()


def test_the_right_environment_is_named():
    world = build("Broken", num_envs=3, fault="nan", when=2)
    world.reset()
    world._inner.envs[0]._env.when = world._inner.envs[2]._env.when = 99
    world.step(np.zeros(3, int))
    with pytest.raises(WorldError, match="environment 1 gave a non-finite"):
        world.step(np.zeros(3, int))


def test_bounds_are_held_unless_told_not_to():
    world = build("Broken", num_envs=1, fault="bounds", when=1)
    world.reset()
    message = "step 1: observation[1] should be from -1.0 to 100.0, got 101.0; mend the environment's space, or"
    with pytest.raises(WorldError, match=re.escape(message)):
        world.step(np.array([0]))
    settings = {"fault": "bounds", "when": 1}
    world = make(EnvConfig(id=f"{TOY}:Broken", num_envs=1, kwargs=settings, check_bounds=False), seed=3)
    world.reset()
    assert world.step(np.array([0]))[0][0, 1] == 101


def test_a_fault_in_the_terminal_observation_is_found():
    world = build("Broken", num_envs=1, fault="nan", when=2, max_episode_steps=2)
    world.reset()
    world.step(np.array([0]))
    with pytest.raises(WorldError, match="environment 0 gave a non-finite observation"):
        world.step(np.array([0]))


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("Counter", {"lenght": 3}, "has no setting 'lenght'. Did you mean 'length'?"),
        ("Counter", {"max_episode_step": 3}, "no setting 'max_episode_step'. Did you mean 'max_episode_steps'?"),
        ("CartPole-v1", {"sutton_reward": True}, "no setting 'sutton_reward'. Did you mean 'sutton_barto_reward'?"),
        ("Hopper-v5", {"reset_noise": 1.0}, "no setting 'reset_noise'. Did you mean 'reset_noise_scale'?"),
        (f"{TOY}:Conter", {}, "no environment 'tests.unit.envs.toy_envs:Conter' is known"),
        (f"{TOY}:Conter", {}, "Did you mean 'Counter'?"),
        (f"{TOY}:np", {}, "expected a Gymnasium id or module:Class"),
        ("no_such_module:Env", {}, "cannot import 'no_such_module'"),
        ("Words", {}, "observations must be made of Box, Discrete"),
        ("BinaryActions", {}, "actions must be a Box of floats, Discrete or MultiDiscrete, got MultiBinary(3)"),
    ],
)
def test_what_cannot_be_made_is_named(name: str, kwargs: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=re.escape(message)):
        build(name, **kwargs)


CANNOT_BE_MADE = [
    ("FailsToBuild", {}, "cannot be made: TypeError: FailsToBuild.__init__() missing 1 required positional argument"),
    ("FailsToBuild", {"how": "setting"}, "cannot be made with how=setting: TypeError: Counter.__init__() got an unexp"),
    ("FailsToBuild", {"how": "value"}, "cannot be made with how=value: ValueError: no such level; mend the"),
    ("FailsToBuild", {"how": "file"}, "FileNotFoundError: [Errno 2] No such file or directory: 'level.xml'"),
    ("FailsToBuild", {"how": "exit"}, "cannot be made with how=exit: SystemExit: 0"),
    ("FailsToBuild", {"how": "spaces"}, "AttributeError: 'FailsToBuild' object has no attribute 'observation_space'"),
    ("Counter", {"max_episode_steps": 0}, "cannot be made with max_episode_steps=0: ValueError"),
    ("Counter", {"max_episode_steps": "abc"}, "cannot be made with max_episode_steps=abc: TypeError"),
    ("Hopper-v5", {"max_episode_steps": 0}, "Hopper-v5 cannot be made with max_episode_steps=0: ValueError"),
    ("Hopper-v5", {"max_episode_steps": "abc"}, "Hopper-v5 cannot be made with max_episode_steps=abc: TypeError"),
    ("Hopper-v5", {"max_episode_steps": -3}, "Hopper-v5 cannot be made with max_episode_steps=-3: ValueError"),
    ("Hopper-v5", {"frame_skip": 0}, "Hopper-v5 cannot be made with frame_skip=0: ZeroDivisionError"),
    ("Hopper-v5", {"frame_skip": "abc"}, "Hopper-v5 cannot be made with frame_skip=abc: TypeError"),
    ("Hopper-v5", {"xml_file": "nope.xml"}, "Hopper-v5 cannot be made with xml_file=nope.xml: OSError"),
]


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize(("name", "kwargs", "message"), CANNOT_BE_MADE)
def test_a_world_that_cannot_be_made_is_named_with_what_it_said(
    name: str, kwargs: dict[str, Any], message: str, vectorization: str
):
    with pytest.raises(ConfigError, match=re.escape(message)):
        build(name, vectorization=vectorization, **kwargs)


def test_a_world_that_cannot_be_made_in_its_own_process_is_named(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(ConfigError, match="OnlyInMain cannot be made: a copy's process ended; it has said above why"):
        build("OnlyInMain", vectorization="async")
    assert "RuntimeError: no place for me" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def begin(:", "SyntaxError: invalid syntax (strange_module.py, line 1)"),
        ("raise KeyError('model')", "KeyError: 'model'"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
):
    (tmp_path / "strange_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(f"cannot import 'strange_module': {message}; it must be")):
        build("strange_module:World")


def test_a_relative_module_is_refused():
    with pytest.raises(ConfigError, match=r"cannot import '.envs': TypeError"):
        build(".envs:World")
