"""Asks which clips were unsafe, takes in the answers from the store, and turns steps into a cost.

As comparisons do for the reward (`preferences`): nothing here waits for an answer.
"""

from typing import Any

import numpy as np
from torch import Tensor

from heeler.core.errors import ConfigError, LearningError
from heeler.core.nouns import Feedback, Query, Segment, stable_id
from heeler.core.rollout import Rollout
from heeler.core.seeding import generator_state, restore_generator, stream
from heeler.feedback.kinds import QUESTIONS
from heeler.feedback.sampling import candidate_windows, draw_windows
from heeler.feedback.store import Store
from heeler.feedback.stores import control_segments
from heeler.feedback.unsafe import UNSAFE_QUESTIONS, UnsafeTeacher, says_unsafe
from heeler.loop.asking import MAX_WINDOWS, clips, first_due, later_due, put, refuse_long_clips
from heeler.loop.config import RunConfig
from heeler.rewards.cost_model import CostModel

_CONSUMER, _WATCHER = "costs", "simulated-watcher"


class CostAnswers:
    """One learned cost from asking to figures, for one run.

    Args:
        config: of the run; its `limits.answers` must be set.
        store: where questions and answers live.
        model: the learned cost.
        world_costs: names of the world's own costs, by which a simulated teacher goes.

    Raises:
        ConfigError: the teacher is to go by a cost that the world does not have.
    """

    def __init__(self, config: RunConfig, store: Store, model: CostModel, world_costs: tuple[str, ...]) -> None:
        assert config.limits is not None and config.limits.answers is not None
        self.run_config, self.config, self.store, self.model = config, config.limits.answers, store, model
        self.schedule = self.config.schedule
        self.model_state = model.init(config.seed)
        self.generator = stream(config.seed, "questions about costs")
        self.teacher: UnsafeTeacher | None = None
        self.true_column = 0
        if self.config.teacher != "people":
            self.true_column = true_column(config, world_costs)
            self.teacher = UnsafeTeacher(self.config.teacher, config.seed, _WATCHER, self.config.kind)
            store.add_annotator(_WATCHER, "simulated", "knows the true cost")
        # By its kind alone a question asks how good a clip is.
        words = {self.config.kind: self.config.question or UNSAFE_QUESTIONS[self.config.kind]}
        if store.setting(QUESTIONS, {}) != words:
            store.set_setting(QUESTIONS, words)
        self.num_asked = self.num_unfitted = self.position = 0
        self.taken: dict[int, str] = {}
        """Query of each answer that the cost learns from, by the answer's position: a row of its data each."""
        self.asked: set[str] = set()
        """Queries of the simulated teacher; answers to others are of a stretch that was lost, and are not taken in."""
        self.seen_withdrawals = 0

    @property
    def is_ready(self) -> bool:
        """Whether the cost was fitted to all of the first answers, so that a policy may be held to it."""
        return len(self.taken) - self.num_unfitted >= self._num_first

    @property
    def has_enough(self) -> bool:
        """Whether the first answers are in, so that a cost can be fitted."""
        return len(self.taken) >= self._num_first

    @property
    def waits_for_people(self) -> bool:
        """Whether there is nothing to act for: all first questions are put, and people are still answering them."""
        return self.teacher is None and not self.is_ready and self.num_asked >= self._num_first

    @property
    def _num_first(self) -> int:
        return max(1, self.schedule.target(0, self.run_config.total_steps))

    # Ask

    def ask(self, rollout: Rollout, step: int) -> int:
        """Put the questions that are due now, about this rollout; returns how many.

        Raises:
            ConfigError: the first rollouts are over, and no clip fitted within an episode of any of them.
        """
        due = self._due(step)
        if due == 0:
            return 0
        windows = candidate_windows(rollout.ended, self.config.segment_length)
        if not len(windows):
            if self.num_asked == 0:
                length, num_warmup = self.config.segment_length, self.config.num_warmup_rollouts
                refuse_long_clips(
                    self.run_config, rollout, step, length, num_warmup, setting="limits.answers.segment_length"
                )
            return 0
        segments, chosen = self._choose(rollout, windows, due)
        queries = [self._query(segment, step, index) for index, segment in enumerate(segments)]
        put(self.store, self.run_config, rollout, segments, queries)
        self.num_asked += len(queries)
        if self.teacher is not None:
            self.asked |= {query.id for query in queries}
            self.teacher.ask(queries, self._truly_unsafe(rollout, chosen), step)
        return len(queries)

    def _due(self, step: int) -> int:
        if self.is_ready:
            return later_due(self.run_config, self.schedule, step, self.num_asked)
        num_warmup = self.config.num_warmup_rollouts
        first = first_due(self.run_config, step, num_first=self._num_first, num_warmup_rollouts=num_warmup)
        # Where all first answers are kept for validation, there is nothing to fit to without another.
        more = self.has_enough and bool(self.model_state.validation_Q.all())
        return max(int(more), first - self.num_asked)

    def _choose(self, rollout: Rollout, windows: np.ndarray, num: int) -> tuple[list[Segment], np.ndarray]:
        """Clips, and the [num, 2] windows that they were cut from."""
        num = min(num, len(windows))
        if self.config.acquisition == "random" or not self.model_state.num_fits:
            drawn = draw_windows(windows, num, self.generator)
            return self._cut(rollout, drawn), drawn
        num_drawn = min(len(windows), max(num, min(num * self.config.num_candidates, MAX_WINDOWS)))
        drawn = draw_windows(windows, num_drawn, self.generator)
        candidates = self._cut(rollout, drawn)
        unsafe_K = self.model.unsafe(self.model_state, candidates).mean(0).double().numpy()
        order = np.argsort(np.abs(unsafe_K - 0.5), kind="stable")
        num_random = int(self.generator.binomial(num, self.config.random_share))
        surely = order[: num - num_random]
        others = self.generator.permutation(order[num - num_random :])[:num_random]
        rows = np.concatenate([surely, others])
        return [candidates[row] for row in rows], drawn[rows]

    def _cut(self, rollout: Rollout, windows: np.ndarray) -> list[Segment]:
        return clips(self.run_config, rollout, windows, self.config.segment_length, keep_true_reward=False)

    def _truly_unsafe(self, rollout: Rollout, windows: np.ndarray) -> list[bool]:
        """Whether each clip costs anything by the world's own count; only the simulated teacher is told."""
        true_TN = rollout.cost[:, :, self.true_column]
        length = self.config.segment_length
        return [bool((true_TN[t : t + length, n] > 0).any()) for t, n in windows.tolist()]

    def _query(self, segment: Segment, step: int, index: int) -> Query:
        return Query(
            id=stable_id("unsafe", self.run_config.seed, self.num_asked + index, segment.id),
            kind=self.config.kind,
            segment_ids=(segment.id,),
            policy_version=segment.policy_version,
            asked_step=step,
            acquisition=self.config.acquisition if self.model_state.num_fits else "random",
        )

    # Answer

    def listen(self, step: int) -> int:
        """Take in the answers that have come; returns how many."""
        if self.teacher is not None and (ready := self.teacher.ready(step)):
            self.store.add_feedback(ready)
        self._leave_out_withdrawn()
        found = self.store.feedback_after(self.position, limit=10_000, up_to_step=step)
        if not found:
            return 0
        num_taken = self._take_in_first(found)
        self.position = found[-1][0]
        self.store.set_consumed(_CONSUMER, self.position)
        return num_taken

    def _take_in_first(self, found: list[tuple[int, Feedback]]) -> int:
        """Take in those that are the first to their query; returns how many."""
        mine = [(position, one) for position, one in found if one.kind == self.config.kind]
        if self.teacher is not None:
            mine = [(position, one) for position, one in mine if one.query_id in self.asked]
        queries = {query.id: query for query in self.store.queries([one.query_id for _, one in mine])}
        facts = self.store.segment_facts({query.segment_ids[0] for query in queries.values()})
        known = set(self.taken.values())
        taken: list[tuple[int, Feedback]] = []
        for position, one in mine:
            shown = facts[queries[one.query_id].segment_ids[0]]
            # Others may have asked about texts, or about clips of another length, in this store.
            if one.query_id in known or shown.is_text or shown.num_steps != self.config.segment_length:
                continue
            known.add(one.query_id)
            taken.append((position, one))
        ids = [queries[one.query_id].segment_ids[0] for _, one in taken]
        segments = control_segments(self.store, ids)
        unsafe = [says_unsafe(one) for _, one in taken]
        self.model_state = self.model.add(self.model_state, [segments[name] for name in ids], unsafe)
        self.taken |= {position: one.query_id for position, one in taken}
        self.num_unfitted += len(taken)
        return len(taken)

    def _leave_out_withdrawn(self) -> None:
        """Fit the cost anew without the answers that were withdrawn since."""
        newest = self.store.withdrawals.newest()
        if newest == self.seen_withdrawals:
            return
        gone = set(self.store.withdrawals.positions())
        if any(position in gone for position in self.taken):
            self.model_state = self.model.without(self.model_state, [position not in gone for position in self.taken])
            self.taken = {position: query for position, query in self.taken.items() if position not in gone}
            self.num_unfitted = len(self.taken)
            self._fit()
        self.seen_withdrawals = newest

    # Cost

    def fit_if_due(self) -> None:
        """Fit the cost again where enough answers are new.

        Raises:
            LearningError: the fit has diverged.
        """
        exhausted = len(self.taken) >= self.schedule.budget
        at_once = exhausted or (self.has_enough and not self.is_ready)
        if self.num_unfitted >= (1 if at_once else self.config.refit_every):
            self._fit()

    def _fit(self) -> None:
        if bool(self.model_state.validation_Q.all()):
            # Nothing to learn from yet; the next answers will be.
            return
        self.model_state = self.model.fit(self.model_state, self.run_config.seed + self.model_state.num_fits)
        self.num_unfitted = 0
        broken = self.model.not_finite(self.model_state)
        if broken:
            raise LearningError(
                f"learning of the cost diverged: {', '.join(broken)} is no longer a finite number. Lower "
                "limits.answers.model.learning_rate"
            )

    def metrics(self) -> dict[str, float]:
        """Where the answers stand."""
        fit = {f"cost_model_{name}": value for name, value in self.model_state.last_fit.items()}
        counts = {"asked": self.num_asked, "answered": len(self.taken), "fits": self.model_state.num_fits}
        return {f"cost_model_{name}": value for name, value in counts.items()} | fit

    # Saving

    def tensors(self) -> dict[str, Tensor]:
        """Arrays that a checkpoint keeps."""
        return self.model.tensors(self.model_state)

    def state(self) -> dict[str, Any]:
        """JSON-ready values that a checkpoint keeps."""
        return {
            "counts": [self.num_asked, self.num_unfitted, self.position],
            "taken": list(self.taken.items()),
            "asked": sorted(self.asked),
            "seen_withdrawals": self.seen_withdrawals,
            "generator": generator_state(self.generator),
            "teacher": self.teacher.state_dict() if self.teacher else None,
            "fits": self.model.fits(self.model_state),
        }

    def load(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from what `tensors` and `state` returned."""
        self.num_asked, self.num_unfitted, self.position = state["counts"]
        self.taken = {position: query_id for position, query_id in state["taken"]}
        self.asked = set(state["asked"])
        self.seen_withdrawals = state["seen_withdrawals"]
        self.generator = restore_generator(state["generator"])
        if self.teacher is not None:
            self.teacher.load_state_dict(state["teacher"])
        self.model_state = self.model.load_tensors(self.model_state, tensors, state["fits"])
        self._leave_out_withdrawn()


def true_column(config: RunConfig, world_costs: tuple[str, ...]) -> int:
    """Which of the world's costs a simulated teacher goes by.

    Raises:
        ConfigError: the world has none of that name.
    """
    assert config.limits is not None and config.limits.answers is not None
    teacher = config.limits.answers.teacher
    if teacher == "people":
        return 0
    if teacher.cost not in world_costs:
        known = ", ".join(world_costs) or "none"
        raise ConfigError(f"limits.answers.teacher.cost: the world has no cost {teacher.cost!r}; it has {known}")
    return world_costs.index(teacher.cost)
