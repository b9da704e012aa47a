"""Shortcuts of clips: how much of each a clip has, and the reward that is one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError
from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout
from heeler.envs import EnvConfig, make
from heeler.loop.honesty.trivial import Judged, shortcuts_of, staying_alive, windows
from heeler.models.policy import Policy, PolicyConfig
from heeler.rollouts.collector import Collector


def clip(number: int, rng: np.random.Generator, length: int = 10) -> Segment:
    """Two numbers that walk, and an action."""
    size = rng.uniform(0.2, 2.0)
    walked = np.cumsum(size * rng.normal(size=(length + 1, 2)), 0).astype(np.float32)
    return Segment(
        observation=walked[:-1],
        action=rng.normal(size=(length, 1)).astype(np.float32),
        next_observation=walked[1:],
        env_id="a world",
        policy_version=0,
        trajectory_id=f"train/{number // 3}",
        start_step=5 * number,
    )


def clips(num: int = 90) -> list[Segment]:
    rng = np.random.default_rng(0)
    return [clip(number, rng) for number in range(num)]


def named(clips: list[Segment], reward, own: tuple[str, ...] = ()):
    judged = Judged(clips=clips, reward_K=np.array([reward(each) for each in clips], np.float64))
    found = shortcuts_of(judged, EnvConfig(id="my:World"), own, None, np.zeros(0), seed=0)
    return {one.name: one for one in found}


def speed(each: Segment) -> float:
    return float(np.linalg.norm(each.next_observation - each.observation, axis=1).mean())


@pytest.mark.parametrize(
    ("reward", "name"),
    [
        (speed, "speed (change of the observation)"),
        (lambda each: -np.abs(each.action).mean(), "size of the action"),
        (lambda each: 3 * each.next_observation[:, 1].mean() + 1, "observation: number 1"),
        (lambda each: np.log(1.0 + each.start_step), "step of the episode"),
    ],
)
def test_a_reward_that_is_a_shortcut_is_named_first(reward, name):
    found = named(clips(), reward)
    assert next(iter(found)) == name
    assert found[name].verdict == "it is mostly this"


def test_a_reward_of_something_else_is_no_shortcut():
    rng = np.random.default_rng(5)
    noise = {each.id: rng.normal() for each in clips()}
    assert {one.verdict for one in named(clips(), lambda each: noise[each.id]).values()} == {"no sign"}


def test_choices_are_told_apart_and_what_never_varies_is_left_out():
    rng = np.random.default_rng(1)
    chosen = [replace(each, action=rng.integers(2, size=(10, 1))) for each in clips()]
    found = named(chosen, lambda each: (each.action == 1).mean())
    assert {"action 0", "action 1"} <= set(found)
    assert "size of the action" not in found
    assert "length of the clip" not in found
    assert found["action 1"].verdict == "it is mostly this"


def test_a_shortcut_of_ones_own_is_found_by_its_name(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "def product(observation, action, next_observation):\n    return action[:, 0] * observation[:, 0]\n"
    )
    name = f"{path}:product"
    found = named(clips(), lambda each: (each.action[:, 0] * each.observation[:, 0]).mean(), (name,))
    assert found[name].verdict == "it is mostly this"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return observation", r"must return 10 finite numbers.*got an array of shape \(10, 2\)"),
        ("return observation[:, 0] / 0", "must return 10 finite numbers"),
        ("return observation[:, 7]", "failed: IndexError"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_shortcut_of_ones_own_that_fails_is_told(tmp_path, body, message):
    path = tmp_path / "mine.py"
    path.write_text(f"def mine(observation, action, next_observation):\n    {body}\n")
    with pytest.raises(ConfigError, match=message):
        named(clips(), speed, (f"{path}:mine",))


@pytest.fixture(scope="module")
def fallen() -> Rollout:
    """CartPole by an untrained policy: every episode ends soon."""
    world = make(EnvConfig(id="CartPole-v1", num_envs=16), 0)
    collector = Collector(world, 120, record_snapshots=False)
    collector.reset(0)
    torch.manual_seed(0)
    policy = Policy(PolicyConfig(hidden_sizes=(8,)), 4, world.single_action_space)
    rollout = collector.collect(policy, torch.Generator().manual_seed(0), 0)
    world.close()
    return rollout


def near_end(rollout: Rollout, within: int = 10) -> np.ndarray:
    """[T, N] bool, by looking ahead from each step."""
    T, N = rollout.terminated.shape
    found = np.zeros((T, N), bool)
    for t in range(T):
        for n in range(N):
            for ahead in range(t, min(t + within, T)):
                if rollout.ended[ahead, n]:
                    found[t, n] = rollout.terminated[ahead, n]
                    break
    return found


def test_a_reward_for_staying_alive_is_found_in_what_the_policy_does(fallen):
    near = near_end(fallen)
    assert 0.2 < near.mean() < 0.8
    found = staying_alive(fallen, np.where(near, -1.0, 1.0), seed=0)
    assert found is not None
    assert found.verdict == "it is mostly this"
    assert found.linear is not None
    assert found.linear.value == pytest.approx(1.0)
    noise = staying_alive(fallen, np.random.default_rng(0).normal(size=near.shape), seed=0)
    assert noise is not None
    assert noise.verdict == "no sign"


def test_where_no_episode_is_terminated_staying_alive_cannot_be_told(fallen):
    going = replace(fallen, terminated=np.zeros_like(fallen.terminated), truncated=fallen.ended)
    assert staying_alive(going, np.ones(fallen.terminated.shape), seed=0) is None


def test_windows_never_go_across_an_end(fallen):
    paid = np.arange(fallen.terminated.size, dtype=float).reshape(fallen.terminated.shape)
    judged = windows(fallen, paid, "CartPole-v1")
    assert judged.clips
    for each, reward in zip(judged.clips, judged.reward_K, strict=True):
        np.testing.assert_array_equal(each.observation[1:], each.next_observation[:-1])
        n = int(each.trajectory_id.split(",")[0].removeprefix("environment "))
        starts = [t for t in range(0, 101, 20) if np.array_equal(fallen.observation[t, n], each.observation[0])]
        assert reward in [pytest.approx(paid[t : t + 20, n].mean()) for t in starts]
