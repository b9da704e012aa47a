"""Every learner's gradient against exact enumeration: two tokens, completions of up to three, every outcome by its chance."""

import itertools
import math

import pytest
import torch

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
from heeler.ops.micro_batches import stored
from tests.tabular_language import COMPLETIONS, batch_of, log_probability, table, tabular

REWARD = (0.3, -1.0, 2.0, 0.7)
ALL = range(len(COMPLETIONS))
BETA = 0.3


@pytest.fixture(autouse=True)
def in_64_bits():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def probability(logits, number):
    return log_probability(logits, number).exp()


def expected_reward(logits):
    return sum(probability(logits, number) * REWARD[number] for number in ALL)


def sequence_kl(logits, reference):
    """KL of whole completions."""
    return sum(
        probability(logits, number) * (log_probability(logits, number) - log_probability(reference, number))
        for number in ALL
    )


def token_kl(logits, reference, *, backwards=False):
    """KL of the next token, summed over the places that the policy as it is comes to."""
    first, second = (reference, logits) if backwards else (logits, reference)
    log_first, log_second = torch.log_softmax(first[0], -1), torch.log_softmax(second[0], -1)
    kl_by_place = (log_first.exp() * (log_first - log_second)).sum(-1)
    fixed = logits.detach()
    reached = [sum(probability(fixed, number) for number in ALL if len(COMPLETIONS[number]) > place) for place in range(3)]
    return sum(chance * kl for chance, kl in zip(reached, kl_by_place, strict=True))


def gradient_of(objective, model):
    (gradient,) = torch.autograd.grad(objective(table(model)), table(model))
    return gradient


def expected_gradient(learner, model, reference, group_size):
    """Mean of what the learner puts into the weights, over every group that the model may sample."""
    state = learner.init(model, 0)
    if state.head is not None:
        # Any baseline that does not see the token leaves the mean as it is.
        torch.nn.init.normal_(state.head.weight, generator=torch.Generator().manual_seed(5))
    total = torch.zeros_like(table(model))
    for group in itertools.product(ALL, repeat=group_size):
        batch = batch_of(model, [group])
        experience, _ = learner.prepare(state, batch, [REWARD[number] for number in group], reference)
        learner.differentiate(state, experience, Sums())
        chance = math.prod(float(probability(table(model).detach(), number)) for number in group)
        total += chance * state.weights.gradient[: total.numel()].view_as(total)
    return total


NO_KL = KLConfig(coefficient=0.0)
IN_REWARD = KLConfig(coefficient=BETA)
IN_LOSS = {
    "k2": KLConfig(coefficient=BETA, place="loss", estimator="k2"),
    "k3": KLConfig(coefficient=BETA, place="loss", estimator="k3"),
    "k1 weighted": KLConfig(coefficient=BETA, place="loss", estimator="k1", importance_weighted=True),
    "k3 weighted": KLConfig(coefficient=BETA, place="loss", estimator="k3", importance_weighted=True),
}


def exact_kl(kl, reference, *, whole_ratio=False):
    """The objective's KL that each form has the gradient of, where it stands in the loss."""
    if kl.estimator == "k2":
        return lambda logits: token_kl(logits, reference)
    if not kl.importance_weighted:
        return lambda logits: token_kl(logits, reference, backwards=True)
    # A ratio of the whole completion brings in what a token does to those after it.
    return lambda logits: sequence_kl(logits, reference) if whole_ratio else token_kl(logits, reference)


@pytest.mark.parametrize("group_size", [2, 3])
@pytest.mark.parametrize("kl", [NO_KL, IN_REWARD], ids=["none", "k1 in the reward"])
def test_rloo_has_the_gradient_of_the_expected_reward_less_kl(kl, group_size):
    model, reference = tabular(0), tabular(1)
    learner = RLOO(RLOOConfig(kl=kl))
    exact = gradient_of(
        lambda logits: kl.coefficient * sequence_kl(logits, table(reference).detach()) - expected_reward(logits), model
    )
    torch.testing.assert_close(expected_gradient(learner, model, reference, group_size), exact, atol=1e-12, rtol=0)
    assert exact.abs().max() > 0.01


