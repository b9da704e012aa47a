"""Traps of learning from text; `tests/unit/test_traps.py` lists them with those that are tested elsewhere."""

import math
from dataclasses import replace
from statistics import fmean, stdev

import pytest
import torch

from heeler.algorithms import (
    DPO,
    GRPO,
    KTO,
    RLOO,
    SFT,
    TEXT_ALGORITHMS,
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
from heeler.models.language.probe import Support
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import select, stored
from heeler.rollouts.sampler import SamplingConfig, sample
from tests.tabular_language import batch_of, log_probability, table, tabular
from tests.text_rounds import arguments, differentiated, prompts, rewards, shown, stepped
from tests.tiny_models import tiny_llama
from tests.unit.models.language.batches import own_logprobs

NO_KL = KLConfig(coefficient=0.0)
MAKERS = {RLOO: RLOOConfig, GRPO: GRPOConfig, TextPPO: TextPPOConfig}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(params=TEXT_ALGORITHMS, ids=lambda pair: pair[0].__name__)
def learner(request):
    learner_class, config_class = request.param
    return learner_class(config_class())


def policy_part(gradient, *shape):
    """Of the table; what follows is the value head's."""
    return gradient[: math.prod(shape)].view(shape)


@pytest.mark.parametrize("fast", [True, False], ids=["rows that share", "rows of their own"])
def test_trap_only_tokens_of_completions_are_in_the_loss(learner, fast):
    """Of all logits, those get a gradient that a completion's token is predicted by."""
    model, reference = tiny_llama(0), tiny_llama(1)
    state = learner.init(model, 0)
    given = arguments(learner, model, 1)
    model.__dict__["support"] = Support(rows=fast, cache=fast)
    sizes = []
    hook = lambda _, __, slope: sizes.append(int(slope[0].flatten(0, -2).any(-1).sum()))  # noqa: E731
    model.module.get_output_embeddings().register_full_backward_hook(hook)
    stepped(learner, state, reference, given)
    batch = given[0]
    if isinstance(learner, OnlineDPO):
        batch = learner.pairs(batch, torch.tensor(given[1]), torch.ones(len(batch), dtype=torch.bool))
    assert sum(sizes) == int(batch.length_N.sum())


def test_the_loss_of_demonstrations_is_the_mean_over_their_completions_tokens():
    model = tiny_llama(0)
    batch = shown(model)
    learner = SFT(SFTConfig())
    metrics = learner.differentiate(learner.init(model, 0), batch)
    assert metrics["loss"] == pytest.approx(-float(own_logprobs(model, batch).mean()), rel=1e-5)
    assert metrics["num_tokens"] == 12


MASKING = [
    RLOO(RLOOConfig(kl=NO_KL, truncated="mask")),
    *(
        maker(config(kl=NO_KL, truncated="mask", aggregation=aggregation, divisor=divisor))
        for maker, config in ((GRPO, GRPOConfig), (TextPPO, TextPPOConfig))
        for aggregation, divisor in (("token_mean", None), ("sequence_mean", None), ("constant", 3.0))
    ),
]


@pytest.mark.parametrize(
    "learner", MASKING, ids=lambda one: f"{type(one).__name__} {getattr(one.config, 'aggregation', '')}"
)
def test_trap_same_mask_in_numerator_and_denominator(learner):
    """What is masked leaves the same step, and the same figures, as if it were not in it at all."""
    batch, given = batch_of(tabular(0), [[0, 3, 2, 3, 1]]), [1.0, 5.0, 2.5, 2.0, 0.0]
    state = learner.init(tabular(0), 0)
    experience, _ = learner.prepare(state, batch, given, None)
    steps = []
    for chosen in (range(5), [0, 2, 4]):
        sums = Sums()
        learner.differentiate(state, experience.part(select(batch, list(chosen))), sums)
        steps.append((state.weights.gradient.clone(), sums.means()))
    (masked, metrics), (without, same) = steps
    torch.testing.assert_close(masked, without, atol=1e-9, rtol=1e-6)
    assert masked.abs().max() > 0.01
    assert metrics == pytest.approx(same)


def ended(learner, model):
    """Two answers to each of four prompts, all of which ended by themselves."""
    answers = [model.completion_ids(text) for text in ("hi", "a longer one", "", "no", "well", "go on", "ok", "x")]
    batch = stored(prompts(model), answers, torch.arange(4).repeat_interleave(2))
    if isinstance(learner, SFT | DPO):
        return (batch,)
    if isinstance(learner, KTO):
        return (batch, [True, False] * 4)
    with torch.no_grad():
        batch = replace(batch, sampled_logprob_T=model.outputs(batch).logprob_T)
    return (batch, rewards(model, batch))


def test_trap_end_of_text_is_learned_where_it_is_also_the_padding(learner):
    """What counts is decided by length: the same is learned whichever token fills up rows."""
    gradients = []
    for pads_with_the_end in (False, True):
        model = tiny_llama(0)
        given = ended(learner, model)
        if pads_with_the_end:
            model.pad_id = model.eos_id
        state = learner.init(model, 0)
        gradients.append(stepped(learner, state, tiny_llama(1), given)[0])
    assert gradients[0].norm() > 1e-4
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-7, rtol=1e-5)


