"""Serving by vLLM (Kwon et al., 2023, arXiv:2309.06180), where it is installed: the same protocol as `Engine`."""

import importlib
import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.core.errors import ConfigError, DataError, RunError
from heeler.rollouts.generation import FinishReason, GenerationParams, OnPiece, Piece, Ticket

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Request:
    """A completion that vLLM makes."""

    number: str
    on_piece: OnPiece
    source: "_Source"
    cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """See `Ticket`."""
        self.cancelled.set()

    def tell(self, reason: FinishReason | None = None, **content: Any) -> None:
        """Hand over a piece; whoever fails to take it gets no more."""
        try:
            self.on_piece(Piece(version=self.source.version, finish_reason=reason, **content))
        except Exception:
            _log.exception("a completion is cancelled, as what takes its pieces failed")
            self.cancel()


@dataclass(eq=False)
class _Source:
    """A version: an engine of vLLM, and the adapter that is used on it where it is one."""

    engine: Any
    version: int
    adapter: Any = None


class VllmEngine:
    """Completions by vLLM, in a thread of its own.

    Weights come from folders: a model's, or those of LoRA adapters on one model, which are exchanged without loading the
    model again. A whole model that takes another's place is there beside it until the last completion of the old one has
    ended; `options` must leave memory for that.

    Args:
        model: a folder or a name on the hub.
        version: of it.
        options: passed on to vLLM's `EngineArgs`, such as `max_model_len`, `gpu_memory_utilization`, `enable_lora`.

    Raises:
        ConfigError: vLLM is not installed, or refuses the options.
    """

    def __init__(self, model: Path | str, version: int, **options: Any) -> None:
        self._vllm = _imported("vllm")
        # Of the distribution that was sampled from, and not of the one before the temperature.
        self._options = {"logprobs_mode": "processed_logprobs"} | options
        self._base = str(model)
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._arriving: list[tuple[_Request, Sequence[int], GenerationParams]] = []
        self._requests: dict[str, _Request] = {}
        self._is_closed = False
        self._newest = _Source(self._load(self._base), version)
        self._thread = threading.Thread(target=self._run, name="heeler-vllm", daemon=True)
        self._thread.start()

    def _load(self, model: str) -> Any:
        try:
            arguments = self._vllm.EngineArgs(model=model, trust_remote_code=False, **self._options)
            return self._vllm.LLMEngine.from_engine_args(arguments)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"vLLM refuses {model}: {error}") from error

    @property
    def version(self) -> int:
        """See `TextEngine`."""
        return self._newest.version

    def submit(self, prompt_ids: Sequence[int], params: GenerationParams, on_piece: OnPiece) -> Ticket:
        """See `TextEngine`."""
        if len(prompt_ids) == 0:
            raise DataError("prompt: empty; expected at least one token")
        with self._changed:
            if self._is_closed:
                raise RunError("the engine is closed; nothing can be asked of it any more")
            request = _Request(str(next(self._numbers)), on_piece, self._newest)
            self._arriving.append((request, prompt_ids, params))
            self._changed.notify()
        return request

    def swap(self, model: Path | str, version: int) -> None:
        """See `TextEngine`; the folder of an adapter is used on the model that is loaded.

        Raises:
            ConfigError: an adapter, and the engine was not made with `enable_lora`.
            RunError: the engine was closed.
        """
        if (Path(model) / "adapter_config.json").is_file():
            if not self._options.get("enable_lora"):
                raise ConfigError(f"{model} is an adapter; make the engine with enable_lora=True")
            lora = _imported("vllm.lora.request").LoRARequest(f"version-{version}", next(self._numbers), str(model))
            source = _Source(self._newest.engine, version, lora)
        else:
            source = _Source(self._load(str(model)), version)
        with self._changed:
            if self._is_closed:
                raise RunError("the engine is closed; its model cannot be exchanged")
            self._newest = source

    def close(self) -> None:
        """See `TextEngine`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while self._prepare():
            # Engines that have completions on their way, each once.
            for engine in {id(request.source.engine): request.source.engine for request in self._requests.values()}.values():
                self._step(engine)
        for request in [*self._requests.values(), *(request for request, _, _ in self._arriving)]:
            request.tell("cancelled")

    def _prepare(self) -> bool:
        with self._changed:
            while not (self._arriving or self._requests or self._is_closed):
                self._changed.wait()
            if self._is_closed:
                return False
            arriving, self._arriving = self._arriving, []
        for request, prompt_ids, params in arriving:
            self._add(request, prompt_ids, params)
        for request in [request for request in self._requests.values() if request.cancelled.is_set()]:
            request.source.engine.abort_request([request.number])
            self._end(request, "cancelled")
        return True

    def _add(self, request: _Request, prompt_ids: Sequence[int], params: GenerationParams) -> None:
        prompt = {"prompt_token_ids": list(prompt_ids)}
        source = request.source
        adapter = {} if source.adapter is None else {"lora_request": source.adapter}
        try:
            source.engine.add_request(request.number, prompt, self._sampling(params), **adapter)
        except Exception as error:
            # Such as a prompt that is too long for the memory it was given.
            request.tell("error", error=f"{type(error).__name__}: {error}")
            return
        self._requests[request.number] = request

    def _sampling(self, params: GenerationParams) -> Any:
        return self._vllm.SamplingParams(
            max_tokens=params.max_new_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            stop=list(params.stop),
            seed=params.seed,
            logprobs=params.top_logprobs,
            output_kind=_imported("vllm.sampling_params").RequestOutputKind.DELTA,
        )

    def _step(self, engine: Any) -> None:
        try:
            outputs = engine.step()
        except Exception as error:
            _log.exception("the completions that were on their way have failed")
            self._fail(lambda request: request.source.engine is engine, error)
            return
        for output in outputs:
            request = self._requests.get(output.request_id)
            if request is not None:
                self._hand_over(request, output.outputs[0])

    def _hand_over(self, request: _Request, output: Any) -> None:
        ids = tuple(output.token_ids)
        rows = output.logprobs or []
        content = {
            "token_ids": ids,
            "text": output.text,
            "logprobs": tuple(row[token].logprob for token, row in zip(ids, rows, strict=False)),
            "top_logprobs": tuple(
                tuple((token, entry.logprob) for token, entry in sorted(row.items(), key=lambda item: item[1].rank))
                for row in rows
            ),
        }
        if output.finish_reason is None:
            request.tell(**content)
        else:
            known: dict[str, FinishReason] = {"stop": "stop", "length": "length", "abort": "cancelled"}
            self._end(request, known.get(output.finish_reason, "error"), **content)

    def _fail(self, is_meant: Callable[[_Request], bool], error: Exception) -> None:
        for request in [request for request in self._requests.values() if is_meant(request)]:
            self._end(request, "error", error=f"{type(error).__name__}: {error}")

    def _end(self, request: _Request, reason: FinishReason, **content: Any) -> None:
        del self._requests[request.number]
        request.tell(reason, **content)


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError("vLLM is not installed: pip install vllm, or use heeler's own engine") from error
