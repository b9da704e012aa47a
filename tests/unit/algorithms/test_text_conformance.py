"""What every learner of language models must do."""

import math
from dataclasses import replace

import pytest
import torch

from heeler.algorithms import DPO, GRPO, KTO, RLOO, SFT, TEXT_ALGORITHMS, KLConfig, OnlineDPO, TextPPO
from heeler.core.errors import ConfigError, DataError, LearningError
from heeler.models.language.weights import OptimizerConfig
from tests.text_rounds import arguments, liking, rewards, sampled, stepped, update
from tests.tiny_models import tiny_llama

SAMPLED = (RLOO, GRPO, TextPPO, OnlineDPO)


@pytest.fixture(params=TEXT_ALGORITHMS, ids=lambda pair: pair[0].__name__)
def algorithm(request):
    torch.set_num_threads(1)
    return request.param


@pytest.fixture(params=[pair for pair in TEXT_ALGORITHMS if pair[0] in SAMPLED], ids=lambda pair: pair[0].__name__)
def sampling_algorithm(request):
    torch.set_num_threads(1)
    return request.param


def make(algorithm, *, learning_rate=3e-3, **overrides):
    learner_class, config_class = algorithm
    config = config_class(**overrides)
    optimizer = OptimizerConfig(learning_rate=learning_rate)
    if learner_class is OnlineDPO:
        return OnlineDPO(replace(config, dpo=replace(config.dpo, optimizer=optimizer)))
    return learner_class(replace(config, optimizer=optimizer))


def copied(learner, state):
    return {name: tensor.clone() for name, tensor in learner.tensors(state).items()}


def test_improves_what_it_is_told_to(algorithm):
    model, reference = tiny_llama(0), tiny_llama(0)
    learner = make(algorithm)
    state = learner.init(model, 0)
    before = liking(model)
    for round_number in range(30):
        state, metrics = update(learner, state, round_number, reference)
    # Of 256 samples of six tokens a share is known to about a hundredth.
    assert 0.4 < before < 0.6
    assert liking(model) > before + 0.15
    assert all(math.isfinite(value) for value in metrics.values())


def test_same_seed_same_weights(algorithm):
    traces = []
    for _ in range(2):
        learner = make(algorithm)
        state = learner.init(tiny_llama(0), 3)
        for round_number in range(2):
            state, metrics = update(learner, state, round_number, tiny_llama(0))
        traces.append((state.weights.flat.detach().clone(), metrics))
    assert torch.equal(traces[0][0], traces[1][0])
    assert traces[0][1] == traces[1][1]


def test_trap_resume_is_bit_identical(algorithm):
    """Save, load into another model, go on: the same weights, optimiser, coefficient and metrics."""
    overrides = {}
    if algorithm[0] in (RLOO, GRPO, TextPPO):
        overrides = {"kl": KLConfig(coefficient=0.1, target=0.5), "num_epochs": 2, "num_minibatches": 2}
    learner = make(algorithm, **overrides)
    state = learner.init(tiny_llama(0), 3)
    for round_number in range(2):
        state, _ = update(learner, state, round_number, tiny_llama(0))
    saved = copied(learner, state)
    given = arguments(learner, state.model, 7)
    more = {} if isinstance(learner, SFT) else {"reference": tiny_llama(0)}
    state, metrics = learner.update(state, *given, **more, progress=0.3)

    other = make(algorithm, **overrides)
    loaded = other.load_tensors(other.init(tiny_llama(5), 99), saved)
    loaded, same = other.update(loaded, *given, **more, progress=0.3)
    assert metrics == same
    after = learner.tensors(state)
    for name, tensor in after.items():
        assert torch.equal(tensor, other.tensors(loaded)[name]), name
    for mine, theirs in zip(state.model.trainable(), loaded.model.trainable(), strict=True):
        assert torch.equal(mine, theirs)
    # And it is an update that changed something.
    assert not torch.equal(after["weights.flat"], saved["weights.flat"])


