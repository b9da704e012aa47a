"""A small stand-in with vLLM's names: it reads the folders that it is given, and goes on token by token."""

import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel
from heeler.rollouts.text_stream import TextStream

_KNOWN = {
    "model",
    "trust_remote_code",
    "dtype",
    "max_model_len",
    "max_num_seqs",
    "logprobs_mode",
    "enable_lora",
    "max_lora_rank",
    "max_loras",
    "gpu_memory_utilization",
}


class EngineArgs(SimpleNamespace):
    """What an engine is made with."""

    def __init__(self, **options: Any) -> None:
        unknown = set(options) - _KNOWN
        if unknown:
            raise TypeError(f"EngineArgs got an unexpected argument {min(unknown)!r}")
        super().__init__(**options)


class Engine:
    """Reads a prompt anew for each token."""

    made: list["Engine"] = []  # noqa: RUF012

    def __init__(self, arguments: EngineArgs) -> None:
        if arguments.model == "unreadable":
            raise ValueError("no such model")
        self.arguments = arguments
        self.base = load_language_model(arguments.model, device="cpu", dtype="float32", trainable=False)
        self.requests: dict[str, SimpleNamespace] = {}
        self.asked: list[Any] = []
        """Parameters of all requests."""
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False
        Engine.made.append(self)

    @classmethod
    def from_engine_args(cls, arguments: EngineArgs) -> "Engine":
        return cls(arguments)

    def add_request(self, request_id: str, prompt: dict[str, list[int]], params: Any, lora_request: Any = None) -> None:
        if len(prompt["prompt_token_ids"]) + params.max_tokens > self.arguments.max_model_len:
            raise ValueError("too long")
        self.asked.append(params)
        generator = torch.Generator().manual_seed(params.seed)
        self.requests[request_id] = SimpleNamespace(
            ids=prompt["prompt_token_ids"],
            left=params.max_tokens,
            params=params,
            lora=lora_request,
            generator=generator,
            stream=TextStream(self.base, params.stop),
        )

    def abort_request(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            del self.requests[request_id]

    def step(self) -> list[SimpleNamespace]:
        assert self.gate.wait(30)
        if self.fails:
            raise RuntimeError("out of memory")
        return [self._one(request_id) for request_id in list(self.requests)[: self.arguments.max_num_seqs]]

    def _model(self, lora: Any) -> LanguageModel:
        """Reads the adapter where it is needed, as vLLM does, so that its folder must be there."""
        if lora is None:
            return self.base
        model = load_language_model(self.arguments.model, adapter=Path(lora.lora_path), device="cpu", trainable=False)
        assert model.adapter_rank <= self.arguments.max_lora_rank
        return model

    @torch.no_grad()
    def _one(self, request_id: str) -> SimpleNamespace:
        request = self.requests[request_id]
        if not hasattr(request, "model"):
            request.model = self._model(request.lora)
        params = request.params
        logits = request.model.module(input_ids=torch.tensor([request.ids])).logits[0, -1]
        log_all = torch.log_softmax(logits / (params.temperature or 1.0), -1)
        if params.temperature:
            token = int(torch.multinomial(log_all.exp(), 1, generator=request.generator))
        else:
            token = int(log_all.argmax())
        request.ids = [*request.ids, token]
        request.left -= 1
        text, reason = self._text(request, token)
        if reason is not None:
            del self.requests[request_id]
        output = SimpleNamespace(
            token_ids=[token], text=text, logprobs=[_row(log_all, token, params.logprobs)], finish_reason=reason
        )
        return SimpleNamespace(request_id=request_id, outputs=[output])

    def _text(self, request: SimpleNamespace, token: int) -> tuple[str, str | None]:
        stream = request.stream
        if token in request.params.stop_token_ids:
            return stream.finish(), "stop"
        text = stream.push(token)
        if stream.has_stopped:
            return text, "stop"
        return (text + stream.finish(), "length") if request.left == 0 else (text, None)


def _row(log_all: torch.Tensor, token: int, count: int) -> dict[int, SimpleNamespace]:
    """The likeliest tokens and the one that was sampled, in no order."""
    ranked = log_all.argsort(descending=True).tolist()
    wanted = sorted({token, *ranked[:count]})
    return {one: SimpleNamespace(logprob=float(log_all[one]), rank=ranked.index(one) + 1) for one in wanted}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `import vllm` give the stand-in."""
    root, params, lora = (ModuleType(name) for name in ("vllm", "vllm.sampling_params", "vllm.lora.request"))
    vars(root).update(EngineArgs=EngineArgs, LLMEngine=Engine, SamplingParams=SimpleNamespace)
    vars(params).update(RequestOutputKind=SimpleNamespace(DELTA="delta"))
    vars(lora).update(
        LoRARequest=lambda name, number, path: SimpleNamespace(lora_name=name, lora_int_id=number, lora_path=path)
    )
    for module in (root, params, lora, ModuleType("vllm.lora")):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    Engine.made.clear()
