"""Who answered what a run learns from, and what their answers therefore count for.

No name goes into a checkpoint: rows are known by the position of their answer, and the store says at every fit who gave
it, so that whoever is forgotten there is forgotten here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from heeler.core.nouns import Feedback
from heeler.feedback.annotators.answers import Answers
from heeler.feedback.annotators.known import (
    LeftBehind,
    answers_by_position,
    gold_choices,
    gold_outcomes,
    leave_behind,
)
from heeler.feedback.annotators.left_groups import leave_groups
from heeler.feedback.store import Store
from heeler.loop.drifting import Drifting
from heeler.loop.grouping import Grouping
from heeler.rewards.answerers import Margins, PeopleConfig, Weighed, weigh
from heeler.rewards.preference_model import PreferenceModel, PreferenceModelState
from heeler.rewards.unseen import differences, unseen_margins

_VERDICTS = ("reliable", "careless", "hostile", "spamming", "colluding", "poisoning", "unknown")
_PAGE = 10_000


class WhoAnswers:
    """People behind the answers of one run.

    Args:
        config: how they are taken into account.
        store: of the run.
        folder: of the run, where what is known of its answers is left; None to leave nothing.
        num_answers: that the run may ask for.
        grouping: groups of who honestly disagree; None to look for none.
    """

    def __init__(
        self,
        config: PeopleConfig,
        store: Store,
        folder: Path | None,
        num_answers: int,
        grouping: Grouping | None = None,
    ) -> None:
        self.config, self._store, self._folder, self.grouping = config, store, folder, grouping
        self.drifting = None if config.drift is None else Drifting(config.drift, num_answers)
        self._who: dict[int, tuple[str, float | None, str, str]] = {}
        self.num_fitted = 0
        """Rows of the reward's data that it was fitted to."""
        self.told: dict[str, float] = {}
        """Figures of the last fit."""

    def remember(self, found: Iterable[tuple[int, Feedback]]) -> None:
        """Answers as they were just read."""
        self._who |= {
            position: (f.annotator, f.time_taken_s, f.query_id, str(f.value["choice"]))
            for position, f in found
            if f.kind == "preference"
        }

    def forget(self) -> None:
        """Somebody was forgotten: everything is read anew when it is next needed."""
        self._who.clear()

    def begin_anew(self) -> None:
        """The reward was taken back to nothing."""
        self.num_fitted = 0
        if self.drifting is not None:
            self.drifting.begin_anew()
        if self.grouping is not None:
            self.grouping.begin_anew()

    def has_changed(self, found: Iterable[tuple[int, Feedback]], foretold: Mapping[str, bool]) -> bool:
        """Whether answers that just came show that what all people want has changed.

        Args:
            found: with their positions.
            foretold: by the answer's key, whether the reward would have given it.
        """
        if self.drifting is None:
            return False
        changed = False
        for position, feedback in found:
            if feedback.key in foretold:
                changed = self.drifting.add(position, feedback.annotator, foretold[feedback.key]) or changed
        if changed and self.grouping is not None:
            self.grouping.begin_anew()
        return changed

    def fit(
        self,
        model: PreferenceModel,
        state: PreferenceModelState,
        taken: Mapping[int, str],
        cant_tell: Mapping[int, str],
    ) -> PreferenceModelState:
        """Fit reward and people in turns, as `heeler.rewards.answerers` says.

        Args:
            model: the learned reward.
            state: holds a row of data for each answer of `taken`.
            taken: query of each answer by position, in the order of the rows.
            cant_tell: the same of answers that say nothing.
        """
        for _ in range(self.config.num_rounds if state.num_fits == 0 else 1):
            weighed = self._weigh(model, state, taken, cant_tell)
            state, _ = model.fit(state, weighed.answerers)
            self.num_fitted = len(taken)
        if self.grouping is not None:
            self._fit_groups(self.grouping, model, state, taken, cant_tell)
        self._tell(model, state, taken, self._weigh(model, state, taken, cant_tell))
        return state

    def _fit_groups(
        self,
        grouping: Grouping,
        model: PreferenceModel,
        state: PreferenceModelState,
        taken: Mapping[int, str],
        cant_tell: Mapping[int, str],
    ) -> None:
        answers = answers_by_position(list(taken), list(cant_tell), self._who)
        grouping.drop_small()
        grouping.look(model, answers, differences(state), self._tells(taken), state)
        if grouping.states:
            for _ in range(1 if grouping.is_on else self.config.num_rounds):
                weighed = self._weigh(model, state, taken, cant_tell)
                grouping.fit(model, state, answers, weighed.answerers)
        if self._folder is not None:
            leave_groups(self._folder, grouping.left_behind(model, state, answers, list(taken)))

    def _tells(self, taken: Mapping[int, str]) -> np.ndarray:
        """[Q] 1 where an answer still tells of who gave it."""
        if self.drifting is None:
            return np.ones(len(taken))
        return self.drifting.tells(list(taken), [self._who[position][0] for position in taken])

    def _margins(
        self, model: PreferenceModel, state: PreferenceModelState, answers: Answers, taken: Mapping[int, str]
    ) -> Margins:
        """By the reward of all, or of the groups of whoever answered: who wants other things is not unreliable."""
        shared = unseen_margins(model, state, self.num_fitted)
        own = self.grouping and self.grouping.margins(model, state, answers, self._tells(taken))
        return own or shared

    def _weigh(
        self,
        model: PreferenceModel,
        state: PreferenceModelState,
        taken: Mapping[int, str],
        cant_tell: Mapping[int, str],
    ) -> Weighed:
        self._look_up([*taken, *cant_tell])
        answers = answers_by_position(list(taken), list(cant_tell), self._who)
        gold_N = gold_outcomes([*taken.values(), *cant_tell.values()], gold_choices(self._store))
        margins = self._margins(model, state, answers, taken)
        drifting, everything = self.drifting, [*taken, *cant_tell]
        return weigh(
            answers,
            margins,
            self.config,
            gold_N=gold_N,
            feature_QF=differences(state),
            forgotten_Q=drifting and drifting.forgotten(list(taken)),
            since_N=drifting and drifting.tells(everything, [self._who[position][0] for position in everything]),
        )

    def _look_up(self, positions: list[int]) -> None:
        missing = set(positions) - self._who.keys()
        after = min(missing, default=0) - 1
        while missing and (page := self._store.feedback_after(after, limit=_PAGE, up_to_step=None)):
            self.remember(page)
            after = page[-1][0]
            missing -= self._who.keys()

    def _tell(
        self, model: PreferenceModel, state: PreferenceModelState, taken: Mapping[int, str], weighed: Weighed
    ) -> None:
        judged = () if weighed.judged is None else weighed.judged.people
        count = Counter(one.verdict for one in judged)
        self.told = {"people": float(len(weighed.people.mean_P))}
        self.told |= {f"people_{name}": float(count[name]) for name in _VERDICTS}
        if self.drifting is not None:
            self.told["people_changes"] = float(len(self.drifting.changed_after))
        if self._folder is None:
            return
        margins, who = weighed.margins, [self._who[position][0] for position in taken]
        leave_behind(
            self._folder,
            LeftBehind(
                position_Q=np.array(list(taken), np.int64),
                margin_Q=margins.value_Q,
                is_unseen_Q=margins.is_unseen_Q.astype(np.int64),
                weight_Q=weighed.answerers.weight_Q.numpy().astype(np.float64),
                feature_QF=differences(state),
                changed_after=np.array(self.drifting.changed_after if self.drifting else [], np.int64),
                since_Q=None if self.drifting is None else self.drifting.since_when(who),
            ),
        )

    def state(self) -> dict[str, Any]:
        """JSON-ready values that a checkpoint keeps; nobody is named in them."""
        drifting = None if self.drifting is None else self.drifting.state()
        grouping = None if self.grouping is None else self.grouping.state()
        return {"num_fitted": self.num_fitted, "told": self.told, "drifting": drifting, "grouping": grouping}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._who.clear()
        self.num_fitted, self.told = int(state["num_fitted"]), dict(state["told"])
        if self.drifting is not None:
            self.drifting.load(state["drifting"])
