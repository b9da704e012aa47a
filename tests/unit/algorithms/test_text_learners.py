"""What learners of text do besides what their losses say: references, values, metrics."""

import math
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from heeler.algorithms import (
    DPO,
    GRPO,
    KTO,
    RLOO,
    SFT,
    DPOConfig,
    GRPOConfig,
    KLConfig,
    KTOConfig,
    OnlineDPO,
    OnlineDPOConfig,
    RLOOConfig,
    SFTConfig,
    TextPPO,
    TextPPOConfig,
)
from heeler.algorithms.text_learning import Sums
from heeler.models.language.model import LanguageModel
from heeler.models.language.reference import reference_logprobs
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import stored
from tests.tabular_language import batch_of, tabular
from tests.text_rounds import arguments, differentiated, paired, rewards, sampled
from tests.tiny_models import tiny_llama

NO_KL = KLConfig(coefficient=0.0)
STILL = OptimizerConfig(learning_rate=1e-12)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_completions_that_teach_nothing_are_not_gone_through_and_change_no_divisor():
    """Leaving them out of the forward pass is for speed alone."""
    model = tabular(0, num_prompts=2)
    batch, given = batch_of(model, [[0, 1], [2, 3]]), [1.0, 1.0, 3.0, 1.0]
    seen = []
    learner = GRPO(GRPOConfig(kl=NO_KL))
    state = learner.init(tabular(0, num_prompts=2), 0)
    outputs = state.model.outputs
    state.model.outputs = lambda part: seen.append(len(part)) or outputs(part)  # type: ignore[method-assign]
    gradient, _ = differentiated(learner, state, batch, given)
    assert seen == [2]
    measured = GRPO(GRPOConfig(kl=KLConfig(coefficient=1e-300, place="loss", estimator="k3")))
    whole, _ = differentiated(measured, measured.init(tabular(0, num_prompts=2), 0), batch, given, model)
    torch.testing.assert_close(gradient, whole, atol=1e-7, rtol=0)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_switched_off_is_the_reference():
    """Log-probabilities, gradients and what may change are as they were before and after."""
    base = tiny_llama(0)
    module = get_peft_model(tiny_llama(0).module, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))  # type: ignore[arg-type]
    model = LanguageModel(module.eval(), base.tokenizer)
    learner = RLOO(RLOOConfig(optimizer=OptimizerConfig(learning_rate=3e-2), kl=KLConfig(coefficient=0.05)))
    state = learner.init(model, 0)
    names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    assert names and all("lora" in name for name in names)
    for seed in range(2):
        batch = sampled(model, seed)
        before = state.weights.flat.detach().clone()
        state, metrics = learner.update(state, batch, rewards(model, batch))
        assert not torch.equal(before, state.weights.flat)
    assert metrics["kl_per_completion"] > 1e-6
    batch = sampled(model, 9)
    off = reference_logprobs(model, None, batch, max_tokens=100)
    torch.testing.assert_close(off, reference_logprobs(model, base, batch, max_tokens=100), atol=1e-5, rtol=1e-5)
    assert (off - model.outputs(batch).logprob_T).abs().max() > 1e-3
    assert [name for name, parameter in module.named_parameters() if parameter.requires_grad] == names


def test_the_kl_is_measured_where_it_costs_nothing():
    learner = RLOO(RLOOConfig(optimizer=STILL, kl=NO_KL))
    state = learner.init(tiny_llama(0), 0)
    batch = sampled(state.model, 0)
    _, without = learner.update(state, batch, rewards(state.model, batch))
    _, metrics = learner.update(state, batch, rewards(state.model, batch), reference=tiny_llama(1))
    assert "kl" not in without
    with torch.no_grad():
        difference = batch.sampled_logprob_T - tiny_llama(1).outputs(batch).logprob_T
    k3 = [math.exp(-d) - 1 + d for d in difference.double().tolist()]
    assert metrics["kl"] == pytest.approx(float(difference.double().sum()) / 32, rel=1e-4)
    assert metrics["kl_per_completion"] == pytest.approx(sum(k3) / 32, rel=1e-4)
    assert metrics["kl_per_token"] == pytest.approx(sum(k3) / len(k3), rel=1e-4)


