"""What a run that is served tells its model first: what its configuration says, unless another text is given."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heeler.core.chat import ChatPiece, ChatRequest
from heeler.core.errors import ConfigError
from heeler.core.nouns import Message
from heeler.core.rundir import RunDirectory
from heeler.loop.config import to_dict
from heeler.loop.serving import ServeOptions, chat_of
from heeler.recipes import helpdesk
from tests import vllm_stand_in
from tests.tiny_models import tiny_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of runs, each with a model."""
    folder = tmp_path_factory.mktemp("runs")
    told = {"told": "Be brief.", "long": "x" * 200}
    configs: dict[str, Any] = {name: to_dict(replace(helpdesk(), system=system)) for name, system in told.items()}
    configs["untold"] = {"recipe": "of another kind"}
    for name, config in configs.items():
        directory = RunDirectory.create(folder / name, config)
        tiny_llama(0, max_length=128).save(directory.path / "model")
    return folder


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("told", None, "Be brief."),
        ("told", "Be polite.", "Be polite."),
        ("untold", None, ""),
        ("untold", "Be polite.", "Be polite."),
        ("long", "Be polite.", "Be polite."),
    ],
)
def test_what_a_run_tells_first(folder: Path, name: str, given: str | None, told: str) -> None:
    setup = chat_of(folder / name, ServeOptions(system=given)).setup
    setup.engine.close()
    assert setup.system == told


def test_a_model_is_served_by_vllm(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vllm_stand_in.install(monkeypatch)
    tiny_llama(0, max_length=128).save(tmp_path / "tiny")
    setup = chat_of(tmp_path / "tiny", ServeOptions(engine="vllm", max_length=100, keep_in=tmp_path / "kept")).setup

    async def said() -> list[ChatPiece]:
        asked = ChatRequest(messages=(Message(role="user", content="Hi"),), max_tokens=5, temperature=0, logprobs=True)
        return [piece async for piece in await setup.engine.start(asked)]

    try:
        pieces = asyncio.run(said())
        assert setup.engine.model().max_tokens == 100
    finally:
        setup.engine.close()
    arguments = vllm_stand_in.Engine.made[0].arguments
    assert (arguments.model, arguments.max_model_len) == (str(tmp_path / "tiny"), 100)
    assert 1 <= sum(piece.num_tokens for piece in pieces) <= 5
    assert pieces[-1].finish_reason in ("stop", "length")


def test_a_run_that_learns_all_weights_is_not_served_by_vllm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vllm_stand_in.install(monkeypatch)
    with pytest.raises(ConfigError, match=r"vLLM exchanges adapters while it answers, and .*told learns all weights"):
        chat_of(folder / "told", ServeOptions(engine="vllm"))


def test_what_leaves_no_room_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"system: the model cannot be told this first: .* context holds 128"):
        chat_of(folder / "long", ServeOptions())
    with pytest.raises(ConfigError, match="system: 14 tokens leave no room in the context of 14"):
        chat_of(folder / "told", ServeOptions(max_length=14))
    chat_of(folder / "told", ServeOptions(max_length=15)).setup.engine.close()
