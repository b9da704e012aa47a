"""Show, answer, reward: asks for comparisons, takes in the answers from the store, and turns steps into rewards.

Nothing here waits for an answer. Whoever gives it, the learner reads it from the store.
"""

from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from heeler.core.named import under
from heeler.core.nouns import Feedback, Query, Segment, stable_id
from heeler.core.rollout import Rollout
from heeler.core.seeding import generator_state, restore_generator
from heeler.feedback.control_crowd import ControlCrowd, ControlCrowdConfig
from heeler.feedback.store import Store
from heeler.feedback.stores import control_segments, every_answer
from heeler.feedback.teachers import SimulatedTeacher
from heeler.loop.asking import first_due, later_due, put, refuse_long_clips
from heeler.loop.choosing import PairChoice
from heeler.loop.comparison_ledger import ComparisonLedger, says_nothing
from heeler.loop.config import RunConfig
from heeler.loop.grouping import Grouping
from heeler.loop.held_out import HeldOutNotice, is_held_out_person
from heeler.loop.new_answers import NewAnswers, is_foretold
from heeler.loop.parts import Arrays, Kept, Part, Turn
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.loop.who_answers import WhoAnswers
from heeler.rewards.preference_model import PreferenceModel

_CONSUMER = LEARNER = "learner"


