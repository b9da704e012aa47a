"""Worlds of several agents: rows, ends, the others' actions, seeds, and clear words for what is broken."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

from heeler.core.errors import ConfigError, WorldError
from heeler.envs import AgentsConfig, EnvConfig, make
from heeler.envs.pettingzoo_adapter import AgentsWorld
from tests.unit.envs.toy_agents import Meeting

TOY = "tests.unit.envs.toy_agents"


def build(
    *,
    agents: AgentsConfig | None = None,
    num_envs: int = 2,
    costs: tuple[str, ...] = (),
    name: str = "Meeting",
    **kwargs: Any,
) -> Any:
    config = EnvConfig(
        id=f"{TOY}:{name}", num_envs=num_envs, agents=agents or AgentsConfig(), costs=costs, kwargs=kwargs
    )
    world = make(config, seed=3)
    assert isinstance(world, AgentsWorld)
    return world


def one(others: str) -> AgentsConfig:
    return AgentsConfig(learning=("bob",), others={"ann": others, "cid": others})


def test_each_agent_that_learns_is_a_row():
    world = build(costs=("heat",))
    observation, _ = world.reset()
    assert (world.num_envs, observation.shape, observation.dtype) == (6, (6, 3), np.float32)
    np.testing.assert_array_equal(observation[:, :2], [[0, 0], [0, 1], [0, 2]] * 2)
    assert len(set(observation[:3, 2])) == 1 and observation[0, 2] != observation[3, 2], (
        "each copy has a seed of its own"
    )
    observation, reward, terminated, truncated, infos = world.step(np.array([0, 1, 2, 3, 2, 1]))
    np.testing.assert_array_equal(observation[:, 0], 1)
    assert (reward.tolist(), reward.dtype) == ([0, 1, 2, 3, 2, 1], np.float64)
    assert not terminated.any() and not truncated.any() and "final_obs" not in infos
    np.testing.assert_array_equal(infos["cost"], [[0], [1], [2]] * 2)
    assert world._copies[1].env.log == [{"ann": 3, "bob": 2, "cid": 1}]


def test_same_step_autoreset_keeps_the_terminal_observation():
    world = build(length=2)
    first, _ = world.reset()
    world.step(np.zeros(6, int))
    observation, _, terminated, truncated, infos = world.step(np.zeros(6, int))
    assert terminated.all() and not truncated.any() and infos["_final_obs"].all()
    np.testing.assert_array_equal(infos["final_obs"][:, 0], 2)
    np.testing.assert_array_equal(infos["final_obs"][:, 2], first[:, 2])
    np.testing.assert_array_equal(observation[:, 0], 0)
    assert (observation[:, 2] != first[:, 2]).all()


def test_who_leaves_first_ends_the_others_episodes_by_truncation():
    world = build(early="bob", early_at=2, length=9, num_envs=1)
    world.reset()
    world.step(np.zeros(3, int))
    observation, _, terminated, truncated, infos = world.step(np.zeros(3, int))
    assert terminated.tolist() == [False, True, False]
    assert truncated.tolist() == [True, False, True]
    np.testing.assert_array_equal(infos["final_obs"][:, 0], 2)
    np.testing.assert_array_equal(observation[:, 0], 0)
    world.step(np.zeros(3, int))  # all three are there again


def test_a_cut_is_a_truncation():
    world = build(length=1, cut=True)
    world.reset()
    _, _, terminated, truncated, _ = world.step(np.zeros(6, int))
    assert truncated.all() and not terminated.any()


@pytest.mark.parametrize(("how", "expected"), [("always_three", [3, 3, 3]), ("by_step", [0, 1, 2])])
def test_others_act_by_their_functions(how, expected):
    world = build(agents=one(f"{TOY}:{how}"), length=5)
    observation, _ = world.reset()
    np.testing.assert_array_equal(observation[:, 1], [1, 1])
    for _ in range(3):
        world.step(np.array([1, 2]))
    assert [step["ann"] for step in world._copies[0].env.log] == expected
    assert [step["cid"] for step in world._copies[1].env.log] == expected
    assert [step["bob"] for step in world._copies[1].env.log] == [2, 2, 2]


def test_an_other_that_has_left_is_not_asked_any_more():
    world = build(agents=one(f"{TOY}:always_three"), early="ann", early_at=1, length=4)
    world.reset()
    for _ in range(3):
        _, _, terminated, truncated, _ = world.step(np.array([0, 0]))
        assert not terminated.any() and not truncated.any()
    assert [sorted(step) for step in world._copies[0].env.log] == [
        ["ann", "bob", "cid"],
        ["bob", "cid"],
        ["bob", "cid"],
    ]


@pytest.mark.parametrize("how", ["random", f"{TOY}:by_chance"])
def test_the_same_seed_gives_the_same_run_the_others_too(how):
    def played(seed: int) -> tuple[list[float], list[Any]]:
        world = build(agents=one(how), length=4)
        firsts = world.reset(seed=seed)[0][:, 2].tolist()
        for _ in range(12):
            world.step(np.array([0, 1]))
        return firsts, [step for copy in world._copies for step in copy.env.log]

    assert played(1) == played(1)
    (firsts, log), (other_firsts, other_log) = played(1), played(2)
    assert firsts != other_firsts and log != other_log
    assert len({step["ann"] for step in log}) > 1 and log[:12] != log[12:], "copies differ too"


def test_reseeding_forgets_what_happened_before():
    world = build(agents=one("random"))
    for _ in range(2):
        world.reset(seed=7)
        for copy in world._copies:
            copy.env.log.clear()
        for _ in range(5):
            world.step(np.array([0, 1]))
        logs = [list(copy.env.log) for copy in world._copies]
    again = build(agents=one("random"))
    again.reset(seed=7)
    for _ in range(5):
        again.step(np.array([0, 1]))
    assert [copy.env.log for copy in again._copies] == logs


def test_agents_may_be_numbered():
    world = build(agents=AgentsConfig(learning=("2", "0"), others={"1": "random"}), numbered=True, num_envs=1)
    observation, _ = world.reset()
    np.testing.assert_array_equal(observation[:, 1], [2, 0])
    assert world.step(np.array([3, 1]))[1].tolist() == [3, 1]


def test_every_copy_is_closed_though_one_cannot_be():
    world = build(fault="stuck")
    closed = []
    world._copies[1].close = lambda: closed.append(1)
    with pytest.raises(WorldError, match="environment 0 at step 0: close raised OSError: the door is stuck"):
        world.close()
    assert closed == [1]


def test_render_gives_each_rows_copy():
    assert build().render() is None
    world = build(render_mode="rgb_array")
    world.reset()
    world.step(np.zeros(6, int))
    pictures = world.render()
    assert [picture.max() for picture in pictures] == [1] * 6
    assert world.snapshot() is None and not world.exact_state


FAULTS = [
    ("unseen", r"environment 0 at step 1: agent 'bob': it was given no observation; there is ann, cid"),
    ("shape", r"environment 0 at step 1: agent 'bob': observation should have shape \(3,\), got \(5,\)"),
    ("reward", r"environment 0 at step 1: agent 'bob': the reward should be one number, got array"),
    ("cost", r"environment 0 at step 1: agent 'bob': its infos hold no cost 'heat'; they hold nothing"),
    ("raises", r"environment 0 at step 1: step raised ZeroDivisionError: nobody came"),
    ("nan", r"environment 1 gave a non-finite observation .* at step 1"),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_a_broken_step_is_named(fault, message):
    world = build(fault=fault, costs=("heat",))
    world.reset()
    with pytest.raises(WorldError, match=message):
        world.step(np.zeros(6, int))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("out_of_range", r"agent 'ann': .*:out_of_range should give an action in Discrete\(4\), got 9"),
        ("breaks", r"agent 'ann': .*:breaks raised KeyError: 'ann'"),
    ],
)
def test_a_function_that_is_broken_is_named(how, message):
    world = build(agents=one(f"{TOY}:{how}"))
    world.reset()
    with pytest.raises(WorldError, match=message):
        world.step(np.array([0, 0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"agents": AgentsConfig(learning=("bobb",))},
            "has no agent 'bobb'; it has ann, bob, cid. Did you mean 'bob'?",
        ),
        ({"agents": AgentsConfig(learning=("bob",))}, "who acts for agent 'ann'? Say so in env.agents.others"),
        ({"fault": "spaces differ"}, "agents that learn one policy must see alike; 'ann' has Box"),
        ({"fault": "starts differ"}, "agents that learn one policy must do alike; 'ann' has Discrete(4)"),
        ({"lenght": 3}, "Meeting cannot be made: TypeError: "),
        ({"name": "NoMeeting"}, "is no ParallelEnv: it has no possible_agents, observation_space, action_space"),
        ({"name": "Meting"}, "has no function 'Meting'. Did you mean 'Meeting'?"),
        ({"agents": one("random.py:nothing")}, "there is no file random.py"),
    ],
)
def test_what_cannot_be_made_is_named(settings, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        build(**settings)


def test_agents_that_differ_may_be_there_as_long_as_they_do_not_learn():
    agents = AgentsConfig(learning=("ann", "bob"), others={"cid": "random"})
    world = build(agents=agents, fault="spaces differ", num_envs=1)
    assert world.num_envs == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning": ("ann", "ann")}, "must name each agent once"),
        ({"learning": ("ann",), "others": {"ann": "random"}}, "'ann' learns and is among the others"),
        ({"others": {"ann": "random"}}, "env.agents.others would be ignored, as all agents learn"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        AgentsConfig(**settings)


def test_what_one_agent_acts_in_is_refused():
    config = EnvConfig(id="CartPole-v1", agents=AgentsConfig())
    with pytest.raises(ConfigError, match=r"CartPole-v1 is no world of several agents: env\.agents is for module:NAME"):
        make(config, seed=0)
    with pytest.raises(ConfigError, match="stepped in one process; set vectorization to 'auto'"):
        EnvConfig(id=f"{TOY}:Meeting", agents=AgentsConfig(), vectorization="async")
    with pytest.raises(ConfigError, match="has no use for num_threads=2"):
        make(replace(config, id=f"{TOY}:Meeting", num_threads=2), seed=0)


def through_pettingzoo(**settings: Any) -> Any:
    """The meeting as PettingZoo's own conversions hand it on."""
    from pettingzoo.utils.conversions import aec_to_parallel, parallel_to_aec

    return aec_to_parallel(parallel_to_aec(as_pettingzoo(**settings)))


