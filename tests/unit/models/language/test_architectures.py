"""Every architecture, by the fast ways and by the plain ones, says what it says by itself."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from heeler.models.language.model import LanguageModel
from heeler.models.language.probe import Support, probe
from heeler.models.language.sight import Sight
from heeler.rollouts.sampler import SamplingConfig, sample
from tests.unit.models.language.batches import own_logprobs, random_batch
from tests.unit.models.language.zoo import FAST, PLAIN, model_of

torch.set_num_threads(1)
EVERY = FAST | PLAIN


@pytest.fixture(params=EVERY)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return model_of(EVERY[request.param]())


def _sampled(model: LanguageModel, **settings: Any) -> Any:
    batch = random_batch((7, 15, 7), ((1,), (1,), (1,)))
    config = SamplingConfig(max_new_tokens=20, **settings)
    generator = torch.Generator().manual_seed(3)
    return sample(model, batch.prompts, num_each=3, config=config, generator=generator)


@pytest.mark.parametrize("name", FAST)
def test_fast_ways_are_found_right(name: str):
    assert model_of(FAST[name]()).support == Support(rows=True, cache=True)


@pytest.mark.parametrize("name", PLAIN)
def test_fast_ways_are_refused_with_a_reason(name: str):
    support = model_of(PLAIN[name]()).support
    assert not support.rows and not support.cache and support.reason


def test_logprobs_equal_those_one_by_one(model: LanguageModel):
    # Longer than any window, with completions that share a prompt's row and others that do not.
    batch = random_batch((30, 5, 12), ((3, 1, 14), (25,), (6, 6)), temperature=0.7)
    expected = own_logprobs(model, batch)
    for shared_prefix in (True, False):
        assert_close(model.outputs(batch, shared_prefix=shared_prefix).logprob_T, expected, atol=2e-4, rtol=0)


def test_shared_prefix_equals_padded(model: LanguageModel):
    batch = random_batch((30, 5), ((3, 1, 14), (25,)))
    shared, padded = model.outputs(batch), model.outputs(batch, shared_prefix=False)
    assert_close(shared.hidden_TD, padded.hidden_TD, atol=2e-4, rtol=1e-4)
    assert_close(shared.entropy_T, padded.entropy_T, atol=1e-4, rtol=1e-4)


def test_gradients_of_shared_prefix_and_padded_are_equal(model: LanguageModel):
    batch = random_batch((20, 5), ((3, 1, 7), (9,)))
    gradients = []
    for shared_prefix in (True, False):
        model.module.zero_grad()
        weights = torch.linspace(-1, 1, 20)
        (model.outputs(batch, shared_prefix=shared_prefix).logprob_T * weights).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.trainable() if parameter.grad is not None])
    largest = max(float(gradient.abs().max()) for gradient in gradients[1])
    for shared, padded in zip(*gradients, strict=True):
        assert_close(shared, padded, atol=1e-4 * largest, rtol=1e-3)


def test_trap_first_step_ratio_is_one(model: LanguageModel):
    """The log-probabilities kept from sampling are those of the update, at the same temperature."""
    batch = _sampled(model, temperature=0.6)
    with torch.no_grad():
        ratio_T = torch.exp(model.outputs(batch).logprob_T - batch.sampled_logprob_T)
    assert_close(ratio_T, torch.ones_like(ratio_T), atol=1e-3, rtol=0)
    assert_close(own_logprobs(model, batch), batch.sampled_logprob_T, atol=1e-3, rtol=0)
    # At another temperature it is not, so that the comparison would see a wrong one.
    with torch.no_grad():
        elsewhere_T = model.outputs(replace(batch, temperature=1.0)).logprob_T
    assert (elsewhere_T - batch.sampled_logprob_T).abs().max() > 0.01


def test_fast_and_plain_sampling_choose_the_same_tokens(model: LanguageModel):
    fast = _sampled(model)
    model.__dict__["support"] = Support(rows=False, cache=False)
    plain = _sampled(model)
    assert [ids.tolist() for ids in fast.completions] == [ids.tolist() for ids in plain.completions]


def test_trap_left_padding_invariance(model: LanguageModel):
    """What is sampled after a prompt, and how likely it was, does not depend on longer prompts beside it."""
    short, long = random_batch((6, 30), ((1,), (1,)), seed=5).prompts
    config = SamplingConfig(max_new_tokens=12)
    beside = sample(model, [short, long], num_each=1, config=config, generator=torch.Generator().manual_seed(0))
    expected = own_logprobs(model, beside)
    assert_close(beside.sampled_logprob_T, expected, atol=2e-4, rtol=0)
    alone = sample(model, [short], num_each=2, config=config, generator=torch.Generator().manual_seed(0))
    assert beside.completions[0].tolist() == alone.completions[0].tolist()


@pytest.mark.parametrize("name", [name for name in FAST if "window" in name or "softcap" in name])
def test_a_mask_without_the_window_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch):
    model = model_of(FAST[name]())

    def without_window(sight: Sight, is_seen: torch.Tensor, **others: Any) -> Any:
        full = torch.zeros(is_seen.shape).masked_fill_(~is_seen, -1e30)
        return {"full_attention": full, "sliding_attention": full} if sight._is_mixed else full

    monkeypatch.setattr(Sight, "masks", without_window)
    support = probe(model)
    assert not support.rows and not support.cache and "logits differ" in support.reason


def test_the_probe_leaves_the_window_as_it_was():
    model = model_of(FAST["mistral-window"]())
    _ = model.support
    assert model.sight.window == 8


def test_logits_that_are_made_otherwise_are_noticed(monkeypatch: pytest.MonkeyPatch):
    model = model_of(FAST["granite-scaled"]())
    monkeypatch.setitem(model.__dict__, "_after_head", lambda logits: logits)
    assert not probe(model).rows
