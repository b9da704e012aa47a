r"""Who agrees with whom beyond what the questions explain: people who copy each other, or act on one word.

Two people who both look at a clear question agree for that reason alone. So for each question that both of a pair
answered, how clear it is is first told from everybody else: its margin has a prior about what the fitted model says,
with a spread that is fitted to all answers, and the others' answers to the very question move it. Given the margin, two
people who do not look at each other answer independently, and agree with a chance of

$$a_n = \int p(\Delta \mid \mathrm{others})\,[P_p P_q + (1 - P_p)(1 - P_q)]\,d\Delta$$

How often they agreed is held against the sum of those by Chernoff's bound, at an error rate that is split over all
pairs: with nobody colluding, all of it together is wrong at most that often, as far as the model is right. People who
are hostile agree with each other, too, and against the rest; their reliability explains that, so that it alone makes
nobody a colluder. Groups are the connected parts of the pairs found.

Pairs are told from shared questions alone; where each question has one answer there is nothing to tell. Shapes: N
answers, P people, G points of the margin.
"""

import math
from dataclasses import dataclass

import numpy as np

from heeler.feedback.annotators.answers import LEFT, RIGHT, Answers, Floats, Ints, sums_by
from heeler.feedback.annotators.bounds import log_chernoff_of_shares
from heeler.feedback.annotators.likelihood import probability_left
from heeler.feedback.annotators.reliability import Reliability

