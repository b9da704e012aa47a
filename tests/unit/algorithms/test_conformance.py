"""What every algorithm must do, for every kind of action."""

import math

import numpy as np
import pytest
import torch

from heeler.algorithms import ALGORITHMS, CONSTRAINED_ALGORITHMS, ConstrainedPPO, PPOConfig
from heeler.core.errors import ConfigError
from heeler.envs.world import Info
from heeler.evaluation.returns import evaluate
from heeler.models.policy import PolicyConfig
from heeler.rollouts.collector import Collector
from heeler.safety.costs import CostConfig
from tests.toy_worlds import Identity

KINDS = ["discrete", "multi_discrete", "box"]
SMALL = {"policy": PolicyConfig(hidden_sizes=(32,)), "minibatch_size": 128, "learning_rate": 5e-3}


@pytest.fixture(params=ALGORITHMS, ids=lambda pair: pair[0].__name__)
def algorithm(request):
    return request.param


SCALING = [pair for name, pair in CONSTRAINED_ALGORITHMS.items() if name != "fixed_penalty"]


@pytest.fixture(params=[*ALGORITHMS, *CONSTRAINED_ALGORITHMS.values()], ids=lambda pair: pair[0].__name__)
def any_algorithm(request):
    """Those that keep within budgets too."""
    return request.param


class Tiring(Identity):
    """Each step costs 1 in effort, whatever is done."""

    cost_names = ("effort",)

    def _infos(self) -> Info:
        return {"cost": np.ones((self.num_envs, 1))}


BUDGETS = (CostConfig(name="effort", budget=20.0),)
"""Of ten steps."""


def setting(algorithm, kind, num_envs=16, num_steps=20, **overrides):
    learner_class, config_class = algorithm
    is_held = issubclass(learner_class, ConstrainedPPO)
    world = Tiring(kind, num_envs) if is_held else Identity(kind, num_envs)
    spaces = (world.observation_size, world.single_action_space)
    if is_held:
        learner = learner_class(PPOConfig(**(SMALL | overrides)), config_class(), BUDGETS, world.cost_names, *spaces)
    else:
        learner = learner_class(config_class(**(SMALL | overrides)), *spaces)
    collector = Collector(world, num_steps, record_snapshots=False)
    collector.reset(0)
    return learner, collector


def learn(learner, collector, state, noise, num_updates, total):
    for _ in range(num_updates):
        rollout = collector.collect(state.policy, noise, state.num_updates)
        state, metrics = learner.update(state, rollout, rollout.true_reward, progress=state.num_updates / total)
    return state, metrics


SOLVED = [("discrete", 9.9), ("multi_discrete", 9.9), ("box", -1.0)]


@pytest.mark.parametrize(("kind", "solved"), SOLVED)
def test_solves_the_identity_world(algorithm, kind, solved):
    solves(algorithm, kind, solved)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "solved"), SOLVED)
@pytest.mark.parametrize("name", CONSTRAINED_ALGORITHMS)
def test_a_budget_that_is_never_reached_hinders_nobody(name, kind, solved):
    solves(CONSTRAINED_ALGORITHMS[name], kind, solved)


def solves(algorithm, kind, solved):
    learner, collector = setting(algorithm, kind, target_kl=None)
    state = learner.init(0, 16)
    fresh = evaluate(state.policy, Identity(kind, 50), seed=1).returns.mean()
    state, _ = learn(learner, collector, state, torch.Generator().manual_seed(0), 60, 60)
    learned = evaluate(state.policy, Identity(kind, 50), seed=1).returns.mean()
    assert fresh < solved - 1.0
    assert learned > solved


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_weights(any_algorithm, kind):
    traces = []
    for _ in range(2):
        learner, collector = setting(any_algorithm, kind)
        state, metrics = learn(learner, collector, learner.init(3, 16), torch.Generator().manual_seed(1), 3, 10)
        traces.append((state.parameters.flat.detach().clone(), metrics))
    assert torch.equal(traces[0][0], traces[1][0])
    assert traces[0][1] == traces[1][1]