@pytest.mark.parametrize(("target", "grows"), [(1e-6, True), (1e6, False)])
def test_an_adaptive_coefficient_follows_the_kl(target, grows):
    learner = RLOO(RLOOConfig(optimizer=STILL, kl=KLConfig(coefficient=0.1, target=target)))
    state = learner.init(tiny_llama(0), 0)
    batch = sampled(state.model, 0)
    state, metrics = learner.update(state, batch, rewards(state.model, batch), reference=tiny_llama(1))
    assert metrics["kl_coefficient"] == 0.1
    assert state.kl_coefficient == pytest.approx(0.102 if grows else 0.098)


def test_a_kl_in_the_reward_holds_a_model_near_its_reference():
    """The same reward, with and without."""
    moved = {}
    for coefficient in (0.0, 2.0):
        learner = RLOO(RLOOConfig(optimizer=OptimizerConfig(learning_rate=3e-3), kl=KLConfig(coefficient=coefficient)))
        state = learner.init(tiny_llama(0), 0)
        for seed in range(20):
            batch = sampled(state.model, seed)
            state, metrics = learner.update(state, batch, rewards(state.model, batch), reference=tiny_llama(0))
        moved[coefficient] = metrics["kl_per_completion"]
    assert moved[2.0] < 0.5 * moved[0.0]


@pytest.mark.parametrize("trunk", ["shared", "detached"])
def test_the_value_loss_changes_the_trunk_only_where_it_is_shared(trunk):
    learner = TextPPO(TextPPOConfig(kl=NO_KL, value_trunk=trunk, num_epochs=1))
    state = learner.init(tiny_llama(0), 0)
    torch.nn.init.normal_(state.head.weight)
    batch = sampled(state.model, 0)
    experience, _ = learner.prepare(state, batch, rewards(state.model, batch), None)
    # No advantage: what is left is the value loss.
    learner.differentiate(state, replace(experience, advantage_T=0 * experience.advantage_T), Sums())
    num_head = state.head.weight.numel() + 1
    trunk_part, head_part = state.weights.gradient[:-num_head], state.weights.gradient[-num_head:]
    assert head_part.norm() > 1e-3
    assert (trunk_part.norm() > 1e-3) == (trunk == "shared")


def test_values_do_not_see_the_token_that_they_are_compared_with():
    """Values of two completions of one prompt are the same as long as their tokens are."""
    learner = TextPPO(TextPPOConfig(kl=NO_KL))
    state = learner.init(tiny_llama(0), 0)
    torch.nn.init.normal_(state.head.weight)
    batch = stored([torch.tensor([9, 8])], [torch.tensor([20, 21]), torch.tensor([20, 99])], torch.tensor([0, 0]))
    values = learner._values(state, state.model.outputs(batch)).view(2, 2)
    torch.testing.assert_close(values[0], values[1])
    assert abs(values[0, 0] - values[0, 1]) > 1e-3


def test_values_come_to_explain_the_rewards():
    learner = TextPPO(TextPPOConfig(optimizer=OptimizerConfig(learning_rate=1e-2), kl=NO_KL, value_trunk="shared"))
    state = learner.init(tiny_llama(0), 0)
    batch = sampled(state.model, 0)
    given = [float(batch.prompt_of_N[i]) for i in range(len(batch))]
    _, first = learner.update(state, batch, given)
    for _ in range(10):
        _, last = learner.update(state, batch, given)
    assert first["explained_variance"] < 0.1
    assert last["explained_variance"] > 0.5


