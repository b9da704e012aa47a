import math

import pytest
import torch
from torch.testing import assert_close

from heeler.core.errors import ConfigError
from heeler.models.language.model import LanguageModel
from heeler.models.language.probe import Support
from heeler.ops.text_batch import TextBatch
from heeler.rollouts import sampler
from heeler.rollouts.sampler import SamplingConfig, sample
from tests.tiny_models import tiny_llama
from tests.unit.models.language.batches import own_logprobs
from tests.unit.models.language.zoo import FAST, model_of

torch.set_num_threads(1)
MODEL = tiny_llama()
PROMPTS = [MODEL.completion_ids(text)[:-1] for text in ("Hi", "A rather longer prompt", "x")]


def sampled(model: LanguageModel = MODEL, *, num_each: int = 6, seed: int = 0, **settings: object) -> TextBatch:
    config = SamplingConfig(**({"max_new_tokens": 80} | settings))  # type: ignore[arg-type]
    return sample(model, PROMPTS, num_each=num_each, config=config, generator=torch.Generator().manual_seed(seed))


def tokens(batch: TextBatch) -> list[list[int]]:
    return [ids.tolist() for ids in batch.completions]


def test_completions_end_with_their_end_or_are_said_to_be_cut():
    batch = sampled(num_each=20, max_new_tokens=150)
    for ids, truncated in zip(tokens(batch), batch.truncated_N.tolist(), strict=True):
        assert MODEL.eos_id not in ids[:-1]
        assert truncated == (ids[-1] != MODEL.eos_id)
        assert not truncated or len(ids) == 150
    # Both kinds were seen.
    assert 0 < int(batch.truncated_N.sum()) < len(batch)


def test_the_batch_holds_together():
    batch = sampled(num_each=2)
    assert batch.prompt_of_N.tolist() == [0, 0, 1, 1, 2, 2]
    assert all(torch.equal(mine, given) for mine, given in zip(batch.prompts, PROMPTS, strict=True))
    assert len(batch.sampled_logprob_T) == int(batch.length_N.sum()) and len(batch.truncated_N) == 6


def test_the_same_seed_gives_the_same_batch_and_another_does_not():
    assert tokens(sampled()) == tokens(sampled())
    assert tokens(sampled()) != tokens(sampled(seed=1))


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_which_rows_are_still_there_changes_nothing(share: float, monkeypatch: pytest.MonkeyPatch):
    expected = sampled()
    monkeypatch.setattr(sampler, "_WORTH_KEEPING", share)
    got = sampled()
    assert tokens(got) == tokens(expected)
    assert_close(got.sampled_logprob_T, expected.sampled_logprob_T)


def test_trap_a_completion_is_the_tokens_that_were_sampled():
    """And no others that say the same: the log-probabilities that were kept are those of these tokens."""
    batch = sampled()
    assert_close(own_logprobs(MODEL, batch), batch.sampled_logprob_T, atol=1e-4, rtol=0)
    again = [MODEL.completion_ids(MODEL.text(ids)).tolist() for ids in batch.completions]
    assert sum(ids != read for ids, read in zip(tokens(batch), again, strict=True)) > 10


def test_what_is_sampled_has_the_models_distribution():
    """Against exact probabilities of first tokens, by a chi-squared test."""
    size = 4000
    batch = sample(
        MODEL,
        PROMPTS[:1],
        num_each=size,
        config=SamplingConfig(max_new_tokens=1, temperature=0.2),
        generator=torch.Generator().manual_seed(0),
    )
    logits = MODEL.module(input_ids=PROMPTS[0][None]).logits[0, -1].detach()
    p = torch.softmax(logits / 0.2, -1)
    counts = torch.bincount(batch.token_T, minlength=len(p))
    statistic = float(((counts - size * p) ** 2 / (size * p)).sum())
    # Mean and spread of chi-squared with 260 degrees of freedom.
    assert abs(statistic - 260) < 4 * math.sqrt(520)


@pytest.mark.parametrize("fast", [True, False])
def test_the_context_cuts_each_completion_behind_its_own_prompt(fast: bool):
    model = tiny_llama(max_length=30)
    model.__dict__["support"] = Support(rows=fast, cache=fast)
    batch = sampled(model, num_each=20)
    for of, ids in enumerate(PROMPTS):
        lengths = batch.length_N[batch.prompt_of_N == of]
        assert int(lengths.max()) == 30 - len(ids)
    is_cut = batch.length_N == 30 - torch.tensor([len(ids) for ids in PROMPTS])[batch.prompt_of_N]
    assert bool((batch.truncated_N <= is_cut).all())


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_long_prompt_cuts_no_other_short(share: float, monkeypatch: pytest.MonkeyPatch):
    """Also where places have weights of their own, of which there are no more than the context holds."""
    monkeypatch.setattr(sampler, "_WORTH_KEEPING", share)
    config_of_model = FAST["gpt2"]()
    # No multiple of what caches grow by, at which rows that are over are dropped anyway.
    config_of_model.n_positions = 100
    model = model_of(config_of_model)
    long = torch.tensor([5] * (model.max_length - 4))
    config = SamplingConfig(max_new_tokens=100)
    batch = sample(model, [PROMPTS[0], long], num_each=8, config=config, generator=torch.Generator().manual_seed(0))
    assert int(batch.length_N[:8].max()) > 30 and int(batch.length_N[8:].max()) == 4
    assert_close(own_logprobs(model, batch), batch.sampled_logprob_T, atol=1e-4, rtol=0)


@pytest.mark.parametrize("fast", [True, False])
def test_tokens_that_stop(fast: bool):
    model = tiny_llama()
    model.__dict__["support"] = Support(rows=fast, cache=fast)
    stop_ids = tuple(range(5, 60))
    batch = sampled(model, stop_ids=stop_ids)
    for ids, truncated in zip(tokens(batch), batch.truncated_N.tolist(), strict=True):
        ends = [at for at, token in enumerate(ids) if token in (*stop_ids, model.eos_id)]
        assert ends == [] if truncated else ends == [len(ids) - 1]
    assert not bool(batch.truncated_N.all())


def test_strings_that_stop_keep_their_tokens():
    stop = ("a", "bc", "!")
    free, stopped = sampled(num_each=30), sampled(num_each=30, stop=stop)
    num_stopped = 0
    for long, ids in zip(tokens(free), tokens(stopped), strict=True):
        # As it would have been, up to the token that made the string whole.
        assert ids == long[: len(ids)]
        text = MODEL.text(torch.tensor(ids))
        has_stopped = any(string in text for string in stop)
        num_stopped += has_stopped
        assert not any(string in MODEL.text(torch.tensor(ids[:-1])) for string in stop)
        assert has_stopped or ids == long
    assert num_stopped > 5
    lengths = zip(tokens(stopped), stopped.truncated_N.tolist(), strict=True)
    assert all(len(ids) == 80 for ids, truncated in lengths if truncated)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be >= 1"),
        ({"temperature": 0.0}, "temperature must be > 0"),
        ({"temperature": float("nan")}, "temperature must be > 0"),
        ({"stop": ("a", "")}, "stop must hold no empty string"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        SamplingConfig(**settings)  # type: ignore[arg-type]


def test_a_prompt_without_room_and_no_prompts_are_refused():
    with pytest.raises(ConfigError, match="prompts, row 1: 22 tokens leave no room in the model's context of 22"):
        sampled(tiny_llama(max_length=22))
    with pytest.raises(ConfigError, match="at least one"):
        sample(MODEL, [], num_each=1, config=SamplingConfig(), generator=torch.Generator())
