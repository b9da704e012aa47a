"""Which questions are asked, of which kind, and of whom.

Shapes: W windows of a rollout (time and environment of each), Q candidates, P people.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heeler.core.nouns import FeedbackKind, Segment
from heeler.core.rollout import Rollout
from heeler.core.seeding import stream
from heeler.feedback.answer_times import AnswerTimes
from heeler.feedback.sampling import candidate_windows, draw_windows, trajectory_name
from heeler.feedback.worth import choose_by_rate
from heeler.loop.asking import TRAJECTORIES, clips
from heeler.loop.config import RunConfig
from heeler.loop.kinds.candidates import Candidate, Drawing, Reading, about, answer_bits
from heeler.rewards.joint.evidence import Item
from heeler.rewards.joint.model import JointModel, JointModelState
from heeler.rewards.joint.readings import Reader
from heeler.rewards.preference_model import is_validation

_MAX_EACH, _MAX_CLIPS = 100, 120
"""Candidates of a kind, and clips that they are drawn from."""
ANYBODY = ""
"""Whom a question is put to where the store hands it to whoever comes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """A question that is to be asked."""

    candidate: Candidate
    person: str
    """Whom; `ANYBODY` where nobody is meant."""
    seconds: float
    """That it is expected to take."""
    rate: float = 0.0
    """Bits a second that the answer is expected to say; 0 where it was drawn by chance."""


