"""Questions that could be asked about clips, of every kind, and what is known of each before it is answered.

Shapes: W windows of a rollout (time and environment of each), Q candidates, F features of a step, E entries of rows.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from heeler.core.nouns import Feedback, FeedbackKind, Segment
from heeler.feedback.sampling import draw_pairs
from heeler.rewards.joint.evidence import PICKS, Item
from heeler.rewards.joint.model import JointModelState
from heeler.rewards.joint.readings import Reader
from heeler.rewards.step_features import normalized

Alternative = tuple[Segment, int | None]
"""What could have been done instead: a whole stretch, or the action of one of its steps."""
_NUM_SPANS, _NUM_STEPS = 4, 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A question that could be asked."""

    kind: FeedbackKind
    segments: tuple[Segment, ...]
    """As a query shows them."""
    alternatives: tuple[Alternative, ...] = ()

    @property
    def others(self) -> tuple[Segment, ...]:
        """The alternatives as readings want them."""
        return tuple(segment if step is None else one_step(segment, step) for segment, step in self.alternatives)


def one_step(segment: Segment, step: int) -> Segment:
    """A stretch of one step."""
    at = slice(step, step + 1)
    return replace(
        segment,
        observation=segment.observation[at],
        action=segment.action[at],
        next_observation=segment.next_observation[at],
        true_reward=None if segment.true_reward is None else segment.true_reward[at],
        snapshot=None,
        start_step=segment.start_step + step,
    )


