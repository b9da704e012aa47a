r"""What an answer says when a person may be mistaken on purpose, lean to a side, or not have looked.

With the margin $\Delta$ (how much better the left is, in log-odds), a person of reliability $\eta$ and lean $b$, who
looked with probability $w$, answers

$$P(o) = w\,[\eta\,D(o \mid \Delta + b) + (1 - \eta)\,D(o \mid -\Delta + b)] + (1 - w)\,D(o \mid b)$$

where D is Bradley–Terry, or Davidson's extension where "equal" is an answer ($D(\mathrm{equal}) \propto \nu$). With
$b = 0$, $w = 1$ and no ties this is Crowd-BT (Chen, Bennett, Collins-Thompson and Horvitz 2013, WSDM): $\eta = 1$ is
perfectly honest, 1/2 a coin, and below 1/2 somebody who names the worse.
Shapes: N answers, B leans.
"""

import numpy as np

from heeler.feedback.annotators.answers import EQUAL, LEFT, Floats, Ints


def davidson(margin: Floats, outcome: Ints, tie: float) -> Floats:
    """Probability of each outcome (0 left, 1 right, 2 equal); shapes broadcast.

    Args:
        margin: how much better the left is.
        outcome: what was answered.
        tie: Davidson's ν; 0 where nobody may answer "equal".
    """
    half = margin / 2
    # Relative to the larger side, so that nothing overflows.
    high = np.abs(half)
    left, right, equal = np.exp(half - high), np.exp(-half - high), tie * np.exp(-high)
    chosen = np.where(outcome == EQUAL, equal, np.where(outcome == LEFT, left, right))
    return chosen / (left + right + equal)


def parts(margin_N: Floats, outcome_N: Ints, lean_B: Floats, tie: float) -> tuple[Floats, Floats, Floats]:
    """[N, B] each: probability of the answer by somebody honest, by somebody hostile, and by who did not look."""
    outcome = outcome_N[:, None]
    honest = davidson(margin_N[:, None] + lean_B, outcome, tie)
    hostile = davidson(-margin_N[:, None] + lean_B, outcome, tie)
    unseen = davidson(np.broadcast_to(lean_B, honest.shape), outcome, tie)
    return honest, hostile, unseen


def probability_left(margin: Floats, reliability: Floats, lean: Floats, looked: Floats, tie: float) -> Floats:
    """Probability that somebody named the left, given that they named a side; shapes broadcast.

    Args:
        margin: how much better the left is.
        reliability: η of whoever answers.
        lean: b of whoever answers.
        looked: w of the answer.
        tie: Davidson's ν.
    """
    margin, reliability, lean, looked = np.broadcast_arrays(margin, reliability, lean, looked)
    sides: list[Floats] = []
    for side in (0, 1):
        outcome = np.full(margin.shape, side)
        seen = reliability * davidson(margin + lean, outcome, tie)
        seen = seen + (1 - reliability) * davidson(-margin + lean, outcome, tie)
        sides.append(looked * seen + (1 - looked) * davidson(lean, outcome, tie))
    return sides[0] / (sides[0] + sides[1])