class PreferenceLoop(Part):
    """Comparisons from asking to reward, for one run.

    Args:
        config: of the run; its `preferences` must be set.
        store: where questions and answers live.
        model: the learned reward.
        folder: of the run, where what is known of its people is left; None to leave nothing.
    """

    name = "preferences"

    def __init__(self, config: RunConfig, store: Store, model: PreferenceModel, folder: Path | None = None) -> None:
        assert config.preferences is not None
        self.run_config, self.config, self.store, self.model = config, config.preferences, store, model
        self.schedule = self.config.schedule
        self.model_state = model.init(config.seed)
        self.choice = PairChoice(config, model)
        self.teacher = self._simulated()
        people, groups = self.config.people, self.config.groups
        self.grouping = None if groups is None else Grouping(groups, config.seed, config.num_updates)
        """Groups of people who want different things; None to look for none."""
        self.who = None if people is None else WhoAnswers(people, store, folder, self.schedule.budget, self.grouping)
        """Who answers; None where all are taken at their word."""
        self.ledger = ComparisonLedger()
        self.asked: set[str] = set()
        """Queries of the simulated teacher; answers to others are of a stretch that was lost, and are not taken in."""
        self.num_unfitted = self.position = 0
        self.must_begin_anew = False
        """What people want has changed."""
        self.num_more_unfitted = 0
        """Answers to questions that somebody else had answered, since the last fit; learned from where `who` is set."""
        # Questions of a stretch that was lost stay open, and people go on answering them: they count as asked.
        self.num_asked = 0 if self.teacher else store.clip_comparison_count()
        self._notice = HeldOutNotice(store) if self.config.held_out_people and self.teacher is None else None
        self.seen_withdrawals = 0
        self.num_given_up = 0
        """Questions that were set aside before people answered them; others are asked in their place."""
        self.last_level: float | None = None
        self.last_disagreement: float | None = None
        self.new_answers = NewAnswers(wanted=config.monitors is not None)

    def _simulated(self) -> SimulatedTeacher | ControlCrowd | None:
        """Who answers where people do not."""
        config, seed = self.config.teacher, self.run_config.seed
        if config == "people":
            return None
        if isinstance(config, ControlCrowdConfig):
            crowd = ControlCrowd(config, seed)
            for name in crowd.people:
                self.store.add_annotator(name, "simulated", "one of a simulated crowd")
            return crowd
        self.store.add_annotator("simulated", "simulated", "knows the true reward")
        return SimulatedTeacher(config, seed, "simulated")

    @property
    def is_fitted(self) -> bool:
        """Whether there is a model to choose questions by; the first fits come while the first questions are put."""
        return self.model_state.num_fits > 0

    @property
    def has_reward(self) -> bool:
        """Whether the reward was fitted to all of the first answers, so that a policy may learn from it."""
        return self.num_useful - self.num_unfitted >= self._num_first

    @property
    def num_answered(self) -> int:
        """Questions that were answered."""
        return self.ledger.num_answered

    @property
    def num_useful(self) -> int:
        """Answers that count against the budget: all but "can't tell"."""
        return self.ledger.num_useful

    def set_budget(self, budget: int) -> None:
        """Ask for so many comparisons in all from now on; fewer than were asked means no more questions."""
        self.schedule = replace(self.schedule, budget=budget)

    def wants_snapshots(self) -> bool:
        """Clips of it may be asked about."""
        return True

    def after_rollout(self, turn: Turn) -> Turn:
        """Show, answer, reward: the turn with the learned reward. About what a trusted policy does nothing is asked."""
        if turn.is_own:
            self.ask(turn.rollout, turn.step)
        self.listen(turn.step)
        return replace(turn, reward=self.reward(turn.rollout, progress=turn.progress, is_own=turn.is_own))

    # Show

    def ask(self, rollout: Rollout, step: int) -> int:
        """Put the questions that are due now, about this rollout; returns how many.

        Raises:
            ConfigError: the first rollouts are over, and no clip fitted within an episode of any of them.
        """
        due = self._due(step)
        if due == 0:
            return 0
        pairs, scores = self.choice.choose(rollout, due, self.model_state)
        if not pairs:
            if self.num_asked == 0:
                length, num_warmup = self.config.segment_length, self.config.num_warmup_rollouts
                refuse_long_clips(self.run_config, rollout, step, length, num_warmup, setting="segment_length")
            return 0
        segments = {segment.id: segment for pair in pairs for segment in pair}
        chosen = zip(pairs, scores, strict=True)
        queries = [self._query(pair, score, step, index) for index, (pair, score) in enumerate(chosen)]
        put(self.store, self.run_config, rollout, list(segments.values()), queries)
        self.num_asked += len(queries)
        self.choice.remember(segments)
        if self.teacher is not None:
            self.asked |= {query.id for query in queries}
            self.teacher.ask(queries, segments, step)
        if isinstance(self.teacher, ControlCrowd):
            for query_id, choice in self.teacher.take_gold().items():
                self.store.gold.add(query_id, {"choice": choice}, LEARNER)
        return len(queries)

    def _due(self, step: int) -> int:
        asked = self._num_in_hand
        if self.has_reward:
            return later_due(self.run_config, self.schedule, step, asked)
        num_warmup = self.config.num_warmup_rollouts
        first = first_due(self.run_config, step, num_first=self._num_first, num_warmup_rollouts=num_warmup)
        return max(0, first - asked)

    @property
    def _num_in_hand(self) -> int:
        """Questions that have a useful answer or may get one."""
        return self.num_asked - self.ledger.num_cant_tell - self.num_given_up - self.ledger.num_set_aside

    @property
    def _num_first(self) -> int:
        return self.run_config.num_first_answers

    def _query(self, pair: tuple[Segment, Segment], score: float, step: int, index: int) -> Query:
        left, right = pair
        return Query(
            id=stable_id("query", self.run_config.seed, self.num_asked + index, left.id, right.id),
            kind="preference",
            segment_ids=(left.id, right.id),
            policy_version=left.policy_version,
            asked_step=step,
            acquisition=self.choice.acquisition(self.model_state),
            score=float(score),
        )

    # Answer

    def listen(self, step: int) -> int:
        """Take in the answers that have come; returns how many."""
        if self.teacher is not None:
            ready = self.teacher.ready(step)
            if ready:
                self.store.add_feedback(ready)
        else:
            self.num_given_up = self.store.flags.num_given_up()
        self._leave_out_withdrawn()
        num_taken = 0
        if found := self.store.feedback_after(self.position, limit=10_000, up_to_step=step):
            num_taken = self._take_in_first(found, are_new=True)
            self.position = found[-1][0]
            self.store.set_consumed(_CONSUMER, self.position)
        if self._notice is not None:
            self._notice.tell(len(self.ledger.held_out), self.num_answered)
        return num_taken

    def _take_in_first(self, found: list[tuple[int, Feedback]], *, are_new: bool = False) -> int:
        """Take in those that are the first to their query, and all others where it matters who answers.

        Returns:
            How many queries have their first answer now.
        """
        found = self._without_held_out(found)
        answers, more, queries = self._first_answers([feedback for _, feedback in found])
        useful, useful_more = ([f for f in some if not says_nothing(f)] for some in (answers, more))
        foretold = self._take_in(useful + useful_more, queries)
        if are_new:
            self.new_answers.add([feedback for _, feedback in found], queries, foretold)
        if self.who is not None:
            self.who.remember(found)
            if are_new and self.who.has_changed(found, foretold):
                self.must_begin_anew = True
        positions = {feedback.key: position for position, feedback in found}
        self.ledger.add(positions, answers + more, num_first=len(answers))
        self.num_unfitted += len(useful)
        self.num_more_unfitted += len(useful_more)
        if self.must_begin_anew:
            # What the weights learned of what people wanted before is no place to begin from.
            self.must_begin_anew = False
            everything = [True] * len(self.ledger.taken)
            self.model_state = self.model.without(self.model_state, everything, self.run_config.seed)
            self.num_unfitted = self.num_useful
        return len(answers)

    def _without_held_out(self, found: list[tuple[int, Feedback]]) -> list[tuple[int, Feedback]]:
        """Answers to learn from; those of people who are held out are noted, and nothing else is made of them."""
        share, seed = self.config.held_out_people, self.run_config.seed
        if not share:
            return found
        # Whoever is forgotten may leave answers under another name, and these are what they were.
        held_out = self.ledger.held_out
        theirs = {p for p, f in found if p in held_out or is_held_out_person(f.annotator, seed, share)}
        known = [(p, f) for p, f in found if f.kind == "preference" and self._is_known(f.query_id)]
        held_out |= {p: f.query_id for p, f in known if p in theirs}
        return [(p, f) for p, f in found if p not in theirs]

    def _is_known(self, query_id: str) -> bool:
        """Whether an answer to it counts: a simulated one may be to a question of a stretch that was lost."""
        return self.teacher is None or query_id in self.asked

    def _leave_out_withdrawn(self) -> None:
        """Begin the reward anew without the answers that were withdrawn since, and fit it to the rest at once.

        Where somebody else answered the same query too, their answer counts in its place.
        """
        newest = self.store.withdrawals.newest()
        if newest == self.seen_withdrawals:
            return
        if self.who is not None:
            self.who.forget()
        gone = set(self.store.withdrawals.positions())
        is_kept = [position not in gone for position in self.ledger.taken]
        lost = self.ledger.leave_out(gone)
        if lost:
            # What the weights learned from them cannot be taken out of the weights.
            self.model_state = self.model.without(self.model_state, is_kept, self.run_config.seed)
            if self.who is None:
                self._take_in_first([(p, f) for p, f in self._read_again() if f.query_id in lost])
            else:
                self.who.begin_anew()
            self.num_unfitted, self.num_more_unfitted = self.num_useful, len(self.ledger.taken) - self.num_useful
        self.seen_withdrawals = newest

    def _read_again(self) -> list[tuple[int, Feedback]]:
        """All answers that were read before, as they stand now."""
        return list(takewhile(lambda one: one[0] <= self.position, every_answer(self.store)))

    def _first_answers(self, found: list[Feedback]) -> tuple[list[Feedback], list[Feedback], dict[str, Query]]:
        """One answer a comparison, so that the budget counts comparisons, however many people answer one at once; and
        where it matters who answers, the others of each, which it does not count."""
        known = self.asked if self.teacher else {f.query_id for f in found if f.kind == "preference"}
        queries = {q.id: q for q in self.store.queries([f.query_id for f in found if f.query_id in known])}
        # Others may have put texts into this store; a reward of observations learns nothing from them.
        facts = self.store.segment_facts({i for query in queries.values() for i in query.segment_ids})
        queries = {name: q for name, q in queries.items() if not facts[q.segment_ids[0]].is_text}
        answers, more = self.ledger.first([f for f in found if f.query_id in queries])
        return answers, [] if self.who is None else more, queries

    def _take_in(self, useful: list[Feedback], queries: dict[str, Query]) -> dict[str, bool]:
        """Hand answers to the model; returns, by their keys, whether it would have given them."""
        segments = control_segments(self.store, {i for f in useful for i in queries[f.query_id].segment_ids})
        pairs: list[tuple[Segment, Segment]] = []
        for feedback in useful:
            left, right = queries[feedback.query_id].segment_ids
            pairs.append((segments[left], segments[right]))
        is_wanted = self.new_answers.wanted or self.who is not None
        foretold = self._foretold(useful, pairs) if is_wanted and self.is_fitted and pairs else {}
        self.model_state = self.model.add(self.model_state, pairs, [f.value["choice"] for f in useful])
        return foretold

    def _foretold(self, useful: list[Feedback], pairs: list[tuple[Segment, Segment]]) -> dict[str, bool]:
        segments = [each for pair in pairs for each in pair]
        if self.grouping is not None and self.grouping.is_on:
            who = [feedback.annotator for feedback in useful for _ in range(2)]
            return_K = self.grouping.returns(self.model, segments, who)
        else:
            return_K = self.model.segment_returns(self.model_state, segments).mean(0)
        returns = zip(useful, return_K.view(-1, 2).tolist(), strict=True)
        told = {f.key: is_foretold(left, right, f.value["choice"]) for f, (left, right) in returns}
        return {key: one for key, one in told.items() if one is not None}

    @property
    def num_open(self) -> int:
        """Questions that wait for an answer."""
        return self.num_asked - self.num_answered - self.num_given_up - self.ledger.num_set_aside

    @property
    def waits_for_people(self) -> bool:
        """Whether there is nothing to act for: all first questions are put, and people are still answering them."""
        return self.teacher is None and not self.has_reward and self._num_in_hand >= self._num_first

    @property
    def has_enough(self) -> bool:
        """Whether the first answers are in, so that a reward can be fitted."""
        return self.num_useful >= self._num_first

    # Reward

    def reward(self, rollout: Rollout, *, progress: float, is_own: bool = True) -> np.ndarray | None:
        """[T, N] learned rewards of this rollout, the reward fitted again where that is due; None before `has_reward`.

        Every rollout is labelled by the newest reward: none outlives the fit that made it. `progress` is the share of
        the policy's updates that is over, by which `exploration` declines; `is_own`, whether its own policy acted.
        """
        if self.grouping is not None and is_own:
            self.grouping.saw(self.model, rollout)
        exhausted = self.num_useful >= self.schedule.budget
        at_once = exhausted or (self.has_enough and not self.has_reward)
        fits = self.num_unfitted >= (1 if at_once else self.config.refit_every)
        # Second answers alone tell less, and are waited for; without them a question would be fitted to once only.
        fits = fits or self.num_more_unfitted >= self.config.refit_every
        if fits:
            if self.who is None:
                self.model_state, _ = self.model.fit(self.model_state)
            else:
                self.model_state = self.who.fit(self.model, self.model_state, self.ledger.taken, self.ledger.cant_tell)
            self.num_unfitted = self.num_more_unfitted = 0
        if not self.has_reward:
            return None
        raw_MTN = self.model.predict(self.model_state, rollout)
        if fits:
            self.model_state = self.model.calibrate(self.model_state, raw_MTN)
        self.last_level = self.model.level(self.model_state, raw_MTN)
        self.last_disagreement = self.model.disagreement(self.model_state, raw_MTN)
        self.model_state = self.model.centre(self.model_state, raw_MTN)
        exploration = self.config.exploration * max(0.0, 1 - progress / self.schedule.finish_share)
        shared_TN = self.model.reward(self.model_state, raw_MTN, exploration=exploration)
        if self.grouping is None:
            return shared_TN
        self.grouping.has_learned = True
        if not self.grouping.is_on:
            return shared_TN
        return self.grouping.reward(self.model, rollout, calibrates=fits, is_own=is_own, exploration=exploration)

    def not_finite(self, reward: np.ndarray | None) -> list[str]:
        """What is no longer a finite number, of the model and of the reward that it gave."""
        broken = self.model.not_finite(self.model_state)
        broken += [] if self.grouping is None else self.grouping.not_finite(self.model)
        if reward is not None and not np.isfinite(reward).all():
            broken.append("the learned reward")
        return broken

    def metrics(self) -> dict[str, float]:
        """Where the comparisons stand."""
        fit = {f"reward_model_{name}": value for name, value in self.model_state.last_fit.items()}
        counts = {"asked": self.num_asked, "answered": self.num_answered, "labels_used": self.num_useful}
        level = {} if self.last_level is None else {"predicted_reward_mean": self.last_level}
        if self.last_disagreement is not None:
            level["reward_disagreement"] = self.last_disagreement
        people = {} if self.who is None else self.who.told
        people = people if self.grouping is None else people | self.grouping.told()
        if self.config.held_out_people:
            counts["held_out_answers"] = len(self.ledger.held_out)
        return counts | {"fits": self.model_state.num_fits} | fit | level | people

    # Saving

    def kept(self) -> Kept:
        """What a checkpoint keeps."""
        return to_arrays(self.tensors()), self.state()

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Go on from what `kept` returned."""
        self.load(to_tensors(arrays), state)

    def tensors(self) -> dict[str, Tensor]:
        """Arrays that a checkpoint keeps."""
        groups = {} if self.grouping is None else self.grouping.tensors(self.model)
        return self.model.tensors(self.model_state) | {f"groups.{name}": tensor for name, tensor in groups.items()}

    def state(self) -> dict[str, Any]:
        """JSON-ready values that a checkpoint keeps."""
        num_silent = self.ledger.num_cant_tell
        return self.ledger.state() | {
            "budget": self.schedule.budget,
            "counts": [self.num_asked, self.num_answered, num_silent, self.num_unfitted, self.position],
            "history": [segment.id for segment in self.choice.history],
            "seen_withdrawals": self.seen_withdrawals,
            "asked": sorted(self.asked),
            "generator": generator_state(self.choice.generator),
            "teacher": self.teacher.state_dict() if self.teacher else None,
            "num_fits": self.model_state.num_fits,
            "last_fit": self.model_state.last_fit,
            "reliability": self.model_state.reliability,
            "people": None if self.who is None else self.who.state() | {"num_more_unfitted": self.num_more_unfitted},
        }

    def load(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from what `tensors` and `state` returned."""
        self.num_asked, _, num_silent, self.num_unfitted, self.position = state["counts"]
        self.ledger.load(state, num_cant_tell=num_silent)
        # Checkpoints of the first versions do not hold it.
        self.set_budget(state.get("budget", self.config.schedule.budget))
        if self.teacher is None:
            self.num_asked = max(self.num_asked, self.store.clip_comparison_count())
        self.asked = set(state["asked"])
        held = control_segments(self.store, state["history"])
        self.choice.history = [held[name] for name in state["history"]]
        self.choice.generator = restore_generator(state["generator"])
        if self.teacher is not None:
            self.teacher.load_state_dict(state["teacher"])
        self.model_state = self.model.load_tensors(self.model_state, tensors)
        self.model_state.num_fits = state["num_fits"]
        self.model_state.last_fit = state["last_fit"]
        self.model_state.reliability = state["reliability"]
        if self.who is not None:
            self.who.load(state["people"])
            self.num_more_unfitted = state["people"]["num_more_unfitted"]
        if self.grouping is not None:
            self.grouping.load(self.model, under("groups.", tensors), state["people"]["grouping"])
        self.seen_withdrawals = state.get("seen_withdrawals", 0)
        if "taken" not in state:
            self._find_taken()
        self._leave_out_withdrawn()

    def _find_taken(self) -> None:
        """Checkpoints of earlier versions do not say which answers they hold, and the store does."""
        self.ledger.find(self._read_again())
        data = self.model_state.comparisons
        num_rows = 0 if data is None else len(data.outcome_Q)
        if len(self.ledger.taken) != num_rows:
            # Some were withdrawn before it was read again: everything that is left is taken in anew.
            self.model_state = self.model.without(self.model_state, [False] * num_rows, self.run_config.seed)
            held_out, self.ledger = self.ledger.held_out, ComparisonLedger()
            self.ledger.held_out = held_out
            self._take_in_first(self._read_again())
            self.num_unfitted = self.num_useful
