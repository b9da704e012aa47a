"""The completions that one version of a model is making: prompts are gone through between steps, all rows step together.

Shapes: B rows, S places of a stretch of a prompt, V tokens there are.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from heeler.models.language.cache import RowCache
from heeler.models.language.decoding import PlainDecoder
from heeler.models.language.model import LanguageModel
from heeler.models.language.packing import padded
from heeler.ops.token_choice import choose_filtered_tokens, choose_tokens
from heeler.rollouts.stream import Stream

# Tokens of prompts that are gone through between two steps: those who are being answered wait no longer than that.
_PROMPT_TOKENS = 256
_GROWTH = 64


class Lane(Protocol):
    """Completions of one version."""

    version: int

    @property
    def streams(self) -> list[Stream]:
        """All that are on their way."""
        ...

    def admit(self, stream: Stream) -> None:
        """Take one on."""
        ...

    def turn(self) -> None:
        """Drop what is cancelled, go through some of the waiting prompts, and one step further everywhere else."""
        ...


def lane_for(model: LanguageModel, version: int, max_length: int) -> Lane:
    """The fastest that is right for a model."""
    return RowLane(model, version, max_length) if model.support.cache else PlainLane(model, version, max_length)


class RowLane:
    """All rows in one `RowCache`; the first rows are those that step.

    Args:
        model: one whose `support.cache` holds.
        version: of it.
        max_length: tokens of a prompt and its completion together.
    """

    def __init__(self, model: LanguageModel, version: int, max_length: int) -> None:
        self.version = version
        self._model, self._max_length = model, max_length
        self._cache = RowCache(2, _GROWTH)
        self._waiting: deque[Stream] = deque()
        self._going: list[Stream] = []

    @property
    def streams(self) -> list[Stream]:
        """See `Lane`."""
        return [*self._going, *self._waiting]

    def admit(self, stream: Stream) -> None:
        """See `Lane`."""
        stream.begin(self._model, self.version, self._max_length)
        self._waiting.append(stream)

    def turn(self) -> None:
        """See `Lane`."""
        self._drop_cancelled()
        # Who begins now has a token from the prompt, and steps next time.
        num_going = len(self._going)
        if self._waiting:
            self._read_prompts()
        if num_going:
            self._step(num_going)
        self._drop_over()

    def _drop_cancelled(self) -> None:
        for stream in self.streams:
            if stream.is_cancelled:
                stream.finish("cancelled")
        self._waiting = deque(stream for stream in self._waiting if not stream.is_over)
        self._drop_over()

    def _drop_over(self) -> None:
        """The last row takes the place of one that is over."""
        for row in reversed(range(len(self._going))):
            if self._going[row].is_over:
                last = self._going.pop()
                if row < len(self._going):
                    self._cache.move(len(self._going), row, last.place)
                    self._going[row] = last

    def _read_prompts(self) -> None:
        first = self._waiting[0]
        if len(first.prompt_ids) - first.num_read > _PROMPT_TOKENS or first.num_read:
            self._read_stretch(first)
            return
        chosen: list[Stream] = []
        longest = 0
        for stream in self._waiting:
            longest = max(longest, len(stream.prompt_ids))
            if stream.num_read or (len(chosen) + 1) * longest > _PROMPT_TOKENS:
                break
            chosen.append(stream)
        for _ in chosen:
            self._waiting.popleft()
        self._read_together(chosen)

    def _read_together(self, chosen: list[Stream]) -> None:
        """Whole prompts, each in the row that it will step in."""
        start = len(self._going)
        token_PL, length_P = padded([torch.tensor(stream.prompt_ids) for stream in chosen], self._model.pad_id)
        self._reserve(start + len(chosen), token_PL.shape[1])
        hidden_PLD = self._forward(token_PL, 0, slice(start, start + len(chosen)))
        last_PD = hidden_PLD[torch.arange(len(chosen), device=hidden_PLD.device), length_P.to(hidden_PLD.device) - 1]
        self._going += chosen
        choose_for(self._model.head(last_PD), chosen)

    def _read_stretch(self, stream: Stream) -> None:
        """Some of a long prompt, in the last row of the cache, where nobody steps."""
        stretch = stream.prompt_ids[stream.num_read : stream.num_read + _PROMPT_TOKENS]
        self._reserve(len(self._going) + 1, stream.num_read + len(stretch))
        row = self._cache.num_rows - 1
        hidden_1SD = self._forward(torch.tensor([stretch]), stream.num_read, slice(row, row + 1))
        stream.num_read += len(stretch)
        if stream.num_read == len(stream.prompt_ids):
            self._waiting.popleft()
            if row != len(self._going):
                self._cache.move(row, len(self._going), stream.num_read)
            self._going.append(stream)
            choose_for(self._model.head(hidden_1SD[:, -1]), [stream])

    def _forward(self, token_RS: Tensor, start: int, rows: slice) -> Tensor:
        device, size = self._model.device, token_RS.shape[1]
        self._cache.from_place(start, size, rows)
        place_RS = torch.arange(start, start + size, device=device).expand_as(token_RS)
        mask = torch.arange(start + size, device=device) <= place_RS[:1, None, :, None]
        return self._model.forward(token_RS.to(device), position_RL=place_RS, mask=mask, cache=self._cache)

    def _step(self, num_rows: int) -> None:
        going, device = self._going[:num_rows], self._model.device
        places = [stream.place for stream in going]
        self._reserve(num_rows, max(places) + 1)
        token_B, place_B = torch.tensor([[stream.token for stream in going], places], device=device)
        self._cache.at(place_B, max(places) + 1)
        is_seen = torch.arange(self._cache.num_seen, device=device) <= place_B[:, None, None, None]
        hidden_B1D = self._model.forward(
            token_B[:, None], position_RL=place_B[:, None], mask=is_seen, cache=self._cache
        )
        choose_for(self._model.head(hidden_B1D[:, 0]), going)

    def _reserve(self, num_rows: int, num_places: int) -> None:
        """Room for more, and a row to spare for a long prompt. What that row holds moves along with the end."""
        cache = self._cache
        # By more than is asked for, so that it is not asked for at each step.
        rows = cache.num_rows if num_rows < cache.num_rows else num_rows * 5 // 4 + 2
        more = min(max(num_places, cache.num_places * 5 // 4), self._max_length)
        places = cache.num_places if num_places <= cache.num_places else _rounded(more)
        if (rows, places) == (cache.num_rows, cache.num_places):
            return
        spare = cache.num_rows - 1
        cache.reserve(rows, places)
        if rows - 1 != spare and self._waiting and self._waiting[0].num_read:
            cache.move(spare, rows - 1, self._waiting[0].num_read)


class PlainLane:
    """Each completion by itself, through transformers' own cache: slower, and right for any architecture.

    Args:
        model: any.
        version: of it.
        max_length: tokens of a prompt and its completion together.
    """

    def __init__(self, model: LanguageModel, version: int, max_length: int) -> None:
        self.version = version
        self._model, self._max_length = model, max_length
        self._going: dict[Stream, PlainDecoder | None] = {}

    @property
    def streams(self) -> list[Stream]:
        """See `Lane`."""
        return list(self._going)

    def admit(self, stream: Stream) -> None:
        """See `Lane`."""
        stream.begin(self._model, self.version, self._max_length)
        self._going[stream] = None

    def turn(self) -> None:
        """See `Lane`."""
        has_started = False
        for stream, decoder in list(self._going.items()):
            if stream.is_cancelled:
                stream.finish("cancelled")
            elif decoder is not None:
                choose_for(decoder.step(torch.tensor([stream.token], device=self._model.device)), [stream])
            elif not has_started:
                # One prompt a turn, so that the others need not wait for all of them.
                has_started = True
                self._going[stream] = decoder = PlainDecoder(self._model)
                choose_for(decoder.start([torch.tensor(stream.prompt_ids)], 1), [stream])
        self._going = {stream: decoder for stream, decoder in self._going.items() if not stream.is_over}


def choose_for(logits_BV: Float[Tensor, "B V"], streams: Sequence[Stream]) -> None:
    """Choose the next token of each stream, by its own parameters and random numbers, and hand it over."""
    device, params = logits_BV.device, [stream.params for stream in streams]
    uniform_B = torch.tensor([stream.uniform() for stream in streams], device=device)
    temperature_B = torch.tensor([p.temperature for p in params], device=device)
    divisor_B = torch.where(temperature_B == 0, 1.0, temperature_B)
    log_all_BV = torch.log_softmax(logits_BV.float() / divisor_B[:, None], -1)
    if all(p.temperature > 0 and p.top_p == 1 and p.top_k == 0 for p in params):
        token_B, _ = choose_tokens(log_all_BV, uniform_B, 1.0)
    else:
        token_B = choose_filtered_tokens(
            logits_BV,
            uniform_B,
            temperature_B=temperature_B,
            top_p_B=torch.tensor([p.top_p for p in params], device=device),
            top_k_B=torch.tensor([p.top_k for p in params], device=device),
        )
    logprobs = log_all_BV.gather(1, token_B[:, None])[:, 0].tolist()
    tops = _likeliest(log_all_BV, [p.top_logprobs for p in params])
    for stream, token, logprob, top in zip(streams, token_B.tolist(), logprobs, tops, strict=True):
        stream.take(token, logprob, top)


def _likeliest(log_all_BV: Tensor, counts: Sequence[int]) -> list[tuple[tuple[int, float], ...]]:
    if not any(counts):
        return [()] * len(counts)
    best = log_all_BV.topk(min(max(counts), log_all_BV.shape[1]), -1)
    rows = zip(best.indices.tolist(), best.values.tolist(), counts, strict=True)
    return [tuple(zip(ids[:count], values[:count], strict=True)) for ids, values, count in rows]


def _rounded(places: int) -> int:
    return -(-places // _GROWTH) * _GROWTH
