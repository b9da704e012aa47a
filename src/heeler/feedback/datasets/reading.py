"""Whole datasets: every row is checked before any is used, and what is left out is counted and told."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Message
from heeler.core.text_data import Demonstration, JudgedText, PromptedText, TextPair
from heeler.feedback.datasets.rows import Unusable, demonstrations_of, judged_of, pair_of
from heeler.feedback.datasets.sources import rows_of

Refusal = Literal["drop", "refuse"]
Item = TypeVar("Item", bound=PromptedText)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How a dataset is read."""

    split: str = "train"
    """Which part of it, where it has several."""
    unusable_rows: Refusal = "drop"
    """What becomes of empty answers and pairs of twice the same text: `drop` leaves them out and counts them, `refuse`
    ends with the first. A column that is missing or of the wrong kind is an error in any case."""
    max_unusable_share: float = 0.05
    """Share of rows that may be left out; with more the dataset is not what it was taken for, and is refused."""

    def __post_init__(self) -> None:
        if self.unusable_rows not in get_args(Refusal):
            known = ", ".join(get_args(Refusal))
            raise ConfigError(f"unusable_rows must be one of {known}, got {self.unusable_rows!r}")
        if not 0 <= self.max_unusable_share <= 1:
            raise ConfigError(f"max_unusable_share must be between 0 and 1, got {self.max_unusable_share}")


@dataclass(frozen=True, kw_only=True)
class Dataset(Generic[Item]):
    """What was read."""

    items: tuple[Item, ...]
    num_rows: int
    dropped: Mapping[str, int]
    """How many rows were left out, by reason."""
    first_dropped: str = ""
    """Where the first of them stands and what is wrong with it; empty where there is none."""

    @property
    def num_dropped(self) -> int:
        """Rows that were left out."""
        return sum(self.dropped.values())


def read_pairs(source: str, config: DataConfig | None = None) -> Dataset[TextPair]:
    """Pairs of completions: `prompt`, `chosen`, `rejected`; see `rows.pair_of`.

    Args:
        source: a file, a folder or a hub id; see `sources.rows_of`.
        config: how it is read.

    Raises:
        DataError: a row does not hold, too many are unusable, or there are none; names file, row and field.
    """
    return _read(source, config or DataConfig(), lambda fields, place: [pair_of(fields, place)])


def read_judged(source: str, config: DataConfig | None = None) -> Dataset[JudgedText]:
    """Completions judged one by one: `prompt`, `completion`, `label`; see `rows.judged_of`. The rest is as of pairs."""
    return _read(source, config or DataConfig(), lambda fields, place: [judged_of(fields, place)])


def read_compared(source: str, config: DataConfig | None = None) -> Dataset[TextPair]:
    """Pairs, as they stand or as judged answers make them; see `read_pairs`, `read_judged` and `paired`."""
    config = config or DataConfig()
    first = next(rows_of(source, split=config.split), None)
    if first is None or first[1].get("chosen") is not None or first[1].get("label") is None:
        return read_pairs(source, config)
    return paired(read_judged(source, config), source)


def paired(judged: Dataset[JudgedText], source: str) -> Dataset[TextPair]:
    """Each prompt's good answers over its bad ones.

    Where there are more of one kind, those of the other come again; each answer comes once at least. An answer without
    one of the other kind to the same prompt is left out.

    Args:
        judged: answers that were judged one by one.
        source: where they come from, for messages.

    Raises:
        DataError: no prompt has both.
    """
    by_prompt: dict[tuple[Message, ...], tuple[list[JudgedText], list[JudgedText]]] = {}
    for one in judged.items:
        by_prompt.setdefault(one.prompt, ([], []))[0 if one.is_good else 1].append(one)
    pairs: list[TextPair] = []
    alone: list[JudgedText] = []
    for prompt, (good, bad) in by_prompt.items():
        num = max(len(good), len(bad)) if good and bad else 0
        made = [(good[i % len(good)], bad[i % len(bad)]) for i in range(num)]
        differ = [(better, worse) for better, worse in made if better.completion != worse.completion]
        pairs += [
            TextPair(prompt=prompt, chosen=better.completion, rejected=worse.completion, place=better.place)
            for better, worse in differ
        ]
        alone += [] if differ else [*good, *bad]
    if not pairs:
        raise DataError(
            f"{source}: no prompt has an answer that was called good and another that was called bad; a reward is "
            "fitted to such pairs"
        )
    reason = "no answer of the other label to its prompt"
    first = judged.first_dropped or (f"{alone[0].place}: {reason}" if alone else "")
    dropped = dict(judged.dropped) | ({reason: len(alone)} if alone else {})
    return Dataset(items=tuple(pairs), num_rows=judged.num_rows, dropped=dropped, first_dropped=first)


def read_demonstrations(source: str, config: DataConfig | None = None) -> Dataset[Demonstration]:
    """Texts to imitate: `messages`, `prompt` and `completion`, or `text`; see `rows.demonstrations_of`."""
    return _read(source, config or DataConfig(), demonstrations_of)


def _read(
    source: str, config: DataConfig, items_of: Callable[[Mapping[str, Any], str], Iterable[Item]]
) -> Dataset[Item]:
    items: list[Item] = []
    dropped: Counter[str] = Counter()
    first_dropped, num_rows = "", 0
    for place, fields in rows_of(source, split=config.split):
        num_rows += 1
        try:
            items += items_of(fields, place)
        except Unusable as reason:
            if config.unusable_rows == "refuse":
                raise DataError(f"{place}: {reason}; mend the row, or set unusable_rows to drop") from reason
            dropped[str(reason)] += 1
            first_dropped = first_dropped or f"{place}: {reason}"
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
    if num_rows == 0:
        raise DataError(f"{source}: it holds no rows")
    num_dropped = sum(dropped.values())
    if not items or num_dropped > config.max_unusable_share * num_rows:
        raise DataError(
            f"{first_dropped}; so it is with {num_dropped} of {num_rows} rows, and at most "
            f"{config.max_unusable_share:.0%} may be left out (max_unusable_share)"
        )
    return Dataset(items=tuple(items), num_rows=num_rows, dropped=dict(dropped), first_dropped=first_dropped)