def gradient_of(algorithm, max_tokens):
    """What one update's step was made of, before it was shortened, and what it saw."""
    limit = {"max_tokens": max_tokens}
    if algorithm[0] is OnlineDPO:
        dpo = TEXT_ALGORITHMS[4][1](**limit)
        learner = make(algorithm, dpo=dpo)
    else:
        learner = make(algorithm, **limit)
    state = learner.init(tiny_llama(0), 0)
    return stepped(learner, state, tiny_llama(1), arguments(learner, state.model, 1))


def test_trap_gradient_accumulation_gives_the_gradient_of_one_batch(algorithm):
    whole, seen = gradient_of(algorithm, 100_000)
    assert whole.norm() > 1e-4
    for max_tokens in (1, 40):
        parts, same = gradient_of(algorithm, max_tokens)
        torch.testing.assert_close(parts, whole, atol=1e-6 * float(whole.norm()) + 1e-8, rtol=1e-4)
        assert same == pytest.approx(seen, rel=1e-4, abs=1e-6)


def test_no_weight_that_may_change_is_refused(algorithm):
    model = tiny_llama(0)
    model.module.requires_grad_(False)
    with pytest.raises(ConfigError, match="no weight of the model may change"):
        make(algorithm).init(model, 0)


def test_a_checkpoint_of_another_model_is_refused(algorithm):
    learner = make(algorithm)
    saved = copied(learner, learner.init(tiny_llama(0), 0))
    with pytest.raises(ConfigError, match="may change"):
        learner.load_tensors(learner.init(tiny_llama(0, hidden_size=16), 0), saved)


def test_a_gradient_that_is_no_number_is_refused_and_changes_nothing(algorithm):
    learner = make(algorithm)
    state = learner.init(tiny_llama(0), 0)
    given = arguments(learner, state.model, 1)
    with torch.no_grad():
        # What an earlier overflow would leave.
        next(iter(state.model.module.parameters())).fill_(math.nan)
    before = state.weights.flat.detach().clone()
    more = {} if isinstance(learner, SFT) else {"reference": tiny_llama(0)}
    with pytest.raises(LearningError, match="gradient"):
        learner.update(state, *given, **more)
    assert torch.equal(before.nan_to_num(7.0), state.weights.flat.detach().nan_to_num(7.0))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda values: values[:-1], "31 for 32"),
        (lambda values: [*values, 1.0], "33 for 32"),
        (lambda values: [*values[:3], math.nan, *values[4:]], "row 3"),
        (lambda values: [*values[:5], math.inf, *values[6:]], "row 5"),
        (lambda values: [None] * len(values), "None for every completion"),
    ],
    ids=["too few", "too many", "nan", "infinite", "none at all"],
)
def test_bad_rewards_are_refused(sampling_algorithm, spoil, message):
    learner = make(sampling_algorithm)
    state = learner.init(tiny_llama(0), 0)
    batch = sampled(state.model, 0)
    before = state.weights.flat.detach().clone()
    with pytest.raises(DataError, match=message):
        learner.update(state, batch, spoil(rewards(state.model, batch)), reference=tiny_llama(0))
    assert torch.equal(before, state.weights.flat)
    assert state.num_updates == 0


def test_one_completion_of_each_prompt_is_refused_where_others_are_the_baseline(sampling_algorithm):
    learner = make(sampling_algorithm)
    state = learner.init(tiny_llama(0), 0)
    batch = sampled(state.model, 0, num_each=1)
    given = (state, batch, rewards(state.model, batch))
    if sampling_algorithm[0] is TextPPO:
        learner.update(*given, reference=tiny_llama(0))
        return
    with pytest.raises(DataError, match="at least two"):
        learner.update(*given, reference=tiny_llama(0))


def test_texts_that_were_not_sampled_are_refused(sampling_algorithm):
    learner = make(sampling_algorithm)
    state = learner.init(tiny_llama(0), 0)
    batch = sampled(state.model, 0)
    for logprobs, message in (
        (torch.full_like(batch.sampled_logprob_T, math.nan), "not all finite"),
        (torch.zeros(3), "3 numbers"),
    ):
        with pytest.raises(DataError, match=message):
            learner.update(
                state, replace(batch, sampled_logprob_T=logprobs), [0.0] * len(batch), reference=tiny_llama(0)
            )


