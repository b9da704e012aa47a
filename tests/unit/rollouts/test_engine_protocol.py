"""What every engine promises, asked of heeler's own and of the one on vLLM, for which a stand-in computes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from heeler.core.errors import DataError, RunError
from heeler.models.language.model import LanguageModel
from heeler.rollouts.engine import Engine
from heeler.rollouts.generation import TextEngine
from heeler.rollouts.vllm_engine import VllmEngine
from tests import vllm_stand_in
from tests.unit.rollouts.adapted import adapted, saved_base
from tests.unit.rollouts.test_engine import ask, prompt

torch.set_num_threads(1)
Make = Callable[..., TextEngine]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_base(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def models(base: Path) -> tuple[LanguageModel, LanguageModel]:
    return adapted(base, 1), adapted(base, 2)


@pytest.fixture(params=["heeler", "vllm"])
def make(request: pytest.FixtureRequest, base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    vllm_stand_in.install(monkeypatch)
    made: list[TextEngine] = []

    def make(model: LanguageModel, **options: Any) -> TextEngine:
        is_vllm = request.param == "vllm"
        made.append(VllmEngine(base, model, 1, **options) if is_vllm else Engine(model, 1, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@torch.no_grad()
def likeliest(model: LanguageModel, ids: list[int], num: int) -> list[int]:
    """The likeliest tokens, each read anew."""
    ids, size = list(ids), len(ids)
    while len(ids) < size + num:
        ids.append(int(model.module(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in model.end_ids:
            break
    return ids[size:]


def test_the_likeliest_is_the_models_own(make: Make, models: tuple[LanguageModel, LanguageModel]) -> None:
    engine, ids = make(models[0]), prompt(2)
    taken = ask(engine, ids, temperature=0.0, max_new_tokens=10).wait()
    assert taken.tokens == likeliest(models[0], ids, 10)
    assert taken.versions == {1} == {engine.version}
    assert [piece.finish_reason for piece in taken.pieces[:-1]] == [None] * (len(taken.pieces) - 1)
    logprobs = [p for piece in taken.pieces for p in piece.logprobs]
    log_all = torch.log_softmax(models[0].module(input_ids=torch.tensor([ids])).logits[0, -1], -1)
    assert len(logprobs) == len(taken.tokens) and logprobs[0] == pytest.approx(float(log_all.max()), abs=1e-4)
    assert all(piece.top_logprobs == () for piece in taken.pieces), "nobody asked for them"


def test_so_many_of_the_likeliest_are_told(make: Make, models: tuple[LanguageModel, LanguageModel]) -> None:
    taken = ask(make(models[0]), prompt(3), seed=4, max_new_tokens=12, top_logprobs=2).wait()
    rows = [row for piece in taken.pieces for row in piece.top_logprobs]
    assert len(rows) == len(taken.tokens)
    assert all(len(row) == 2 and row[0][1] >= row[1][1] for row in rows)
    assert any(token not in dict(row) for token, row in zip(taken.tokens, rows, strict=True)), "also where it is not"


def test_the_same_seed_gives_the_same(make: Make, models: tuple[LanguageModel, LanguageModel]) -> None:
    engine = make(models[0])
    first, again, other = (ask(engine, prompt(1), seed=seed).wait().tokens for seed in (-1, -1, 3))
    assert first == again != other


def test_strings_that_stop_are_not_shown(make: Make, models: tuple[LanguageModel, LanguageModel]) -> None:
    engine = make(models[0])
    for seed in range(20):
        free = ask(engine, prompt(1), seed=seed, max_new_tokens=30).wait()
        at = next((at for at in range(3, len(free.text) - 1) if free.text[at : at + 2].isascii()), None)
        if at is None:
            continue
        stop = free.text[at : at + 2]
        stopped = ask(engine, prompt(1), seed=seed, max_new_tokens=30, stop=(stop,)).wait()
        assert stopped.reason == "stop" and stopped.text == free.text[: free.text.index(stop)]
        assert stopped.tokens == free.tokens[: len(stopped.tokens)]
        return
    raise AssertionError("no text had two letters to stop at")


def test_a_token_that_ends_the_text_stops_it(make: Make, models: tuple[LanguageModel, LanguageModel]) -> None:
    engine = make(models[0], max_length=128)
    ended = next(
        taken
        for number in range(60)
        if (taken := ask(engine, prompt(number), seed=number, max_new_tokens=60).wait()).reason == "stop"
    )
    assert ended.tokens[-1] in models[0].end_ids and not set(ended.tokens[:-1]) & set(models[0].end_ids)
    assert models[0].text_of(ended.tokens).startswith(ended.text)


def test_length_is_limited_by_the_context_and_by_less(make: Make, models: tuple[LanguageModel, LanguageModel]) -> None:
    for options, most in (({}, 128), ({"max_length": 40}, 40), ({"max_length": 4000}, 128)):
        engine = make(models[0], **options)
        assert engine.max_length == most
        taken = ask(engine, [5] * (most - 3), seed=2, max_new_tokens=100).wait()
        assert taken.reason == "stop" or (taken.reason == "length" and len(taken.tokens) == 3)
        with pytest.raises(DataError, match=f"the context holds {most}"):
            ask(engine, [5] * most)


@pytest.mark.parametrize(("ids", "words"), [([], "empty"), ([5, 999], "token 999"), ([-1], "token -1")])
def test_bad_prompts_are_refused_at_once(
    make: Make, models: tuple[LanguageModel, LanguageModel], ids: list[int], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        ask(make(models[0]), ids)


def test_another_model_beside_it_makes_what_is_asked_of_it(
    make: Make, models: tuple[LanguageModel, LanguageModel]
) -> None:
    engine, ids = make(models[0]), prompt(4)
    likely = {"temperature": 0.0, "max_new_tokens": 8}
    assert ask(engine, ids, version=2, **likely).wait().versions == {1}, "there is none"
    engine.put_beside(models[1], 2)
    assert engine.version == 1
    both = [ask(engine, ids, version=version, **likely) for version in (None, 2, 1, 2)]
    assert [taken.wait().versions for taken in both] == [{1}, {2}, {1}, {2}]
    assert both[0].tokens == both[2].tokens == likeliest(models[0], ids, 8)
    assert both[1].tokens == both[3].tokens == likeliest(models[1], ids, 8)
    going = ask(engine, ids, temperature=0.0, max_new_tokens=40, version=2)
    assert going.has_begun.wait(60)
    engine.take_aside()
    assert ask(engine, ids, version=2, **likely).wait().versions == {1}
    assert going.wait().versions == {2}, "what was begun ends on it"
    engine.put_beside(models[1], 2)
    engine.swap(models[1], 2)
    engine.take_aside()
    assert ask(engine, ids, **likely).wait().versions == {2}


def test_a_swap_and_a_swap_back(make: Make, models: tuple[LanguageModel, LanguageModel]) -> None:
    engine, ids = make(models[0]), prompt(4)
    before = ask(engine, ids, temperature=0.0, max_new_tokens=40)
    assert before.has_begun.wait(60)
    engine.swap(models[1], 2)
    assert engine.version == 2
    after = ask(engine, ids, temperature=0.0, max_new_tokens=8).wait()
    engine.swap(models[0], 1)
    back = ask(engine, ids, temperature=0.0, max_new_tokens=8).wait()
    assert before.wait().versions == {1} and after.versions == {2} and back.versions == {1}
    assert after.tokens == likeliest(models[1], ids, 8) != back.tokens
    assert back.tokens == before.tokens[:8] == likeliest(models[0], ids, 8)


def test_what_is_cancelled_ends(make: Make, models: tuple[LanguageModel, LanguageModel]) -> None:
    engine = make(models[0])
    cancelled = ask(engine, prompt(1), seed=3, max_new_tokens=120)
    cancelled.ticket.cancel()
    cancelled.ticket.cancel()
    assert cancelled.wait().reason in {"cancelled", "stop", "length"}
    assert ask(engine, prompt(2)).wait().reason in {"stop", "length"}


def test_closing_ends_everything(make: Make, models: tuple[LanguageModel, LanguageModel]) -> None:
    engine = make(models[0], max_streams=1)
    taken = [ask(engine, prompt(number), seed=number, max_new_tokens=100) for number in range(4)]
    engine.close()
    engine.close()
    assert all(one.is_over.is_set() for one in taken) and taken[-1].reason == "cancelled"
    with pytest.raises(RunError, match="closed"):
        ask(engine, prompt(1))
    with pytest.raises(RunError, match="closed"):
        engine.swap(models[1], 2)
