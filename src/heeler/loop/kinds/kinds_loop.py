"""Show, answer, reward, by every kind of question: asks, takes in the answers from the store, and rewards steps.

As comparisons alone do (`loop.preferences`): nothing here waits for an answer. The budget is people's time.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from heeler.core.nouns import FeedbackKind, Query, Segment, stable_id
from heeler.core.rollout import Rollout
from heeler.core.seeding import generator_state, restore_generator
from heeler.envs import World
from heeler.feedback.answer_times import AnswerTimes
from heeler.feedback.kinds import AIDS, FIRST_FOR, VIEWS
from heeler.feedback.kinds_teacher import KindsTeacher, Question
from heeler.feedback.store import Store
from heeler.feedback.stores import control_segments
from heeler.loop.asking import first_due, later_due, num_rollouts, put, refuse_long_clips
from heeler.loop.config import RunConfig
from heeler.loop.kinds.action_rewards import action_reward
from heeler.loop.kinds.candidates import Candidate
from heeler.loop.kinds.choosing import Chosen, QuestionChoice
from heeler.loop.kinds.enough import Enough
from heeler.loop.kinds.ledger import Asked
from heeler.loop.kinds.listening import Listening
from heeler.loop.kinds.pace import Pace
from heeler.loop.kinds.rewarding import KindsReward
from heeler.loop.kinds.routing import known_people, routes
from heeler.loop.kinds.views import views
from heeler.loop.parts import Arrays, Kept, Part, Turn
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.rewards.joint.model import JointModel
from heeler.rewards.joint.readings import Reader

_NUM_RANKED, _LOOK_EVERY, _MOST_OPEN, _LEAST_KNOWN = 64, 10, 200, 10


class KindsLoop(Part):
    """All kinds of questions from asking to reward, for one run.

    Args:
        config: of the run; its `kinds` must be set.
        store: where questions and answers live.
        model: the learned reward.
        world: that is acted in; says how fast its clips are shown.
        note: writes an act into the run's audit log.
    """

    name = "kinds"

    def __init__(
        self, config: RunConfig, store: Store, model: JointModel, world: World, note: Callable[..., Any] | None = None
    ) -> None:
        assert config.kinds is not None
        self.run_config, self.config, self.store, self._note = config, config.kinds, store, note
        self.schedule = self.config.schedule
        self.pace = Pace.of(world, self.config.segment_length)
        self.learned = KindsReward(model, config.seed)
        self.teacher: KindsTeacher | None = None
        people: tuple[str, ...] = ()
        if self.config.teacher != "people":
            people = self.config.teacher.people
            self.teacher = self._simulated()
            for name in people:
                store.add_annotator(name, "simulated", "knows the true reward")
        reader = Reader(
            features=model.features,
            validation_share=self.config.model.reward.validation_share,
            num_levels=self.config.model.num_levels,
            step_s=self.pace.step_s,
            delay=self.pace.in_clip_time(self.config.delay),
        )
        guess_s: dict[FeedbackKind, float] = {kind: self.config.seconds.of(kind) for kind in self.config.kinds}
        self.times = AnswerTimes(guess_s, most_s=self.config.most_s)
        self.listening = Listening(config, store, model, reader, self.times)
        self.ledger, self.new_answers = self.listening.ledger, self.listening.new_answers
        self.choice = QuestionChoice(config, model, reader, self.times, people)
        self.enough = Enough(config=self.config.enough)
        self.hard: list[FeedbackKind] = []
        """Kinds that people cannot judge."""

    def _simulated(self) -> KindsTeacher:
        assert self.config.teacher != "people"
        knows = action_reward(self.run_config.env.id) if "correction" in self.config.kinds else None
        return KindsTeacher(
            self.config.teacher,
            self.run_config.seed,
            step_s=self.pace.step_s,
            speed=self.pace.speed,
            action_reward=knows,
        )

    # Where it stands

    @property
    def num_answered(self) -> int:
        """Answers that were taken in."""
        return len(self.ledger.taken)

    @property
    def num_open(self) -> int:
        """Questions that wait for an answer."""
        return self.ledger.num_open

    @property
    def _first_s(self) -> int:
        """Seconds of people's time that are wanted before there is a reward, whatever becomes of the budget."""
        return max(1, self.schedule.target(0, self.run_config.total_steps))

    @property
    def has_enough(self) -> bool:
        """Whether the first answers are in, so that a reward can be fitted."""
        return self.ledger.used_s >= self._first_s and self.learned.can_learn

    @property
    def has_reward(self) -> bool:
        """Whether the reward was fitted to all of the first answers, so that a policy may learn from it."""
        return self.learned.is_fitted and self.learned.fitted_s >= self._first_s

    @property
    def waits_for_people(self) -> bool:
        """Whether there is nothing to act for: all first questions are put, and people are still answering them."""
        are_put = self.num_open > 0 and self.ledger.in_hand_s >= self._first_s
        return self.teacher is None and are_put and not self.has_reward

    def set_budget(self, budget: int) -> None:
        """Ask for so many seconds of people's time in all from now on; fewer than were asked for means no more
        questions. What had been enough is looked at anew."""
        self.schedule = replace(self.schedule, budget=budget)
        self.enough.begin_again()

    def wants_snapshots(self) -> bool:
        """Clips of it may be asked about."""
        return True

    def after_rollout(self, turn: Turn) -> Turn:
        """Show, answer, reward: the turn with the learned reward. About what a trusted policy does nothing is asked."""
        if turn.is_own:
            self.ask(turn.rollout, turn.step)
        self.listen(turn.step)
        return replace(turn, reward=self.reward(turn.rollout, step=turn.step, progress=turn.progress))

    # Show

    def ask(self, rollout: Rollout, step: int) -> int:
        """Put the questions that are due now, about this rollout; returns how many.

        Raises:
            ConfigError: the first rollouts are over, and no clip fitted within an episode of any of them.
        """
        due_s = self._due_s(step)
        # While nobody is asked, what the best question would say is looked at now and then.
        if due_s <= 0 or (self.enough.is_over and num_rollouts(self.run_config, step) % _LOOK_EVERY):
            return 0
        says, marks = self.ledger.says(self.config.kinds), self.ledger.marks(self.pace.watched_s)
        chosen = self.choice.choose(rollout, due_s, self.learned.state, says, marks)
        if self.choice.best_rate is not None:
            self._tell("asking.begin_again", step, self.enough.asked(self.choice.best_rate))
        if self.enough.is_over:
            return 0
        if not chosen:
            if not self.ledger.asked:
                length, num_warmup = self.config.segment_length, self.config.num_warmup_rollouts
                refuse_long_clips(self.run_config, rollout, step, length, num_warmup, setting="kinds.segment_length")
            return 0
        self._put(chosen, rollout, step)
        self._tell_service()
        return len(chosen)

    def _put(self, chosen: list[Chosen], rollout: Rollout, step: int) -> None:
        shown = {each.id: each for one in chosen for each in one.candidate.segments}
        beside = {each.id: each for one in chosen for each, _ in one.candidate.alternatives}
        first = len(self.ledger.asked)
        queries = [self._query(one, step, first + index) for index, one in enumerate(chosen)]
        put(self.store, self.run_config, rollout, list((shown | beside).values()), queries)
        for query, one in zip(queries, chosen, strict=True):
            others = tuple((segment.id, at) for segment, at in one.candidate.alternatives)
            self.ledger.asked[query.id] = Asked(query.kind, one.seconds, others)
        self.choice.remember(list(shown.values()))
        if self.teacher is not None:
            questions = [
                Question(query=query, person=one.person, alternatives=one.candidate.others)
                for query, one in zip(queries, chosen, strict=True)
            ]
            self.teacher.ask(questions, shown, step)

    def _query(self, chosen: Chosen, step: int, number: int) -> Query:
        ids = tuple(segment.id for segment in chosen.candidate.segments)
        return Query(
            id=stable_id("question", self.run_config.seed, chosen.candidate.kind, number, *ids),
            kind=chosen.candidate.kind,
            segment_ids=ids,
            policy_version=chosen.candidate.segments[0].policy_version,
            asked_step=step,
            acquisition=self.choice.acquisition(self.learned.state),
            score=chosen.rate,
        )

    def _due_s(self, step: int) -> float:
        in_hand_s = self.ledger.in_hand_s
        if self.has_reward:
            return later_due(self.run_config, self.schedule, step, math.ceil(in_hand_s))
        num_warmup = self.config.num_warmup_rollouts
        first_s = first_due(self.run_config, step, num_first=self._first_s, num_warmup_rollouts=num_warmup)
        # Where all first answers say nothing or are kept for validation, there is nothing to fit to without another.
        more = self.ledger.used_s >= self._first_s and not self.learned.can_learn and not self.num_open
        return max(float(more), first_s - in_hand_s)

    # Answer

    def listen(self, step: int) -> int:
        """Take in the answers that have come; returns how many."""
        if self.teacher is not None and (ready := self.teacher.ready(step)):
            self.store.add_feedback(ready)
        self._leave_out_withdrawn()
        self.learned.state, taken = self.listening.listen(self.learned.state, self.choice.history, step)
        self.learned.num_unfitted += sum(each.says for each in taken)
        return len(taken)

    def _leave_out_withdrawn(self) -> None:
        self.learned.state, any_gone = self.listening.leave_out_withdrawn(self.learned.state)
        if any_gone:
            self.learned.begin_anew(self.ledger.num_useful)
            self.enough.begin_again()

    # Reward

    def reward(self, rollout: Rollout, *, step: int, progress: float) -> np.ndarray | None:
        """[T, N] learned rewards of this rollout, the reward fitted again where that is due; None before `has_reward`.

        Every rollout is labelled by the newest reward. `progress` is the share of the policy's updates that is over, by
        which `exploration` declines.
        """
        exhausted = self.ledger.used_s >= self.schedule.budget
        least = 1 if exhausted or not self.has_reward else self.config.refit_every
        fits = self.has_enough and self.learned.num_unfitted >= least
        if fits:
            self._fit(step)
        if not self.has_reward:
            return None
        exploration = self.config.exploration * max(0.0, 1 - progress / self.schedule.finish_share)
        return self.learned.of(rollout, is_new=fits, for_spread=exploration)

    def _fit(self, step: int) -> None:
        judged = self.learned.fit(self.ledger.used_s, self.choice.history[-_NUM_RANKED:])
        if judged is not None:
            self._tell("asking.stop", step, self.enough.fitted(*judged))
        fit = self.learned.state.last_fit
        hard: list[FeedbackKind] = [kind for kind in self.config.kinds if self.ledger.cannot_judge(kind, fit)]
        if hard != self.hard:
            self.store.set_setting(AIDS, hard)
            self._tell("asking.aids", step, f"kinds that people cannot judge by: {', '.join(hard) or 'none any more'}")
        self.hard = hard
        self._tell_service()

    def _tell_service(self) -> None:
        """Whom to ask what first; and what the reward thinks of what is hard to judge, for who is asked that."""
        if self.teacher is not None or not self.learned.is_fitted:
            return
        waiting = [one for one in self.store.open_queries(_MOST_OPEN) if one.id in self.ledger.asked]
        others = {name for one in waiting for name, _ in self.ledger.asked[one.id].alternatives}
        segments = control_segments(self.store, others | {name for one in waiting for name in one.segment_ids})
        if self.hard and self.config.shows_view:
            hard = [one for one in waiting if one.kind in self.hard]
            found = views(self.learned.model, self.learned.state, hard, segments)
            self.store.set_setting(VIEWS, {name: asdict(view) for name, view in found.items()})
        people = known_people(self.ledger.answers_of, _LEAST_KNOWN)
        if self.config.asking == "information" and len(people) > 1 and waiting:
            says, marks = self.ledger.says(self.config.kinds), self.ledger.marks(self.pace.watched_s)
            candidates = [self._candidate(query, segments) for query in waiting]
            rate_PQ = self.choice.rates(candidates, people, self.learned.state, says, marks)
            self.store.set_setting(FIRST_FOR, routes(people, [query.id for query in waiting], rate_PQ))

    def _candidate(self, query: Query, segments: Mapping[str, Segment]) -> Candidate:
        others = tuple((segments[name], step) for name, step in self.ledger.asked[query.id].alternatives)
        shown = tuple(segments[name] for name in query.segment_ids)
        return Candidate(kind=query.kind, segments=shown, alternatives=others)

    def _tell(self, act: str, step: int, reason: str | None) -> None:
        if reason is not None and self._note is not None:
            self._note(act, step=step, reason=reason, seconds_used=round(self.ledger.used_s, 1))

    def warning(self) -> str | None:
        """What is to be said once, as soon as it is found: that answers are left out."""
        return self.listening.not_possible.warning()

    def not_finite(self, reward: np.ndarray | None) -> list[str]:
        """What is no longer a finite number, of the model and of the reward that it gave."""
        return self.learned.not_finite(reward)

    def metrics(self) -> dict[str, float]:
        """Where the answers stand, and of each kind: questions, answers, seconds, bits, precision, held-out figures."""
        figures: dict[str, float] = {
            "asked": len(self.ledger.asked),
            "answered": self.num_answered,
            "labels_used": self.ledger.num_useful,
            "seconds_used": self.ledger.used_s,
            "asking_stopped": float(self.enough.is_over),
            "fits": self.learned.state.num_fits,
        }
        if self.enough.best_rate is not None:
            figures["best_bits_per_s"] = self.enough.best_rate
        cannot = {f"kinds/{kind}/cannot_judge": 1.0 for kind in self.hard}
        return figures | self.ledger.figures(self.config.kinds) | cannot | self.learned.figures()

    # Saving

    def kept(self) -> Kept:
        """What a checkpoint keeps."""
        num_silent = self.num_answered - self.ledger.num_useful
        counts = [len(self.ledger.asked), self.num_answered, num_silent]
        return to_arrays(self.learned.tensors()), {
            "budget": self.schedule.budget,
            "counts": [*counts, self.learned.num_unfitted, self.listening.position],
            "taken": [[position, each.query_id] for position, each in self.ledger.taken.items()],
            "ledger": self.ledger.state(),
            "history": [segment.id for segment in self.choice.history],
            "times": self.times.state_dict(),
            "enough": self.enough.state(),
            "hard": self.hard,
            "seen_withdrawals": self.listening.seen_withdrawals,
            "generator": generator_state(self.choice.generator),
            "teacher": self.teacher.state_dict() if self.teacher else None,
            **self.learned.told(),
        }

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Go on from what `kept` returned."""
        # The budget may have been changed by a command since the configuration was written.
        self.schedule = replace(self.schedule, budget=state["budget"])
        self.listening.position = state["counts"][-1]
        self.listening.seen_withdrawals = state["seen_withdrawals"]
        self.ledger.load(state["ledger"])
        held = control_segments(self.store, state["history"])
        self.choice.history = [held[name] for name in state["history"]]
        self.choice.generator = restore_generator(state["generator"])
        self.times.load_state_dict(state["times"])
        self.enough.load(state["enough"])
        self.hard = list(state["hard"])
        self.learned.load(to_tensors(arrays), state)
        self._leave_out_withdrawn()
        if self.teacher is not None:
            self.teacher.load_state_dict(state["teacher"])
            return
        # Questions of a stretch that was lost stay open, and people go on answering them: they count as asked.
        for query in self.listening.lost_questions():
            self.ledger.asked[query.id] = Asked(query.kind, self.times.expected_s(query.kind))
