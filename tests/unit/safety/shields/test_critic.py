"""The safety critic against probabilities and sums that are known exactly."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.envs.world import BatchedWorld, Info
from heeler.rollouts.collector import Collector
from heeler.safety.shields.config import CheckConfig, CriticConfig, FallbackConfig, ShieldConfig
from heeler.safety.shields.critic import SafetyCritic
from heeler.safety.shields.shield import Shield
from tests.unit.safety.shields.worlds import Doors, proposing

RUNGS, DISCOUNT = 4, 0.8


class Ladder(BatchedWorld):
    """Action 1 climbs a rung, action 0 stays; the top rung costs 1 and leads back to the lowest.

    With `ends`, the episode ends there.
    """

    cost_names = ("fall",)

    def __init__(self, num_envs: int, *, ends: bool = False) -> None:
        super().__init__(
            "Ladder",
            num_envs,
            observation_space=Box(0.0, 1.0, (RUNGS,), np.float32),
            action_space=Discrete(2),
            max_episode_steps=40,
        )
        self.ends = ends
        self.rung, self.cost = np.zeros(num_envs, np.int64), np.zeros((num_envs, 1))

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.rung += actions
        fallen = self.rung == RUNGS
        self.cost[:, 0] = fallen
        self.rung[fallen] = 0
        observation[:] = np.eye(RUNGS, dtype=np.float32)[self.rung]
        return actions.astype(np.float64), fallen & self.ends

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        self.rung[rows] = self.np_random.integers(RUNGS, size=len(rows))
        observation[rows] = np.eye(RUNGS, dtype=np.float32)[self.rung[rows]]

    def _infos(self) -> Info:
        return {"cost": self.cost.copy()}

    def _save(self) -> dict[str, np.ndarray]:
        return {"rung": self.rung.copy(), "cost": self.cost.copy()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self.rung[:], self.cost[:] = state["rung"], state["cost"]


def exact(climbs: float, *, is_sum: bool) -> np.ndarray:
    """[RUNGS, 2] what staying and climbing come to, under a policy that climbs with that probability."""
    value = np.zeros(RUNGS)
    for _ in range(1000):
        above = np.append(value[1:], 0.0)
        climbed = DISCOUNT * above
        climbed[-1] = 1.0 + (DISCOUNT * value[0] if is_sum else 0.0)
        each = np.stack([DISCOUNT * value, climbed], 1)
        value = (1 - climbs) * each[:, 0] + climbs * each[:, 1]
    return each


def taught(world: BatchedWorld, config: CriticConfig, logits: list[float], num_rollouts: int = 60) -> SafetyCritic:
    critic, policy = SafetyCritic(config, world), proposing(world, logits)
    collector = Collector(world, 32, record_snapshots=False)
    collector.reset(0)
    noise = torch.Generator().manual_seed(0)
    for _ in range(num_rollouts):
        metrics = critic.learn(collector.collect(policy, noise, 0), policy)
    assert metrics["shield_critic_explained_variance"] > 0.2
    return critic


def expected(critic: SafetyCritic) -> np.ndarray:
    seen = np.repeat(np.eye(RUNGS, dtype=np.float32), 2, 0)
    return critic.danger(seen, np.tile([[0], [1]], (RUNGS, 1))).reshape(RUNGS, 2)


SETTINGS: dict[str, Any] = {
    "threshold": 0.6,
    "discount": DISCOUNT,
    "hidden_sizes": (32,),
    "learning_rate": 5e-3,
    "minibatch_size": 512,
    "trace_decay": 0.8,
}


@pytest.mark.parametrize(("predicts", "ends"), [("probability", False), ("probability", True), ("sum", False)])
def test_it_learns_what_is_known(predicts: str, ends: bool):
    critic = taught(Ladder(32, ends=ends), CriticConfig(**SETTINGS | {"predicts": predicts}), [0.0, 0.0])
    np.testing.assert_allclose(expected(critic), exact(0.5, is_sum=predicts == "sum"), atol=0.08)


def test_what_it_refuses_is_replaced_by_the_safest():
    """From the top rung a step up costs for certain, and staying less than the threshold."""
    world = Ladder(32)
    config = CriticConfig(**SETTINGS | {"threshold": 0.8})
    shield = Shield(ShieldConfig(fallback=FallbackConfig(kind="halt"), critic=config), world, Ladder)
    assert shield.judge is not None
    critic = shield.judge.critic = taught(world, config, [0.0, 0.0])
    assert expected(critic)[-1, 0] < 0.8 < expected(critic)[-1, 1]
    world.reset(seed=0)
    world.rung[:] = np.arange(32) % RUNGS
    seen = np.eye(RUNGS, dtype=np.float32)[world.rung]
    guarded = shield.act(proposing(world, [0.0, 9.0]), seen, None)
    is_top = world.rung == RUNGS - 1
    np.testing.assert_array_equal(guarded.executed_NA[:, 0], ~is_top)
    np.testing.assert_array_equal(guarded.shielded_N, is_top)


def test_where_all_is_too_dangerous_the_fallback_is_done():
    world = Ladder(4)
    config = CriticConfig(**SETTINGS | {"threshold": 0.0, "num_warmup_updates": 0})
    shield = Shield(ShieldConfig(fallback=FallbackConfig(kind="least_cost"), critic=config), world, Ladder)
    assert shield.judge is not None
    shield.judge.critic = taught(world, config, [0.0, 0.0], 20)
    seen, _ = world.reset(seed=0)
    seen[:] = np.eye(RUNGS, dtype=np.float32)[-1]
    guarded = shield.act(proposing(world, [0.0, 9.0]), seen, None)
    assert guarded.nothing_safe_N.all()
    assert guarded.executed_NA[:, 0].tolist() == [0] * 4, "staying is expected to cost less"


def test_it_has_no_say_before_it_has_learned():
    world = Ladder(4)
    config = CriticConfig(**SETTINGS | {"threshold": 0.0, "num_warmup_updates": 2})
    shield = Shield(ShieldConfig(fallback=FallbackConfig(kind="halt"), critic=config), world, Ladder)
    collector = Collector(world, 16, record_snapshots=False, shield=shield)
    collector.reset(0)
    policy, noise = proposing(world, [0.0, 0.0]), torch.Generator().manual_seed(0)
    for _ in range(2):
        rollout = collector.collect(policy, noise, 0)
        assert rollout.shielded is not None and not rollout.shielded.any()
        metrics = shield.learn(rollout, policy)
    assert {"shielded_share", "shield_critic_loss", "shield_critic_mean"} <= set(metrics)
    assert shield.critic is not None and shield.critic.has_a_say


def test_targets_by_hand():
    """Two environments, three steps; lambda 0, so that each target is a cost and the discounted next expectation."""
    world = Ladder(2)
    critic = SafetyCritic(CriticConfig(**SETTINGS | {"trace_decay": 0.0, "num_members": 1}), world)
    with torch.no_grad():
        critic.networks.biases[-1].fill_(0.5)
    policy = proposing(world, [0.0, 9.0])
    each = expected(critic)
    assert each.min() > 0 and each.max() < 1 and len(np.unique(each)) == each.size, "so that no two can be confused"
    seen = np.eye(RUNGS, dtype=np.float32)[np.array([[0, 3], [1, 3], [2, 0], [2, 1]])]
    executed = np.array([[1, 0], [1, 1], [0, 1]])[..., None]
    flags = np.zeros((3, 2), bool)
    truncated = flags.copy()
    truncated[2, 0] = True
    cost = np.zeros((3, 2, 1))
    cost[1, 1] = 1.0
    rollout = Rollout(
        observation=seen,
        action=1 - executed,
        executed=executed,
        log_prob=np.zeros((3, 2), np.float32),
        true_reward=np.zeros((3, 2)),
        cost=cost,
        terminated=flags,
        truncated=truncated,
        final_index=np.array([[2, 0]]),
        final_observation=seen[2, :1],
        snapshot=None,
        episode_index=np.zeros((3, 2), np.int64),
        episode_step=np.zeros((3, 2), np.int64),
        policy_version=0,
    )
    target, _ = critic._targets(rollout, policy)

    def value(rung: int, action: int) -> float:
        one = np.eye(RUNGS, dtype=np.float32)[[rung]]
        return DISCOUNT * min(1.0, max(0.0, float(critic._expected(one, np.array([[action]])).detach())))

    # What follows is what was done next; at the rollout's end, and where an episode was cut, what the policy would do.
    want = [[value(1, 1), value(3, 1)], [value(2, 0), 1.0], [value(2, 1), value(1, 1)]]
    np.testing.assert_allclose(target.view(3, 2), want, atol=1e-6)
    # Less than nothing is expected of no action, or a sum would pay for coming cost.
    summing = SafetyCritic(CriticConfig(**SETTINGS | {"predicts": "sum", "trace_decay": 0.0}), world)
    with torch.no_grad():
        summing.networks.biases[-1].fill_(-5.0)
    target, _ = summing._targets(rollout, policy)
    np.testing.assert_allclose(target[0].view(3, 2), cost[..., 0], atol=1e-6)


def test_it_learns_from_what_was_executed_and_not_from_what_was_proposed():
    """A rollout whose proposals were all replaced teaches the same whatever they were."""
    world, config = Ladder(8), CriticConfig(**SETTINGS)
    collector = Collector(world, 16, record_snapshots=False)
    collector.reset(0)
    policy = proposing(world, [0.0, 0.0])
    rollout = collector.collect(policy, torch.Generator().manual_seed(0), 0)
    one, other = SafetyCritic(config, world), SafetyCritic(config, world)
    one.learn(rollout, policy)
    other.learn(replace(rollout, action=1 - rollout.action), policy)
    assert torch.equal(one.tensors()["networks"], other.tensors()["networks"])


def test_the_most_worried_member_counts():
    world = Ladder(2)
    critic = SafetyCritic(CriticConfig(**SETTINGS | {"num_members": 2}), world)
    with torch.no_grad():
        critic.networks.weights[-1].zero_()
        critic.networks.biases[-1][0], critic.networks.biases[-1][1] = 0.2, 0.7
    np.testing.assert_allclose(expected(critic), 0.7)


@pytest.mark.parametrize(("learned", "threshold", "executed"), [(0, 1.0, 0), (1, 1.0, 1), (1, 0.0, 1)])
def test_critic_and_check_must_both_let_an_action_pass(learned: int, threshold: float, executed: int):
    """The critic expects .9 of door 0 and nothing of the others; of the check door 0 costs nothing, and others their
    number. So a critic that has learned keeps from door 0, and a check keeps from what is above its threshold."""
    world = Doors(3)
    seen, _ = world.reset(seed=0)
    config = ShieldConfig(
        fallback=FallbackConfig(kind="least_cost"),
        critic=CriticConfig(**SETTINGS | {"num_warmup_updates": 1}),
        check=CheckConfig(threshold=threshold),
    )
    shield = Shield(config, world, Doors)
    assert shield.critic is not None
    shield.critic.num_updates = learned
    shield.critic.danger = lambda seen, action: np.where(action[:, 0] == 0, 0.9, 0.0)  # type: ignore[method-assign]
    guarded = shield.act(proposing(world, [9.0, 0.0, 0.0, 0.0]), seen, None)
    nothing = bool(learned) and threshold == 0.0
    assert guarded.nothing_safe_N.tolist() == [nothing] * 3
    assert guarded.executed_NA[:, 0].tolist() == [0 if nothing else executed] * 3


def test_saved_and_loaded_it_learns_on_bit_for_bit():
    world, config = Ladder(8), CriticConfig(**SETTINGS)
    critic = taught(world, config, [0.0, 0.0], 30)
    policy = proposing(world, [0.0, 0.0])
    saved = {name: tensor.clone() for name, tensor in critic.tensors().items()}
    collector = Collector(world, 16, record_snapshots=False)
    collector.reset(1)
    rollout = collector.collect(policy, torch.Generator().manual_seed(1), 0)
    other = SafetyCritic(config, world)
    other.load_tensors(saved)
    assert critic.learn(rollout, policy) == other.learn(rollout, policy)
    for name, tensor in critic.tensors().items():
        assert torch.equal(tensor, other.tensors()[name]), name


def test_a_critic_that_was_never_trained_cannot_be_switched_on():
    world = Ladder(2)
    with pytest.raises(ConfigError, match=r"shield.critic has learned nothing in this run"):
        SafetyCritic(CriticConfig(**SETTINGS), world).load_tensors({})
    saved = SafetyCritic(CriticConfig(**SETTINGS | {"hidden_sizes": (8,)}), world).tensors()
    with pytest.raises(ConfigError, match="another shape"):
        SafetyCritic(CriticConfig(**SETTINGS), world).load_tensors(saved)


def test_box_actions_are_seen_in_units_of_their_bounds():
    from tests.unit.safety.shields.worlds import Rail

    critic = SafetyCritic(CriticConfig(threshold=1.0), Rail(2, discrete=False))
    feature = critic._features(np.zeros((2, 2), np.float32), np.array([[0.5], [-1.0]], np.float32))
    assert feature[:, 2:].tolist() == [[0.5], [-1.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": -0.1}, "threshold must be >= 0"),
        ({"predicts": "chance"}, "predicts must be one of probability, sum"),
        ({"discount": 1.1}, "discount must be between 0 and 1"),
        ({"hidden_sizes": ()}, "hidden_sizes must be positive"),
        ({"learning_rate": 0.0}, "learning_rate must be > 0"),
        ({"num_members": 0}, "num_members must be >= 1"),
        ({"costs": ("fal",)}, "Ladder has no cost 'fal'; it has fall. Did you mean 'fall'"),
        ({"costs": ("mine",)}, "Ladder has no cost 'mine'; it has fall. A shield looks at costs of the world alone"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        SafetyCritic(CriticConfig(**SETTINGS | change), Ladder(1))


def test_a_world_without_costs_has_nothing_to_learn_from():
    from tests.toy_worlds import Identity

    with pytest.raises(ConfigError, match="Identity-discrete has no costs"):
        SafetyCritic(CriticConfig(threshold=0.5), Identity("discrete", 1))
    assert SafetyCritic(CriticConfig(threshold=0.5), Doors(1)).num_updates == 0
