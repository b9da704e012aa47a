"""What is known of the groups of a run's people, for its report and the command line; of few people nothing is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heeler.core.nouns import Feedback
from heeler.evaluation.agreement import Share
from heeler.evaluation.fairness import (
    NOWHERE,
    GroupedAnswers,
    agreement_between,
    foretold_by,
    most_different,
    placed_in,
)
from heeler.evaluation.small_groups import shown_groups
from heeler.feedback.annotators.answers import OUTCOMES
from heeler.feedback.annotators.left_groups import LeftGroups, left_groups
from heeler.feedback.store import Store
from heeler.feedback.stores import every_answer
from heeler.rewards.group_rewards import GroupingConfig

NUM_QUESTIONS = 5


@dataclass(frozen=True, kw_only=True)
class GroupTold:
    """One group that may be shown."""

    number: int
    """From 1; by size when groups were found."""
    size: int
    """People who are surely in it."""
    weight: float | None
    """That the rule gives it now; None where that is not known yet."""
    gets: float | None
    """What it gets under the policy as it is: 0 as from the untrained policy, 1 as from the best rollout of the run in
    its eyes."""


@dataclass(frozen=True, kw_only=True)
class QuestionTold:
    """A question on which groups differ."""

    query_id: str
    segment_ids: tuple[str, ...]
    """Left and right."""
    left: tuple[float, ...]
    """Probability that each shown group prefers the left, by its reward."""


@dataclass(frozen=True, kw_only=True)
class GroupsTold:
    """Groups of a run's people. Shapes: S groups that may be shown."""

    rule: str
    budget: float | None
    """Of `budgeted`."""
    min_people: int
    num_groups: int
    num_nowhere: int
    """People of whom too little is known to put them into a group."""
    groups: tuple[GroupTold, ...]
    """[S]"""
    agreement: tuple[tuple[Share | None, ...], ...]
    """[S, S] how often two people of these groups name the same side of one question; None of too few."""
    foretold: tuple[tuple[Share | None, ...], ...]
    """[S, S] how often the answers of a row's people are foretold by a column's reward."""
    questions: tuple[QuestionTold, ...]
    """On which they differ most."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        tables = {
            name: [[None if one is None else vars(one) for one in row] for row in getattr(self, name)]
            for name in ("agreement", "foretold")
        }
        lists = {name: [vars(one) for one in getattr(self, name)] for name in ("groups", "questions")}
        return {**vars(self), **tables, **lists}


def groups_told(
    store: Store, folder: Path, config: GroupingConfig, rows: Sequence[Mapping[str, Any]]
) -> GroupsTold | None:
    """What may be told of a run's groups; None where there are none.

    Args:
        store: of the run.
        folder: of the run, where its learner left them.
        config: what is done about groups.
        rows: of metrics.

    Raises:
        DataError: `groups.npz` is damaged.
    """
    left = left_groups(folder)
    found = {} if left is None else _answers_at(store, set(left.position_Q.tolist()))
    if left is None or not found:
        return None
    answers, queries, member_PG = _grouped(left, found)
    placed_P, num_groups = placed_in(member_PG), left.member_QG.shape[1]
    size_G = [int((placed_P == group).sum()) for group in range(num_groups)]
    shown = [group for group, is_shown in enumerate(shown_groups(size_G, config.min_people)) if is_shown]
    row, least = rows[-1] if rows else {}, config.min_people
    return GroupsTold(
        rule=config.rule,
        budget=config.budget if config.rule == "budgeted" else None,
        min_people=least,
        num_groups=num_groups,
        num_nowhere=int((placed_P == NOWHERE).sum()),
        groups=tuple(
            GroupTold(
                number=group + 1,
                size=size_G[group],
                weight=row.get(f"group_weight/{group + 1}"),
                gets=row.get(f"group_return/{group + 1}"),
            )
            for group in shown
        ),
        agreement=tuple(tuple(agreement_between(answers, a, b, least) for b in shown) for a in shown),
        foretold=tuple(tuple(foretold_by(answers, a, b, least) for b in shown) for a in shown),
        questions=_questions(store, answers, queries, shown),
    )


def _answers_at(store: Store, positions: set[int]) -> dict[int, Feedback]:
    """Those that are still there: what was withdrawn since tells of nobody."""
    every = every_answer(store, after=min(positions, default=0) - 1)
    return {position: feedback for position, feedback in every if position in positions}


def _grouped(left: LeftGroups, found: Mapping[int, Feedback]) -> tuple[GroupedAnswers, list[str], np.ndarray]:
    """Answers with their groups, the ids of their queries by number, and [P, G] everybody's memberships."""
    rows = [row for row, position in enumerate(left.position_Q.tolist()) if position in found]
    given = [found[position] for position in left.position_Q[rows].tolist()]
    person = {name: number for number, name in enumerate(dict.fromkeys(one.annotator for one in given))}
    query = {name: number for number, name in enumerate(dict.fromkeys(one.query_id for one in given))}
    person_Q = np.array([person[one.annotator] for one in given], np.int64)
    member_PG = np.zeros((len(person), left.member_QG.shape[1]))
    member_PG[person_Q] = left.member_QG[rows]
    answers = GroupedAnswers(
        question_Q=np.array([query[one.query_id] for one in given], np.int64),
        person_Q=person_Q,
        group_Q=placed_in(member_PG)[person_Q],
        outcome_Q=np.array([OUTCOMES[str(one.value["choice"])] for one in given], np.int64),
        margin_QG=left.margin_QG[rows],
        is_unseen_Q=left.is_unseen_Q[rows] > 0,
    )
    return answers, list(query), member_PG


def _questions(
    store: Store, answers: GroupedAnswers, queries: Sequence[str], shown: Sequence[int]
) -> tuple[QuestionTold, ...]:
    if len(shown) < 2:
        return ()
    found = most_different(answers.margin_QG, answers.question_Q, shown, NUM_QUESTIONS)
    asked = {query.id: query for query in store.queries([queries[number] for number, _ in found])}
    return tuple(
        QuestionTold(
            query_id=queries[number],
            segment_ids=tuple(asked[queries[number]].segment_ids),
            left=tuple(float(one) for one in left_S),
        )
        for number, left_S in found
    )