class Drawing:
    """Draws candidates.

    Args:
        history_share: share of comparisons of which one side is an older clip.
        num_alternatives: of demonstrations and corrections.
        generator: where the randomness comes from; the caller saves it.
    """

    def __init__(self, history_share: float, num_alternatives: int, generator: np.random.Generator) -> None:
        self._history_share, self._num_alternatives = history_share, num_alternatives
        self.generator = generator

    def draw(self, kind: FeedbackKind, fresh: Sequence[Segment], older: Sequence[Segment], num: int) -> list[Candidate]:
        """At most `num` questions of a kind, each about a clip that is fresh.

        Args:
            kind: of all of them.
            fresh: clips of this rollout, at least one.
            older: clips that were asked about before, on the same side of the validation split.
            num: how many.
        """
        if kind == "preference":
            return self._pairs(fresh, older, num)
        shown = [fresh[place] for place in self.generator.permutation(len(fresh))[:num]]
        if kind not in PICKS:
            return [Candidate(kind=kind, segments=(each,)) for each in shown]
        made = [
            Candidate(kind=kind, segments=(each,), alternatives=self.alternatives(kind, each, [*fresh, *older]))
            for each in shown
        ]
        return [each for each in made if each.alternatives]

    def _pairs(self, fresh: Sequence[Segment], older: Sequence[Segment], num: int) -> list[Candidate]:
        if len(fresh) < 2:
            return []
        pairs = draw_pairs(len(fresh), num, self.generator)
        if older:
            old_row = np.flatnonzero(self.generator.random(len(pairs)) < self._history_share)
            side = self.generator.integers(2, size=len(old_row))
            pairs[old_row, side] = len(fresh) + self.generator.integers(len(older), size=len(old_row))
        every = [*fresh, *older]
        chosen = [(every[left], every[right]) for left, right in np.unique(pairs, axis=0).tolist()]
        return [Candidate(kind="preference", segments=pair) for pair in chosen if pair[0].id != pair[1].id]

    def alternatives(self, kind: FeedbackKind, shown: Segment, among: Sequence[Segment]) -> tuple[Alternative, ...]:
        """What could have been done instead, drawn from what was done elsewhere."""
        others = [each for each in among if each.id != shown.id and len(each) == len(shown)]
        places = self.generator.permutation(len(others))[: self._num_alternatives]
        if kind == "demonstration":
            return tuple((others[place], None) for place in places)
        steps = self.generator.integers(len(shown), size=len(places))
        return tuple((others[place], int(step)) for place, step in zip(places, steps, strict=True))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Makes items of questions that nobody has answered yet.

    Args:
        reader: of answers.
        num_marks: that are expected in a clip that somebody watches.
    """

    reader: Reader
    num_marks: int

    def items(self, candidate: Candidate, person: str) -> list[Item]:
        """The items of an answer, whatever it will be: of a critique those of several parts, of a correction those of
        several steps, of which a person will choose one."""
        shown = candidate.segments[0]
        length = len(shown)
        made: Mapping[FeedbackKind, Callable[[], list[dict[str, object]]]] = {
            "preference": lambda: [{"choice": "left"}],
            "rating": lambda: [{"score": 0.0, "low": 0.0, "high": 1.0}],
            "evaluation": lambda: [{"marks": self._marks(length)}],
            "critique": lambda: [{"start": a, "end": b, "sign": 1} for a, b in _spans(length)],
            "correction": lambda: _corrections(candidate),
            "demonstration": lambda: [{"segment_id": shown.id}],
        }
        others = () if candidate.kind == "preference" else candidate.others
        return [
            item
            for value in made[candidate.kind]()
            for item in self.reader.read(
                Feedback(key="a question", query_id="", kind=candidate.kind, value=value, annotator=person),
                candidate.segments,
                others,
            )
        ]

    def _marks(self, length: int) -> list[dict[str, float]]:
        """Evenly over the clip, each as late as marks usually are."""
        delay, step_s = self.reader.delay, self.reader.step_s
        number = min(self.num_marks, length)
        middles = (np.arange(number) + 0.5) * length / number
        late_s = (delay.least_s + delay.most_s) / 2
        return [{"time_s": float(middle * step_s + late_s), "sign": 1} for middle in middles]


def _spans(length: int) -> list[tuple[int, int]]:
    edges = np.unique(np.linspace(0, length, min(_NUM_SPANS, length) + 1).astype(int)).tolist()
    return list(itertools.pairwise(edges))


def _corrections(candidate: Candidate) -> list[dict[str, object]]:
    length, others = len(candidate.segments[0]), candidate.others
    steps = np.unique(np.linspace(0, length - 1, min(_NUM_STEPS, length)).astype(int)).tolist()
    return [{"step": step, "action": others[0].action[0].tolist()} for step in steps]


def answer_bits(candidates: Sequence[Candidate], items: Sequence[Sequence[Item]], bits: np.ndarray, most: float):
    """[Q] what each answer is expected to say: all marks of a watch together, of parts and steps the mean.

    Args:
        candidates: the questions.
        items: of each.
        bits: expected of every item, one after the other.
        most: that an answer can say; marks of one clip say in part the same.
    """
    ends = np.cumsum([len(each) for each in items])
    found = np.zeros(len(candidates))
    for place, (candidate, end) in enumerate(zip(candidates, ends, strict=True)):
        own = bits[end - len(items[place]) : end]
        if len(own):
            found[place] = own.sum() if candidate.kind == "evaluation" else own.mean()
    return np.minimum(found, most)


def about(items: Sequence[Sequence[Item]], state: JointModelState) -> np.ndarray:
    """[Q, F] what each question is about: its items' rows of normalised features, of picks the first less the rest."""
    rows = [row for each in items for item in each for row in item.rows]
    owner = np.repeat(np.arange(len(items)), [sum(len(item.rows) for item in each) for each in items])
    sign = np.array([s for each in items for item in each for s in _signs(item)])
    size = np.array([len(weight) for _, weight in rows])
    feature_EF = normalized(torch.from_numpy(np.concatenate([feature for feature, _ in rows])), state.moments).numpy()
    weight_E = np.concatenate([weight for _, weight in rows]) * np.repeat(sign, size)
    found = np.zeros((len(items), feature_EF.shape[1]))
    np.add.at(found, np.repeat(owner, size), feature_EF * weight_E[:, None])
    return found


def _signs(item: Item) -> list[float]:
    rest = len(item.rows) - 1
    return [1.0, *([-1.0 / max(1, rest)] * rest)]