def test_pairs_that_come_again_need_their_reference_once():
    learner = DPO(DPOConfig())
    state = learner.init(tiny_llama(0), 0)
    batch = paired(state.model)
    kept = learner.reference_logprobs(state, batch, tiny_llama(1))
    by_model = learner.differentiate(state, batch, tiny_llama(1))
    assert learner.differentiate(state, batch, kept) == by_model


def test_online_dpo_without_a_pair_takes_no_step():
    learner = OnlineDPO(OnlineDPOConfig())
    state = learner.init(tiny_llama(0), 0)
    batch = sampled(state.model, 0)
    before = state.weights.flat.detach().clone()
    state, metrics = learner.update(state, batch, [1.0] * len(batch), reference=tiny_llama(0))
    assert torch.equal(before, state.weights.flat)
    assert metrics["frac_without_pair"] == 1 and metrics["num_pairs"] == 0
    assert metrics["frac_reward_zero_std"] == 1


def test_metrics_have_the_names_that_trl_gives_them():
    learner = GRPO(GRPOConfig())
    state = learner.init(tiny_llama(0), 0)
    batch = sampled(state.model, 0)
    given = rewards(state.model, batch)
    _, metrics = learner.update(state, batch, given, reference=tiny_llama(0))
    lengths = [len(ids) for ids in batch.completions]
    ended = [n for n, cut in zip(lengths, batch.truncated_N.tolist(), strict=True) if not cut]
    mean = sum(given) / len(given)
    want = {
        "reward": mean,
        "reward_std": math.sqrt(sum((r - mean) ** 2 for r in given) / (len(given) - 1)),
        "frac_reward_zero_std": 0.0,
        "completions/mean_length": sum(lengths) / len(lengths),
        "completions/min_length": min(lengths),
        "completions/max_length": max(lengths),
        "completions/clipped_ratio": 1 - len(ended) / len(lengths),
        "num_tokens": sum(lengths),
    }
    for name, value in want.items():
        assert metrics[name] == pytest.approx(value, rel=1e-5), name
    with torch.no_grad():
        entropy = float(tiny_llama(0).outputs(batch).entropy_T.mean())
    assert metrics["entropy"] == pytest.approx(entropy, rel=1e-4)
    assert {"loss", "kl", "grad_norm", "learning_rate", "clip_ratio/low_mean", "clip_ratio/high_mean"} <= metrics.keys()


def test_online_dpo_measures_the_kl_of_all_that_it_sampled():
    learner, other = OnlineDPO(OnlineDPOConfig()), RLOO(RLOOConfig())
    reference = tiny_llama(1)
    for rises in (False, True):
        state = learner.init(tiny_llama(0), 0)
        batch = sampled(state.model, 0)
        given = [float(i * rises) for i in range(len(batch))]
        _, metrics = learner.update(state, batch, given, reference=reference)
        _, theirs = other.update(other.init(tiny_llama(0), 0), batch, given, reference=reference)
        for name in ("kl", "kl_per_completion", "kl_per_token"):
            assert metrics[name] == pytest.approx(theirs[name], rel=1e-5), name
        assert metrics["kl_per_completion"] > 0


@pytest.mark.parametrize("learner", [SFT(SFTConfig()), DPO(DPOConfig()), KTO(KTOConfig())], ids=["sft", "dpo", "kto"])
def test_what_is_held_out_is_measured_and_not_learned_from(learner):
    state = learner.init(tiny_llama(0), 0)
    given = arguments(learner, state.model, 1)
    more = () if isinstance(learner, SFT) else (tiny_llama(1),)
    before = {name: tensor.clone() for name, tensor in learner.tensors(state).items()}
    found = learner.measure(state, *given, *more)
    assert not state.weights.gradient.any()
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.tensors(state).items())
    named = {} if isinstance(learner, SFT) else {"reference": more[0]}
    _, told = learner.update(state, *given, **named)
    assert found == pytest.approx({name: told[name] for name in found}, rel=1e-5)
    assert {"loss", "entropy"} <= found.keys() and not {"grad_norm", "learning_rate"} & found.keys()
