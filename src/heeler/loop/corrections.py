"""People as DAgger's expert: asks what the policy should have done instead, and takes in what they say.

Nothing here waits for an answer; the loop does, while too many are missing.
"""

from typing import Any
from zlib import crc32

import numpy as np

from heeler.algorithms.dagger import DAgger, DAggerState
from heeler.core.nouns import Feedback, Query, Segment, stable_id
from heeler.core.rollout import Rollout
from heeler.core.seeding import generator_state, restore_generator, stream
from heeler.feedback.sampling import candidate_windows, draw_windows
from heeler.feedback.store import Store
from heeler.feedback.stores import control_segments, every_answer
from heeler.loop.asking import clips, clips_too_long, put
from heeler.loop.config import RunConfig
from heeler.loop.not_possible import NotPossible
from heeler.loop.parts import Arrays, Kept, Metrics, Part, Turn

_CONSUMER = "corrections"


class Corrections(Part):
    """Questions to people about what the policy did, and their answers, for one run.

    Args:
        config: of the run; its expert must be people.
        store: where questions and answers live.
    """

    name = "corrections"

    def __init__(self, config: RunConfig, store: Store) -> None:
        assert config.imitation is not None and config.imitation.expert is not None
        self.run_config, self.config, self.store = config, config.imitation.expert, store
        self.generator = stream(config.seed, "corrections")
        self.asked: list[str] = []
        """Queries of this run, the oldest first."""
        self.answered: set[str] = set()
        self.position = self.seen_withdrawals = 0
        """Of what the learner was handed."""
        self._read_to = 0
        self._waiting: list[tuple[int, Feedback]] = []
        """Answers that the learner was not handed yet."""
        self.num_given_up = 0
        self.num_taken = 0
        self.taken: set[int] = set()
        """Positions of the answers that the learner holds."""
        self.not_possible = NotPossible()

    def wants_snapshots(self) -> bool:
        """Clips of it may be asked about."""
        return True

    def after_rollout(self, turn: Turn) -> Turn:
        """Ask about what the policy did, and listen."""
        if turn.is_own:
            self.ask(turn.rollout, turn.step)
        self.listen(turn.step)
        return turn

    def ask(self, rollout: Rollout, step: int) -> int:
        """Ask about some clips of a rollout, drawn evenly from where the policy went; returns how many.

        Raises:
            ConfigError: no clip fits within an episode.
        """
        windows_W2 = candidate_windows(rollout.ended, self.config.segment_length)
        if not len(windows_W2):
            raise clips_too_long(rollout, "imitation.expert.segment_length", self.config.segment_length)
        drawn = draw_windows(windows_W2, min(self.config.num_questions, len(windows_W2)), self.generator)
        segments = clips(self.run_config, rollout, drawn, self.config.segment_length, keep_true_reward=False)
        queries = [self._query(segment, step) for segment in segments]
        put(self.store, self.run_config, rollout, segments, queries)
        self.asked += [query.id for query in queries]
        return len(queries)

    def _query(self, segment: Segment, step: int) -> Query:
        return Query(
            id=stable_id("correction", self.run_config.seed, segment.id),
            kind="correction",
            segment_ids=(segment.id,),
            policy_version=segment.policy_version,
            asked_step=step,
            acquisition="random",
        )

    def listen(self, step: int) -> int:
        """Read the answers that have come; returns how many are new. The learner gets them in `hand_over`."""
        self.num_given_up = self.store.flags.num_given_up()
        num_before = len(self._waiting)
        while page := self.store.feedback_after(max(self._read_to, self.position), limit=10_000, up_to_step=None):
            self._waiting += [(position, one) for position, one in page if one.kind == "correction"]
            self.answered |= {one.query_id for _, one in page}
            self._read_to = page[-1][0]
        return len(self._waiting) - num_before

    @property
    def num_open(self) -> int:
        """Questions that wait for an answer."""
        return max(0, sum(name not in self.answered for name in self.asked) - self.num_given_up)

    @property
    def waits_for_people(self) -> bool:
        """Whether too many answers are missing for the policy to go on."""
        return not self.has_enough

    @property
    def has_enough(self) -> bool:
        """Whether the share of answers is in that is waited for."""
        return self.num_open <= (1 - self.config.answers_share) * len(self.asked)

    def hand_over(self, learner: Any, state: DAggerState) -> DAggerState:
        """Give the learner what has come, and take from it what was withdrawn; returns its state."""
        assert isinstance(learner, DAgger)
        newest = self.store.withdrawals.newest()
        gone = set(self.store.withdrawals.positions()) if newest != self.seen_withdrawals else set[int]()
        if gone:
            state = learner.without(state, gone, self.run_config.seed)
            self.taken -= gone
        self.seen_withdrawals = newest
        for position, answer in self._possible():
            if position not in gone:
                observation, action, episode = self._step_of(answer)
                state = learner.aggregate(state, observation, action, episode, np.array([position]))
                self.taken.add(position)
                self.num_taken += 1
        self._waiting, self.position = [], max(self._read_to, self.position)
        self.store.set_consumed(_CONSUMER, self.position)
        return state

    def _possible(self) -> list[tuple[int, Feedback]]:
        """Answers that wait, but for those of a store of before they were held against the world's actions."""
        bounds = self.store.action_bounds()
        return [(position, one) for position, one in self._waiting if self.not_possible.passes(one, bounds)]

    def warning(self) -> str | None:
        """What is to be said once, as soon as it is found: that answers are left out."""
        return self.not_possible.warning()

    def _step_of(self, answer: Feedback) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What an answer says is to be done: the observation, the action, and the number of their episode."""
        (query,) = self.store.queries([answer.query_id])
        name = query.segment_ids[0]
        segment = control_segments(self.store, [name])[name]
        step, action = int(answer.value["step"]), np.array([answer.value["action"]])
        return segment.observation[[step]], action, np.array([crc32(segment.trajectory_id.encode())])

    def metrics(self) -> Metrics:
        """Where the questions stand."""
        answered = len(self.asked) - sum(name not in self.answered for name in self.asked)
        return {"asked": len(self.asked), "answered": answered, "corrections_used": self.num_taken}

    def kept(self) -> Kept:
        """What a checkpoint keeps; answers that were not handed over are read again."""
        return {}, {
            "asked": self.asked,
            "position": self.position,
            "seen_withdrawals": self.seen_withdrawals,
            "num_taken": self.num_taken,
            "taken": sorted(self.taken),
            "generator": generator_state(self.generator),
        }

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Go on from what `kept` returned."""
        self.asked, self.position = list(state["asked"]), state["position"]
        self.seen_withdrawals, self.num_taken = state["seen_withdrawals"], state["num_taken"]
        self.generator = restore_generator(state["generator"])
        self._waiting, self._read_to = [], 0
        given = list(every_answer(self.store))
        self.answered = {one.query_id for _, one in given}
        # Checkpoints of earlier versions say only how far they had read.
        read = {position for position, one in given if position <= self.position and one.kind == "correction"}
        self.taken = set(state.get("taken", read))
