"""The engine on vLLM, against a small stand-in with vLLM's names: it answers each prompt with its tokens in reverse."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from heeler.core.errors import ConfigError, DataError, RunError
from heeler.rollouts.vllm_engine import VllmEngine
from tests.unit.rollouts.test_engine import Taken, ask


class Backwards:
    """An engine that gives one token of each prompt at each step, the last first."""

    made: list["Backwards"] = []  # noqa: RUF012

    def __init__(self, arguments: SimpleNamespace) -> None:
        if arguments.model == "unreadable":
            raise ValueError("no such model")
        self.arguments = arguments
        self.requests: dict[str, SimpleNamespace] = {}
        self.aborted: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False
        Backwards.made.append(self)

    @classmethod
    def from_engine_args(cls, arguments: SimpleNamespace) -> "Backwards":
        return cls(arguments)

    def add_request(self, request_id: str, prompt: dict[str, list[int]], params: Any, lora_request: Any = None) -> None:
        if len(prompt["prompt_token_ids"]) > 50:
            raise ValueError("too long")
        self.requests[request_id] = SimpleNamespace(left=prompt["prompt_token_ids"], params=params, lora=lora_request)

    def abort_request(self, request_ids: list[str]) -> None:
        self.aborted += request_ids
        for request_id in request_ids:
            del self.requests[request_id]

    def step(self) -> list[SimpleNamespace]:
        assert self.gate.wait(30)
        if self.fails:
            raise RuntimeError("out of memory")
        return [self._one(request_id) for request_id in list(self.requests)]

    def _one(self, request_id: str) -> SimpleNamespace:
        request = self.requests[request_id]
        token = request.left.pop()
        request.params.max_tokens -= 1
        reason = "stop" if not request.left else "length" if not request.params.max_tokens else None
        if reason:
            del self.requests[request_id]
        entry = SimpleNamespace(logprob=-0.5, rank=1)
        text = f"{token}{request.lora.path if request.lora else ''} "
        output = SimpleNamespace(token_ids=[token], text=text, logprobs=[{token: entry}], finish_reason=reason)
        return SimpleNamespace(request_id=request_id, outputs=[output])


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    root, params, lora = (ModuleType(name) for name in ("vllm", "vllm.sampling_params", "vllm.lora.request"))
    vars(root).update(EngineArgs=SimpleNamespace, LLMEngine=Backwards, SamplingParams=SimpleNamespace)
    vars(params).update(RequestOutputKind=SimpleNamespace(DELTA="delta"))
    vars(lora).update(
        LoRARequest=lambda name, number, path: SimpleNamespace(name=name, number=number, path=Path(path).name)
    )
    for module in (root, params, lora, ModuleType("vllm.lora")):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    Backwards.made.clear()


@pytest.fixture
def engine(vllm: None) -> Iterator[VllmEngine]:
    engine = VllmEngine("model", 1, max_model_len=64, enable_lora=True)
    yield engine
    Backwards.made[0].gate.set()
    engine.close()


def test_without_vllm_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match="vLLM is not installed: pip install vllm"):
        VllmEngine("model", 1)


def test_pieces_and_parameters(engine: VllmEngine):
    taken = ask(engine, [4, 5, 6], stop=("x",), top_logprobs=1, seed=7).wait()
    assert taken.tokens == [6, 5, 4] and taken.text == "6 5 4 " and taken.reason == "stop"
    assert taken.pieces[0].logprobs == (-0.5,) and taken.pieces[0].top_logprobs == (((6, -0.5),),)
    assert taken.versions == {1}
    assert Backwards.made[0].arguments.max_model_len == 64 and Backwards.made[0].arguments.trust_remote_code is False
    params = engine._sampling(
        SimpleNamespace(max_new_tokens=3, temperature=0.5, top_p=0.9, top_k=2, stop=("x",), seed=7, top_logprobs=0)
    )  # type: ignore[arg-type]
    assert vars(params) == {
        "max_tokens": 3,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 2,
        "stop": ["x"],
        "seed": 7,
        "logprobs": 0,
        "output_kind": "delta",
    }


def test_it_is_cut_at_the_limit(engine: VllmEngine):
    assert ask(engine, [1, 2, 3, 4], max_new_tokens=2).wait().reason == "length"


def test_cancelling(engine: VllmEngine):
    inner = Backwards.made[0]
    inner.gate.clear()
    taken = ask(engine, [1] * 40)
    taken.ticket.cancel()
    inner.gate.set()
    assert taken.wait().reason == "cancelled" and len(inner.aborted) == 1


def test_another_model_takes_over_while_the_old_one_ends(engine: VllmEngine):
    inner = Backwards.made[0]
    inner.gate.clear()
    before = ask(engine, [1, 2])
    engine.swap("other", 2)
    after = ask(engine, [3, 4])
    assert engine.version == 2
    inner.gate.set()
    assert before.wait().versions == {1} and after.wait().versions == {2}
    assert [made.arguments.model for made in Backwards.made] == ["model", "other"]


def test_an_adapter_takes_over_on_the_model_that_is_there(engine: VllmEngine, tmp_path: Path):
    (tmp_path / "adapter_config.json").write_text("{}")
    engine.swap(tmp_path, 2)
    taken = ask(engine, [3]).wait()
    assert taken.text == f"3{tmp_path.name} " and taken.versions == {2} and len(Backwards.made) == 1


def test_an_adapter_without_the_option_is_refused(vllm: None, tmp_path: Path):
    engine = VllmEngine("model", 1)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="make the engine with enable_lora=True"):
        engine.swap(tmp_path, 2)
    engine.close()


def test_failures_end_their_completions_and_not_the_engine(engine: VllmEngine):
    assert ask(engine, [1] * 51).wait().pieces[-1].error == "ValueError: too long"
    inner = Backwards.made[0]
    inner.fails = True
    failed = ask(engine, [1, 2]).wait()
    assert failed.reason == "error" and failed.pieces[-1].error == "RuntimeError: out of memory"
    inner.fails = False
    inner.requests.clear()
    assert ask(engine, [1, 2]).wait().reason == "stop"


def test_what_is_refused(engine: VllmEngine):
    with pytest.raises(DataError, match="empty"):
        ask(engine, [])
    with pytest.raises(ConfigError, match="vLLM refuses unreadable: no such model"):
        VllmEngine("unreadable", 1)
    engine.close()
    with pytest.raises(RunError, match="closed"):
        ask(engine, [1])
    with pytest.raises(RunError, match="closed"):
        engine.swap("other", 2)


def test_closing_cancels(engine: VllmEngine):
    inner = Backwards.made[0]
    inner.gate.clear()
    taken: Taken = ask(engine, [1] * 40)
    threading.Timer(0.05, inner.gate.set).start()
    engine.close()
    assert taken.is_over.is_set()
