"""A language model that answers a chat: pieces across threads, versions that come and are taken back."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heeler.core.chat import ChatPiece, ChatRequest
from heeler.core.errors import ChatStopped, CheckpointError, ContextTooLong, DataError, RunError
from heeler.core.nouns import Message
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.loop.chat_engine import LanguageChat, ServedVersion
from heeler.loop.chat_releases import MODEL_PREFIX, ReleaseWatch, released_version
from heeler.models.language.model import LanguageModel
from heeler.rollouts.engine import Engine
from heeler.rollouts.generation import GenerationParams, OnPiece, Piece
from tests.tiny_models import tiny_llama

HELLO = (Message(role="user", content="Hello"),)


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.set_num_threads(1)
    return tiny_llama(0, max_length=96).frozen_copy()


def chat_with(model: LanguageModel, **options: Any) -> LanguageChat:
    engine = Engine(model, 0, max_streams=4, **options)
    return LanguageChat("tiny", ServedVersion(model=model, version=0), engine, max_length=engine.max_length)


@pytest.fixture
def chat(model: LanguageModel) -> Iterator[LanguageChat]:
    chat = chat_with(model)
    yield chat
    chat.close()


async def pieces(chat: LanguageChat, **fields: Any) -> list[ChatPiece]:
    stream = await chat.start(ChatRequest(messages=fields.pop("messages", HELLO), **fields))
    return [piece async for piece in stream]


def said(chat: LanguageChat, **fields: Any) -> tuple[str, list[ChatPiece]]:
    found = asyncio.run(pieces(chat, **fields))
    return "".join(piece.text for piece in found), found


def test_the_same_seed_says_the_same(chat: LanguageChat) -> None:
    first, found = said(chat, max_tokens=12, seed=5)
    assert said(chat, max_tokens=12, seed=5)[0] == first
    assert sum(piece.num_tokens for piece in found) <= 12
    assert [piece.finish_reason for piece in found[:-1]] == [None] * (len(found) - 1)
    assert found[-1].finish_reason in ("length", "stop")
    assert all(piece.version == 0 and piece.tokens == () for piece in found)


def test_tokens_are_told_where_they_are_wanted(chat: LanguageChat) -> None:
    _, found = said(chat, max_tokens=8, temperature=0, logprobs=True)
    tokens = [token for piece in found for token in piece.tokens]
    assert len(tokens) == sum(piece.num_tokens for piece in found)
    assert all(token.logprob <= 0 for token in tokens)


def test_what_does_not_fit_is_refused(chat: LanguageChat) -> None:
    with pytest.raises(ContextTooLong, match="96"):
        said(chat, messages=(Message(role="user", content="x" * 200),))
    with pytest.raises(ContextTooLong, match="do not fit"):
        said(chat, max_tokens=95)
    with pytest.raises(DataError):
        said(chat, temperature=-1)


def test_a_closed_model_ends_what_is_on_its_way(model: LanguageModel) -> None:
    chat = chat_with(model)

    async def cut() -> None:
        stream = await chat.start(ChatRequest(messages=HELLO, seed=1))
        chat.close()
        with pytest.raises(RunError, match="cut short"):
            async for piece in stream:
                # What came before is as it was.
                assert piece.finish_reason is None

    asyncio.run(cut())


class Failing:
    """An engine that fails."""

    version = 0

    def submit(
        self, prompt_ids: Any, params: GenerationParams, on_piece: OnPiece, *, version: int | None = None
    ) -> Any:
        on_piece(Piece(finish_reason="error", error="CUDA out of memory", version=0))

    def close(self) -> None:
        pass


def test_an_engine_that_fails_says_nothing_of_its_inside(model: LanguageModel) -> None:
    chat = LanguageChat("tiny", ServedVersion(model=model, version=0), Failing(), max_length=96)  # type: ignore[arg-type]
    with pytest.raises(RunError) as raised:
        said(chat)
    assert "CUDA" not in str(raised.value)


# Versions


def other(model: LanguageModel, shift: float) -> dict[str, np.ndarray]:
    """Weights as a checkpoint holds them."""
    named = model.module.named_parameters()
    return {MODEL_PREFIX + name: (parameter.detach() + shift).numpy() for name, parameter in named}


class Run:
    """A run of a language model with releases."""

    def __init__(self, path: Path, model: LanguageModel) -> None:
        self.directory = RunDirectory.create(path, {"recipe": "none"})
        self.releases, self.model = Releases(self.directory), model
        self.first = ServedVersion(model=model, version=0)
        self.chat = chat_with(model)
        self.num_loaded = 0
        self.watch = ReleaseWatch(self.releases, self.chat, self.first, self.load)

    def load(self, release: Any) -> ServedVersion:
        self.num_loaded += 1
        return released_version(self.releases.checkpoint_folder(release), release, self.model)

    def propose(self, version: int) -> str:
        state = {"lineage": {"policy_version": version, "answers": 1}}
        self.directory.save_checkpoint(version * 100, other(self.model, version * 0.01), state, keep=9)
        release_id = str(uuid.uuid4())
        self.releases.propose(release_id, version * 100, "ann", audit_head="0" * 64)
        return release_id

    def release(self, version: int) -> str:
        release_id = self.propose(version)
        self.releases.approve(release_id, "bea")
        return release_id


@pytest.fixture
def run(tmp_path: Path, model: LanguageModel) -> Iterator[Run]:
    run = Run(tmp_path / "run", model)
    yield run
    run.chat.close()


def until(holds: Callable[[], bool], within_s: float = 10.0) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within_s, "it never came"
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_release_comes_into_use_and_is_taken_back(run: Run) -> None:
    run.watch.begin()
    assert run.chat.model().label == "tiny@0"
    run.propose(1)
    assert run.chat.model().version == 0, "a proposal changes nothing"
    second = run.release(2)
    until(lambda: run.chat.model().version == 2)
    model = run.chat.model()
    assert (model.step, len(model.checkpoint_sha256 or "")) == (200, 64)
    third = run.release(3)
    until(lambda: run.chat.model().version == 3)
    # Taken back: the next question already is answered by the one before it.
    run.releases.withdraw(third, "ann")
    assert run.chat.model().version == 2
    assert said(run.chat, max_tokens=3)[1][-1].version == 2
    run.releases.withdraw(second, "ann")
    assert run.chat.model().version == 0


def test_the_weights_are_those_of_the_release(run: Run) -> None:
    before = said(run.chat, max_tokens=8, seed=1)[0]
    run.release(50)
    run.watch.begin()
    assert run.chat.model().version == 50
    assert said(run.chat, max_tokens=8, seed=1)[0] != before
    assert said(chat_with(run.model), max_tokens=8, seed=1)[0] == before, "the first model is what it was"


def test_a_service_that_starts_later_has_the_one_before_ready(run: Run) -> None:
    run.release(1)
    second = run.release(2)
    run.watch.begin()
    assert run.chat.model().version == 2
    until(lambda: run.num_loaded == 2)
    until(lambda: len(run.watch._ready) == 3)
    run.releases.withdraw(second, "ann")
    assert run.chat.model().version == 1


def test_nobody_is_answered_by_what_was_taken_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.release(1)
    second = run.release(2)
    run.watch._load = lambda release: run.load(release) if release.policy_version == 2 else pytest.fail("not yet")  # type: ignore[assignment]
    monkeypatch.setattr(run.watch, "_work", lambda: None)
    run.watch.begin()
    assert run.chat.model().version == 2
    # The one before it is not loaded yet.
    run.releases.withdraw(second, "ann")
    with pytest.raises(ChatStopped, match="taken back"):
        run.chat.model()
    with pytest.raises(ChatStopped):
        said(run.chat)


def test_a_swap_drops_no_stream(run: Run) -> None:
    run.watch.begin()
    versions: list[int] = []

    async def talk() -> None:
        streams = [await run.chat.start(ChatRequest(messages=HELLO, seed=seed)) for seed in range(8)]
        first = [aiter(stream) for stream in streams]
        versions.append((await anext(first[0])).version)
        await asyncio.to_thread(run.release, 7)
        await asyncio.to_thread(until, lambda: run.chat.model().version == 7)
        late = await run.chat.start(ChatRequest(messages=HELLO, max_tokens=3))
        for stream in (*first, aiter(late)):
            last = None
            async for piece in stream:
                last = piece
            assert last is None or last.finish_reason in ("stop", "length")
            versions.append(-1 if last is None else last.version)

    asyncio.run(talk())
    assert versions[0] == 0
    assert versions[-1] == 7


def test_damaged_releases_are_refused_by_name(run: Run) -> None:
    run.release(1)
    (found,) = run.releases.all()
    folder = run.releases.checkpoint_folder(found)
    path = folder / "tensors.safetensors"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(CheckpointError, match=r"tensors.safetensors cannot be read"):
        run.load(found)
    path.write_bytes(content[:-1] + b"\0")
    with pytest.raises(CheckpointError, match="does not match its manifest"):
        run.load(found)
    with pytest.raises(CheckpointError, match="not the one that was released"):
        released_version(folder, type(found)(**{**vars(found), "checkpoint_sha256": "0" * 64}), run.model)
    path.write_bytes(content)
    small = tiny_llama(0, hidden_size=16)
    with pytest.raises(CheckpointError, match="has the shape"):
        released_version(folder, found, small)


def test_a_release_that_cannot_be_loaded_leaves_the_one_in_use(run: Run, caplog: Any) -> None:
    run.watch.begin()
    release_id = run.propose(1)
    (run.releases.path / release_id / "tensors.safetensors").unlink()
    # Its damage came after its approval.
    manifest = run.releases.path / f"{release_id}.json"
    fields = (
        manifest.read_text()
        .replace('"approval": null', '"approval": 1')
        .replace('"approved_by": null', '"approved_by": "bea"')
    )
    manifest.write_text(fields)
    (run.releases.path / "current").write_text(f"{release_id}\n")
    until(lambda: "cannot be served" in caplog.text)
    assert run.chat.model().version == 0
