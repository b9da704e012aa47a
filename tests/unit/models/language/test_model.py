import pytest
import torch
from torch.testing import assert_close

from heeler.core.errors import DataError
from heeler.models.language import model as module
from heeler.models.language.adapters import Lora, with_new_adapter
from heeler.models.language.model import LanguageModel
from tests.tiny_models import tiny_llama
from tests.unit.models.language.batches import random_batch

torch.set_num_threads(1)
BATCH = random_batch((9, 4), ((3, 5), (6,)), temperature=0.8)


def gradients(model: LanguageModel) -> list[torch.Tensor]:
    model.module.zero_grad()
    (model.outputs(BATCH).logprob_T * torch.linspace(-1, 2, 14)).sum().backward()
    return [parameter.grad.clone() for parameter in model.trainable() if parameter.grad is not None]


def test_logits_in_parts_give_the_same_numbers_and_gradients(monkeypatch: pytest.MonkeyPatch):
    model = tiny_llama()
    whole, whole_gradients = model.outputs(BATCH), gradients(model)
    # Three tokens at a time.
    monkeypatch.setattr(module, "_LOGITS_AT_ONCE", 3 * model.vocabulary_size)
    parts = model.outputs(BATCH)
    assert_close(parts.logprob_T, whole.logprob_T)
    assert_close(parts.entropy_T, whole.entropy_T)
    assert_close(gradients(model), whole_gradients)


def test_a_text_that_does_not_fit_into_the_context_is_named():
    model = tiny_llama(max_length=12)
    message = "completion 1: 9 tokens of its prompt and 5 of its own, and the model's context holds 12"
    with pytest.raises(DataError, match=message):
        model.outputs(BATCH)


def test_logits_in_parts_are_never_there_at_once(monkeypatch: pytest.MonkeyPatch):
    model = tiny_llama()
    _ = model.support
    sizes: list[int] = []
    before = model.head

    def watched(hidden: torch.Tensor) -> torch.Tensor:
        sizes.append(len(hidden))
        return before(hidden)

    monkeypatch.setattr(model, "head", watched)
    monkeypatch.setattr(module, "_LOGITS_AT_ONCE", 4 * model.vocabulary_size)
    gradients(model)
    # Once forward, and once more for the gradient.
    assert max(sizes) == 4 and sum(sizes) == 2 * 14


def test_no_logits_are_made_for_prompts(monkeypatch: pytest.MonkeyPatch):
    model = tiny_llama()
    _ = model.support
    sizes: list[int] = []
    before = model.head
    monkeypatch.setattr(model, "head", lambda hidden: sizes.append(len(hidden)) or before(hidden))
    model.outputs(BATCH)
    assert sizes == [14]


def test_hidden_states_are_those_from_which_tokens_are_predicted():
    """What a value reads must not hold the token that it is compared with; a reward reads the last token too."""
    model = tiny_llama()
    outputs, last = model.outputs(BATCH), model.last_hidden(BATCH)
    text = torch.cat((BATCH.prompts[0], BATCH.completions[1]))
    own = model.module(input_ids=text[None], output_hidden_states=True).hidden_states[-1][0]
    assert_close(outputs.hidden_TD[3:8], own[8:-1], atol=1e-5, rtol=1e-5)
    assert_close(last[1], own[-1], atol=1e-5, rtol=1e-5)


def test_a_frozen_copy_stays_as_it_was():
    model = tiny_llama()
    copy = model.frozen_copy()
    before = copy.outputs(BATCH).logprob_T
    assert not copy.trainable() and not before.requires_grad
    with torch.no_grad():
        for parameter in model.trainable():
            parameter.mul_(2)
    assert_close(copy.outputs(BATCH).logprob_T, before, atol=0, rtol=0)


def test_dropout_is_off_so_that_ratios_are_right():
    model = tiny_llama()
    assert not model.module.training


def test_an_adapter_begins_as_nothing_learns_alone_and_can_be_left_out():
    plain = tiny_llama()
    expected = plain.outputs(BATCH).logprob_T.detach()
    model = LanguageModel(with_new_adapter(plain.module, Lora(rank=4)), plain.tokenizer)
    assert model.has_adapter and model.support.rows and model.support.cache
    assert_close(model.outputs(BATCH).logprob_T, expected)
    assert sum(parameter.numel() for parameter in model.trainable()) < 0.5 * sum(
        parameter.numel() for parameter in model.module.parameters()
    )
    optimizer = torch.optim.SGD(model.trainable(), 10.0)
    model.outputs(BATCH).logprob_T.sum().backward()
    optimizer.step()
    changed = model.outputs(BATCH).logprob_T.detach()
    assert (changed - expected).abs().max() > 1e-3
    with model.adapter_off(), torch.no_grad():
        assert_close(model.outputs(BATCH).logprob_T, expected)
    assert_close(model.outputs(BATCH).logprob_T.detach(), changed)


def test_bfloat16_computes_in_it_and_says_float32():
    model = tiny_llama()
    expected = model.outputs(BATCH).logprob_T
    half = LanguageModel(model.module.bfloat16(), model.tokenizer)
    assert half.dtype == torch.bfloat16 and half.support.rows and half.support.cache
    outputs = half.outputs(BATCH)
    assert outputs.logprob_T.dtype == torch.float32
    assert_close(outputs.logprob_T, expected, atol=0.05, rtol=0.02)
