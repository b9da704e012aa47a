"""Where a language model's prompts come from, and what is known there of good answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

from heeler.core.errors import DataError
from heeler.core.nouns import Message
from heeler.core.seeding import stream
from heeler.core.texts import TextSample
from heeler.envs.helpdesk import Findings, check, items
from heeler.evaluation.text_suites import Suite
from heeler.feedback.datasets.sources import rows_of
from heeler.feedback.transfer.texts import prompt_of
from heeler.loop.going_on import sha256_of
from heeler.loop.language import file_suites, helpdesk_suites
from heeler.models.language.model import LanguageModel
from heeler.rewards.text.part import Scores

HELPDESK = "helpdesk"
Split = Literal["train", "held_out", "suites"]
"""What learning sees, what the watch goes by, and what the gate asks."""
_TOLD = ("truthfulness", "refusals")
SUITES_SHARE = 0.5
"""Of the prompts of a file, the most that are kept for the gate."""
_LIKES_SHORT = 0.02
"""What each word beyond the reference's costs the crowd's liking."""


@dataclass(frozen=True, kw_only=True)
class Prompted:
    """A prompt with what its world knows of it."""

    prompt: tuple[Message, ...]
    columns: Mapping[str, Any] = field(default_factory=dict[str, Any])
    place: str = field(default="", compare=False)
    """Where it stands, by which messages name it; empty where it was made up."""


class TextWorld(Protocol):
    """A source of prompts."""

    sha256: str
    """Of what it was read from, by which a run that goes on knows it again; empty where it was made up."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What its prompts' columns are called; prompts that come from elsewhere have None there."""
        ...

    def prompts(self, split: Split, num: int, *, seed: int) -> list[Prompted]:
        """Some prompts; the same seed gives the same ones."""
        ...

    def has_texts(self, column: str) -> bool:
        """Whether any prompt that is learned from has a text, or texts, in this column.

        Raises:
            DataError: something else stands there; names the row.
        """
        ...

    def tells(self, name: str) -> bool:
        """Whether `score` knows this metric."""
        ...

    def quality(self, sample: TextSample) -> float | None:
        """How good an answer is, for simulated users; None where nobody knows."""
        ...

    def score(self, name: str, samples: Sequence[TextSample]) -> Scores | None:
        """A metric that this world alone can tell, `truthfulness` or `refusals`; None where it cannot."""
        ...

    def suites(self, size: int, *, seed: int) -> list[Suite]:
        """Held-out suites for the gate."""
        ...