@pytest.mark.parametrize("kind", KINDS)
def test_save_load_same_update_bit_for_bit(any_algorithm, kind):
    learner, collector = setting(any_algorithm, kind)
    noise = torch.Generator().manual_seed(1)
    state, _ = learn(learner, collector, learner.init(3, 16), noise, 3, 10)
    saved = {name: tensor.clone() for name, tensor in learner.tensors(state).items()}
    rollout = collector.collect(state.policy, noise, 3)
    state, metrics = learner.update(state, rollout, rollout.true_reward, progress=0.3)

    other, _ = setting(any_algorithm, kind)
    loaded = other.load_tensors(other.init(99, 16), saved)
    loaded, same = other.update(loaded, rollout, rollout.true_reward, progress=0.3)
    assert metrics == same
    for name, tensor in learner.tensors(state).items():
        # What is not known yet is nan on both sides.
        torch.testing.assert_close(tensor, other.tensors(loaded)[name], rtol=0, atol=0, equal_nan=True, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_first_ratio_is_one(algorithm, kind):
    """Acting and learning see the same normalisation, so a step of almost no length leaves no divergence."""
    learner, collector = setting(algorithm, kind, learning_rate=1e-12, num_epochs=1)
    state = learner.init(0, 16)
    noise = torch.Generator().manual_seed(0)
    for _ in range(3):
        rollout = collector.collect(state.policy, noise, 0)
        state, metrics = learner.update(state, rollout, rollout.true_reward, progress=0.0)
        assert abs(metrics["kl"]) < 1e-6


def test_kl_stop_ends_an_update_early(algorithm):
    learner, collector = setting(algorithm, "discrete", target_kl=1e-9, learning_rate=0.05)
    state = learner.init(0, 16)
    rollout = collector.collect(state.policy, torch.Generator().manual_seed(0), 0)
    _, metrics = learner.update(state, rollout, rollout.true_reward, progress=0.0)
    assert metrics["num_epochs"] == 1


@pytest.mark.parametrize("any_algorithm", [*ALGORITHMS, *SCALING], ids=lambda pair: pair[0].__name__)
def test_rewards_are_scaled_by_the_spread_of_returns(any_algorithm):
    """A reward a thousand times as large gives the same update, but for a fixed penalty, whose weight has a unit."""
    weights = []
    for scale in (1.0, 1000.0):
        learner, collector = setting(any_algorithm, "discrete")
        state = learner.init(0, 16)
        rollout = collector.collect(state.policy, torch.Generator().manual_seed(0), 0)
        state, _ = learner.update(state, rollout, rollout.true_reward * scale, progress=0.0)
        weights.append(state.parameters.flat.detach().clone())
    torch.testing.assert_close(weights[0], weights[1], atol=1e-4, rtol=1e-3)


def test_learning_rate_is_annealed(algorithm):
    learner, collector = setting(algorithm, "discrete", final_learning_rate_share=0.1)
    state = learner.init(0, 16)
    rollout = collector.collect(state.policy, torch.Generator().manual_seed(0), 0)
    rates = []
    for progress in (0.0, 0.5, 1.0):
        _, metrics = learner.update(state, rollout, rollout.true_reward, progress=progress)
        rates.append(metrics["learning_rate"])
    assert rates == pytest.approx([5e-3, 5e-3 * 0.55, 5e-4])


@pytest.mark.parametrize(
    "bad",
    [
        {"discount": 1.5},
        {"trace_decay": -0.1},
        {"learning_rate": 0.0},
        {"clip": 0},
        {"num_epochs": 0},
        {"minibatch_size": 0},
        {"target_kl": 0.0},
        {"value_coefficient": -1.0},
        {"entropy_coefficient": math.nan},
        {"max_gradient_norm": 0.0},
    ],
)
def test_bad_settings_are_refused(algorithm, bad):
    (name,) = bad
    with pytest.raises(ConfigError, match=name):
        algorithm[1](**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"clip_observations": 0.0},
        {"initial_log_std": math.inf},
        {"final_log_std": 0.5},
        {"noise_correlation": 1.0},
        {"hidden_sizes": ()},
    ],
)
def test_bad_settings_of_a_policy_are_refused(bad):
    (name,) = bad
    with pytest.raises(ConfigError, match=name):
        PolicyConfig(**bad)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none(any_algorithm):
    learner, _ = setting(any_algorithm, "box", device="cuda")
    with pytest.raises(ConfigError, match="no CUDA device"):
        learner.init(0, 16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_learns_saves_and_loads_on_cuda(algorithm, kind):
    learner, collector = setting(algorithm, kind, device="cuda")
    noise = torch.Generator().manual_seed(1)
    state, metrics = learn(learner, collector, learner.init(3, 16), noise, 3, 10)
    assert all(math.isfinite(value) for value in metrics.values())
    saved = {name: tensor.cpu().clone() for name, tensor in learner.tensors(state).items()}
    loaded = learner.load_tensors(learner.init(99, 16), saved)
    for name, tensor in learner.tensors(loaded).items():
        assert torch.equal(tensor.cpu(), saved[name]), name


def test_value_of_the_terminal_observation_is_bootstrapped():
    """PPO's targets at a truncation use the observation that ended the episode, not the one after the reset."""
    from heeler.algorithms.ppo import PPO
    from tests.toy_worlds import Corridor

    world = Corridor(2)
    config = PPOConfig(
        policy=PolicyConfig(normalize_observations=False), normalize_rewards=False, discount=0.5, trace_decay=0.0
    )
    learner = PPO(config, 1, world.single_action_space)
    collector = Collector(world, 4, record_snapshots=False)
    collector.reset(0)
    state = learner.init(0, 2)
    rollout = collector.collect(state.policy, torch.Generator().manual_seed(0), 0)
    target = learner._prepare(state, rollout, rollout.true_reward)[0].target_B.view(4, 2)
    with torch.no_grad():
        value_of_three = state.policy.value(torch.tensor([[3.0]])).item()
    # Environment 1 is truncated at its third step with reward 3 in place 3; environment 0 terminates at its second.
    assert target[2, 1].item() == pytest.approx(3 + 0.5 * value_of_three, abs=1e-5)
    assert target[1, 0].item() == pytest.approx(2.0, abs=1e-5)
    assert np.isfinite(target.numpy()).all()
