"""Likelihood under a reference model, against that model's own forward pass one text at a time."""

import pytest
import torch

from heeler.core.errors import ConfigError, RewardError
from heeler.core.nouns import Message
from heeler.core.texts import TextSample
from heeler.rewards.text.coherence import Likelihood
from tests.tiny_models import tiny_llama
from tests.unit.rewards.text.samples import chat, plain

torch.set_num_threads(1)
MODEL = tiny_llama()


def naive(sample: TextSample) -> float:
    prompt = MODEL.prompt_ids(sample.prompt)
    completion = MODEL.completion_ids(sample.completion)
    if sample.truncated:
        completion = completion[:-1]
    ids = torch.cat([prompt, completion])
    with torch.no_grad():
        logits = MODEL.module(ids[None]).logits[0]
    logprobs = [torch.log_softmax(logits[i - 1].float(), -1)[ids[i]] for i in range(len(prompt), len(ids))]
    return float(sum(logprobs) / len(logprobs))


SAMPLES = [
    chat("When?", "At nine."),
    chat("When?", "At ten o'clock."),
    plain("no prompt"),
    chat("Else", ""),
    TextSample(prompt=(Message(role="user", content="When?"),), completion="cut of", truncated=True),
]


@pytest.mark.parametrize("max_tokens", [1, 40, 10_000])
def test_it_is_the_mean_log_probability_of_the_tokens_however_batched(max_tokens: int) -> None:
    scores = Likelihood(MODEL, max_tokens=max_tokens).score(SAMPLES)
    assert scores == pytest.approx([naive(sample) for sample in SAMPLES], abs=1e-5)


def test_the_token_that_ends_a_text_counts_unless_it_was_cut() -> None:
    whole = TextSample(prompt=(), completion="abc")
    cut = TextSample(prompt=(), completion="abc", truncated=True)
    assert Likelihood(MODEL).score([whole]) != Likelihood(MODEL).score([cut])
    assert Likelihood(MODEL).score([TextSample(prompt=(), completion="", truncated=True)]) == [None]
    assert Likelihood(MODEL).score([]) == []


def test_a_floor_holds() -> None:
    assert Likelihood(MODEL, floor=-0.5).score(SAMPLES[:1]) == [-0.5]
    with pytest.raises(ConfigError, match="floor"):
        Likelihood(MODEL, floor=0.0)


def test_what_does_not_fit_is_left_out_and_a_prompt_that_does_not_fit_names_its_row() -> None:
    (score,) = Likelihood(MODEL).score([plain("x" * 1000)])
    (fitting,) = Likelihood(MODEL).score([TextSample(prompt=(), completion="x" * 255, truncated=True)])
    assert score == pytest.approx(fitting)
    with pytest.raises(RewardError, match=r"'likelihood', row 1: prompt: \d+ tokens"):
        Likelihood(MODEL).score([SAMPLES[0], chat("x" * 300, "y")])