def test_demonstrations_teach_to_end():
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


@pytest.mark.parametrize("learner_class", [RLOO, GRPO, TextPPO])
def test_trap_truncated_completions_are_kept_or_masked_as_was_chosen(learner_class):
    batch, given = batch_of(tabular(0), [[0, 3, 3, 1]]), [1.0, 5.0, 2.0, 0.0]
    places = {}
    for choice in ("keep", "mask"):
        learner = learner_class(MAKERS[learner_class](kl=NO_KL, truncated=choice))
        gradient, metrics = differentiated(learner, learner.init(tabular(0), 0), batch, given)
        assert metrics["completions/clipped_ratio"] == 0.5
        assert metrics["reward"] == 2.0
        places[choice] = policy_part(gradient, 3, 2)
    # Nothing but what was cut reads the third place here.
    assert places["keep"][2].abs().max() > 0.01
    assert places["mask"][2].abs().max() == 0
    assert places["mask"].abs().max() > 0.01


@pytest.mark.parametrize("choice", ["keep", "mask"])
def test_trap_truncated_completions_count_in_the_baseline_either_way(choice):
    model = tabular(0)
    chosen, given = [0, 3, 3, 1], [1.0, 5.0, 2.0, 0.0]
    advantages = [reward - fmean([*given[:i], *given[i + 1 :]]) for i, reward in enumerate(given)]
    kept = range(4) if choice == "keep" else (0, 3)
    loss = -sum(advantages[i] * log_probability(table(model), chosen[i]) for i in kept) / len(kept)
    (want,) = torch.autograd.grad(loss, table(model))
    learner = RLOO(RLOOConfig(kl=NO_KL, truncated=choice))
    gradient, _ = differentiated(learner, learner.init(tabular(0), 0), batch_of(model, [chosen]), given)
    torch.testing.assert_close(gradient.view_as(want), want, atol=1e-6, rtol=1e-6)
    grpo = GRPO(GRPOConfig(kl=NO_KL, truncated=choice, aggregation="constant", divisor=1.0))
    gradient, _ = differentiated(grpo, grpo.init(tabular(0), 0), batch_of(model, [chosen]), given)
    # Its mean includes the completion itself, which makes it (G - 1) / G of RLOO's, and the spread is that of all four.
    scaled = 0.75 * want / (stdev(given) + 1e-4)
    torch.testing.assert_close(gradient.view_as(want), scaled, atol=1e-6, rtol=1e-6)


def test_trap_truncated_completions_may_get_another_reward_in_online_dpo():
    model = tabular(0)
    batch, reward = batch_of(model, [[3, 0]]), torch.tensor([5.0, 1.0])
    scored = torch.ones(2, dtype=torch.bool)
    kept = OnlineDPO(OnlineDPOConfig()).pairs(batch, reward, scored)
    punished = OnlineDPO(OnlineDPOConfig(truncated_reward=-1.0)).pairs(batch, reward, scored)
    assert kept.completions[0].tolist() == [1, 1, 1]
    assert punished.completions[0].tolist() == [0]


def chance_of_another_token(model):
    """1 − p of the last token of 111: what its log-probability's slope is."""
    return float(1 - torch.softmax(table(model).detach()[0], -1)[2, 1])


