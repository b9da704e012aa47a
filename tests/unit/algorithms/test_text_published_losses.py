"""Each learner's whole loss against the formula that was published for it, in plain loops over plain numbers.

The batch was sampled by another policy than the one that learns, so that ratios are clipped here and not there, and the
reference is a third one. Formulas are those of the papers as TRL's documentation writes them.
"""

import math
from itertools import pairwise
from statistics import fmean, stdev

import pytest
import torch

from heeler.algorithms import (
    DPO,
    GRPO,
    KTO,
    RLOO,
    DPOConfig,
    GRPOConfig,
    KLConfig,
    KTOConfig,
    OnlineDPO,
    OnlineDPOConfig,
    RLOOConfig,
    TextPPO,
    TextPPOConfig,
)
from heeler.algorithms.text_learning import Sums
from tests.tabular_language import COMPLETIONS, NUM_STEPS, batch_of, table, tabular

CHOSEN = [[0, 3, 2, 1], [3, 1, 2, 2], [0, 0, 3, 2]]
REWARDS = [1.0, -0.5, 2.0, 0.25, 0.0, 1.5, -1.0, 0.75, 3.0, 0.5, -2.0, 1.0]
PROMPTS = [prompt for prompt, each in enumerate(CHOSEN) for _ in each]
NUMBERS = [number for each in CHOSEN for number in each]
LENGTHS = [len(COMPLETIONS[number]) for number in NUMBERS]
ALL = range(len(NUMBERS))
BETA = 0.3


@pytest.fixture(autouse=True)
def in_64_bits():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Policies:
    """The one that learns, the one that sampled and the reference; the first two are near each other."""

    def __init__(self):
        self.learned, self.reference = tabular(0, num_prompts=3), tabular(1, num_prompts=3)
        behaviour = tabular(9, num_prompts=3)
        with torch.no_grad():
            table(behaviour).mul_(0.5).add_(table(self.learned))
        self.batch = batch_of(behaviour, CHOSEN)
        self.new, self.old, self.fixed = (logps(model) for model in (self.learned, behaviour, self.reference))


def logps(model, numbers=NUMBERS, prompts=PROMPTS):
    """[completion][token] log-probabilities, from the table's numbers."""
    found = []
    for prompt, number in zip(prompts, numbers, strict=True):
        rows = table(model)[prompt].tolist()
        found.append(
            [
                row[token] - math.log(sum(math.exp(x) for x in row))
                for row, token in zip(rows, COMPLETIONS[number], strict=False)
            ]
        )
    return found


def clip(x, low, high):
    return min(max(x, low), high)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def group(i):
    return [j for j in ALL if PROMPTS[j] == PROMPTS[i]]


def learned_loss(learner, policies):
    """What the learner says its loss is, and how many tokens it clipped."""
    state = learner.init(policies.learned, 0)
    experience, _ = learner.prepare(state, policies.batch, REWARDS, policies.reference)
    sums = Sums()
    learner.differentiate(state, experience, sums)
    return sums.means()


def grpo_loss(policies, *, scale, loss_type, low=0.2, high=0.28, delta=None, beta=BETA, level="token", masks=False):
    kept = [i for i in ALL if not (masks and NUMBERS[i] == 3)]
    per_token = []
    for i in ALL:
        rewards = [REWARDS[j] for j in group(i)]
        spread = {"group": stdev(rewards) + 1e-4, "batch": stdev(REWARDS) + 1e-4, "none": 1.0}[scale]
        advantage = (REWARDS[i] - fmean(rewards)) / spread
        log_ratios = [new - old for new, old in zip(policies.new[i], policies.old[i], strict=True)]
        if level == "sequence":
            log_ratios = [fmean(log_ratios)] * LENGTHS[i]
        terms = []
        for log_ratio, new, fixed in zip(log_ratios, policies.new[i], policies.fixed[i], strict=True):
            first, second = math.exp(log_ratio), clip(math.exp(log_ratio), 1 - low, 1 + high)
            if delta is not None:
                first = min(first, delta)
            kl = math.exp(fixed - new) - (fixed - new) - 1
            terms.append(-min(first * advantage, second * advantage) + beta * kl)
        per_token.append(terms)
    if loss_type == "grpo":
        return fmean([sum(per_token[i]) / LENGTHS[i] for i in kept])
    total = sum(sum(per_token[i]) for i in kept)
    return total / (sum(LENGTHS[i] for i in kept) if loss_type == "dapo" else len(kept) * NUM_STEPS)


