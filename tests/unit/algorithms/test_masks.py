"""Masks: they renormalise log-probability, entropy and KL, and are the same at update time."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from heeler.algorithms.ppo import PPO, PPOConfig
from heeler.core.errors import ConfigError
from heeler.models.actions import CategoricalHead, forbid
from heeler.models.policy import Policy, PolicyConfig
from heeler.rollouts.collector import Collector
from heeler.safety.costs import CostConfig
from heeler.safety.shields.config import FallbackConfig, MaskConfig, ShieldConfig
from heeler.safety.shields.shield import Shield
from tests.unit.algorithms.test_constrained import LEARNERS
from tests.unit.safety.shields.worlds import Doors

SHIELD = ShieldConfig(fallback=FallbackConfig(kind="halt"), mask=MaskConfig())
NAMES = ("ppo", *LEARNERS)
NONE = torch.zeros(0)


def random_masks(num: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    allowed = torch.rand(num, size, generator=generator) < 0.5
    allowed[torch.arange(num), torch.randint(size, (num,), generator=generator)] = True
    return allowed


def test_masks_renormalise_log_probability_entropy_and_kl():
    """Against the categorical over what is allowed alone, built without what is not."""
    torch.manual_seed(0)
    logits, others = 3 * torch.randn(40, 5), 3 * torch.randn(40, 5)
    allowed, head = random_masks(40, 5), CategoricalHead((5,))
    masked, masked_others = forbid(logits, allowed), forbid(others, allowed)
    for row in range(40):
        choices = allowed[row].nonzero().flatten()
        alone, other = Categorical(logits=logits[row, choices]), Categorical(logits=others[row, choices])
        one = masked[row : row + 1]
        log_probs = [head.log_prob_entropy(one, NONE, choice.view(1, 1))[0] for choice in choices]
        torch.testing.assert_close(torch.cat(log_probs), alone.logits)
        torch.testing.assert_close(head.log_prob_entropy(one, NONE, choices[:1].view(1, 1))[1], alone.entropy())
        kl = head.kl(one, NONE, masked_others[row : row + 1], NONE)[0]
        torch.testing.assert_close(kl, kl_divergence(alone, other))
    probability = torch.softmax(masked, -1)
    assert (probability[~allowed] == 0).all()
    torch.testing.assert_close(probability.sum(-1), torch.ones(40))


def test_masked_logits_get_no_gradient_at_all():
    torch.manual_seed(0)
    logits = torch.randn(30, 4).requires_grad_()
    allowed, head = random_masks(30, 4), CategoricalHead((4,))
    masked, acted = forbid(logits, allowed), forbid(torch.randn(30, 4), allowed)
    action = allowed.int().argmax(-1, keepdim=True)
    log_prob, entropy = head.log_prob_entropy(masked, NONE, action)
    (log_prob.sum() + 3 * entropy + head.kl(masked, NONE, acted, NONE).sum()).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~allowed] == 0).all()
    several = allowed.sum(-1) > 1
    assert (logits.grad[several][allowed[several]] != 0).all()


def test_components_are_masked_each_for_itself():
    head = CategoricalHead((2, 3))
    masked = forbid(torch.zeros(1, 5), torch.tensor([[True, False, True, True, False]]))
    log_prob, entropy = head.log_prob_entropy(masked, NONE, torch.tensor([[0, 1]]))
    assert log_prob.item() == pytest.approx(np.log(1 / 2))
    assert entropy.item() == pytest.approx(np.log(2))
    assert head.mode(masked).tolist() == [[0, 0]]


def test_samples_follow_what_is_left():
    policy = Policy(PolicyConfig(hidden_sizes=(4,), normalize_observations=False), 2, gymnasium.spaces.Discrete(3))
    with torch.no_grad():
        policy.actor.layers[-1].bias.copy_(torch.tensor([2.0, 1.0, 0.0]))
        policy.actor.layers[-1].weight.zero_()
    seen, allowed = np.zeros((40_000, 2), np.float32), np.tile([True, False, True], (40_000, 1))
    noise = policy.head.noise((40_000,), torch.Generator().manual_seed(0))
    share = torch.bincount(policy.act(seen, noise, allowed)[:, 0], minlength=3) / 40_000
    torch.testing.assert_close(share, torch.softmax(torch.tensor([2.0, -torch.inf, 0.0]), 0), atol=0.01, rtol=0)


def the_last_is_closed(observation: np.ndarray) -> np.ndarray:
    mask = observation > 0.5
    mask[:, 0], mask[:, 3] = True, False
    return mask


def set_up(name: str, **settings: object) -> tuple[PPO, Collector]:
    world = Doors(16)
    config = PPOConfig(
        **{  # type: ignore[arg-type]
            "policy": PolicyConfig(hidden_sizes=(16,)),
            "minibatch_size": 160,
            "learning_rate": 1e-2,
            "target_kl": None,
            **settings,
        }
    )
    if name == "ppo":
        learner = PPO(config, world.observation_size, world.single_action_space)
    else:
        kind, own = LEARNERS[name]
        costs = (CostConfig(name="wear", budget=15.0),)
        learner = kind(config, own, costs, world.cost_names, world.observation_size, world.single_action_space)
    collector = Collector(world, 20, record_snapshots=False, shield=Shield(SHIELD, world, Doors))
    collector.reset(0)
    return learner, collector


@pytest.mark.parametrize("name", NAMES)
def test_the_mask_is_the_same_at_update_time(name: str):
    """With it, a step of almost no length leaves the first ratio at 1; without it the ratio is that of the masses."""
    learner, collector = set_up(name, learning_rate=1e-12, num_epochs=1)
    state = learner.init(0, 16)
    noise = torch.Generator().manual_seed(0)
    rollout = collector.collect(state.policy, noise, 0)
    assert rollout.allowed is not None and 0.3 < rollout.allowed.mean() < 0.9
    samples, _ = learner._prepare(state, rollout, rollout.true_reward)
    torch.testing.assert_close(samples.allowed_BL, torch.from_numpy(rollout.allowed).flatten(0, 1))
    _, _, _, log_prob_B = learner.policy_loss(state.policy, samples, 0.2)
    torch.testing.assert_close(log_prob_B, samples.log_prob_B, atol=1e-5, rtol=0)
    assert abs(learner._kl(state.policy, samples)) < 1e-6
    if samples.acted_BL.shape[1]:
        output_BL = state.policy.output(samples.observation_BO, samples.allowed_BL)
        kl_B = state.policy.head.kl(output_BL, NONE, samples.acted_BL, NONE)
        torch.testing.assert_close(kl_B, torch.zeros_like(kl_B), atol=1e-6, rtol=0)
    forgotten = samples._replace(allowed_BL=torch.zeros((len(log_prob_B), 0), dtype=torch.bool))
    assert learner._kl(state.policy, forgotten) > 0.1, "the test would notice a mask that was forgotten"


@pytest.mark.parametrize("name", NAMES)
def test_learning_moves_no_masked_logit(name: str):
    """Door 3 is forbidden throughout: what the last layer says of it stays as it was, bit for bit."""
    learner, collector = set_up(name, entropy_coefficient=0.01)
    closed = replace(SHIELD, mask=MaskConfig(source="tests.unit.algorithms.test_masks:the_last_is_closed"))
    collector.shield = Shield(closed, collector.world, Doors)
    state = learner.init(0, 16)
    rollout = collector.collect(state.policy, torch.Generator().manual_seed(0), 0)
    before = state.policy.actor.layers[-1].weight.detach().clone()
    bias = state.policy.actor.layers[-1].bias.detach().clone()
    state, metrics = learner.update(state, rollout, rollout.true_reward, progress=0.0)
    after, bias_after = state.policy.actor.layers[-1].weight.detach(), state.policy.actor.layers[-1].bias.detach()
    assert torch.equal(after[3], before[3]) and bias_after[3] == bias[3]
    assert not torch.equal(after[:3], before[:3])
    assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("name", ["ppo", "ppo_lagrangian"])
def test_learning_takes_the_best_door_there_is(name: str):
    learner, collector = set_up(name, learning_rate=2e-2, num_epochs=4)
    if name != "ppo":
        learner.costs = (CostConfig(name="wear", budget=1e6),)  # type: ignore[attr-defined]
    state = learner.init(0, 16)
    noise = torch.Generator().manual_seed(0)
    for update in range(40):
        rollout = collector.collect(state.policy, noise, update)
        state, _ = learner.update(state, rollout, rollout.true_reward, progress=update / 40)
    assert rollout.allowed is not None
    highest = rollout.allowed.shape[-1] - 1 - rollout.allowed[..., ::-1].argmax(-1)
    assert (rollout.action[..., 0] == highest).mean() > 0.95


def test_a_mask_is_for_choices():
    from tests.toy_worlds import Identity

    with pytest.raises(ConfigError, match="is for Discrete and MultiDiscrete"):
        Shield(SHIELD, Identity("box", 1), lambda n: Identity("box", n))