def test_trap_token_mean_and_constant_divisor_have_no_length_bias():
    """Two completions, equally good and equally bad: how long they are does not change how much a token learns."""
    model = tabular(0)

    def pull(aggregation, divisor):
        learner = GRPO(GRPOConfig(kl=NO_KL, scale="none", aggregation=aggregation, divisor=divisor))
        gradient, _ = differentiated(learner, learner.init(tabular(0), 0), batch_of(model, [[3, 0]]), [1.0, 0.0])
        # The third place is read by the long completion alone.
        return -gradient.view(3, 2)[2, 1].item()

    by_hand = 0.5 * chance_of_another_token(model)
    assert pull("constant", 1.0) * 2 == pytest.approx(by_hand, rel=1e-5)
    assert pull("token_mean", None) * 4 == pytest.approx(by_hand, rel=1e-5)
    assert pull("sequence_mean", None) * 2 == pytest.approx(by_hand / 3, rel=1e-5)


# Advantages of the tokens of 111, of which the last has all of the reward, and of 0.
OF_PPO = [0.95**2, 0.95, 1.0, 0.0]


@pytest.mark.parametrize(
    ("learner", "advantage", "divisor"),
    [
        (SFT(SFTConfig()), 1.0, 4),
        (RLOO(RLOOConfig(kl=NO_KL)), 1.0, 2),
        (GRPO(GRPOConfig(kl=NO_KL)), 0.5 / (math.sqrt(0.5) + 1e-4), 4),
        (TextPPO(TextPPOConfig(kl=NO_KL)), (1 - fmean(OF_PPO)) / stdev(OF_PPO), 4),
    ],
    ids=lambda one: type(one).__name__ if hasattr(one, "config") else "",
)
def test_trap_no_length_bias_by_default(learner, advantage, divisor):
    """The last token of three learns its advantage by a number that is the same for all tokens."""
    batch = batch_of(tabular(0), [[3, 0]])
    given = (batch,) if isinstance(learner, SFT) else (batch, [1.0, 0.0])
    gradient, _ = stepped(learner, learner.init(tabular(0), 0), None, given)
    by_hand = advantage * chance_of_another_token(tabular(0)) / divisor
    assert -policy_part(gradient, 3, 2)[2, 1].item() == pytest.approx(by_hand, rel=1e-5)


def test_trap_groups_without_spread_are_counted_and_teach_nothing():
    """Prompts of which no completion has a reward are neither counted nor counted among."""
    model = tabular(0, num_prompts=4)
    batch = batch_of(model, [[0, 1], [2, 3], [1, 2], [0, 3]])
    given = [1.0, 1.0, 3.0, 1.0, 0.0, 0.0, None, None]
    for learner in (RLOO(RLOOConfig(kl=NO_KL)), GRPO(GRPOConfig(kl=NO_KL))):
        state = learner.init(tabular(0, num_prompts=4), 0)
        gradient, metrics = differentiated(learner, state, batch, given)
        assert metrics["frac_reward_zero_std"] == pytest.approx(2 / 3)
        assert gradient.view(4, 3, 2)[[0, 2, 3]].abs().max() == 0
        assert gradient.view(4, 3, 2)[1].abs().max() > 0.01


@pytest.mark.parametrize("learner_class", [RLOO, GRPO, TextPPO, OnlineDPO])
def test_trap_rewards_that_are_none_are_as_if_the_completion_were_not_there(learner_class):
    learner = (
        OnlineDPO(OnlineDPOConfig()) if learner_class is OnlineDPO else learner_class(MAKERS[learner_class](kl=NO_KL))
    )
    model, reference = tabular(0), tabular(1)

    def learned(chosen, given):
        state = learner.init(tabular(0), 0)
        state, metrics = learner.update(state, batch_of(model, [chosen]), given, reference=reference)
        return state.weights.gradient.clone(), metrics

    with_it, metrics = learned([0, 1, 3, 2], [1.0, 0.5, None, 5.0])
    without, same = learned([0, 1, 2], [1.0, 0.5, 5.0])
    torch.testing.assert_close(with_it, without, atol=1e-7, rtol=1e-6)
    assert with_it.abs().max() > 1e-3
    for name in ("reward", "reward_std", "loss", "frac_reward_zero_std"):
        assert metrics[name] == pytest.approx(same[name]), name


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("learner_class", [RLOO, GRPO, TextPPO])
def test_trap_first_ratio_is_one_at_every_temperature(learner_class, temperature):
    learner = learner_class(MAKERS[learner_class](kl=NO_KL, num_epochs=1))
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
