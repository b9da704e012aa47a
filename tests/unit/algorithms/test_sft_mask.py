"""Demonstrations of which some tokens are only read."""

import pytest
import torch

from heeler.algorithms import SFT, SFTConfig
from heeler.core.errors import DataError
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import stored
from heeler.ops.shared_prompts import shared_prompts
from tests.tabular_language import COMPLETIONS, batch_of, table, tabular
from tests.tiny_models import tiny_llama

AGGREGATIONS = ("token_mean", "sequence_mean")
CHOSEN = [[3, 0, 2], [1, 2]]
# Completions 111, 0, 110 and 10, 110: the second and the last are only read.
IS_LEARNED = [[False, True, True], [False], [True, False, True], [False, True], [False, False, False]]
MASK = torch.tensor([learned for each in IS_LEARNED for learned in each])


@pytest.fixture
def in_64_bits():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def by_hand(logits, aggregation):
    """Mean of −log π over the tokens that are learned, or over the completions that have one of their means."""
    log_all = torch.log_softmax(logits, -1)
    numbers = [(prompt, number) for prompt, each in enumerate(CHOSEN) for number in each]
    means, terms = [], []
    for (prompt, number), learned in zip(numbers, IS_LEARNED, strict=True):
        own = [
            -log_all[prompt, place, token]
            for place, (token, counts) in enumerate(zip(COMPLETIONS[number], learned, strict=True))
            if counts
        ]
        terms += own
        if own:
            means.append(sum(own) / len(own))
    return sum(terms) / len(terms) if aggregation == "token_mean" else sum(means) / len(means)


@pytest.mark.parametrize("max_tokens", [1, 4096])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_trap_same_mask_in_numerator_and_denominator(in_64_bits, aggregation, max_tokens):
    model = tabular(0, num_prompts=2)
    learner = SFT(SFTConfig(aggregation=aggregation, max_tokens=max_tokens))
    state = learner.init(model, 0)
    metrics = learner.differentiate(state, batch_of(model, CHOSEN), MASK)
    want = by_hand(table(model), aggregation)
    (gradient,) = torch.autograd.grad(want, table(model))
    torch.testing.assert_close(state.weights.gradient.view_as(gradient), gradient, atol=1e-12, rtol=0)
    assert metrics["loss"] == pytest.approx(want.item(), abs=1e-12)
    assert metrics["num_tokens"] == 5
    # What is read and not learned counts in no metric.
    entropy_T = model.outputs(batch_of(model, CHOSEN)).entropy_T
    assert metrics["entropy"] == pytest.approx(float(entropy_T[MASK].mean()))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_all_learned_is_what_is_meant_by_saying_nothing(in_64_bits, aggregation):
    model = tabular(0, num_prompts=2)
    learner = SFT(SFTConfig(aggregation=aggregation))
    state, batch = learner.init(model, 0), batch_of(model, CHOSEN)
    plain, gradient = learner.differentiate(state, batch), state.weights.gradient.clone()
    assert learner.differentiate(state, batch, torch.ones(len(MASK), dtype=torch.bool)) == plain
    assert torch.equal(state.weights.gradient, gradient)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_shared_prompts_teach_what_their_rows_would_teach(aggregation):
    system = list(range(30, 50))
    group = [
        (torch.tensor([*system, *asked]), torch.tensor(said))
        for asked, said in (([60, 61], [70, 71, 72, 1]), ([62], [73, 1]), ([63, 64, 65], [74, 75, 1]))
    ]
    rows = stored([prompt for prompt, _ in group], [ids for _, ids in group], torch.arange(len(group)))
    learner = SFT(SFTConfig(aggregation=aggregation))
    state = learner.init(tiny_llama(0), 0)
    plain, gradient = learner.differentiate(state, rows), state.weights.gradient.clone()
    batch, is_learned_T = shared_prompts([group])
    assert len(batch.prompts) == 1
    shared = learner.differentiate(state, batch, is_learned_T)
    assert shared == pytest.approx(plain, rel=1e-6)
    torch.testing.assert_close(state.weights.gradient, gradient, atol=1e-6, rtol=1e-4)
    # It would be another one if what is read were learned too.
    learner.differentiate(state, batch)
    assert (state.weights.gradient - gradient).norm() > 0.1 * gradient.norm()


def test_an_update_learns_what_is_learned_and_nothing_else(in_64_bits):
    """The third place is read by 111 alone here; it changes only where it is learned."""
    for third in (False, True):
        model = tabular(0)
        learner = SFT(SFTConfig(optimizer=OptimizerConfig(learning_rate=0.1)))
        state = learner.init(model, 0)
        before = table(model).detach().clone()
        learner.update(state, batch_of(model, [[3]]), is_learned_T=torch.tensor([True, False, third]))
        moved = (table(model).detach() - before)[0].abs().amax(-1)
        assert moved[0] > 0.01 and moved[1] == 0 and (moved[2] > 0.01) == third


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (MASK[:-1], "11 values for 12 tokens; give one each"),
        (torch.cat([MASK, MASK[:1]]), "13 values for 12 tokens"),
        (torch.zeros_like(MASK), "no token of the batch is to be learned"),
    ],
    ids=["too few", "too many", "none"],
)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_mask_that_does_not_fit_is_refused_and_changes_nothing(aggregation, mask, message):
    model = tabular(0, num_prompts=2)
    learner = SFT(SFTConfig(aggregation=aggregation))
    state = learner.init(model, 0)
    before = table(model).detach().clone()
    with pytest.raises(DataError, match=f"is_learned_T: {message}"):
        learner.update(state, batch_of(model, CHOSEN), is_learned_T=mask)
    assert torch.equal(table(model), before) and state.num_updates == 0
