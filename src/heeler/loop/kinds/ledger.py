"""What was asked and answered, in seconds and by kind: bookkeeping, without the store and the model."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from heeler.core.nouns import FeedbackKind
from heeler.feedback.seen_views import FOLDED, OPENED

_NUM_LATEST, _SILENT = 20, 0.5
"""Answers by which it is judged whether people can judge, and the share of them that say nothing."""


@dataclass(frozen=True)
class Asked:
    """A question that was put."""

    kind: FeedbackKind
    seconds: float
    """That it was expected to take."""
    alternatives: tuple[tuple[str, int | None], ...] = ()
    """Segments, and steps of them, that what is shown is taken to be chosen from."""


@dataclass(frozen=True)
class Taken:
    """An answer that was taken in."""

    query_id: str
    key: str
    kind: FeedbackKind
    person: str
    seconds: float
    """That it counts for."""
    says: bool
    """Whether it says anything of the reward."""
    marks: int = 0
    """Of a watch."""
    view: str = ""
    """FOLDED or OPENED where it says that a model's view was offered with its question; empty where it does not."""
    agrees: bool | None = None
    """Whether it says what that view said; None where that cannot be told."""
    is_left_out: bool = False
    """The reward does not learn from it, although it says something, as it came after the view was opened, or names
    what is no action of the world."""


@dataclass(kw_only=True)
class Ledger:
    """All questions and answers of a run that it knows of."""

    asked: dict[str, Asked] = field(default_factory=dict[str, Asked])
    """By the query's id."""
    taken: dict[int, Taken] = field(default_factory=dict[int, Taken])
    """By the answer's position in the store."""
    num_given_up: int = 0
    """Questions that were set aside before people answered them; others are asked in their place."""

    @property
    def used_s(self) -> float:
        """Seconds that people have spent on answers."""
        return math.fsum(each.seconds for each in self.taken.values())

    @property
    def num_open(self) -> int:
        """Questions that wait for an answer."""
        return max(0, len(self.asked.keys() - self._answered) - self.num_given_up)

    @property
    def in_hand_s(self) -> float:
        """Seconds that were spent, and that open questions are expected to take."""
        waiting = [each.seconds for name, each in self.asked.items() if name not in self._answered]
        given_up = min(self.num_given_up, len(waiting)) / max(1, len(waiting))
        return self.used_s + math.fsum(waiting) * (1 - given_up)

    @property
    def _answered(self) -> set[str]:
        return {each.query_id for each in self.taken.values()}

    @property
    def answers_of(self) -> Counter[str]:
        """How many answers each person gave."""
        return Counter(each.person for each in self.taken.values())

    @property
    def num_useful(self) -> int:
        """Answers that say something of the reward."""
        return sum(each.says for each in self.taken.values())

    def says(self, kinds: Iterable[FeedbackKind]) -> dict[FeedbackKind, float]:
        """How often the reward learns from an answer of each kind: of the latest, with one that it does for a prior."""
        found: dict[FeedbackKind, float] = {}
        for kind in kinds:
            latest = self._latest(kind)
            found[kind] = (1 + sum(each.says for each in latest)) / (1 + len(latest))
        return found

    def marks(self, guess: float) -> float:
        """How many marks a clip is given, with a guess that counts for five clips."""
        watched = [each.marks for each in self.taken.values() if each.kind == "evaluation"]
        return (5 * guess + sum(watched)) / (5 + len(watched))

    def silent(self, kind: FeedbackKind) -> float | None:
        """Share of the latest answers of a kind that say nothing; None while there are too few to say."""
        latest = self._latest(kind, but_left_out=True)
        return None if len(latest) < _NUM_LATEST else 1 - sum(each.says for each in latest) / len(latest)

    def cannot_judge(self, kind: FeedbackKind, fit: Mapping[str, float]) -> bool:
        """Whether people cannot judge by a kind of question.

        Half of the latest answers say nothing; or, of comparisons, marks and critiques, held-out answers are foretold
        no better than by a coin, although there are enough of them to tell.

        Args:
            kind: of question.
            fit: figures of the last fit.
        """
        silent = self.silent(kind)
        if silent is not None and silent >= _SILENT:
            return True
        if kind not in ("preference", "evaluation", "critique"):
            return False
        enough = fit.get(f"validation_number_{kind}", 0.0) >= _NUM_LATEST
        return enough and fit[f"validation_loss_{kind}"] >= math.log(2)

    def _latest(self, kind: FeedbackKind, *, but_left_out: bool = False) -> list[Taken]:
        mine = [each for each in self.taken.values() if each.kind == kind]
        return [each for each in mine if not (but_left_out and each.is_left_out)][-_NUM_LATEST:]

    def figures(self, kinds: Iterable[FeedbackKind]) -> dict[str, float]:
        """Of each kind: questions, answers and seconds."""
        asked = Counter(each.kind for each in self.asked.values())
        figures: dict[str, float] = {}
        for kind in kinds:
            mine = [each for each in self.taken.values() if each.kind == kind]
            figures[f"kinds/{kind}/asked"] = asked[kind]
            figures[f"kinds/{kind}/answered"] = len(mine)
            figures[f"kinds/{kind}/seconds"] = math.fsum(each.seconds for each in mine)
            silent = self.silent(kind)
            if silent is not None:
                figures[f"kinds/{kind}/silent_share"] = silent
            figures |= {f"kinds/{kind}/{name}": number for name, number in _views(mine).items()}
        return figures

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "asked": {name: [*asdict(each).values()] for name, each in self.asked.items()},
            "answers": [[position, *asdict(each).values()] for position, each in self.taken.items()],
            "num_given_up": self.num_given_up,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.asked = {
            name: Asked(kind, seconds, tuple((segment, step) for segment, step in others))
            for name, (kind, seconds, others) in state["asked"].items()
        }
        self.taken = {position: Taken(*rest) for position, *rest in state["answers"]}
        self.num_given_up = state["num_given_up"]


def _views(taken: Iterable[Taken]) -> dict[str, int]:
    """Of answers to questions that came with a model's view: how many, after how many looks, and what agrees with it.

    Nothing where none came with one. `folded_held` are those that can be held against the view, of them
    `folded_agree` say the same; `opened_held` and `opened_agree` likewise.
    """
    offered = [each for each in taken if each.view]
    if not offered:
        return {}
    figures = {"views_offered": len(offered), "views_opened": sum(each.view == OPENED for each in offered)}
    for view in (FOLDED, OPENED):
        agrees = [each.agrees for each in offered if each.view == view and each.agrees is not None]
        figures |= {f"{view}_held": len(agrees), f"{view}_agree": sum(agrees)}
    return figures
