"""Traps of learning from text, each by its name."""

import math
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from heeler.algorithms import (
    DPO,
    GRPO,
    RLOO,
    SFT,
    DPOConfig,
    GRPOConfig,
    KLConfig,
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
from heeler.rollouts.sampler import SamplingConfig, sample
from tests.tabular_language import batch_of, table, tabular
from tests.text_rounds import paired, prompts, rewards, sampled, shown
from tests.tiny_models import tiny_llama

NO_KL = KLConfig(coefficient=0.0)
STILL = OptimizerConfig(learning_rate=1e-12)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def differentiated(learner, state, batch, given, reference=None):
    """The gradient of one step, and what it saw."""
    experience, metrics = learner.prepare(state, batch, given, reference)
    sums = Sums()
    learner.differentiate(state, experience, sums)
    return state.weights.gradient.clone(), metrics | sums.means()


def test_only_completion_tokens_are_learned():
    """The logits that a prompt's tokens would be predicted by get no gradient: only what reads the answer does."""
    model = tabular(0)
    learner = SFT(SFTConfig())
    state = learner.init(model, 0)
    learner.differentiate(state, batch_of(model, [[1]]))
    gradient = state.weights.gradient.view(3, 2)
    # "10": the first two places are used, the third is not.
    assert gradient[:2].abs().min() > 0.01
    assert gradient[2].abs().max() == 0


def test_the_sum_is_over_the_tokens_that_the_loss_is_divided_by():
    model = tiny_llama(0)
    batch = shown(model)
    metrics = SFT(SFTConfig()).differentiate(SFT(SFTConfig()).init(model, 0), batch)
    with torch.no_grad():
        want = -float(model.outputs(batch).logprob_T.mean())
    assert metrics["loss"] == pytest.approx(want, rel=1e-5)
    assert metrics["num_tokens"] == 12


def test_the_end_of_a_text_is_learned_where_it_is_also_the_padding():
    """What counts is decided by length: a token that pads other rows is an answer's last word here."""
    model = tiny_llama(0)
    model.pad_id = model.eos_id
    answers = [model.completion_ids("hi"), model.completion_ids("a longer one")]
    batch = stored(prompts(model)[:2], answers, torch.tensor([0, 1]))
    learner = SFT(SFTConfig(optimizer=OptimizerConfig(learning_rate=1e-2)))
    state = learner.init(model, 0)

    def chance_of_the_end():
        with torch.no_grad():
            return float(model.outputs(batch).logprob_T[len(answers[0]) - 1].exp())

    assert chance_of_the_end() < 0.05
    for _ in range(30):
        state, metrics = learner.update(state, batch)
    assert chance_of_the_end() > 0.8
    assert metrics["num_tokens"] == sum(len(ids) for ids in answers)


@pytest.mark.parametrize("learner_class", [RLOO, GRPO])
def test_truncated_completions_are_kept_or_masked_as_was_chosen(learner_class):
    config_class = {RLOO: RLOOConfig, GRPO: GRPOConfig}[learner_class]
    model = tabular(0)
    batch, given = batch_of(model, [[0, 3, 3, 1]]), [1.0, 5.0, 2.0, 0.0]
    gradients = {}
    for choice in ("keep", "mask"):
        learner = learner_class(config_class(kl=NO_KL, truncated=choice))
        gradients[choice], metrics = differentiated(learner, learner.init(tabular(0), 0), batch, given)
        assert metrics["completions/clipped_ratio"] == 0.5
        assert metrics["reward"] == 2.0
    assert (gradients["keep"] - gradients["mask"]).abs().max() > 0.01
    # Nothing but what was cut reads the third place here.
    assert gradients["keep"].view(3, 2)[2].abs().max() > 0.01
    assert gradients["mask"].view(3, 2)[2].abs().max() == 0


def test_truncated_completions_may_get_another_reward_in_online_dpo():
    model = tabular(0)
    batch, reward = batch_of(model, [[3, 0]]), torch.tensor([5.0, 1.0])
    scored = torch.ones(2, dtype=torch.bool)
    kept = OnlineDPO(OnlineDPOConfig()).pairs(batch, reward, scored)
    punished = OnlineDPO(OnlineDPOConfig(truncated_reward=-1.0)).pairs(batch, reward, scored)
    assert kept.completions[0].tolist() == [1, 1, 1]
    assert punished.completions[0].tolist() == [0]


def test_a_constant_divisor_or_token_mean_has_no_length_bias():
    """Two completions, equally good and equally bad: how long they are does not change how much a token learns."""
    model = tabular(0)

    def pull(aggregation, divisor):
        learner = GRPO(GRPOConfig(kl=NO_KL, scale="none", aggregation=aggregation, divisor=divisor))
        gradient, _ = differentiated(learner, learner.init(tabular(0), 0), batch_of(model, [[3, 0]]), [1.0, 0.0])
        return gradient.view(3, 2)

    log_all = torch.log_softmax(table(model).detach()[0], -1)
    # The third place is read by the long completion alone: its token's pull is the advantage times (1 - p), by hand.
    by_hand = 0.5 * float(1 - log_all[2, 1].exp())
    assert -pull("constant", 1.0)[2, 1].item() * 2 == pytest.approx(by_hand, rel=1e-5)
    assert -pull("token_mean", None)[2, 1].item() * 4 == pytest.approx(by_hand, rel=1e-5)
    assert -pull("sequence_mean", None)[2, 1].item() * 2 == pytest.approx(by_hand / 3, rel=1e-5)


def test_groups_without_spread_are_counted_and_teach_nothing():
    model = tabular(0, num_prompts=3)
    batch = batch_of(model, [[0, 1], [2, 3], [1, 2]])
    for learner in (RLOO(RLOOConfig(kl=NO_KL)), GRPO(GRPOConfig(kl=NO_KL))):
        state = learner.init(tabular(0, num_prompts=3), 0)
        gradient, metrics = differentiated(learner, state, batch, [1.0, 1.0, 3.0, 1.0, 0.0, 0.0])
        assert metrics["frac_reward_zero_std"] == pytest.approx(2 / 3)
        assert gradient.view(3, 3, 2)[[0, 2]].abs().max() == 0
        assert gradient.view(3, 3, 2)[1].abs().max() > 0.01


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


@pytest.mark.parametrize("learner_class", [RLOO, GRPO, TextPPO])
def test_rewards_that_are_none_are_as_if_the_completion_were_not_there(learner_class):
    config_class = {RLOO: RLOOConfig, GRPO: GRPOConfig, TextPPO: TextPPOConfig}[learner_class]
    learner = learner_class(config_class(kl=NO_KL))
    model = tabular(0)
    with_it, metrics = differentiated(
        learner, learner.init(tabular(0), 0), batch_of(model, [[0, 1, 3, 2]]), [1.0, 0.0, None, 5.0]
    )
    without, same = differentiated(learner, learner.init(tabular(0), 0), batch_of(model, [[0, 1, 2]]), [1.0, 0.0, 5.0])
    torch.testing.assert_close(with_it, without, atol=1e-7, rtol=1e-6)
    assert metrics["reward"] == same["reward"] == 2.0
    assert metrics["loss"] == pytest.approx(same["loss"])


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("learner_class", [RLOO, GRPO, TextPPO])
def test_the_first_ratio_is_one_at_every_temperature(learner_class, temperature):
    config_class = {RLOO: RLOOConfig, GRPO: GRPOConfig, TextPPO: TextPPOConfig}[learner_class]
    learner = learner_class(config_class(kl=NO_KL, num_epochs=1))
    state = learner.init(tiny_llama(0), 0)
    config = SamplingConfig(max_new_tokens=6, temperature=temperature)
    generator = torch.Generator().manual_seed(0)
    batch = sample(state.model, prompts(state.model), num_each=4, config=config, generator=generator)
    _, metrics = differentiated(learner, state, batch, rewards(state.model, batch))
    assert metrics["sampling/importance_sampling_ratio/mean"] == pytest.approx(1, abs=1e-4)
    assert metrics["sampling/sampling_logp_difference/mean"] < 1e-5
    assert metrics["clip_ratio/region_mean"] == 0
    # Another temperature than that of sampling would be seen.
    _, wrong = differentiated(
        learner, state, replace(batch, temperature=temperature * 1.5), rewards(state.model, batch)
    )
    assert wrong["sampling/sampling_logp_difference/mean"] > 0.01


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
    assert metrics["kl_per_completion"] > 0
    assert metrics["kl_per_token"] == pytest.approx(metrics["kl_per_completion"] * 32 / metrics["num_tokens"])


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
