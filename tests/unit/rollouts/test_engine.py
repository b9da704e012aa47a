"""Serving: whatever else is going on, a completion is what it would be alone, and every one of them ends."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from heeler.core.errors import ConfigError, DataError, RunError
from heeler.models.language.model import LanguageModel
from heeler.models.language.probe import Support
from heeler.rollouts import lanes
from heeler.rollouts.engine import Engine
from heeler.rollouts.generation import GenerationParams, Piece, TextEngine
from tests.tiny_models import tiny_llama

torch.set_num_threads(1)
PATIENCE_S = 60
TOKENS = tiny_llama()


@dataclass
class Taken:
    """The pieces of one completion."""

    pieces: list[Piece] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    has_begun: threading.Event = field(default_factory=threading.Event)
    ticket: Any = None

    def __call__(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.has_begun.set()
        if piece.finish_reason is not None:
            self.is_over.set()

    def wait(self) -> "Taken":
        assert self.is_over.wait(PATIENCE_S)
        return self

    @property
    def tokens(self) -> list[int]:
        return [token for piece in self.pieces for token in piece.token_ids]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def reason(self) -> str | None:
        return self.pieces[-1].finish_reason

    @property
    def versions(self) -> set[int]:
        return {piece.version for piece in self.pieces}


def plain(model: LanguageModel) -> LanguageModel:
    model.__dict__["support"] = Support(rows=False, cache=False)
    return model


@pytest.fixture(params=["fast", "plain"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return tiny_llama() if request.param == "fast" else plain(tiny_llama())


@pytest.fixture
def engine(model: LanguageModel) -> Iterator[Engine]:
    engine = Engine(model, 1, max_streams=8)
    yield engine
    engine.close()


def prompt(number: int) -> list[int]:
    return TOKENS.completion_ids(f"{number}? " * (1 + number % 7)).tolist()[:-1]


def ask(engine: TextEngine, ids: list[int], *, version: int | None = None, **params: Any) -> Taken:
    taken = Taken()
    settings = {"seed": 1, "max_new_tokens": 24} | params
    taken.ticket = engine.submit(ids, GenerationParams(**settings), taken, version=version)
    return taken


def test_fifty_at_once_are_what_each_is_alone(engine: Engine):
    """The same seed gives the same tokens, whatever else is in the batch."""
    together = [ask(engine, prompt(number), seed=number, max_new_tokens=5 + number) for number in range(50)]
    for taken in together:
        taken.wait()
    for number in range(0, 50, 7):
        alone = ask(engine, prompt(number), seed=number, max_new_tokens=5 + number).wait()
        assert alone.tokens == together[number].tokens and alone.text == together[number].text
    assert len({tuple(taken.tokens) for taken in together}) > 45
    assert all(taken.reason == "stop" or len(taken.tokens) == 5 + number for number, taken in enumerate(together))


def test_greedy_equals_the_models_own(engine: Engine, model: LanguageModel):
    ids = prompt(3)
    taken = ask(engine, ids, temperature=0.0, max_new_tokens=12).wait()
    text = torch.tensor(ids)
    for token, logprob in zip(taken.tokens, [p for piece in taken.pieces for p in piece.logprobs], strict=True):
        log_all = torch.log_softmax(model.module(input_ids=text[None]).logits[0, -1], -1).detach()
        assert token == int(log_all.argmax()) and logprob == pytest.approx(float(log_all[token]), abs=1e-4)
        text = torch.cat((text, torch.tensor([token])))


def test_logprobs_are_those_of_the_temperature_and_the_likeliest_are_told(engine: Engine, model: LanguageModel):
    ids = prompt(2)
    piece = ask(engine, ids, temperature=0.5, top_p=0.4, top_logprobs=3, max_new_tokens=1).wait().pieces[0]
    log_all = torch.log_softmax(model.module(input_ids=torch.tensor([ids])).logits[0, -1] / 0.5, -1).detach()
    best = log_all.topk(3)
    assert [token for token, _ in piece.top_logprobs[0]] == best.indices.tolist()
    assert_close(torch.tensor([p for _, p in piece.top_logprobs[0]]), best.values, atol=1e-4, rtol=0)
    assert piece.logprobs[0] == pytest.approx(float(log_all[piece.token_ids[0]]), abs=1e-4)


def test_a_long_prompt_is_gone_through_in_stretches_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lanes, "_PROMPT_TOKENS", 16)
    engine = Engine(tiny_llama(), 1, max_streams=8)
    try:
        going = [ask(engine, prompt(number), seed=number, max_new_tokens=100) for number in range(3)]
        for taken in going:
            assert taken.has_begun.wait(PATIENCE_S)
        long_prompt = prompt(6) * 9
        assert len(long_prompt) > 10 * 16
        long = ask(engine, long_prompt, max_new_tokens=10)
        more = [ask(engine, prompt(number), seed=number, max_new_tokens=30) for number in range(3, 7)]
        for taken in (*going, long, *more):
            taken.wait()
    finally:
        engine.close()
    whole = Engine(tiny_llama(), 1)
    try:
        assert ask(whole, long_prompt, max_new_tokens=10).wait().tokens == long.tokens
        for number, taken in enumerate((*going, *more)):
            length = 100 if number < 3 else 30
            alone = ask(whole, prompt(number), seed=number, max_new_tokens=length).wait()
            assert alone.tokens == taken.tokens
    finally:
        whole.close()


def test_a_swap_in_the_middle_drops_nothing(engine: Engine, model: LanguageModel):
    before = [ask(engine, prompt(number), seed=number, max_new_tokens=150) for number in range(8)]
    assert before[0].has_begun.wait(PATIENCE_S)
    new = tiny_llama(seed=9)
    engine.swap(new, 2)
    assert engine.version == 2
    after = [ask(engine, prompt(number), seed=number) for number in range(8)]
    for taken in (*before, *after):
        taken.wait()
    assert {taken.reason for taken in (*before, *after)} <= {"stop", "length"}
    assert before[0].versions == {1} and all(len(taken.versions) == 1 for taken in before)
    assert all(taken.versions == {2} for taken in after)
    expected = Engine(new, 2)
    assert ask(expected, prompt(5), seed=5).wait().tokens == after[5].tokens
    expected.close()
    old = Engine(model, 1)
    assert ask(old, prompt(0), seed=0, max_new_tokens=150).wait().tokens == before[0].tokens
    old.close()


def test_a_cancelled_completion_ends_and_the_others_do_not(engine: Engine):
    cancelled = ask(engine, prompt(1), max_new_tokens=10_000)
    kept = ask(engine, prompt(2), seed=2)
    assert cancelled.has_begun.wait(PATIENCE_S)
    cancelled.ticket.cancel()
    cancelled.ticket.cancel()
    cancelled.wait()
    assert cancelled.reason in {"cancelled", "length", "stop"}
    assert kept.wait().tokens == ask(engine, prompt(2), seed=2).wait().tokens


def test_what_waits_for_its_turn_can_be_cancelled(model: LanguageModel):
    engine = Engine(model, 1, max_streams=1)
    try:
        first = ask(engine, prompt(1), max_new_tokens=200)
        second = ask(engine, prompt(2))
        second.ticket.cancel()
        assert second.wait().reason == "cancelled" and second.tokens == []
        first.wait()
    finally:
        engine.close()


def test_more_than_there_is_room_for_wait_for_their_turn(model: LanguageModel):
    engine = Engine(model, 1, max_streams=2)
    try:
        most = 0
        taken = [ask(engine, prompt(number), seed=number) for number in range(9)]
        while not all(one.is_over.is_set() for one in taken):
            most = max(most, engine.num_going)
            time.sleep(0.001)
        assert 1 <= most <= 2 and all(one.reason in {"stop", "length"} for one in taken)
    finally:
        engine.close()


def test_stop_strings_are_not_shown(engine: Engine):
    free = ask(engine, prompt(1), max_new_tokens=60).wait()
    at = next(
        at
        for at in range(3, len(free.text) - 1)
        if free.text[at : at + 2].isascii() and free.text.find(free.text[at : at + 2]) == at
    )
    stop = free.text[at : at + 2]
    stopped = ask(engine, prompt(1), max_new_tokens=60, stop=(stop,)).wait()
    assert stopped.reason == "stop" and stopped.text == free.text[:at]
    assert stopped.tokens == free.tokens[: len(stopped.tokens)]


def test_text_is_what_the_tokens_say(engine: Engine, model: LanguageModel):
    taken = ask(engine, prompt(4), max_new_tokens=80).wait()
    said = model.text_of(taken.tokens)
    assert said.startswith(taken.text) and said[len(taken.text) :].strip("�") == ""


def test_the_context_cuts(engine: Engine):
    taken = ask(engine, [5] * 250, max_new_tokens=1000).wait()
    assert taken.reason == "length" and len(taken.tokens) == 256 - 250


@pytest.mark.parametrize(
    ("ids", "message"), [([], "empty"), ([5] * 256, "the context holds 256"), ([5, 999], "token 999")]
)
def test_bad_prompts_are_refused_at_once(engine: Engine, ids: list[int], message: str):
    with pytest.raises(DataError, match=message):
        ask(engine, ids)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_new_tokens", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("stop", ("",)),
        ("seed", 2**63),
        ("top_logprobs", 21),
    ],
)
def test_bad_params_are_named(name: str, value: Any):
    with pytest.raises(DataError, match=f"{name} must be"):
        GenerationParams(**{name: value})


def test_without_a_seed_each_is_another():
    assert GenerationParams().seed != GenerationParams().seed


def test_a_failure_ends_its_completions_and_not_the_engine(
    engine: Engine, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as context:
        context.setattr(model, "forward", broken)
        context.setattr(model, "own_logits", broken)
        failed = ask(engine, prompt(1)).wait()
    assert failed.reason == "error" and failed.pieces[-1].error == "RuntimeError: out of memory"
    assert ask(engine, prompt(1)).wait().reason in {"stop", "length"}


def test_whoever_fails_to_take_a_piece_is_dropped(engine: Engine):
    def failing(piece: Piece) -> None:
        raise ValueError("gone")

    engine.submit(prompt(1), GenerationParams(max_new_tokens=10_000, seed=0), failing)
    assert ask(engine, prompt(2)).wait().reason in {"stop", "length"}
    deadline = time.monotonic() + PATIENCE_S
    while engine.num_going and time.monotonic() < deadline:
        time.sleep(0.001)
    assert engine.num_going == 0


def test_closing_cancels_everything(model: LanguageModel):
    engine = Engine(model, 1, max_streams=1)
    taken = [ask(engine, prompt(number), max_new_tokens=200) for number in range(5)]
    engine.close()
    engine.close()
    assert all(one.is_over.is_set() for one in taken) and taken[-1].reason == "cancelled"
    with pytest.raises(RunError, match="closed"):
        ask(engine, prompt(1))
    with pytest.raises(RunError, match="closed"):
        engine.swap(model, 2)


def test_settings_are_checked(model: LanguageModel):
    with pytest.raises(ConfigError, match="max_streams must be >= 1"):
        Engine(model, 1, max_streams=0)


def test_asking_from_many_threads(engine: Engine):
    taken: list[Taken] = []

    def work(start: int) -> None:
        taken.extend([ask(engine, prompt(number), seed=number).wait() for number in range(start, start + 4)])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 24, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(taken) == 24 and {one.reason for one in taken} <= {"stop", "length"}
