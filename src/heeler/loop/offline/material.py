"""What a run learns from: read, split by prompt, and cut into the units that are never parted.

A unit is a prompt with all that is learned of it at a time: a demonstration, the two answers of a pair, or with KTO
every judged answer to the prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from heeler.core.errors import ConfigError, DataError
from heeler.core.rundir import RunDirectory
from heeler.core.text_data import Demonstration, JudgedText, PromptedText, TextPair
from heeler.feedback.datasets import DataConfig, Dataset, read_demonstrations, read_judged, read_pairs, split
from heeler.feedback.datasets.answers import Answers
from heeler.feedback.stores import has_store, open_store
from heeler.loop.going_on import sha256_of
from heeler.loop.language.asking import HELD_OUT
from heeler.loop.offline.config import OfflineRunConfig
from heeler.models.language.fitting import LongPrompts, fitted
from heeler.models.language.model import LanguageModel
from heeler.ops.micro_batches import stored
from heeler.ops.text_batch import TextBatch

Item = TypeVar("Item", bound=PromptedText)


@dataclass(frozen=True, kw_only=True, eq=False)
class Unit:
    """A prompt with what is learned of it."""

    prompt: Int[Tensor, " prompt"]
    completions: tuple[Int[Tensor, " completion"], ...]
    """Of a pair the chosen one first."""
    labels: tuple[bool, ...] = ()
    """Of judged answers: whether each was called good."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """All that a run learns from, and what it is judged by."""

    units: tuple[Unit, ...]
    held_out: tuple[Unit, ...]
    sha256: str
    """Of what was read."""
    dropped: dict[str, int]
    """What was left out, by reason."""
    first_dropped: str
    """The first of it; empty where there is none."""
    num_truncated: int
    """Texts whose prompts were cut to fit into the model's context."""


def batch_of(units: Sequence[Unit]) -> TextBatch:
    """Units side by side, as learners see them."""
    counts = torch.tensor([len(unit.completions) for unit in units])
    return stored(
        [unit.prompt for unit in units],
        [ids for unit in units for ids in unit.completions],
        torch.arange(len(units)).repeat_interleave(counts),
    )


def labels_of(units: Sequence[Unit]) -> list[bool]:
    """Whether each answer of some units was called good."""
    return [label for unit in units for label in unit.labels]


def newest_answer(data: str) -> int | None:
    """Position of the last answer in a run that is learned from; None where `data` is no run."""
    if not is_run(data):
        return None
    with _answers(data, None) as answers:
        return answers.position


def is_run(data: str) -> bool:
    """Whether data are the directory of a run."""
    return (Path(data) / "config.yaml").is_file()


def read_material(config: OfflineRunConfig, model: LanguageModel) -> Material:
    """Read what is learned from.

    Args:
        config: of the run.
        model: that learns; gives tokenizer and context.

    Raises:
        HeelerError: what cannot be read or does not fit, with file and row.
    """
    found = _Gathered(model, config.long_prompts)
    read = _read(config)
    found.leave_out(read.dropped, read.first_dropped)
    if config.sft is not None:
        kept, held_out = _split(read.items, config)
        units = [found.demonstrations(part) for part in (kept, held_out)]
    elif config.dpo is not None:
        kept, held_out = _split(found.decided(read.items), config)
        units = [found.pairs(part) for part in (kept, held_out)]
    else:
        kept, held_out = _split(read.items, config)
        units = [found.judged(part) for part in (kept, held_out)]
        _refuse_one_sided(kept, config.data)
    least = 2 if config.kto is not None else 1
    for some, what in zip(units, ("to learn from", "held out"), strict=True):
        if len(some) < least:
            raise DataError(
                f"{config.data}: {len(some)} prompts {what}, and {config.method} needs {least} or more; bring texts of "
                "more prompts, or a model with a longer context"
            )
    return Material(
        units=tuple(units[0]),
        held_out=tuple(units[1]),
        sha256=sha256_of(map(_said, read.items)),
        dropped=found.dropped,
        first_dropped=found.first_dropped,
        num_truncated=found.num_truncated,
    )


