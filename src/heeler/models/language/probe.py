"""What an architecture can do, found out by trying: no wrong number ever comes of a model that is built otherwise.

Sharing rows asks of a model that it takes masks with four dimensions and positions from outside; sampling of rows at
different places asks for a cache of our own. Both are tried on a few tokens and held against transformers' own forward
pass, one text after the other. Where they differ, the plain way is gone.

Shapes: L places, V tokens there are, D hidden.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from heeler.models.language.packing import RowLimits, pack, padded
from heeler.ops.text_batch import TextBatch

if TYPE_CHECKING:
    from heeler.models.language.model import LanguageModel

_WINDOW = 4
# Of the size of the logits: what rounding may make of them. A wrong mask makes more.
_TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-8, torch.bfloat16: 0.05, torch.float16: 0.01}


@dataclass(frozen=True, kw_only=True)
class Support:
    """Whether the fast ways are right for a model; the plain ways always are."""

    rows: bool
    """Rows that several completions share, by a mask with four dimensions."""
    cache: bool
    """`RowCache`."""
    reason: str = ""
    """Why one of them is not."""


@torch.inference_mode()
def probe(model: "LanguageModel") -> Support:
    """Try both, with sliding windows narrowed so that few tokens show them."""
    if not model.sight.is_known:
        return Support(rows=False, cache=False, reason="its configuration limits what is seen in a way of its own")
    texts = _texts(model)
    with model.sight.narrowed(_WINDOW):
        own = [model.own_logits(ids[None].to(model.device), use_cache=False).logits[0].float() for ids in texts]
        reasons = [_trouble(_rows, model, texts, own), _trouble(_cache, model, texts, own)]
    return Support(rows=not reasons[0], cache=not reasons[1], reason="; ".join(filter(None, reasons)))


def _texts(model: "LanguageModel") -> list[Tensor]:
    """Two that begin alike, and one apart."""
    most = min(model.vocabulary_size, 1000)
    ids = torch.arange(1, 29) * 7919 % most
    first, second = ids[:12], torch.cat((ids[:7], ids[12:16]))
    return [first, second, ids[16:25]]


def _trouble(
    attempt: Callable[["LanguageModel", list[Tensor], list[Tensor]], float],
    model: "LanguageModel",
    texts: list[Tensor],
    own: list[Tensor],
) -> str:
    name = attempt.__name__.strip("_")
    try:
        difference = attempt(model, texts, own)
    except Exception as error:
        # Whatever a foreign architecture raises here means that it does not take what it was given.
        return f"{name}: {type(error).__name__}: {error}"
    # Not >, which NaN would pass.
    return (
        ""
        if difference <= _TOLERANCES.get(model.dtype, 1e-4)
        else f"{name}: logits differ by {difference:.2g} of their size"
    )


def _rows(model: "LanguageModel", texts: list[Tensor], own: list[Tensor]) -> float:
    """Two completions behind their prompt, and another prompt with its completion behind them."""
    completions = (texts[0][7:], texts[1][7:], texts[2][5:])
    batch = TextBatch(
        prompts=(texts[0][:7], texts[2][:5]),
        completions=completions,
        prompt_of_N=torch.tensor([0, 0, 1]),
        sampled_logprob_T=torch.zeros(sum(map(len, completions))),
        truncated_N=torch.zeros(3, dtype=torch.bool),
        temperature=1.0,
    )
    packed = pack(batch, shared_prefix=True, pad_id=model.pad_id, limits=RowLimits()).to(model.device)
    hidden_RLD = model.forward(packed.token_RL, position_RL=packed.position_RL, mask=packed.mask_R1LL)
    logits_TV = model.head(hidden_RLD.flatten(0, 1)[packed.source_T])
    expected = torch.cat([own[0][6:-1], own[1][6:-1], own[2][4:-1]])
    return _difference(logits_TV, expected)


def _cache(model: "LanguageModel", texts: list[Tensor], own: list[Tensor]) -> float:
    """Beginnings of different lengths in one forward pass, filled up on the right, then a token at a time."""
    from heeler.models.language.cache import RowCache

    lengths = [7, 5, 4]
    starts, _ = padded([ids[:length] for ids, length in zip(texts, lengths, strict=True)], model.pad_id)
    cache = RowCache(3, 16)
    longest = max(lengths)
    cache.from_place(0, longest, slice(0, 3))
    position_RL = torch.arange(longest, device=model.device).expand(3, -1)
    mask = torch.ones(1, 1, longest, longest, dtype=torch.bool, device=model.device).tril()
    hidden_RLD = model.forward(starts.to(model.device), position_RL=position_RL, mask=mask, cache=cache)
    got = [hidden_RLD[row, length - 1] for row, length in enumerate(lengths)]
    expected = [logits[length - 1] for logits, length in zip(own, lengths, strict=True)]
    for step in range(4):
        place_B = torch.tensor(lengths, device=model.device) + step
        token_B = torch.stack([ids[length + step] for ids, length in zip(texts, lengths, strict=True)]).to(model.device)
        cache.at(place_B, longest + step + 1)
        is_seen = torch.arange(cache.num_seen, device=model.device) <= place_B[:, None, None, None]
        hidden_BLD = model.forward(token_B[:, None], position_RL=place_B[:, None], mask=is_seen, cache=cache)
        got += list(hidden_BLD[:, 0])
        expected += [logits[length + step] for logits, length in zip(own, lengths, strict=True)]
    return _difference(model.head(torch.stack(got)), torch.stack(expected))


def _difference(logits_XV: Tensor, expected_XV: Tensor) -> float:
    if logits_XV.shape != expected_XV.shape:
        return float("inf")
    size = (expected_XV - expected_XV.mean(-1, keepdim=True)).abs().max()
    return float((logits_XV.float() - expected_XV).abs().max() / size)
