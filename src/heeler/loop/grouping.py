"""Groups of people who honestly want different things, in the loop: found, followed, rewarded, decided between.

At every fit people are put into groups by what groups' rewards foretell of them, and each group's reward is fitted to
the answers of who may be in it (`heeler.rewards.group_rewards` has the mathematics). Now and then it is looked how many
groups there are. With one group nothing of this is done, and the run is as one that looks for none.

No name goes into a checkpoint: people are known by a hash of theirs, and the store says at every fit who gave what.
Shapes: Q comparisons, P people, G groups, F features, T steps, N environments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, cat, zeros_like

from heeler.core.named import under
from heeler.core.nouns import Segment
from heeler.core.rollout import Rollout
from heeler.evaluation.fairness import placed_in
from heeler.evaluation.small_groups import shown_groups
from heeler.feedback.annotators.answers import Answers, Floats
from heeler.feedback.annotators.deciding import Deciding, begin, decide
from heeler.feedback.annotators.groups import Groups, find_groups
from heeler.feedback.annotators.left_groups import LeftGroups
from heeler.feedback.withdrawal import id_sha256
from heeler.rewards.answerers import Answerers, Margins
from heeler.rewards.group_rewards import (
    GroupingConfig,
    GroupMargins,
    fit_group,
    group_margins,
    mean_reward,
    memberships,
    mixed_margins,
    reward_weights,
    sample_steps,
    units,
)
from heeler.rewards.preference_model import PreferenceModel, PreferenceModelState

_UNTRAINED_STEPS, _MAX_UNTRAINED, _BEST_STEPS = 128, 2048, 512


@dataclass(frozen=True, kw_only=True)
class GroupsChange:
    """That groups were found, are others now, or are none any more."""

    sizes: tuple[int | None, ...]
    """People surely of each, the largest first; None where they may not be told. Of one group there are none."""
    rule: str
    """That decides between them."""

    @property
    def num_groups(self) -> int:
        """1 where there are none."""
        return max(1, len(self.sizes))

    @property
    def in_words(self) -> str:
        """What the operator is told."""
        if self.num_groups == 1:
            return "people no longer differ so much that there are groups: one reward is learned for all"
        told = ", ".join("too few to tell" if size is None else str(size) for size in self.sizes)
        return f"people want different things: {self.num_groups} groups were found ({told}), and {self.rule} decides"


class Grouping:
    """Groups of one run.

    Args:
        config: what is done about them.
        seed: of the run.
        num_updates: of the run.
    """

    def __init__(self, config: GroupingConfig, seed: int, num_updates: int) -> None:
        self.config, self._seed, self._num_updates = config, seed, num_updates
        self._num_rollouts = self._num_looks = 0
        self.has_learned = False
        """Whether a policy learned from a reward yet; what acts before is untrained."""
        self.chance_KF: Tensor | None = None
        """Steps of the untrained policy."""
        self.news: list[GroupsChange] = []
        """That nobody was told of yet."""
        self._num_told = 1
        self._let_go()
        self._must_look = False

    def _let_go(self) -> None:
        self.states: list[PreferenceModelState] = []
        """Every group's reward; none where there is one group."""
        self.member: dict[str, list[float]] = {}
        """By the hash of a person, the probability of their being in each group."""
        self.share_G: Floats = np.ones(1)
        self.deciding: Deciding | None = None
        self.return_G: Floats = np.zeros(0)
        """What each group got in the last rollout: 0 for chance, 1 for its best."""
        self.turns_left: list[int] = []
        self.best_GKF: list[Tensor] = []
        """Steps of the rollout that each group liked best."""
        self._num_fitted = self._num_at_look = 0
        self._last_found = 1

    @property
    def num_groups(self) -> int:
        """G; 1 before any were found."""
        return max(1, len(self.states))

    @property
    def is_on(self) -> bool:
        """Whether there are groups with rewards to go by."""
        return bool(self.states) and self.states[0].num_fits > 0

    def begin_anew(self) -> None:
        """What people want has changed, or answers were withdrawn: groups are looked for again, from nothing."""
        self._must_look = self._must_look or bool(self.states)
        self._let_go()

    # Finding

    def look(
        self, model: PreferenceModel, answers: Answers, feature_QF: Floats, told_Q: Floats, shared: PreferenceModelState
    ) -> None:
        """Find out how many groups there are, where it is time to.

        Args:
            model: of the learned reward.
            answers: the first Q are those of the features.
            feature_QF: of the left less the right.
            told_Q: 1 where an answer still tells of who gave it.
            shared: the reward of all.
        """
        num, is_due = len(feature_QF), len(feature_QF) - self._num_at_look >= self.config.look_every
        rows = np.flatnonzero((told_Q > 0) & (answers.outcome_N[:num] < 2))
        if not (is_due or self._must_look) or len(rows) == 0:
            return
        self._num_at_look, self._num_looks = num, self._num_looks + 1
        given = _rows(answers, rows)
        found = find_groups(given, feature_QF[rows], self.config.finding, seed=self._seed + self._num_looks)
        # By chance one look in forty finds a group too many: a new number counts once it was found twice in a row.
        is_sure = self._must_look or found.num_groups == self._last_found
        self._last_found, self._must_look = found.num_groups, False
        if is_sure and {found.num_groups} != {self.num_groups, self._num_told}:
            self._take(model, answers.people, found, shared)

    def _take(self, model: PreferenceModel, people: Sequence[str], found: Groups, shared: PreferenceModelState) -> None:
        last_found, num_at_look = self._last_found, self._num_at_look
        self._let_go()
        self._last_found, self._num_at_look = last_found, num_at_look
        num = found.num_groups
        if num > 1:
            # Not from the reward of all: what it learned of others' wishes is no place to begin from.
            self.states = [model.init(self._seed) for _ in range(num)]
            for state in self.states:
                state.generator.set_state(shared.generator.get_state())
            self._place(people, found.member_PG)
            self.deciding = begin(self.config.deciding, self.share_G)
            self.return_G = np.zeros(num)
            left = max(0, self._num_updates - self._num_rollouts)
            turn = min(round(self.config.turn_share * self._num_updates), left // (2 * num))
            self.turns_left = [turn] * num
        self._tell()

    def _place(self, people: Sequence[str], member_PG: Floats) -> None:
        self.member = {id_sha256(name): row for name, row in zip(people, member_PG.tolist(), strict=True)}
        # Who answered little counts in every group by their posterior share.
        self.share_G = member_PG.mean(0)

    def _tell(self) -> None:
        sizes = self.sizes()
        shown = shown_groups(sizes, self.config.min_people)
        told = tuple(size if is_shown else None for size, is_shown in zip(sizes, shown, strict=True))
        self.news.append(GroupsChange(sizes=told, rule=self.config.rule))
        self._num_told = self.num_groups

    def take_news(self) -> list[GroupsChange]:
        """Changes since it was last called."""
        news, self.news = self.news, []
        return news

    def sizes(self) -> list[int]:
        """How many people are surely in each group."""
        placed = placed_in(np.array(list(self.member.values()) or [[0.0]]))
        return [int((placed == group).sum()) for group in range(len(self.states))]

    # Fitting

    def margins(
        self, model: PreferenceModel, shared: PreferenceModelState, answers: Answers, told_Q: Floats
    ) -> Margins | None:
        """Put people into groups, and say how sure each answer is by the rewards of whoever gave it.

        Returns:
            None where there is one group.
        """
        if not self.states:
            return None
        num = len(told_Q)
        if not self.is_on:
            return Margins(value_Q=np.zeros(num), is_unseen_Q=np.zeros(num, bool), is_fitted=False)
        margins = self._margins(model, shared, answers)
        member_PG = memberships(answers, margins, self.share_G, told_Q)
        self._place(answers.people, member_PG)
        return mixed_margins(margins, member_PG[answers.person_N[:num]])

    def _margins(self, model: PreferenceModel, shared: PreferenceModelState, answers: Answers) -> GroupMargins:
        assert shared.comparisons is not None
        member_QG = self._member_NG(answers)[: len(shared.comparisons.outcome_Q)]
        return group_margins(model, self.states, shared.comparisons, member_QG, self._num_fitted)

    def _member_NG(self, answers: Answers) -> Floats:
        return np.array([self._member_of(name) for name in answers.people])[answers.person_N]

    def _member_of(self, annotator: str) -> list[float]:
        return self.member.get(id_sha256(annotator)) or self.share_G.tolist()

    def fit(self, model: PreferenceModel, shared: PreferenceModelState, answers: Answers, answerers: Answerers) -> None:
        """Fit every group's reward; there must be groups."""
        assert shared.comparisons is not None
        num = len(shared.comparisons.outcome_Q)
        member_QG = self._member_NG(answers)[:num]
        for group, state in enumerate(self.states):
            self.states[group] = fit_group(model, state, shared.comparisons, member_QG[:, group], answerers)
        self._num_fitted = num

    def drop_small(self) -> None:
        """A group that has fewer people left than are a group is none: all are looked for anew."""
        people = np.bincount([int(np.argmax(row)) for row in self.member.values()], minlength=len(self.states))
        if self.is_on and people.min() < self.config.min_people:
            self.begin_anew()

    def left_behind(
        self, model: PreferenceModel, shared: PreferenceModelState, answers: Answers, positions: Sequence[int]
    ) -> LeftGroups | None:
        """What is left of them for reports; None where there are none."""
        if not self.is_on:
            return None
        margins = self._margins(model, shared, answers)
        return LeftGroups(
            position_Q=np.array(positions, np.int64),
            member_QG=self._member_NG(answers)[: len(positions)],
            margin_QG=margins.value_QG,
            is_unseen_Q=margins.is_unseen_Q.astype(np.int64),
        )

    # Rewarding

    def saw(self, model: PreferenceModel, rollout: Rollout) -> None:
        """The learner's own policy acted."""
        self._num_rollouts += 1
        if not self.has_learned and (self.chance_KF is None or len(self.chance_KF) < _MAX_UNTRAINED):
            steps_KF = sample_steps(model, rollout, _UNTRAINED_STEPS)
            self.chance_KF = steps_KF if self.chance_KF is None else cat([self.chance_KF, steps_KF])

    def reward(
        self, model: PreferenceModel, rollout: Rollout, *, calibrates: bool, is_own: bool, exploration: float
    ) -> np.ndarray:
        """[T, N] what is decided on from all groups' rewards; there must be groups.

        Args:
            model: of the learned reward.
            rollout: that is rewarded.
            calibrates: whether rewards were fitted just now, and zero and unit are chosen on this rollout.
            is_own: whether the learner's own policy acted, so that the rule learns how groups fare.
            exploration: what disagreement of a group's ensemble is paid.
        """
        raw_GMTN = [model.predict(state, rollout) for state in self.states]
        if calibrates:
            self.states = [model.calibrate(s, raw) for s, raw in zip(self.states, raw_GMTN, strict=True)]
        unit_G = self._unit(model, rollout, raw_GMTN, is_own=is_own)
        omega_G = self._weights(unit_G, is_own=is_own)
        decided_TN = np.zeros(raw_GMTN[0].shape[1:], np.float32)
        for group, raw_MTN in enumerate(raw_GMTN):
            state = self.states[group] = model.centre(self.states[group], raw_MTN)
            decided_TN += np.float32(omega_G[group]) * model.reward(state, raw_MTN, exploration=exploration)
        return decided_TN

    def _unit(self, model: PreferenceModel, rollout: Rollout, raw_GMTN: Sequence[Tensor], *, is_own: bool) -> Floats:
        """[G] what one is worth; takes in what groups got."""
        assert self.chance_KF is not None
        self.best_GKF = self.best_GKF or [self.chance_KF] * len(self.states)
        had_G, chance_G, best_G = (np.zeros(len(self.states)) for _ in range(3))
        for group, (state, raw_MTN) in enumerate(zip(self.states, raw_GMTN, strict=True)):
            had = (raw_MTN - state.offset_M[:, None, None]) * state.scale_M[:, None, None]
            had_G[group] = float(had.double().mean())
            chance_G[group] = mean_reward(model, state, self.chance_KF)
            best_G[group] = mean_reward(model, state, self.best_GKF[group])
            if is_own and had_G[group] > best_G[group]:
                self.best_GKF[group], best_G[group] = sample_steps(model, rollout, _BEST_STEPS), had_G[group]
        unit_G = units(chance_G, best_G)
        if is_own:
            self.return_G = (had_G - chance_G) / unit_G
        # Nobody had a turn: what a group could have is not known, and the best by accident is no measure of it.
        return unit_G if self.config.turn_share else np.ones(len(unit_G))

    def _weights(self, unit_G: Floats, *, is_own: bool) -> Floats:
        assert self.deciding is not None
        turn = self.turn
        if turn is not None:
            self.turns_left[turn] -= is_own
            return np.eye(len(unit_G))[turn]
        if is_own:
            self.deciding = decide(self.config.deciding, self.deciding, self.return_G.copy(), self.share_G)
        return reward_weights(self.deciding.weight_G, unit_G)

    @property
    def turn(self) -> int | None:
        """The group that alone counts now, so that it is seen what it could have; None where the rule decides."""
        return next((group for group, left in enumerate(self.turns_left) if left > 0), None)

    def returns(self, model: PreferenceModel, segments: Sequence[Segment], annotators: Sequence[str]) -> Tensor:
        """[K] how good K segments are in the eyes of whoever is asked about each: K names, in order."""
        return_GK = [(model.segment_returns(state, segments) * state.scale_M[:, None]).mean(0) for state in self.states]
        member_KG = [self._member_of(name) for name in annotators]
        shares = [one * one.new_tensor([row[g] for row in member_KG]) for g, one in enumerate(return_GK)]
        return sum(shares, start=zeros_like(shares[0]))

    def told(self) -> dict[str, float]:
        """Figures for a row of metrics; of groups of few people there are none."""
        figures = {"groups": float(self.num_groups)}
        if not self.is_on or self.deciding is None:
            return figures
        weight_G = self.deciding.weight_G if self.turn is None else np.eye(len(self.states))[self.turn]
        for group, is_shown in enumerate(shown_groups(self.sizes(), self.config.min_people)):
            if is_shown:
                figures[f"group_weight/{group + 1}"] = float(weight_G[group])
                # Before all had their turn it is not known what each could have.
                if self.turn is None:
                    figures[f"group_return/{group + 1}"] = float(self.return_G[group])
        return figures

    def not_finite(self, model: PreferenceModel) -> list[str]:
        """What is no longer a finite number in any group's reward."""
        return [broken for state in self.states for broken in model.not_finite(state)]

    # Saving

    def tensors(self, model: PreferenceModel) -> dict[str, Tensor]:
        """Arrays that a checkpoint keeps, without the comparisons, which are those of the reward of all."""
        kept: dict[str, Tensor] = {} if self.chance_KF is None else {"chance": self.chance_KF}
        kept |= {f"best.{group}": steps_KF for group, steps_KF in enumerate(self.best_GKF)}
        for group, state in enumerate(self.states):
            own = model.tensors(replace(state, comparisons=None))
            kept |= {f"{group}.{name}": tensor for name, tensor in own.items()}
        return kept

    def state(self) -> dict[str, Any]:
        """JSON-ready values that a checkpoint keeps; nobody is named in them."""
        deciding = None
        if self.deciding is not None:
            weight, price = self.deciding.weight_G.tolist(), self.deciding.price_G.tolist()
            deciding = {"weight": weight, "price": price, "num_updates": self.deciding.num_updates}
        return {
            "counts": [self._num_rollouts, self._num_looks, self._num_at_look, self._num_fitted, self._last_found],
            "must_look": self._must_look,
            "num_told": self._num_told,
            "has_learned": self.has_learned,
            "member": self.member,
            "share": self.share_G.tolist(),
            "deciding": deciding,
            "returns": self.return_G.tolist(),
            "turns_left": self.turns_left,
            "fits": [[state.num_fits, state.last_fit, state.reliability] for state in self.states],
        }

    def load(self, model: PreferenceModel, tensors: dict[str, Tensor], state: Any) -> None:
        """Go on from what `tensors` and `state` returned."""
        self._let_go()
        counts = state["counts"]
        self._num_rollouts, self._num_looks, self._num_at_look, self._num_fitted, self._last_found = counts
        self._must_look, self.has_learned = state["must_look"], state["has_learned"]
        self._num_told = state["num_told"]
        self.member, self.share_G = dict(state["member"]), np.array(state["share"])
        self.return_G, self.turns_left = np.array(state["returns"]), list(state["turns_left"])
        told = state["deciding"]
        if told is not None:
            weight_G, price_G = np.array(told["weight"]), np.array(told["price"])
            self.deciding = Deciding(weight_G=weight_G, price_G=price_G, num_updates=told["num_updates"])
        self.chance_KF, self.news = tensors.get("chance"), []
        best = under("best.", tensors)
        self.best_GKF = [best[str(group)] for group in range(len(best))]
        for group, (num_fits, last_fit, reliability) in enumerate(state["fits"]):
            own = model.load_tensors(model.init(self._seed), under(f"{group}.", tensors))
            own.num_fits, own.last_fit, own.reliability = num_fits, last_fit, reliability
            self.states.append(own)


def _rows(answers: Answers, rows: np.ndarray) -> Answers:
    """Some answers, of the same people."""
    return replace(
        answers,
        person_N=answers.person_N[rows],
        outcome_N=answers.outcome_N[rows],
        left_N=answers.left_N[rows],
        right_N=answers.right_N[rows],
        time_s_N=answers.time_s_N[rows],
    )