def as_pettingzoo(**settings: Any) -> Any:
    """The meeting as a `ParallelEnv` by name, too."""
    from pettingzoo import ParallelEnv

    class Named(Meeting, ParallelEnv):
        metadata = Meeting.metadata | {"name": "meeting_v0", "is_parallelizable": True}

    return Named(**settings)


@pytest.mark.parametrize("settings", [{}, {"early": "bob", "length": 6}, {"cut": True}])
def test_the_meeting_is_what_pettingzoo_takes_for_one(settings):
    parallel_api_test(as_pettingzoo(**settings), num_cycles=30)


def test_pettingzoos_own_conversions_change_nothing():
    plain = build(length=4, costs=("heat",))
    converted = make(
        EnvConfig(
            id=f"{__name__}:through_pettingzoo",
            num_envs=2,
            agents=AgentsConfig(),
            costs=("heat",),
            kwargs={"length": 4},
        ),
        seed=3,
    )
    np.testing.assert_array_equal(converted.reset()[0], plain.reset()[0])
    rng = np.random.default_rng(0)
    for _ in range(9):
        actions = rng.integers(4, size=6)
        first, second = plain.step(actions), converted.step(actions)
        for one_part, other in zip(first[:4], second[:4], strict=True):
            np.testing.assert_array_equal(one_part, other)
        np.testing.assert_array_equal(first[4]["cost"], second[4]["cost"])