@pytest.mark.parametrize("kl", IN_LOSS.values(), ids=IN_LOSS)
def test_rloo_with_the_kl_in_the_loss(kl):
    model, reference = tabular(0), tabular(1)
    divergence = exact_kl(kl, table(reference).detach(), whole_ratio=True)
    exact = gradient_of(lambda logits: BETA * divergence(logits) - expected_reward(logits), model)
    found = expected_gradient(RLOO(RLOOConfig(kl=kl)), model, reference, 2)
    torch.testing.assert_close(found, exact, atol=1e-12, rtol=0)


@pytest.mark.parametrize("group_size", [2, 3])
@pytest.mark.parametrize("ratio", ["token", "sequence"])
def test_dr_grpo_has_the_gradient_of_the_expected_reward(group_size, ratio):
    """Its mean includes the completion itself, which makes it (G - 1) / G of RLOO's."""
    model, reference = tabular(0), tabular(1)
    config = GRPOConfig(kl=IN_REWARD, scale="none", aggregation="constant", divisor=3.0, ratio=ratio)
    share = (group_size - 1) / group_size / 3
    if ratio == "sequence":
        pytest.skip("a whole completion's ratio counts once a token: see the test of GSPO") if group_size == 3 else None
        config = GRPOConfig(kl=IN_REWARD, scale="none", aggregation="sequence_mean", ratio=ratio)
        share = (group_size - 1) / group_size
    exact = gradient_of(
        lambda logits: share * (BETA * sequence_kl(logits, table(reference).detach()) - expected_reward(logits)), model
    )
    found = expected_gradient(GRPO(config), model, reference, group_size)
    torch.testing.assert_close(found, exact, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kl", IN_LOSS.values(), ids=IN_LOSS)
def test_grpo_with_the_kl_in_the_loss(kl):
    model, reference = tabular(0), tabular(1)
    divergence = exact_kl(kl, table(reference).detach())
    exact = gradient_of(lambda logits: (BETA * divergence(logits) - expected_reward(logits) / 2) / 3, model)
    config = GRPOConfig(kl=kl, scale="none", aggregation="constant", divisor=3.0)
    found = expected_gradient(GRPO(config), model, reference, 2)
    torch.testing.assert_close(found, exact, atol=1e-12, rtol=0)


def win(reward, other):
    """A pair's advantage when it is divided by the pair's own spread."""
    return (reward - other) / 2 / (abs(reward - other) / math.sqrt(2) + 1e-4)


def test_grpo_divided_by_the_group_s_spread_climbs_the_chance_of_winning():
    model = tabular(0)
    fixed = table(model).detach()

    def objective(logits):
        return -sum(
            probability(logits, number) * probability(fixed, other) * win(REWARD[number], REWARD[other]) / 3
            for number, other in itertools.product(ALL, ALL)
        )

    config = GRPOConfig(kl=NO_KL, scale="group", aggregation="constant", divisor=3.0)
    found = expected_gradient(GRPO(config), model, None, 2)
    torch.testing.assert_close(found, gradient_of(objective, model), atol=1e-12, rtol=0)


def test_gspo_has_the_gradient_of_its_surrogate():
    model = tabular(0)
    fixed = table(model).detach()

    def objective(logits):
        def surrogate(number):
            whole = log_probability(logits, number) - log_probability(fixed, number)
            return torch.exp(whole / len(COMPLETIONS[number]))

        return -sum(
            probability(fixed, number) * probability(fixed, other) * win(REWARD[number], REWARD[other]) * surrogate(number)
            for number, other in itertools.product(ALL, ALL)
        )

    config = GRPOConfig(kl=NO_KL, ratio="sequence_mean", aggregation="sequence_mean")
    found = expected_gradient(GRPO(config), model, None, 2)
    torch.testing.assert_close(found, gradient_of(objective, model), atol=1e-12, rtol=0)


@pytest.mark.parametrize("kl", [NO_KL, IN_REWARD, *IN_LOSS.values()], ids=["none", "k1 in the reward", *IN_LOSS])
def test_ppo_has_the_gradient_of_the_expected_reward_whatever_its_values_are(kl):
    model, reference = tabular(0), tabular(1)
    fixed = table(reference).detach()
    if kl.place == "reward":
        divergence = lambda logits: kl.coefficient * sequence_kl(logits, fixed)  # noqa: E731
    else:
        divergence = lambda logits: BETA * exact_kl(kl, fixed)(logits)  # noqa: E731
    exact = gradient_of(lambda logits: (divergence(logits) - expected_reward(logits)) / 3, model)
    config = TextPPOConfig(
        kl=kl, trace_decay=1.0, normalize_advantages=False, aggregation="constant", divisor=3.0, num_epochs=1
    )
    found = expected_gradient(TextPPO(config), model, reference, 1)
    torch.testing.assert_close(found, exact, atol=1e-12, rtol=0)


def test_sft_has_the_gradient_of_the_cross_entropy_and_rests_where_the_model_is_the_data():
    model, data = tabular(0), tabular(1)
    learner = SFT(SFTConfig(aggregation="sequence_mean"))

    def expected(state):
        total = torch.zeros_like(table(model))
        for number in ALL:
            learner.differentiate(state, batch_of(model, [[number]]))
            # Of one completion the mean over tokens is its sum by its length.
            total += float(probability(table(data), number)) * len(COMPLETIONS[number]) * state.weights.gradient.view_as(total)
        return total

    exact = gradient_of(
        lambda logits: -sum(probability(table(data).detach(), number) * log_probability(logits, number) for number in ALL),
        model,
    )
    state = learner.init(model, 0)
    torch.testing.assert_close(expected(state), exact, atol=1e-12, rtol=0)
    with torch.no_grad():
        table(model).copy_(table(data))
    assert expected(state).abs().max() < 1e-12


def pairs(first, second):
    return stored(
        [torch.tensor([0])], [torch.tensor(COMPLETIONS[first]), torch.tensor(COMPLETIONS[second])], torch.tensor([0, 0])
    )


def tilted(reference):
    """The policy that DPO is after, ref × exp(reward / β), place by place from the last."""
    logits = reference.clone()
    worth = math.exp(REWARD[3] / BETA)
    chance = torch.softmax(reference[0], -1)
    for place in (2, 1, 0):
        stop, go_on = chance[place, 0] * math.exp(REWARD[place] / BETA), chance[place, 1] * worth
        logits[0, place, 0], logits[0, place, 1] = stop.log(), go_on.log()
        worth = stop + go_on
    return logits


def test_dpo_rests_at_the_policy_that_its_reward_stands_for():
    model, reference = tabular(0), tabular(1)
    learner = DPO(DPOConfig(beta=BETA))
    state = learner.init(model, 0)

    def expected():
        total = torch.zeros_like(table(model))
        for chosen, rejected in itertools.permutations(ALL, 2):
            learner.differentiate(state, pairs(chosen, rejected), reference)
            preferred = 1 / (1 + math.exp(REWARD[rejected] - REWARD[chosen]))
            total += preferred * state.weights.gradient.view_as(total)
        return total

    assert expected().abs().max() > 0.01
    with torch.no_grad():
        table(model).copy_(tilted(table(reference).detach()))
    assert expected().abs().max() < 1e-12


def lead(logits, reference, chosen, rejected):
    return (
        log_probability(logits, chosen)
        - log_probability(reference, chosen)
        - log_probability(logits, rejected)
        + log_probability(reference, rejected)
    )


@pytest.mark.parametrize(
    ("config", "formula"),
    [
        (DPOConfig(beta=BETA), lambda h: torch.log1p(torch.exp(-BETA * h))),
        (
            DPOConfig(beta=BETA, label_smoothing=0.1),
            lambda h: 0.9 * torch.log1p(torch.exp(-BETA * h)) + 0.1 * torch.log1p(torch.exp(BETA * h)),
        ),
        (DPOConfig(beta=BETA, loss="ipo"), lambda h: (h - 1 / (2 * BETA)) ** 2),
    ],
    ids=["dpo", "conservative dpo", "ipo"],
)
def test_pair_losses_have_the_gradient_of_their_formula(config, formula):
    model, reference = tabular(0), tabular(1)
    learner = DPO(config)
    state = learner.init(model, 0)
    for chosen, rejected in itertools.permutations(ALL, 2):
        metrics = learner.differentiate(state, pairs(chosen, rejected), reference)
        objective = lambda logits, c=chosen, r=rejected: formula(lead(logits, table(reference).detach(), c, r))  # noqa: E731
        assert metrics["loss"] == pytest.approx(float(objective(table(model).detach())), abs=1e-12)
        torch.testing.assert_close(state.weights.gradient.view(1, 3, 2), gradient_of(objective, model), atol=1e-12, rtol=0)


def test_online_dpo_has_the_expected_gradient_of_the_pairs_that_it_samples():
    model, reference = tabular(0), tabular(1)
    learner = OnlineDPO(OnlineDPOConfig(dpo=DPOConfig(beta=BETA)))
    state = learner.init(model, 0)
    fixed = table(model).detach().clone()

    def objective(logits):
        return sum(
            probability(fixed, first)
            * probability(fixed, second)
            * torch.log1p(torch.exp(-BETA * abs_lead(logits, first, second)))
            for first, second in itertools.product(ALL, ALL)
            if first != second
        )

    def abs_lead(logits, first, second):
        better, worse = (first, second) if REWARD[first] > REWARD[second] else (second, first)
        return lead(logits, table(reference).detach(), better, worse)

    total = torch.zeros_like(fixed)
    for group in itertools.product(ALL, ALL):
        reward, scored = torch.tensor([REWARD[number] for number in group]), torch.ones(2, dtype=torch.bool)
        made = learner.pairs(batch_of(model, [group]), reward, scored)
        assert (made is None) == (group[0] == group[1])
        learner._dpo.differentiate(state, made, reference)
        chance = float(probability(fixed, group[0]) * probability(fixed, group[1]))
        total += chance * state.weights.gradient.view_as(total)
    torch.testing.assert_close(total, gradient_of(objective, model), atol=1e-12, rtol=0)


def test_kto_has_the_gradient_of_its_formula_with_the_kl_held():
    model, reference = tabular(0, num_prompts=2), tabular(1, num_prompts=2)
    fixed = table(reference).detach()
    learner = KTO(KTOConfig(beta=BETA, desirable_weight=1.3, undesirable_weight=0.8))
    state = learner.init(model, 0)
    batch = batch_of(model, [[2, 0], [3]])
    labels = torch.tensor([True, False, True])

    def ratio(logits, number, prompt):
        return log_probability(logits, number, prompt) - log_probability(fixed, number, prompt)

    now = table(model).detach().clone()
    # Each answer after the other prompt.
    kl = max(0.0, float((ratio(now, 2, 1) + ratio(now, 0, 1) + ratio(now, 3, 0)) / 3))

    def objective(logits):
        good = [1.3 * (1 - torch.sigmoid(BETA * (ratio(logits, n, p) - kl))) for n, p in ((2, 0), (3, 1))]
        bad = 0.8 * (1 - torch.sigmoid(BETA * (kl - ratio(logits, 0, 0))))
        return (good[0] + good[1] + bad) / 3

    metrics = learner.differentiate(state, batch, labels, reference)
    assert metrics["kl"] == pytest.approx(kl, abs=1e-12)
    assert metrics["loss"] == pytest.approx(float(objective(now)), abs=1e-12)
    torch.testing.assert_close(state.weights.gradient.view(2, 3, 2), gradient_of(objective, model), atol=1e-12, rtol=0)