IN_LOSS = KLConfig(coefficient=BETA, place="loss", estimator="k3")
NO_KL = KLConfig(coefficient=0.0)
CLIPS = {"clip_low": 0.2, "clip_high": 0.28}


@pytest.mark.parametrize(
    ("config", "formula"),
    [
        (
            GRPOConfig(kl=IN_LOSS, scale="group", aggregation="sequence_mean", **CLIPS),
            {"scale": "group", "loss_type": "grpo"},
        ),
        (
            GRPOConfig(kl=NO_KL, scale="none", aggregation="constant", divisor=3.0, **CLIPS),
            {"scale": "none", "loss_type": "dr_grpo", "beta": 0.0},
        ),
        (
            GRPOConfig(kl=NO_KL, aggregation="token_mean", truncated="mask", **CLIPS),
            {"scale": "group", "loss_type": "dapo", "beta": 0.0, "masks": True},
        ),
        (
            GRPOConfig(kl=NO_KL, ratio="sequence_mean", aggregation="sequence_mean", clip_low=0.03, clip_high=0.04),
            {"scale": "group", "loss_type": "grpo", "beta": 0.0, "level": "sequence", "low": 0.03, "high": 0.04},
        ),
        (
            GRPOConfig(kl=IN_LOSS, scale="batch", dual_clip=1.3, **CLIPS),
            {"scale": "batch", "loss_type": "dapo", "delta": 1.3},
        ),
    ],
    ids=["GRPO", "Dr. GRPO", "DAPO", "GSPO", "by the batch's spread, with a dual clip"],
)
def test_grpo_and_what_came_of_it(config, formula):
    policies = Policies()
    metrics = learned_loss(GRPO(config), policies)
    assert metrics["loss"] == pytest.approx(grpo_loss(policies, **formula), abs=1e-9)
    assert metrics["clip_ratio/low_mean"] > 0 and metrics["clip_ratio/high_mean"] > 0
    # The formula without its clips is another one.
    assert grpo_loss(policies, **(formula | {"low": 0.99, "high": 99.0})) != pytest.approx(metrics["loss"], abs=1e-4)


@pytest.mark.parametrize("normalises", [False, True])
def test_rloo(normalises):
    policies = Policies()
    rewards = [
        REWARDS[i] - BETA * sum(old - fixed for old, fixed in zip(policies.old[i], policies.fixed[i], strict=True))
        for i in ALL
    ]
    advantages = [rewards[i] - fmean([rewards[j] for j in group(i) if j != i]) for i in ALL]
    if normalises:
        advantages = [(a - fmean(advantages)) / (stdev(advantages) + 1e-4) for a in advantages]
    terms = []
    for i, advantage in enumerate(advantages):
        ratio = math.exp(sum(policies.new[i]) - sum(policies.old[i]))
        terms.append(-min(ratio * advantage, clip(ratio, 0.9, 1.28) * advantage))
    config = RLOOConfig(kl=KLConfig(coefficient=BETA), clip_low=0.1, clip_high=0.28, normalize_advantages=normalises)
    metrics = learned_loss(RLOO(config), policies)
    assert metrics["loss"] == pytest.approx(fmean(terms), abs=1e-9)
    assert metrics["clip_ratio/low_mean"] > 0 and metrics["clip_ratio/high_mean"] > 0


def whitened(rows):
    """To mean 0 and spread 1 over all tokens."""
    values = [value for row in rows for value in row]
    return [[(value - fmean(values)) / stdev(values) for value in row] for row in rows]


