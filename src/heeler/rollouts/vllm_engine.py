"""Serving by vLLM (Kwon et al., 2023, arXiv:2309.06180), where it is installed: the same protocol as `Engine`."""

import importlib
import itertools
import logging
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heeler.core.errors import ConfigError, RunError
from heeler.models.language.model import LanguageModel
from heeler.rollouts.generation import FinishReason, GenerationParams, OnPiece, Piece, Ticket, check_prompt

_log = logging.getLogger(__name__)
# vLLM makes room for adapters up to one of these.
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
# The adapter in use, and the one before it until its completions have ended.
_ADAPTERS_AT_ONCE = 2
_MOST_LENGTH = 2**31


@dataclass(eq=False)
class _Source:
    """A version, and the adapter that makes it of the model that vLLM has loaded."""

    version: int
    folder: Path | None = None
    adapter: Any = None


@dataclass(eq=False)
class _Request:
    """A completion that vLLM makes."""

    number: str
    prompt_ids: Sequence[int]
    params: GenerationParams
    on_piece: OnPiece
    source: _Source
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


class VllmEngine:
    """Completions by vLLM, in a thread of its own.

    vLLM loads a model once, from its folder; versions are LoRA adapters on it, which are exchanged while it answers.
    Log-probabilities are of what is left after top_p and top_k.

    Args:
        base: folder of the model without its adapter, or its name on the hub.
        model: the same model with its adapter, if it has one; it says which tokens there are.
        version: of it.
        max_streams: completions at a time; more wait for their turn.
        max_length: tokens of a prompt and its completion together; the model's context where it is None.
        options: passed on to vLLM's `EngineArgs`, such as `dtype` and `gpu_memory_utilization`.

    Raises:
        ConfigError: vLLM is not installed, refuses the options or the model, or has no room for such an adapter.
    """

    def __init__(
        self,
        base: Path | str,
        model: LanguageModel,
        version: int,
        *,
        max_streams: int = 64,
        max_length: int | None = None,
        **options: Any,
    ) -> None:
        self._vllm = _imported("vllm")
        self._model, self._limit = model, max_length
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._arriving: list[_Request] = []
        self._requests: dict[str, _Request] = {}
        self._folders: set[Path] = set()
        self._is_closed = False
        self._rank = _room_for(model.adapter_rank)
        self._engine = self._load(str(base), self._own_options(max_streams) | options)
        self._folder = Path(tempfile.mkdtemp(prefix="heeler-adapters-"))
        self._newest = self._source(model, version)
        self._aside: _Source | None = None
        """The adapter beside it."""
        self._thread = threading.Thread(target=self._run, name="heeler-vllm", daemon=True)
        self._thread.start()

    def _own_options(self, max_streams: int) -> dict[str, Any]:
        # Log-probabilities of the distribution that was sampled from, and not of the one before the temperature.
        options: dict[str, Any] = {"logprobs_mode": "processed_logprobs", "max_num_seqs": max_streams}
        if self.max_length < _MOST_LENGTH:
            options["max_model_len"] = self.max_length
        if self._rank:
            options |= {"enable_lora": True, "max_lora_rank": self._rank, "max_loras": _ADAPTERS_AT_ONCE}
        return options

    def _load(self, base: str, options: dict[str, Any]) -> Any:
        try:
            arguments = self._vllm.EngineArgs(model=base, trust_remote_code=False, **options)
            return self._vllm.LLMEngine.from_engine_args(arguments)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"vLLM refuses {base}: {error}") from error

    def _source(self, model: LanguageModel, version: int) -> _Source:
        if not model.has_adapter:
            return _Source(version)
        number = next(self._numbers)
        folder = self._folder / f"adapter-{number}"
        model.save(folder)
        self._folders.add(folder)
        request = _imported("vllm.lora.request").LoRARequest(folder.name, number, str(folder))
        return _Source(version, folder, request)

    @property
    def version(self) -> int:
        """See `TextEngine`."""
        return self._newest.version

    @property
    def max_length(self) -> int:
        """See `TextEngine`."""
        return min(self._model.max_length, self._limit or self._model.max_length)

    def submit(
        self, prompt_ids: Sequence[int], params: GenerationParams, on_piece: OnPiece, *, version: int | None = None
    ) -> Ticket:
        """See `TextEngine`."""
        check_prompt(prompt_ids, num_tokens=self._model.vocabulary_size, max_length=self.max_length)
        with self._changed:
            if self._is_closed:
                raise RunError("the engine is closed; nothing can be asked of it any more")
            aside = self._aside
            source = aside if aside is not None and version == aside.version else self._newest
            request = _Request(str(next(self._numbers)), list(prompt_ids), params, on_piece, source)
            self._arriving.append(request)
            self._changed.notify()
        return request

    def swap(self, model: LanguageModel, version: int) -> None:
        """See `TextEngine`; the model is another adapter on the one that is loaded."""
        self._refuse_no_adapter(model)
        with self._changed:
            if self._is_closed:
                raise RunError("the engine is closed; its model cannot be exchanged")
            self._newest = self._source(model, version)

    def put_beside(self, model: LanguageModel, version: int) -> None:
        """See `TextEngine`; the model is another adapter, too."""
        self._refuse_no_adapter(model)
        with self._changed:
            if self._is_closed:
                raise RunError("the engine is closed; no model can be put beside its own")
            self._aside = self._source(model, version)

    def take_aside(self) -> None:
        """See `TextEngine`."""
        with self._changed:
            self._aside = None

    def _refuse_no_adapter(self, model: LanguageModel) -> None:
        if not self._rank or not 0 < model.adapter_rank <= self._rank:
            raise ConfigError(
                f"vLLM exchanges adapters alone, here of a rank up to {self._rank}, and this one's is "
                f"{model.adapter_rank}; make another engine for it"
            )

    def close(self) -> None:
        """See `TextEngine`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while self._prepare():
            if self._requests:
                self._step()
        if self._requests:
            self._engine.abort_request(list(self._requests))
        for request in [*self._requests.values(), *self._arriving]:
            request.tell("cancelled")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _prepare(self) -> bool:
        with self._changed:
            self._drop_unused()
            while not (self._arriving or self._requests or self._is_closed):
                self._changed.wait()
            if self._is_closed:
                return False
            arriving, self._arriving = self._arriving, []
        for request in arriving:
            self._add(request)
        for request in [request for request in self._requests.values() if request.cancelled.is_set()]:
            self._engine.abort_request([request.number])
            self._end(request, "cancelled")
        return True

    def _drop_unused(self) -> None:
        """Remove the folders of adapters that no completion will be made with any more."""
        requests = (*self._requests.values(), *self._arriving)
        kept = (self._newest, *([self._aside] if self._aside else []))
        used = {source.folder for source in (*kept, *(request.source for request in requests))}
        for folder in self._folders - used:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders &= used

    def _add(self, request: _Request) -> None:
        prompt = {"prompt_token_ids": list(request.prompt_ids)}
        adapter = {} if request.source.adapter is None else {"lora_request": request.source.adapter}
        try:
            self._engine.add_request(request.number, prompt, self._sampling(request), **adapter)
        except Exception as error:
            # Such as a prompt that is too long for the memory it was given.
            request.tell("error", error=f"{type(error).__name__}: {error}")
            return
        self._requests[request.number] = request

    def _sampling(self, request: _Request) -> Any:
        params = request.params
        return self._vllm.SamplingParams(
            max_tokens=min(params.max_new_tokens, self.max_length - len(request.prompt_ids)),
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            stop=list(params.stop),
            # Those of the model as it was read, whatever the folder says that vLLM loaded.
            stop_token_ids=list(self._model.end_ids),
            # vLLM takes -1 for no seed.
            seed=params.seed % 2**63,
            logprobs=params.top_logprobs,
            output_kind=_imported("vllm.sampling_params").RequestOutputKind.DELTA,
        )

    def _step(self) -> None:
        try:
            outputs = self._engine.step()
        except Exception as error:
            _log.exception("the completions that were on their way have failed")
            for request in list(self._requests.values()):
                self._end(request, "error", error=f"{type(error).__name__}: {error}")
            return
        for output in outputs:
            request = self._requests.get(output.request_id)
            if request is not None:
                self._hand_over(request, output.outputs[0])

    def _hand_over(self, request: _Request, output: Any) -> None:
        ids = tuple(output.token_ids)
        rows = output.logprobs or []
        count = request.params.top_logprobs
        content = {
            "token_ids": ids,
            "text": output.text,
            "logprobs": tuple(row[token].logprob for token, row in zip(ids, rows, strict=False)),
            # vLLM tells of the token that was sampled as well, be it among the likeliest or not.
            "top_logprobs": tuple(_likeliest(row, count) for row in rows) if count else (),
        }
        if output.finish_reason is None:
            request.tell(**content)
        else:
            known: dict[str, FinishReason] = {"stop": "stop", "length": "length", "abort": "cancelled"}
            self._end(request, known.get(output.finish_reason, "error"), **content)

    def _end(self, request: _Request, reason: FinishReason, **content: Any) -> None:
        del self._requests[request.number]
        request.tell(reason, **content)


def _likeliest(row: dict[int, Any], count: int) -> tuple[tuple[int, float], ...]:
    ranked = sorted(row.items(), key=lambda item: item[1].rank)
    return tuple((token, entry.logprob) for token, entry in ranked[:count])


def _room_for(rank: int) -> int:
    """The room that vLLM is to make for adapters of this rank; none where there is none."""
    if rank == 0:
        return 0
    room = next((most for most in _RANKS if most >= rank), None)
    if room is None:
        raise ConfigError(f"vLLM takes adapters of a rank up to {_RANKS[-1]}, and this one's is {rank}")
    return room


def refuse_without_vllm() -> None:
    """Say that vLLM is not installed, where it is not.

    Raises:
        ConfigError: it is not.
    """
    _imported("vllm")


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"vLLM is not installed ({error}): pip install 'heeler[vllm]', or leave out --engine for heeler's own"
        ) from error
