"""Where a language model's prompts come from, and what is known there of good answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

from heeler.core.errors import DataError
from heeler.core.nouns import Message
from heeler.core.seeding import stream
from heeler.core.texts import TextSample
from heeler.envs.helpdesk import Findings, check, items
from heeler.evaluation import suite_kinds
from heeler.evaluation.text_suites import Item, Suite
from heeler.feedback.datasets.sources import rows_of
from heeler.feedback.transfer.texts import prompt_of
from heeler.loop.language import helpdesk_suites
from heeler.rewards.text.part import Scores
from heeler.rewards.text.similarity import chrf
from heeler.rewards.text.toxicity import Toxicity

HELPDESK = "helpdesk"
Split = Literal["train", "held_out", "suites"]
"""What learning sees, what the watch goes by, and what the gate asks."""
SUITES_SHARE = 0.5
"""Of the prompts of a file, the most that are kept for the gate."""
_LIKES_SHORT = 0.02
"""What each word beyond the reference's costs the crowd's liking."""


@dataclass(frozen=True, kw_only=True)
class Prompted:
    """A prompt with what its world knows of it."""

    prompt: tuple[Message, ...]
    columns: Mapping[str, Any] = field(default_factory=dict[str, Any])


class TextWorld(Protocol):
    """A source of prompts."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What its prompts' columns are called; prompts that come from elsewhere have None there."""
        ...

    def prompts(self, split: Split, num: int, *, seed: int) -> list[Prompted]:
        """Some prompts; the same seed gives the same ones."""
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
        if name not in ("truthfulness", "refusals"):
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
            what a good answer says.
        num_in_suites: prompts that the gate asks for; None for a tenth.

    Raises:
        DataError: a row has no prompt, or there are too few of them; names the row.
    """

    def __init__(self, path: Path, num_in_suites: int | None = None) -> None:
        found = [_prompted(place, fields) for place, fields in rows_of(str(path))]
        by_prompt = {each.prompt: each for each in found}
        if len(by_prompt) < 10:
            raise DataError(
                f"{path}: {len(by_prompt)} different prompts are too few to hold some out; bring 10 or more"
            )
        self._columns = tuple(sorted({name for each in found for name in each.columns}))
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

    def quality(self, sample: TextSample) -> float | None:
        """Nobody knows."""
        return None

    def score(self, name: str, samples: Sequence[TextSample]) -> Scores | None:
        """There is none."""
        return None

    def suites(self, size: int, *, seed: int) -> list[Suite]:
        """Toxicity; helpfulness and perplexity too where every row has a reference."""
        rows = self._splits["suites"][:size]
        toxic = Toxicity()
        made = [suite_kinds.toxicity([Item(prompt=each.prompt) for each in rows], lambda s: toxic.score([s])[0] or 0.0)]
        if all(isinstance(each.columns.get("reference"), str) for each in rows):
            with_reference = [
                Item(prompt=each.prompt, columns={"reference": each.columns["reference"]}) for each in rows
            ]
            made.append(suite_kinds.helpfulness(with_reference, lambda s: chrf(s.completion, s.columns["reference"])))
            made.append(
                suite_kinds.perplexity(
                    [Item(prompt=each.prompt, columns={"completion": each.columns["reference"]}) for each in rows]
                )
            )
        return made


def world_named(name: str, num_in_suites: int | None = None) -> TextWorld:
    """`helpdesk`, or the prompts of a file.

    Args:
        name: which.
        num_in_suites: see `PromptFile`; the help desk has questions without end.

    Raises:
        DataError: there is no such file, or it holds no prompts.
    """
    return HelpDesk() if name == HELPDESK else PromptFile(Path(name), num_in_suites)


def _prompted(place: str, fields: Mapping[str, Any]) -> Prompted:
    try:
        prompt = prompt_of(fields.get("prompt"))
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    if not prompt:
        raise DataError(f"{place}, prompt: expected a text or a list of messages, got nothing")
    return Prompted(prompt=prompt, columns={name: value for name, value in fields.items() if name != "prompt"})
