"""How prompts and their completions are laid out in rows for one forward pass.

A prompt stands in a row once, its completions behind it; each completion sees the prompt and itself. That is the same
computation as with a row for each completion, without doing the prompt over for each. What is left of a row is used for
other prompts, which see nothing of the first: so little is filling.

Shapes: R rows, L places of the longest row, P prompts, N completions, T tokens of all completions together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from heeler.ops.text_batch import TextBatch


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Rows for a forward pass, and where in them each completion's token is predicted."""

    token_RL: Int[Tensor, "R L"]
    position_RL: Int[Tensor, "R L"]
    group_RL: Int[Tensor, "R L"]
    """Counts the prompts of a row; -1 is filling."""
    part_RL: Int[Tensor, "R L"]
    """0 is a prompt; its completions are counted from 1."""
    source_T: Int[Tensor, " T"]
    """Place, counted through all rows, whose output predicts each token."""
    place_T: Int[Tensor, " T"]
    """Place of each token itself."""

    @property
    def is_token_RL(self) -> Bool[Tensor, "R L"]:
        """What is not filling."""
        return self.group_RL >= 0

    @cached_property
    def mask_R1LL(self) -> Bool[Tensor, "R 1 L L"]:
        """Whether the place in dimension 2 sees that in dimension 3; filling sees itself, so that nothing is NaN."""
        group, part, longest = self.group_RL, self.part_RL, self.group_RL.shape[1]
        is_seen = (part[:, None, :] == 0) | (part[:, :, None] == part[:, None, :])
        is_seen &= group[:, :, None] == group[:, None, :]
        return (is_seen & torch.ones(longest, longest, dtype=torch.bool, device=part.device).tril())[:, None]

    def to(self, device: torch.device) -> "Packed":
        """The same on another device."""
        return Packed(**{name: getattr(self, name).to(device) for name in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class RowLimits:
    """What decides how many completions share a prompt in a row."""

    max_row: int = 2048
    """Places of a row that more than one completion shares, at most."""
    pair_cost: float = 0.0
    """What looking at one place from another costs, in units of what a token costs otherwise; also where neither sees
    the other, as attention goes over whole rows."""


def pack(batch: TextBatch, *, shared_prefix: bool, pad_id: int, limits: RowLimits) -> Packed:
    """Lay a batch out in rows.

    Args:
        batch: of P prompts and N completions.
        shared_prefix: whether completions of one prompt share it, and prompts share rows.
        pad_id: fills rows up.
        limits: where sharing stops.
    """
    size_P = [len(ids) for ids in batch.prompts]
    size_N = [len(ids) for ids in batch.completions]
    groups = _groups(batch.prompt_of_N.tolist(), size_P, size_N, limits if shared_prefix else RowLimits(max_row=0))
    group_sizes = [size_P[prompt] + sum(size_N[i] for i in chosen) for prompt, chosen in groups]
    longest = max(group_sizes)
    rows = _fitted(group_sizes, longest) if shared_prefix else [[group] for group in range(len(groups))]

    pieces: list[tuple[int, int, int, int, int]] = []  # where it starts, its size, first position, group, part
    tokens: list[Tensor] = []
    start_N, before_N = np.zeros(len(size_N), dtype=np.int64), np.zeros(len(size_N), dtype=np.int64)
    for row, members in enumerate(rows):
        at = row * longest
        for count, (prompt, chosen) in enumerate(groups[member] for member in members):
            tokens += [batch.prompts[prompt], *(batch.completions[i] for i in chosen)]
            prompt_size = size_P[prompt]
            pieces.append((at, prompt_size, 0, count, 0))
            last = at + prompt_size - 1
            at += prompt_size
            for part, i in enumerate(chosen, 1):
                pieces.append((at, size_N[i], prompt_size, count, part))
                start_N[i], before_N[i] = at, last
                at += size_N[i]
    place_T = _runs(start_N, np.array(size_N))
    source_T = place_T - 1
    source_T[np.cumsum(size_N) - size_N] = before_N
    return Packed(
        **_filled(np.array(pieces), torch.cat(tokens), (len(rows), longest), pad_id),
        source_T=torch.from_numpy(source_T),
        place_T=torch.from_numpy(place_T),
    )


def _filled(pieces: np.ndarray, token_X: Tensor, shape: tuple[int, int], pad_id: int) -> dict[str, Tensor]:
    start, size, first, group, part = pieces.T
    place_X = torch.from_numpy(_runs(start, size))

    def spread(value: Tensor, filling: int) -> Tensor:
        out = torch.full(shape, filling)
        out.view(-1)[place_X] = value
        return out

    return {
        "token_RL": spread(token_X.cpu(), pad_id),
        "position_RL": spread(torch.from_numpy(_runs(first, size)), 0),
        "group_RL": spread(torch.from_numpy(np.repeat(group, size)), -1),
        "part_RL": spread(torch.from_numpy(np.repeat(part, size)), 0),
    }


def _runs(start: np.ndarray, size: np.ndarray) -> np.ndarray:
    """start, start + 1, ... of each, `size` long, one after the other."""
    ends = np.cumsum(size)
    return np.arange(ends[-1]) + np.repeat(start - (ends - size), size)


def _groups(
    prompt_of_N: Sequence[int], size_P: Sequence[int], size_N: Sequence[int], limits: RowLimits
) -> list[tuple[int, list[int]]]:
    """(prompt, completions) of each group that shares a prompt's tokens.

    A completion joins the group before it where that costs less than doing the prompt over.
    """
    groups: list[tuple[int, list[int]]] = []
    used = 0
    for i, (prompt, size) in enumerate(zip(prompt_of_N, size_N, strict=True)):
        joins = bool(groups) and groups[-1][0] == prompt and used + size <= limits.max_row
        if joins:
            joined_cost = size + limits.pair_cost * ((used + size) ** 2 - used**2)
            alone = size_P[prompt] + size
            joins = joined_cost <= alone + limits.pair_cost * alone**2
        if not joins:
            groups.append((prompt, []))
            used = size_P[prompt]
        groups[-1][1].append(i)
        used += size
    return groups


def _fitted(sizes: Sequence[int], longest: int) -> list[list[int]]:
    """Groups of each row, the largest first, each into the first row that has room."""
    rows: list[list[int]] = []
    room: list[int] = []
    for group in sorted(range(len(sizes)), key=lambda group: -sizes[group]):
        row = next((row for row, left in enumerate(room) if left >= sizes[group]), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(longest)
        rows[row].append(group)
        room[row] -= sizes[group]
    return rows


def padded(prompts: Sequence[Tensor], pad_id: int) -> tuple[Int[Tensor, "P L"], Int[Tensor, " P"]]:
    """Prompts in rows, filled up on the right, and their lengths."""
    length_P = torch.tensor([len(ids) for ids in prompts])
    return torch.nn.utils.rnn.pad_sequence(list(prompts), batch_first=True, padding_value=pad_id), length_P