def test_a_missing_reference_is_refused(algorithm):
    if algorithm[0] is SFT:
        pytest.skip("it has none")
    learner = make(algorithm)
    state = learner.init(tiny_llama(0), 0)
    with pytest.raises(ConfigError, match="reference"):
        learner.update(state, *arguments(learner, state.model, 0))


def test_a_reference_with_other_tokens_is_refused(algorithm):
    if algorithm[0] is SFT:
        pytest.skip("it has none")
    learner = make(algorithm)
    state = learner.init(tiny_llama(0), 0)
    other = tiny_llama(0)
    other.module.resize_token_embeddings(300)
    with pytest.raises(ConfigError, match="300 tokens"):
        learner.update(state, *arguments(learner, state.model, 0), reference=other)


def test_bad_pairs_and_labels_are_refused():
    model = tiny_llama(0)
    dpo, kto = make((DPO, TEXT_ALGORITHMS[4][1])), make((KTO, TEXT_ALGORITHMS[6][1]))
    (pairs,) = arguments(dpo, model, 0)
    state = dpo.init(model, 0)
    same = replace(
        pairs, completions=(*pairs.completions[:2], pairs.completions[2], pairs.completions[2], *pairs.completions[4:])
    )
    with pytest.raises(DataError, match="row 1"):
        dpo.update(state, same, reference=tiny_llama(0))
    with pytest.raises(DataError, match="chosen and a rejected"):
        dpo.update(state, sampled(model, 0), reference=tiny_llama(0))
    state = kto.init(model, 0)
    with pytest.raises(DataError, match="7 for 8"):
        kto.update(state, pairs, [True] * 7, reference=tiny_llama(0))
    with pytest.raises(DataError, match="row 2"):
        kto.update(state, pairs, [True, False, 0.5, *[True] * 5], reference=tiny_llama(0))
    with pytest.raises(DataError, match="two prompts"):
        kto.update(state, pairs.part(0, 2), [True, False], reference=tiny_llama(0))


@pytest.mark.parametrize(
    ("index", "bad"),
    [
        (0, {"aggregation": "constant"}),
        (1, {"clip_low": 0.0}),
        (1, {"num_epochs": 0}),
        (2, {"dual_clip": 1.1}),
        (2, {"divisor": 5.0}),
        (2, {"aggregation": "constant"}),
        (2, {"max_tokens": 0}),
        (3, {"trace_decay": 1.5}),
        (3, {"value_clip": 0.0}),
        (3, {"value_coefficient": 0.0}),
        (4, {"beta": 0.0}),
        (4, {"label_smoothing": 0.5}),
        (4, {"loss": "ipo", "label_smoothing": 0.1}),
        (5, {"min_lead": -1.0}),
        (6, {"desirable_weight": 0.0}),
    ],
)
def test_bad_settings_are_refused(index, bad):
    name = next(reversed(bad))
    with pytest.raises(ConfigError, match="divisor" if name == "aggregation" else name):
        TEXT_ALGORITHMS[index][1](**bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"coefficient": -1.0}, "coefficient"),
        ({"estimator": "k3"}, "only k1"),
        ({"place": "loss"}, "k1 has no gradient"),
        ({"place": "loss", "estimator": "k2", "importance_weighted": True}, "spoil"),
        ({"target": 0.0}, "target"),
        ({"coefficient": 0.0, "target": 1.0}, "target"),
        ({"adaptation_rate": 5.0}, "adaptation_rate"),
    ],
)
def test_a_kl_that_would_not_do_what_it_says_is_refused(bad, message):
    with pytest.raises(ConfigError, match=message):
        KLConfig(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"learning_rate": 0.0},
        {"learning_rate": math.inf},
        {"max_gradient_norm": 0.0},
        {"weight_decay": -0.1},
        {"num_warmup_updates": -1},
        {"final_learning_rate_share": 1.5},
    ],
)
def test_bad_steps_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        OptimizerConfig(**bad)