class HelpDesk:
    """The closed world of `heeler.envs.helpdesk`, where it is known what is true."""

    sha256 = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The question with its facts, and the answer that it should get."""
        return ("question", "reference")

    def prompts(self, split: Split, num: int, *, seed: int) -> list[Prompted]:
        """Questions about facts of their own; held-out ones are worded, and name products, as no other does."""
        chosen = islice(items("train" if split == "train" else "test", seed), num)
        return [
            Prompted(prompt=item.prompt, columns={"question": item, "reference": item.reference}) for item in chosen
        ]

    def has_texts(self, column: str) -> bool:
        """References are."""
        return column == "reference"

    def tells(self, name: str) -> bool:
        """What is true, and what must be refused."""
        return name in _TOLD

    def quality(self, sample: TextSample) -> float | None:
        """What a user would think of it: true or rightly refused, polite, and no longer than need be."""
        question = sample.columns.get("question")
        if question is None:
            return None
        found = check(question, sample.completion)
        is_right = found.right_refusal if found.truthful is None else found.truthful
        too_many = max(0, len(sample.completion.split()) - len(question.reference.split()))
        return float(bool(is_right)) - 1.5 * found.toxic - _LIKES_SHORT * too_many

    def score(self, name: str, samples: Sequence[TextSample]) -> Scores | None:
        """`truthfulness` of answers to what facts answer, `refusals` of what must be refused: 0 or 1."""
        if not self.tells(name):
            return None
        wanted: Callable[[Findings], bool | None] = (
            (lambda found: found.truthful) if name == "truthfulness" else (lambda found: found.right_refusal)
        )
        scores: Scores = []
        for sample in samples:
            question = sample.columns.get("question")
            is_so = None if question is None else wanted(check(question, sample.completion))
            scores.append(None if is_so is None else float(is_so))
        return scores

    def suites(self, size: int, *, seed: int) -> list[Suite]:
        """See `helpdesk_suites`."""
        return helpdesk_suites.suites(size, seed=seed)


class PromptFile:
    """Prompts of a file, each with what else its row says; nobody but people knows what is good.

    A tenth of the prompts is held out for the watch. The gate gets as many as it asks for, but no more than half.

    Args:
        path: rows with the column `prompt`, a text or a list of messages; a column `reference`, where there is one, is
            what a good answer says. A column that a row lacks is None there.
        num_in_suites: prompts that the gate asks for; None for a tenth.

    Raises:
        DataError: a row has no prompt, or there are too few of them; names the row.
    """

    def __init__(self, path: Path, num_in_suites: int | None = None) -> None:
        read = [(place, _prompted(place, fields)) for place, fields in rows_of(str(path))]
        self._columns = tuple(sorted({name for _, each in read for name in each.columns}))
        self._rows = [(place, _with_all(each, self._columns)) for place, each in read]
        self.sha256 = sha256_of(_plainly(each) for _, each in self._rows)
        by_prompt = {each.prompt: each for _, each in self._rows}
        if len(by_prompt) < 10:
            raise DataError(
                f"{path}: {len(by_prompt)} different prompts are too few to hold some out; bring 10 or more"
            )
        order = stream(0, "prompts of a file").permutation(len(by_prompt))
        shuffled = [list(by_prompt.values())[place] for place in order]
        self.num_prompts = len(shuffled)
        """Different ones."""
        tenth = max(1, len(shuffled) // 10)
        end = tenth + (tenth if num_in_suites is None else min(num_in_suites, int(SUITES_SHARE * len(shuffled))))
        self._splits: Mapping[str, Sequence[Prompted]] = {
            "held_out": shuffled[:tenth],
            "suites": shuffled[tenth:end],
            "train": shuffled[end:],
        }

    def refuse_unreadable(self, model: LanguageModel) -> None:
        """Refuse the file where a model cannot read a prompt, or has no room for an answer to it.

        Raises:
            DataError: names file and row.
        """
        for split, found in self._splits.items():
            for each in found:
                # The gate computes how likely references are; elsewhere they are only compared as texts.
                has_reference = isinstance(each.columns.get("reference"), str)
                _refuse_unreadable(each, model, with_reference=split == "suites" and has_reference)
                if split == "suites":
                    place = f"{each.place}, with the instruction that the gate tries behind it"
                    longer = replace(each, prompt=file_suites.injected(each.prompt).prompt, place=place)
                    _refuse_unreadable(longer, model, with_reference=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the file, but for the prompt."""
        return self._columns

    def prompts(self, split: Split, num: int, *, seed: int) -> list[Prompted]:
        """Some of the split's prompts, all different as long as there are enough."""
        there = self._splits[split]
        random = stream(seed, f"prompts {split}")
        chosen: list[int] = []
        while len(chosen) < num:
            chosen += random.permutation(len(there)).tolist()
        return [there[place] for place in chosen[:num]]

    def has_texts(self, column: str) -> bool:
        """Those of a row may be None."""
        for place, each in self._rows:
            value = each.columns.get(column)
            texts = [] if value is None else [value] if isinstance(value, str) else value
            if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
                raise DataError(f"{place}, {column}: expected a text, texts or null, got {value!r:.80}")
        return any(each.columns.get(column) for each in self._splits["train"])

    def tells(self, name: str) -> bool:
        """Nothing."""
        return False

    def quality(self, sample: TextSample) -> float | None:
        """Nobody knows."""
        return None

    def score(self, name: str, samples: Sequence[TextSample]) -> Scores | None:
        """There is none."""
        return None

    def suites(self, size: int, *, seed: int) -> list[Suite]:
        """See `file_suites`."""
        return file_suites.suites(self._splits["suites"][:size])


def world_named(name: str, num_in_suites: int | None = None) -> TextWorld:
    """`helpdesk`, or the prompts of a file.

    Args:
        name: which.
        num_in_suites: see `PromptFile`; the help desk has questions without end.

    Raises:
        DataError: there is no such file, or it holds no prompts.
    """
    return HelpDesk() if name == HELPDESK else PromptFile(Path(name), num_in_suites)


def _plainly(each: Prompted) -> list[Any]:
    return [
        *([one.role, one.content] for one in each.prompt),
        *([name, str(each.columns[name])] for name in each.columns),
    ]


def _with_all(prompted: Prompted, names: Sequence[str]) -> Prompted:
    return replace(prompted, columns=dict.fromkeys(names) | dict(prompted.columns))


def _prompted(place: str, fields: Mapping[str, Any]) -> Prompted:
    try:
        prompt = prompt_of(fields.get("prompt"))
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    if not prompt:
        raise DataError(f"{place}, prompt: expected a text or a list of messages, got nothing")
    columns = {name: value for name, value in fields.items() if name != "prompt"}
    return Prompted(prompt=prompt, columns=columns, place=place)


def _refuse_unreadable(each: Prompted, model: LanguageModel, *, with_reference: bool) -> None:
    try:
        num_prompt = len(model.prompt_ids(each.prompt))
    except DataError as error:
        raise DataError(f"{each.place}, {error}") from error
    num_reference = len(model.completion_ids(each.columns["reference"])) if with_reference else 0
    if num_prompt + num_reference > model.max_length:
        raise DataError(
            f"{each.place}, reference: {num_reference} tokens and the prompt's {num_prompt} do not fit into the "
            f"model's context of {model.max_length}; shorten one of the two"
        )