def test_ppo_with_its_clipped_value_loss():
    policies = Policies()
    discount, decay, clip_value, value_weight = 0.97, 0.9, 0.2, 0.5
    config = TextPPOConfig(
        kl=KLConfig(coefficient=BETA),
        discount=discount,
        trace_decay=decay,
        value_clip=clip_value,
        value_coefficient=value_weight,
        clip=0.15,
    )
    learner = TextPPO(config)
    state = learner.init(policies.learned, 0)
    generator = torch.Generator().manual_seed(3)
    torch.nn.init.normal_(state.head.weight, generator=generator)

    def values():
        """[completion][token], from the head's numbers: one for each prompt and place."""
        weight, bias = state.head.weight[0].tolist(), state.head.bias.item()
        return [
            [weight[prompt * NUM_STEPS + place] + bias for place in range(length)]
            for prompt, length in zip(PROMPTS, LENGTHS, strict=True)
        ]

    before = values()
    experience, _ = learner.prepare(state, policies.batch, REWARDS, policies.reference)
    with torch.no_grad():
        state.head.weight.add_(0.3 * torch.randn(state.head.weight.shape, generator=generator))
    after = values()

    advantages = []
    for i in ALL:
        rewards = [-BETA * (old - fixed) for old, fixed in zip(policies.old[i], policies.fixed[i], strict=True)]
        rewards[-1] += REWARDS[i]
        following, row = 0.0, []
        for reward, (value, next_value) in reversed(list(zip(rewards, pairwise([*before[i], 0.0]), strict=True))):
            following = reward + discount * next_value - value + discount * decay * following
            row.insert(0, following)
        advantages.append(row)
    policy_terms, value_terms, num_held = [], [], 0
    for i, row in enumerate(whitened(advantages)):
        for t, advantage in enumerate(row):
            ratio = math.exp(policies.new[i][t] - policies.old[i][t])
            policy_terms.append(max(-advantage * ratio, -advantage * clip(ratio, 0.85, 1.15)))
            wanted = advantages[i][t] + before[i][t]
            held = clip(after[i][t], before[i][t] - clip_value, before[i][t] + clip_value)
            num_held += held != after[i][t]
            value_terms.append(0.5 * max((after[i][t] - wanted) ** 2, (held - wanted) ** 2))
    assert 0 < num_held < len(value_terms)

    sums = Sums()
    learner.differentiate(state, experience, sums)
    metrics = sums.means()
    assert metrics["policy_loss"] == pytest.approx(fmean(policy_terms), abs=1e-6)
    assert metrics["value_loss"] == pytest.approx(fmean(value_terms), abs=1e-9)
    assert metrics["loss"] == pytest.approx(fmean(policy_terms) + value_weight * fmean(value_terms), abs=1e-6)
    assert metrics["clip_ratio/region_mean"] > 0


PAIRS = [[0, 3], [2, 1], [3, 2]]


def pair_ratios(learned, reference, *, by_length=False):
    """(chosen, rejected) log-ratios of each pair."""
    numbers, prompts = [n for pair in PAIRS for n in pair], [0, 0, 1, 1, 2, 2]
    found = []
    for number, new, fixed in zip(
        numbers, logps(learned, numbers, prompts), logps(reference, numbers, prompts), strict=True
    ):
        found.append((sum(new) - sum(fixed)) / (len(COMPLETIONS[number]) if by_length else 1))
    return list(zip(found[0::2], found[1::2], strict=True))


