"""From answers to what they say of steps.

Shapes: L steps of a segment, F features of a step, J alternatives.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Feedback, Segment
from heeler.rewards.joint.evidence import Entries, Item, ItemKind
from heeler.rewards.preference_model import is_validation
from heeler.rewards.step_features import StepFeatures

_CHOICES = {"left": 0, "right": 1, "equal": 2}


@dataclass(frozen=True, kw_only=True)
class Delay:
    """How long after a step people press good or bad for it: evenly between two times (Knox and Stone 2009)."""

    least_s: float = 0.2
    """A mark is for nothing that was shown less than so many seconds before it."""
    most_s: float = 0.6
    """And for nothing that was shown more than so many before it."""

    def __post_init__(self) -> None:
        if not 0 <= self.least_s < self.most_s < math.inf:
            raise ConfigError(
                "delay.least_s must be >= 0 and below delay.most_s, which is finite, "
                f"got {self.least_s} and {self.most_s}"
            )

    def weights(self, mark_s: float, num_steps: int, step_s: float) -> np.ndarray:
        """[L] for how much of a mark each step stands; they sum to 1, or are all 0 where it is about none of them.

        Args:
            mark_s: when it came, from the segment's start.
            num_steps: L.
            step_s: seconds that a step is shown.
        """
        begins = np.arange(num_steps) * step_s
        low, high = mark_s - self.most_s, mark_s - self.least_s
        share = np.clip(np.minimum(begins + step_s, high) - np.maximum(begins, low), 0.0, None)
        return share / share.sum() if share.sum() > 0 else share


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Turns answers into items.

    Args:
        features: what is seen of a step.
        validation_share: share of trajectories whose answers are kept from training.
        num_levels: K, of every rating's scale.
        step_s: seconds that a step of a segment is shown.
        delay: of marks.
    """

    features: StepFeatures
    validation_share: float
    num_levels: int
    step_s: float
    delay: Delay

    def read(self, answer: Feedback, segments: Sequence[Segment], others: Sequence[Segment] = ()) -> list[Item]:
        """What an answer says; nothing of "can't tell", and of a watch without marks.

        Args:
            answer: of any kind.
            segments: that it is about, in the query's order; of a demonstration the one that was shown.
            others: for a demonstration, what could have been done instead: stretches of equal length; for a
                correction, the same one step long, of which the actions are tried in the corrected step's place.

        Raises:
            DataError: it cannot be read.
        """
        reading: Mapping[str, Callable[[], list[tuple[Entries, int]]]] = {
            "preference": lambda: self._preference(answer.value, segments),
            "rating": lambda: self._rating(answer.value, segments[0]),
            "critique": lambda: self._critique(answer, segments[0]),
            "evaluation": lambda: self._evaluation(answer.value, segments[0]),
            "correction": lambda: self._correction(answer, segments[0], others),
            "demonstration": lambda: self._demonstration(answer, segments[0], others),
        }
        kind: ItemKind = answer.kind
        validation = any(is_validation(each.trajectory_id, self.validation_share) for each in segments)
        return [
            Item(
                kind=kind, person=answer.annotator, answer=answer.key, rows=rows, outcome=outcome, validation=validation
            )
            for rows, outcome in reading[kind]()
        ]

    def _steps(self, segment: Segment) -> np.ndarray:
        return self.features(segment.observation, segment.action, segment.next_observation).numpy()

    def _preference(self, value: Mapping[str, Any], segments: Sequence[Segment]) -> list[tuple[Entries, int]]:
        if value["choice"] == "cant_tell":
            return []
        left, right = map(self._steps, segments)
        weight = np.concatenate([np.ones(len(left)), -np.ones(len(right))])
        return [([(np.concatenate([left, right]), weight)], _CHOICES[value["choice"]])]

    def _rating(self, value: Mapping[str, Any], segment: Segment) -> list[tuple[Entries, int]]:
        steps, share = self._steps(segment), (value["score"] - value["low"]) / (value["high"] - value["low"])
        level = min(self.num_levels - 1, int(share * self.num_levels))
        return [([(steps, np.ones(len(steps)))], level)]

    def _critique(self, answer: Feedback, segment: Segment) -> list[tuple[Entries, int]]:
        """The part is better, or worse, than the rest of the segment; of all of it, than what is usual."""
        sign = answer.value.get("sign")
        if sign not in (-1, 1):
            return []
        steps, start, end = self._steps(segment), answer.value["start"], answer.value["end"]
        inside = np.zeros(len(steps), bool)
        inside[start:end] = True
        weight = inside / inside.sum() - (~inside / max(1, (~inside).sum()))
        return [([(steps, weight)], int(sign > 0))]

    def _evaluation(self, value: Mapping[str, Any], segment: Segment) -> list[tuple[Entries, int]]:
        steps, items = self._steps(segment), list[tuple[Entries, int]]()
        for mark in value["marks"]:
            weight = self.delay.weights(mark["time_s"], len(steps), self.step_s)
            about = np.flatnonzero(weight)
            if len(about):
                items.append(([(steps[about], weight[about])], int(mark["sign"] > 0)))
        return items

    def _correction(self, answer: Feedback, segment: Segment, others: Sequence[Segment]) -> list[tuple[Entries, int]]:
        if "next_observation" in self.features.inputs:
            raise DataError(
                "a correction says nothing of a reward of what comes of an action: nobody knows what would have come "
                "of the better one; leave next_observation out of the reward's inputs"
            )
        step = answer.value["step"]
        seen, came = segment.observation[step : step + 1], segment.next_observation[step : step + 1]
        better = np.asarray(answer.value["action"], segment.action.dtype)[None]
        actions = [better, segment.action[step : step + 1], *(other.action[:1] for other in others)]
        # What is the same action is no alternative to itself.
        different = [better, *(action for action in actions[1:] if not np.array_equal(action, better))]
        if len(different) < 2:
            return []
        one = np.ones(1)
        return [([(self.features(seen, action, came).numpy(), one) for action in different], 0)]

    def _demonstration(
        self, answer: Feedback, segment: Segment, others: Sequence[Segment]
    ) -> list[tuple[Entries, int]]:
        if not others:
            raise DataError(f"answer {answer.key}: a demonstration needs something that could have been done instead")
        if any(len(other) != len(segment) for other in others):
            lengths = sorted({len(other) for other in others})
            raise DataError(f"answer {answer.key}: shown are {len(segment)} steps, alternatives have {lengths}")
        return [([(self._steps(each), np.ones(len(each))) for each in (segment, *others)], 0)]