LEAST_SHARED = 8
"""Questions that two people must share before anything is said of them."""
_POINT_G, _WEIGHT_G = np.polynomial.hermite_e.hermegauss(9)
_SPREADS = (0.3, 0.6, 1.0, 1.5, 2.5)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two people who agree more than the questions explain."""

    first: int
    second: int
    num_shared: int
    agreed: float
    """Share of the shared questions on which they gave the same answer."""
    expected: float
    """What that share would be if neither looked at the other."""
    log_p: float
    """Logarithm of a bound on the chance of that."""


@dataclass(frozen=True, kw_only=True)
class Collusion:
    """Who colludes."""

    pairs: tuple[Pair, ...]
    """The most surprising first."""
    groups: tuple[tuple[int, ...], ...]
    """People, by number; the largest first."""
    num_looked_at: int
    """Pairs who shared enough questions."""


def find_collusion(answers: Answers, margin_N: Floats, people: Reliability, *, error_rate: float = 0.01) -> Collusion:
    """Look at every pair who share questions.

    Args:
        answers: "equal" and "can't tell" are left out.
        margin_N: [N] how much better the left was, in log-odds.
        people: as fitted with these margins.
        error_rate: probability that anybody at all is named where nobody colludes.
    """
    table = _Table(answers, margin_N, people)
    shared = table.shared_pairs()
    enough = {pair: rows for pair, rows in shared.items() if len(rows[0]) >= LEAST_SHARED}
    if not enough:
        return Collusion(pairs=(), groups=(), num_looked_at=0)
    log_needed = math.log(error_rate / len(enough))
    found = [table.pair(pair, rows) for pair, rows in enough.items()]
    pairs = tuple(sorted((p for p in found if p.log_p <= log_needed), key=lambda p: p.log_p))
    return Collusion(pairs=pairs, groups=_groups(pairs), num_looked_at=len(enough))


class _Table:
    """Answers by question, each turned so that both ways of showing a pair say the same."""

    def __init__(self, answers: Answers, margin_N: Floats, people: Reliability) -> None:
        decided_N = (answers.outcome_N == LEFT) | (answers.outcome_N == RIGHT)
        rows = np.flatnonzero(decided_N)
        turned = answers.is_turned_N[rows]
        self.person, self.question = answers.person_N[rows], answers.question_N[rows]
        sign = np.where(turned, -1.0, 1.0)
        self.left = (answers.outcome_N[rows] == LEFT) != turned
        margin = sign * margin_N[rows]
        lean = sign * people.lean_P[self.person]
        eta, looked = people.mean_P[self.person], people.looked_N[rows]
        self.log_NG, self.left_NG = self._fit_spread(margin, eta, lean, looked)
        size = int(self.question.max(initial=-1)) + 1
        self.log_QG = np.stack([sums_by(self.question, column, size) for column in self.log_NG.T], 1)

    def _fit_spread(self, margin: Floats, eta: Floats, lean: Floats, looked: Floats) -> tuple[Floats, Floats]:
        """[N, G] log-probability of each answer, and probability of left, at the spread that fits all answers best."""
        best: tuple[float, Floats, Floats] | None = None
        size = int(self.question.max(initial=-1)) + 1
        for spread in _SPREADS:
            point_NG = margin[:, None] + spread * _POINT_G
            left_NG = probability_left(point_NG, eta[:, None], lean[:, None], looked[:, None], 0.0)
            left_NG = np.clip(left_NG, 1e-9, 1 - 1e-9)
            log_NG = np.log(np.where(self.left[:, None], left_NG, 1 - left_NG))
            log_QG = np.stack([sums_by(self.question, column, size) for column in log_NG.T], 1)
            fit = float(np.logaddexp.reduce(log_QG + np.log(_WEIGHT_G), axis=1).sum())
            if best is None or fit > best[0]:
                best = fit, log_NG, left_NG
        assert best is not None
        return best[1], best[2]

    def shared_pairs(self) -> dict[tuple[int, int], tuple[Ints, Ints]]:
        """Rows of both of every two people who answered the same question."""
        order = np.lexsort((self.person, self.question))
        question, rows_a, rows_b = self.question[order], list[Ints](), list[Ints]()
        most = int(np.bincount(question).max(initial=0))
        for apart in range(1, most):
            same = np.flatnonzero(question[apart:] == question[:-apart])
            rows_a.append(order[same])
            rows_b.append(order[same + apart])
        if not rows_a:
            return {}
        a, b = np.concatenate(rows_a), np.concatenate(rows_b)
        differ = self.person[a] != self.person[b]
        a, b = a[differ], b[differ]
        size = int(self.person.max()) + 1
        pair = self.person[a] * size + self.person[b]
        by_pair = np.argsort(pair, kind="stable")
        numbers, starts = np.unique(pair[by_pair], return_index=True)
        parts = zip(numbers.tolist(), np.split(by_pair, starts[1:]), strict=True)
        return {divmod(number, size): (a[part], b[part]) for number, part in parts} if len(numbers) else {}

    def pair(self, pair: tuple[int, int], rows: tuple[Ints, Ints]) -> Pair:
        """Hold one pair's agreement against what the questions explain."""
        a, b = rows
        others_NG = self.log_QG[self.question[a]] - self.log_NG[a] - self.log_NG[b] + np.log(_WEIGHT_G)
        weight_NG = np.exp(others_NG - np.logaddexp.reduce(others_NG, axis=1)[:, None])
        first, second = self.left_NG[a], self.left_NG[b]
        share = np.clip((weight_NG * (first * second + (1 - first) * (1 - second))).sum(1), 1e-9, 1 - 1e-9)
        agreed = self.left[a] == self.left[b]
        log_p = log_chernoff_of_shares(share, float(agreed.sum()))
        return Pair(
            first=pair[0],
            second=pair[1],
            num_shared=len(a),
            agreed=float(agreed.mean()),
            expected=float(share.mean()),
            log_p=log_p,
        )


def _groups(pairs: tuple[Pair, ...]) -> tuple[tuple[int, ...], ...]:
    """Connected parts."""
    group_of: dict[int, set[int]] = {}
    for pair in pairs:
        joined = group_of.get(pair.first, {pair.first}) | group_of.get(pair.second, {pair.second})
        for person in joined:
            group_of[person] = joined
    groups = {id(group): tuple(sorted(group)) for group in group_of.values()}
    return tuple(sorted(groups.values(), key=lambda group: (-len(group), group)))
