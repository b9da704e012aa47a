"""What is known of the people who answered in a run: from its store, and from what its learner left beside it.

The learner leaves no names: `people.npz` holds, for the position of each answer that it learned from, how sure its
reward was of it. Who gave it stands in the store alone, so that whoever is forgotten there is forgotten here. Where no
learner left anything, the answers are fitted by Crowd-BT, in which each clip or text is an item.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback
from heeler.core.rundir import RunDirectory
from heeler.feedback.annotators.answers import OUTCOMES, Answers, Comparison, Floats, Ints, answers_of
from heeler.feedback.annotators.crowd_bt import CrowdBTConfig, fit_crowd_bt
from heeler.feedback.annotators.left_arrays import leave_arrays, left_arrays
from heeler.feedback.annotators.reliability import Reliability, ReliabilityConfig, reliability
from heeler.feedback.annotators.verdicts import Judged, Judgement, VerdictConfig, judge
from heeler.feedback.store import Store
from heeler.feedback.stores import every_answer

FILE_NAME = "people.npz"
_PAGE = 10_000


class NothingCompared(DataError):
    """Nobody has compared anything in a run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftBehind:
    """What a learner leaves of the Q answers that it learned from."""

    position_Q: Ints
    """In the store."""
    margin_Q: Floats
    """Log-odds of left, by what did not learn from the answer."""
    is_unseen_Q: Ints
    """1 where anything did not learn from it."""
    weight_Q: Floats
    """What it counts for, beside its person's reliability."""
    feature_QF: Floats
    """What the left shows more of than the right."""
    changed_after: Ints
    """Positions after which what people want was found to have changed; the first first."""
    since_Q: Ints | None = None
    """Position up to which answers of whoever gave it say nothing of them any more, as they changed; None in files of
    earlier versions, which tell of changes of all alone."""


def leave_behind(folder: Path, left: LeftBehind) -> None:
    """Write it into a run's folder."""
    leave_arrays(folder / FILE_NAME, left)


def left_behind(folder: Path) -> LeftBehind | None:
    """What `leave_behind` wrote; None where nothing was.

    Raises:
        DataError: the file is damaged.
    """
    return left_arrays(folder / FILE_NAME, LeftBehind)


@dataclass(frozen=True, kw_only=True)
class Person:
    """What is known of one person."""

    annotator: str
    kind: str
    """`person`, `simulated` or `program`."""
    judgement: Judgement
    weight: float
    """Share of all that was learned that is of this person, about: of answers, weighed."""
    with_others: tuple[str, ...]
    """Who they collude with."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of everybody who answered."""

    people: tuple[Person, ...]
    """Those to look at first."""
    told_by: Literal["learned reward", "crowd-bt"]
    """What their answers were held against."""
    num_answers: int
    tau_s: float
    """Seconds in which every second answer was given by looking; 0 where speed tells nothing."""
    changed_after: tuple[int, ...]
    """Positions of answers after which what people want was found to have changed."""


_WORST_FIRST = ("colluding", "hostile", "poisoning", "spamming", "careless", "unknown", "reliable")


def known_people(
    store: Store,
    folder: Path,
    *,
    believed: ReliabilityConfig | None = None,
    verdicts: VerdictConfig | None = None,
) -> Known:
    """Look at everybody who compared anything.

    Args:
        store: of a run.
        folder: of the run.
        believed: of people before they answer.
        verdicts: when somebody is called what.

    Raises:
        NothingCompared: nobody has compared anything.
        DataError: `people.npz` is damaged.
    """
    answers_at = {at: f for at, f in every_answer(store) if f.kind == "preference"}
    if not answers_at:
        raise NothingCompared("nobody has compared anything in this run yet, so nothing is known of anybody")
    believed, left = believed or ReliabilityConfig(), left_behind(folder)
    if left is not None and any(position in answers_at for position in left.position_Q.tolist()):
        answers, people, judged, weight_N = _by_reward(store, answers_at, left, believed, verdicts)
        told_by = "learned reward"
    else:
        answers, people, judged, weight_N = _by_items(store, list(answers_at.values()), believed, verdicts)
        told_by = "crowd-bt"
    kinds = store.bulk.annotators()
    share_P = np.bincount(answers.person_N, weight_N * people.mean_P[answers.person_N], answers.num_people)
    share_P = share_P / max(float(share_P.sum()), 1e-12)
    found = [
        Person(
            annotator=answers.people[one.person],
            kind=str(kinds[answers.people[one.person]].kind),
            judgement=one,
            weight=float(share_P[one.person]),
            with_others=tuple(answers.people[other] for other in one.with_others),
        )
        for one in judged.people
    ]
    found.sort(key=lambda one: (_WORST_FIRST.index(one.judgement.verdict), one.judgement.reliability))
    return Known(
        people=tuple(found),
        told_by=told_by,
        num_answers=len(answers),
        tau_s=people.tau_s,
        changed_after=() if left is None else tuple(left.changed_after.tolist()),
    )


def known_in_run(store: Store, directory: RunDirectory) -> Known:
    """As `known_people`, by the run's own `preferences.people.reliability` and `verdicts`, where it has them.

    Raises:
        NothingCompared: nobody has compared anything.
        DataError: `people.npz` is damaged.
        RunError: the run's configuration cannot be read.
    """
    believed, verdicts = people_settings(directory)
    return known_people(store, directory.path, believed=believed, verdicts=verdicts)