def _read(config: OfflineRunConfig) -> Dataset[Any]:
    if is_run(config.data):
        if config.reading != DataConfig():
            raise ConfigError(f"reading would be ignored: {config.data} is a run, whose answers are read as they are")
        with _answers(config.data, config.answers_up_to) as answers:
            if config.sft is not None:
                return answers.demonstrations()
            return answers.pairs() if config.dpo is not None else answers.judged()
    if config.answers_up_to is not None:
        raise DataError(f"{config.data}: there is no run, and answers_up_to is of one; put the run back")
    read = read_demonstrations if config.sft is not None else read_pairs if config.dpo is not None else read_judged
    return read(config.data, config.reading)


@contextmanager
def _answers(data: str, up_to: int | None) -> Iterator[Answers]:
    directory = RunDirectory.open(Path(data))
    if not has_store(directory):
        raise DataError(f"{data}: nobody has answered anything in this run; name another, or a file")
    with open_store(directory) as store:
        # What a run's watch goes by is learned from nowhere.
        yield Answers(store, data, up_to=up_to, without=(HELD_OUT,))


def _split(items: Sequence[Item], config: OfflineRunConfig) -> tuple[list[Item], list[Item]]:
    try:
        return split(items, held_out_share=config.held_out_share, seed=config.seed)
    except DataError as error:
        raise DataError(f"{config.data}: {error}") from error


def _refuse_one_sided(judged: Sequence[JudgedText], data: str) -> None:
    goods = {one.is_good for one in judged}
    if len(goods) == 1:
        only = "good" if goods == {True} else "bad"
        raise DataError(f"{data}, label: every answer to learn from is {only}; KTO needs good ones and bad ones")


class _Gathered:
    """Units on the way, and what was left out."""

    def __init__(self, model: LanguageModel, long_prompts: LongPrompts) -> None:
        self._model = model
        self._long_prompts: LongPrompts = long_prompts
        self.dropped: dict[str, int] = {}
        self.first_dropped = ""
        self.num_truncated = 0

    def leave_out(self, dropped: Mapping[str, int], first: str) -> None:
        """Count what was left out."""
        for reason, count in dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        self.first_dropped = self.first_dropped or first

    def decided(self, pairs: Sequence[TextPair]) -> list[TextPair]:
        """Pairs of which one is better."""
        for pair in pairs:
            if pair.is_equal:
                self._drop("neither text is better", pair.place)
        return [pair for pair in pairs if not pair.is_equal]

    def demonstrations(self, items: Sequence[Demonstration]) -> list[Unit]:
        """A unit each."""
        found = [self._unit(one, {"completion": one.completion}) for one in items]
        return [unit for unit in found if unit is not None]

    def pairs(self, pairs: Sequence[TextPair]) -> list[Unit]:
        """A unit each."""
        units: list[Unit] = []
        for pair in pairs:
            unit = self._unit(pair, {"chosen": pair.chosen, "rejected": pair.rejected})
            if unit is not None and torch.equal(*unit.completions):
                self._drop("chosen and rejected are the same, token for token", pair.place)
            elif unit is not None:
                units.append(unit)
        return units

    def judged(self, items: Sequence[JudgedText]) -> list[Unit]:
        """A unit for each prompt, with all the answers to it."""
        by_prompt: dict[tuple[int, ...], list[tuple[Tensor, bool]]] = {}
        for one in items:
            unit = self._unit(one, {"completion": one.completion})
            if unit is not None:
                answers = by_prompt.setdefault(tuple(unit.prompt.tolist()), [])
                answers.append((unit.completions[0], one.is_good))
        return [
            Unit(
                prompt=torch.tensor(prompt),
                completions=tuple(ids for ids, _ in answers),
                labels=tuple(is_good for _, is_good in answers),
            )
            for prompt, answers in by_prompt.items()
        ]

    def _unit(self, item: PromptedText, completions: dict[str, str]) -> Unit | None:
        found = fitted(self._model, item.prompt, completions, place=item.place, long_prompts=self._long_prompts)
        if found is None:
            self._drop("longer than the model's context", item.place)
            return None
        self.num_truncated += found.is_truncated
        return Unit(prompt=found.prompt, completions=found.completions)

    def _drop(self, reason: str, place: str) -> None:
        self.leave_out({reason: 1}, f"{place}: {reason}")


def _said(item: PromptedText) -> list[object]:
    """All of an item that is learned from."""
    prompt = [[message.role, message.content] for message in item.prompt]
    match item:
        case TextPair():
            return [prompt, item.chosen, item.rejected, item.is_equal]
        case JudgedText():
            return [prompt, item.completion, item.is_good]
        case Demonstration():
            return [prompt, item.completion]
        case _:
            raise AssertionError(type(item))
