"""How prompts and their completions are laid out in rows for one forward pass.

A prompt stands in a row once, its completions behind it; each completion sees the prompt and itself. That is the same
computation as with a row for each completion, without doing the prompt over for each.

Shapes: R rows, L places of the longest row, N completions, T tokens of all completions together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from heeler.ops.text_batch import TextBatch


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Rows for a forward pass, and where in them each completion's token is predicted."""

    token_RL: Int[Tensor, "R L"]
    position_RL: Int[Tensor, "R L"]
    mask_R1LL: Bool[Tensor, "R 1 L L"]
    """Whether the place in dimension 2 sees that in dimension 3; what stands at the right end of a row sees itself."""
    source_T: Int[Tensor, " T"]
    """Place, counted through all rows, whose output predicts each token."""
    place_T: Int[Tensor, " T"]
    """Place of each token itself."""


def pack(batch: TextBatch, *, shared_prefix: bool, pad_id: int, max_row: int) -> Packed:
    """Lay a batch out in rows.

    Args:
        batch: of P prompts and N completions.
        shared_prefix: whether completions of one prompt share a row, as far as `max_row` goes.
        pad_id: fills rows up.
        max_row: places of a row that more than one completion shares.
    """
    rows = _rows(batch, max_row if shared_prefix else 0)
    lengths = [len(batch.prompts[prompt]) + sum(len(batch.completions[i]) for i in chosen) for prompt, chosen in rows]
    longest = max(lengths)
    token_RL = torch.full((len(rows), longest), pad_id)
    position_RL = torch.zeros_like(token_RL)
    # Which part of a row a place belongs to: 0 is the prompt, then each completion, then filling.
    part_RL = torch.full_like(token_RL, -1)
    sources: list[Tensor] = []
    places: list[Tensor] = []
    for row, (prompt, chosen) in enumerate(rows):
        size = len(batch.prompts[prompt])
        token_RL[row, :size], position_RL[row, :size] = batch.prompts[prompt], torch.arange(size)
        part_RL[row, :size] = 0
        at = size
        for part, i in enumerate(chosen, 1):
            ids = batch.completions[i]
            place = torch.arange(at, at + len(ids))
            token_RL[row, place], part_RL[row, place] = ids, part
            position_RL[row, place] = torch.arange(size, size + len(ids))
            source = place - 1
            source[0] = size - 1
            sources.append(source + row * longest)
            places.append(place + row * longest)
            at += len(ids)
    return Packed(
        token_RL=token_RL,
        position_RL=position_RL,
        mask_R1LL=_mask(part_RL),
        source_T=torch.cat(sources),
        place_T=torch.cat(places),
    )


def _rows(batch: TextBatch, max_row: int) -> list[tuple[int, list[int]]]:
    """(prompt, completions) of each row."""
    rows: list[tuple[int, list[int]]] = []
    used = 0
    for i, (prompt, ids) in enumerate(zip(batch.prompt_of_N.tolist(), batch.completions, strict=True)):
        fits = bool(rows) and rows[-1][0] == prompt and used + len(ids) <= max_row
        if not fits:
            rows.append((prompt, []))
            used = len(batch.prompts[prompt])
        rows[-1][1].append(i)
        used += len(ids)
    return rows


def _mask(part_RL: Int[Tensor, "R L"]) -> Bool[Tensor, "R 1 L L"]:
    seeing, seen = part_RL[:, :, None], part_RL[:, None, :]
    causal = torch.ones(part_RL.shape[1], part_RL.shape[1], dtype=torch.bool).tril()
    is_seen = ((seen == 0) & (seeing >= 0)) | (seeing == seen)
    return (is_seen & causal)[:, None]


def padded(prompts: Sequence[Tensor], pad_id: int) -> tuple[Int[Tensor, "P L"], Int[Tensor, " P"]]:
    """Prompts in rows, filled up on the right, and their lengths."""
    length_P = torch.tensor([len(ids) for ids in prompts])
    return torch.nn.utils.rnn.pad_sequence(list(prompts), batch_first=True, padding_value=pad_id), length_P
