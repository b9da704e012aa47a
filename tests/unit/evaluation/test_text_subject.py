"""A language model as the suites ask it: same seeds, same answers; surprise is the mean of its log-probabilities."""

import pytest
import torch

from heeler.core.errors import DataError
from heeler.core.nouns import Message, plain_prompt
from heeler.core.texts import TextSample
from heeler.evaluation.text_subject import LanguageSubject
from heeler.rollouts.sampler import SamplingConfig
from tests.tiny_models import tiny_llama

torch.set_num_threads(1)
SUBJECT = LanguageSubject(model=tiny_llama(), sampling=SamplingConfig(max_new_tokens=6))
PROMPTS = [(Message(role="user", content=text),) for text in ("hi", "what is it?")]


def test_the_same_prompts_and_seed_give_the_same_answers() -> None:
    first = SUBJECT.answer(PROMPTS, seed=3)
    assert SUBJECT.answer(PROMPTS, seed=3) == first
    assert SUBJECT.answer(PROMPTS, seed=4) != first
    assert len(first) == 2
    assert all(answer.num_tokens <= 6 and (answer.num_tokens == 6 or not answer.truncated) for answer in first)


def test_surprise_is_that_of_the_model_s_own_forward() -> None:
    texts = [(PROMPTS[0], "well"), (PROMPTS[1], "no idea at all"), (plain_prompt("The sky"), " is")]
    found = SUBJECT.surprise([TextSample(prompt=prompt, completion=text) for prompt, text in texts])
    for (prompt, text), value in zip(texts, found, strict=True):
        start, rest = SUBJECT.model.prompt_ids(prompt), SUBJECT.model.completion_ids(text)
        ids = torch.cat([start, rest])[None]
        with torch.no_grad():
            log_all = torch.log_softmax(SUBJECT.model.module(input_ids=ids).logits[0].float(), -1)
        each = [-log_all[len(start) - 1 + i, token] for i, token in enumerate(rest)]
        assert value == pytest.approx(float(sum(each)) / len(each), rel=1e-5)


def test_a_prompt_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="context holds"):
        SUBJECT.answer([(Message(role="user", content="x" * 300),)], seed=0)