def people_settings(directory: RunDirectory) -> tuple[ReliabilityConfig, VerdictConfig]:
    """What a run believes of people before they answer, and when it calls somebody what.

    Raises:
        RunError: the run's configuration cannot be read.
    """
    preferences: dict[str, Any] = directory.config().get("preferences") or {}
    settings: dict[str, Any] = preferences.get("people") or {}
    return ReliabilityConfig(**settings.get("reliability", {})), VerdictConfig(**settings.get("verdicts", {}))


def answers_by_position(
    positions: Sequence[int], silent: Sequence[int], who: Mapping[int, tuple[str, float | None, str, str]]
) -> Answers:
    """Answers as arrays: those that a reward learns from first, then those that say nothing.

    Args:
        positions: of the first.
        silent: of the others.
        who: by position the annotator, the seconds taken, the query and the choice.
    """
    rows = [who[position] for position in (*positions, *silent)]
    person = {name: number for number, name in enumerate(dict.fromkeys(row[0] for row in rows))}
    question = {name: number for number, name in enumerate(dict.fromkeys(row[2] for row in rows))}
    return Answers(
        people=tuple(person),
        items=(),
        person_N=np.array([person[row[0]] for row in rows], np.int64),
        outcome_N=np.array([OUTCOMES[row[3]] for row in rows], np.int64),
        left_N=np.array([question[row[2]] for row in rows], np.int64),
        right_N=np.full(len(rows), -1, np.int64),
        time_s_N=np.array([np.nan if row[1] is None else row[1] for row in rows], np.float64),
    )


def gold_values(store: Store, kind: str) -> dict[str, Mapping[str, Any]]:
    """Right answers to the gold items of a kind, by query."""
    found: dict[str, Mapping[str, Any]] = {}
    after = ""
    while page := store.gold.page(after=after, limit=_PAGE):
        found |= {item.query_id: item.value for item in page if item.kind == kind}
        after = page[-1].query_id
    return found


def gold_choices(store: Store) -> dict[str, str]:
    """Right choices of the comparisons that are gold items, by query."""
    return {query: str(value["choice"]) for query, value in gold_values(store, "preference").items()}


def gold_outcomes(queries: Sequence[str], gold: Mapping[str, str]) -> Ints:
    """[N] right outcome of each answer's query, -1 where nobody knows."""
    return np.array([OUTCOMES[gold[query]] if query in gold else -1 for query in queries], np.int64)


_Found = tuple[Answers, Reliability, Judged, Floats]


def _by_reward(
    store: Store,
    answers_at: Mapping[int, Feedback],
    left: LeftBehind,
    believed: ReliabilityConfig,
    verdicts: VerdictConfig | None,
) -> _Found:
    """Against what the learned reward said of each answer; answers that it has not taken in yet wait."""
    rows = [row for row, at in enumerate(left.position_Q.tolist()) if at in answers_at]
    positions = left.position_Q[rows].tolist()
    newest = max(positions)
    silent = [at for at, f in answers_at.items() if at <= newest and f.value["choice"] == "cant_tell"]
    who = {
        at: (f.annotator, f.time_taken_s, f.query_id, str(f.value["choice"]))
        for at, f in ((at, answers_at[at]) for at in (*positions, *silent))
    }
    answers = answers_by_position(positions, silent, who)
    empty = np.zeros(len(silent))
    margin_N = np.concatenate([left.margin_Q[rows], empty])
    gold_N = gold_outcomes([who[at][2] for at in (*positions, *silent)], gold_choices(store))
    since_N = (np.array([*positions, *silent]) > _since(left, rows, answers)[answers.person_N]).astype(np.float64)
    told_N = since_N * ((np.concatenate([left.is_unseen_Q[rows], empty]) > 0) | (gold_N >= 0))
    people = reliability(answers, margin_N, believed, gold_N=gold_N, told_N=told_N, fits_scale=True)
    shown_NF = np.concatenate([left.feature_QF[rows], np.zeros((len(silent), left.feature_QF.shape[1]))])
    judged = judge(answers, margin_N, people, verdicts, feature_NF=shown_NF, since_N=since_N)
    return answers, people, judged, np.concatenate([left.weight_Q[rows], empty])


def _since(left: LeftBehind, rows: Sequence[int], answers: Answers) -> Ints:
    """[P] position up to which each person's answers say nothing of them any more; 0 where all do."""
    since_P = np.full(answers.num_people, left.changed_after.max(initial=0))
    if left.since_Q is not None:
        np.maximum.at(since_P, answers.person_N[: len(rows)], left.since_Q[rows])
    return since_P


def _by_items(
    store: Store, answers: Sequence[Feedback], believed: ReliabilityConfig, verdicts: VerdictConfig | None
) -> _Found:
    """By Crowd-BT, in which each clip or text is an item; most are seen once or twice, so that this says less."""
    queries = {query.id: query for query in store.queries(list({answer.query_id for answer in answers}))}
    given = [
        Comparison(
            person=answer.annotator,
            left=queries[answer.query_id].segment_ids[0],
            right=queries[answer.query_id].segment_ids[1],
            choice=str(answer.value["choice"]),
            time_taken_s=answer.time_taken_s,
        )
        for answer in answers
        if len(queries[answer.query_id].segment_ids) == 2 and len(set(queries[answer.query_id].segment_ids)) == 2
    ]
    arrays = answers_of(given)
    gold = {
        (queries[name].segment_ids[0], queries[name].segment_ids[1]): choice
        for name, choice in gold_choices(store).items()
        if name in queries
    }
    fit = fit_crowd_bt(arrays, CrowdBTConfig(people=believed), gold=gold)
    return arrays, fit.people, judge(arrays, fit.margin_N, fit.people, verdicts), np.ones(len(arrays))