@pytest.mark.parametrize(
    ("config", "formula"),
    [
        (DPOConfig(beta=BETA), lambda good, bad: -math.log(sigmoid(BETA * (good - bad)))),
        (
            DPOConfig(beta=BETA, label_smoothing=0.1),
            lambda good, bad: (
                -0.9 * math.log(sigmoid(BETA * (good - bad))) - 0.1 * math.log(sigmoid(BETA * (bad - good)))
            ),
        ),
        (DPOConfig(beta=BETA, loss="ipo"), lambda good, bad: (good - bad - 1 / (2 * BETA)) ** 2),
        (DPOConfig(beta=BETA, loss="ipo", mean_over_tokens=True), lambda good, bad: (good - bad - 1 / (2 * BETA)) ** 2),
    ],
    ids=["sigmoid", "conservative", "IPO", "IPO as TRL has it"],
)
def test_dpo(config, formula):
    policies = Policies()
    state = DPO(config).init(policies.learned, 0)
    metrics = DPO(config).differentiate(state, batch_of(policies.learned, PAIRS), policies.reference)
    ratios = pair_ratios(policies.learned, policies.reference, by_length=config.mean_over_tokens)
    assert metrics["loss"] == pytest.approx(fmean([formula(good, bad) for good, bad in ratios]), abs=1e-9)
    assert metrics["rewards/chosen"] == pytest.approx(BETA * fmean([good for good, _ in ratios]))
    assert metrics["rewards/margins"] == pytest.approx(BETA * fmean([good - bad for good, bad in ratios]))
    assert metrics["rewards/accuracies"] == fmean([good > bad for good, bad in ratios])


@pytest.mark.parametrize("learned_first", [True, False])
def test_kto(learned_first):
    """The estimate of the KL is above zero one way round, and held at zero the other."""
    policies = Policies()
    learned, reference = (
        (policies.learned, policies.reference) if learned_first else (policies.reference, policies.learned)
    )
    numbers, labels = [[2, 0], [3, 1]], [True, False, True, True]
    flat, prompts = [2, 0, 3, 1], [0, 0, 1, 1]
    new, fixed = (logps(model, flat, prompts) for model in (learned, reference))
    ratios = [sum(a) - sum(b) for a, b in zip(new, fixed, strict=True)]
    # Each answer after the other prompt.
    lent = zip(logps(learned, flat, prompts[::-1]), logps(reference, flat, prompts[::-1]), strict=True)
    mean = fmean([sum(a) - sum(b) for a, b in lent])
    kl = max(mean, 0.0)
    terms = [
        1.3 * (1 - sigmoid(BETA * (ratio - kl))) if good else 0.8 * (1 - sigmoid(BETA * (kl - ratio)))
        for ratio, good in zip(ratios, labels, strict=True)
    ]
    learner = KTO(KTOConfig(beta=BETA, desirable_weight=1.3, undesirable_weight=0.8))
    state = learner.init(learned, 0)
    metrics = learner.differentiate(state, batch_of(learned, numbers), torch.tensor(labels), reference)
    assert (mean > 0) == learned_first
    right = [(ratio > kl) == good for ratio, good in zip(ratios, labels, strict=True)]
    assert metrics["rewards/accuracies"] == fmean(right)
    assert metrics["kl"] == pytest.approx(kl, abs=1e-12)
    assert metrics["loss"] == pytest.approx(fmean(terms), abs=1e-9)


@pytest.mark.parametrize(("min_lead", "num_pairs"), [(0.0, 3), (2.6, 1)])
def test_online_dpo(min_lead, num_pairs):
    """The best and the worst of each prompt, where they are far enough apart."""
    policies = Policies()
    terms = []
    for prompt in range(3):
        mine = [i for i in ALL if PROMPTS[i] == prompt]
        best, worst = max(mine, key=lambda i: REWARDS[i]), min(mine, key=lambda i: REWARDS[i])
        if REWARDS[best] - REWARDS[worst] > min_lead:
            lead = (
                sum(policies.new[best])
                - sum(policies.fixed[best])
                - sum(policies.new[worst])
                + sum(policies.fixed[worst])
            )
            terms.append(-math.log(sigmoid(BETA * lead)))
    learner = OnlineDPO(OnlineDPOConfig(dpo=DPOConfig(beta=BETA), min_lead=min_lead))
    state = learner.init(policies.learned, 0)
    _, metrics = learner.update(state, policies.batch, REWARDS, reference=policies.reference)
    assert metrics["num_pairs"] == len(terms) == num_pairs
    assert metrics["loss"] == pytest.approx(fmean(terms), abs=1e-9)
    assert metrics["frac_without_pair"] == pytest.approx(1 - num_pairs / 3)