class QuestionChoice:
    """Chooses questions for one run.

    Args:
        config: of the run; its `kinds` must be set.
        model: the learned reward.
        reader: of answers.
        times: what answers took.
        people: who can be asked by name; nobody where the store hands questions to whoever comes.
    """

    def __init__(
        self, config: RunConfig, model: JointModel, reader: Reader, times: AnswerTimes, people: Sequence[str]
    ) -> None:
        assert config.kinds is not None
        self._run_config, self._config, self._model, self._reader = config, config.kinds, model, reader
        self._times, self._people = times, tuple(people) or (ANYBODY,)
        self._share = config.kinds.model.reward.validation_share
        self.drawing = Drawing(
            config.kinds.history_share, config.kinds.num_alternatives, stream(config.seed, "questions of all kinds")
        )
        self.history: list[Segment] = []
        """Segments that were asked about, oldest first: candidates to compare new ones with."""
        self.best_rate: float | None = None
        """Bits a second that the best question of the last choice is expected to say; None where none was scored."""

    @property
    def generator(self) -> np.random.Generator:
        """Where the randomness comes from."""
        return self.drawing.generator

    @generator.setter
    def generator(self, generator: np.random.Generator) -> None:
        self.drawing.generator = generator

    def acquisition(self, state: JointModelState) -> str:
        """By what questions are chosen, for the query's record."""
        if self._config.asking == "uniform":
            return "uniform"
        return "information_per_second" if state.num_fits else "random"

    def remember(self, segments: Sequence[Segment]) -> None:
        """These were asked about."""
        known = {segment.id for segment in self.history}
        self.history += list({each.id: each for each in segments if each.id not in known}.values())

    def choose(
        self, rollout: Rollout, time_s: float, state: JointModelState, says: Mapping[FeedbackKind, float], marks: float
    ) -> list[Chosen]:
        """Questions that take about so long; all clips of one are on the same side of the validation split.

        Args:
            rollout: whose clips they are about.
            time_s: of people, to be spent.
            state: the learned reward.
            says: how often an answer of each kind says anything; "can't tell" says nothing.
            marks: that people give in a clip they watch.
        """
        windows_W2 = candidate_windows(rollout.ended, self._config.segment_length)
        held_out_W = np.array([self._is_held_out(rollout, window) for window in windows_W2], bool)
        usual_s = float(np.mean([self._times.expected_s(kind) for kind in self._config.kinds]))
        number = max(1, round(time_s / usual_s))
        num_held_out = int(self.generator.binomial(number, self._share))
        self.best_rate = None
        chosen: list[Chosen] = []
        # Both are chosen alike: what is kept from training must be as hard to foretell as what is not.
        for windows, count in (
            (windows_W2[~held_out_W], number - num_held_out),
            (windows_W2[held_out_W], num_held_out),
        ):
            if count and len(windows):
                chosen += self._among(rollout, windows, time_s * count / number, state, says, max(1, round(marks)))
        return chosen

    def _among(
        self,
        rollout: Rollout,
        windows_W2: np.ndarray,
        time_s: float,
        state: JointModelState,
        says: Mapping[FeedbackKind, float],
        num_marks: int,
    ) -> list[Chosen]:
        is_scored = self._config.asking == "information" and state.num_fits > 0
        num: dict[FeedbackKind, int] = {
            kind: math.ceil(time_s / self._times.expected_s(kind)) for kind in self._config.kinds
        }
        if is_scored:
            num |= {kind: min(_MAX_EACH, each * self._config.num_candidates) for kind, each in num.items()}
        size = min(len(windows_W2), _MAX_CLIPS, 2 * max(num.values()))
        fresh = self._cut(rollout, draw_windows(windows_W2, size, self.generator))
        older = self._older(fresh[0])
        drawn: dict[FeedbackKind, list[Candidate]] = {
            kind: self.drawing.draw(kind, fresh, older, count) for kind, count in num.items()
        }
        if is_scored:
            candidates = [each for some in drawn.values() for each in some]
            return self._best(candidates, time_s, state, says, num_marks) if candidates else []
        return self._by_chance(drawn, time_s)

    def _by_chance(self, drawn: Mapping[FeedbackKind, list[Candidate]], time_s: float) -> list[Chosen]:
        """Uniform: each kind as often. Else, before the first fit: each kind for as long, as nobody knows better."""
        left: dict[FeedbackKind, list[Candidate]] = {kind: list(some) for kind, some in drawn.items() if some}
        chosen: list[Chosen] = []
        spent_s = 0.0
        while left:
            kinds = list(left)
            expected = np.array([self._times.expected_s(kind) for kind in kinds])
            weight = np.ones(len(kinds)) if self._config.asking == "uniform" else 1 / expected
            kind = kinds[int(self.generator.choice(len(kinds), p=weight / weight.sum()))]
            person = self._people[int(self.generator.integers(len(self._people)))]
            seconds = self._times.expected_s(kind, person or None)
            if chosen and spent_s + seconds / 2 > time_s:
                break
            spent_s += seconds
            chosen.append(Chosen(candidate=left[kind].pop(), person=person, seconds=seconds))
            if not left[kind]:
                del left[kind]
        return chosen

    def _best(
        self,
        candidates: Sequence[Candidate],
        time_s: float,
        state: JointModelState,
        says: Mapping[FeedbackKind, float],
        num_marks: int,
    ) -> list[Chosen]:
        """By what answers say a second: each question of who says most of it in the time that they take."""
        items = self._items(candidates, num_marks)
        bits_PQ, seconds_PQ = self._expected(candidates, items, self._people, state, says)
        who_Q, every_Q = (bits_PQ / seconds_PQ).argmax(0), np.arange(len(candidates))
        bits_Q, seconds_Q = bits_PQ[who_Q, every_Q], seconds_PQ[who_Q, every_Q]
        best = float((bits_Q / seconds_Q).max())
        self.best_rate = best if self.best_rate is None else max(best, self.best_rate)
        places, rates = choose_by_rate(bits_Q, seconds_Q, about(items, state), time_s)
        return [
            Chosen(
                candidate=candidates[place],
                person=self._people[who_Q[place]],
                seconds=float(seconds_Q[place]),
                rate=rate,
            )
            for place, rate in zip(places.tolist(), rates.tolist(), strict=True)
        ]

    def rates(
        self,
        candidates: Sequence[Candidate],
        people: Sequence[str],
        state: JointModelState,
        says: Mapping[FeedbackKind, float],
        marks: float,
    ) -> np.ndarray:
        """[P, Q] bits a second that each person's answer to each question is expected to say."""
        items = self._items(candidates, max(1, round(marks)))
        bits_PQ, seconds_PQ = self._expected(candidates, items, people, state, says)
        return bits_PQ / seconds_PQ

    def _items(self, candidates: Sequence[Candidate], num_marks: int) -> list[list[Item]]:
        reading = Reading(reader=self._reader, num_marks=num_marks)
        return [reading.items(candidate, ANYBODY) for candidate in candidates]

    def _expected(
        self,
        candidates: Sequence[Candidate],
        items: Sequence[Sequence[Item]],
        people: Sequence[str],
        state: JointModelState,
        says: Mapping[FeedbackKind, float],
    ) -> tuple[np.ndarray, np.ndarray]:
        """([P, Q] bits that each answer is expected to say, [P, Q] seconds that it takes)."""
        says_Q = np.array([says.get(candidate.kind, 1.0) for candidate in candidates])
        bits_PQ, seconds_PQ = np.zeros((2, len(people), len(candidates)))
        most = math.log2(self._config.model.reward.num_members)
        for place, person in enumerate(people):
            asked = [replace(item, person=person) for each in items for item in each]
            expected = self._model.expected_bits(state, asked)
            bits_PQ[place] = answer_bits(candidates, items, expected, most) * says_Q
            seconds_PQ[place] = [self._times.expected_s(each.kind, person or None) for each in candidates]
        return bits_PQ, seconds_PQ

    def _older(self, like: Segment) -> list[Segment]:
        held_out = is_validation(like.trajectory_id, self._share)
        older = [each for each in self.history if is_validation(each.trajectory_id, self._share) == held_out]
        return [older[place] for place in self.generator.permutation(len(older))[:_MAX_CLIPS]]

    def _cut(self, rollout: Rollout, windows_W2: np.ndarray) -> list[Segment]:
        keep = self._config.teacher != "people"
        return clips(self._run_config, rollout, windows_W2, self._config.segment_length, keep_true_reward=keep)

    def _is_held_out(self, rollout: Rollout, window: np.ndarray) -> bool:
        t, n = window.tolist()
        return is_validation(trajectory_name(TRAJECTORIES, n, int(rollout.episode_index[t, n])), self._share)
