"""Which questions to ask for the time that there is: by what their answers say a second. Pure functions.

Shapes: Q candidate questions, F numbers that tell what a question is about.
"""

import numpy as np

from heeler.core.errors import ConfigError


def choose_by_rate(
    bits_Q: np.ndarray, seconds_Q: np.ndarray, about_QF: np.ndarray, time_s: float
) -> tuple[np.ndarray, np.ndarray]:
    r"""Greedily the questions whose answers say most a second, until the time is spent.

    Questions about the same thing say the same: after questions about unit vectors $u_1 \dots u_n$ one about $u$ counts

    $$u^\top (I + \textstyle\sum_i u_i u_i^\top)^{-1} u$$

    of its bits, the share of the variance along u that is left in a linear regression with a unit prior and unit noise.
    So a question counts whole while nothing like it was asked, half the second time, a third the third. A greedy choice
    of what is worth less after others is near the best there is (Nemhauser et al. 1978; for questions, Kirsch et al.
    2019, arXiv 1906.08158, who count what a batch shares by sampling it).

    Args:
        bits_Q: expected of each answer.
        seconds_Q: expected of each answer, above 0.
        about_QF: what each question is about; its length does not matter, 0 for what is like nothing else.
        time_s: to be spent; the last question may reach beyond it by less than half of its time, and one is chosen
            however long it takes.

    Returns:
        [n] indices in the order chosen, and [n] what each was worth then, in bits a second.

    Raises:
        ConfigError: there is no question, or one takes no time.

    Example:
        >>> choose_by_rate(np.array([1.0, 0.9]), np.array([4.0, 2.0]), np.eye(2), 2.0)[0].tolist()
        [1]
    """
    if not len(bits_Q):
        raise ConfigError("there is no question to choose from; draw some")
    if not (seconds_Q > 0).all():
        raise ConfigError(f"every question must take time, got {seconds_Q.min():g} s")
    length_Q1 = np.linalg.norm(about_QF, axis=1, keepdims=True)
    unit_QF = about_QF / np.where(length_Q1 > 0, length_Q1, 1.0)
    # What is like nothing else stays whole.
    share_Q = np.ones(len(bits_Q))
    left_FF = np.eye(unit_QF.shape[1])
    is_open_Q = np.ones(len(bits_Q), bool)
    chosen: list[int] = []
    rates: list[float] = []
    spent_s = 0.0
    while is_open_Q.any():
        rate_Q = np.where(is_open_Q, bits_Q * share_Q / seconds_Q, -np.inf)
        best = int(rate_Q.argmax())
        if chosen and spent_s + seconds_Q[best] / 2 > time_s:
            break
        chosen.append(best)
        rates.append(float(rate_Q[best]))
        spent_s += float(seconds_Q[best])
        is_open_Q[best] = False
        toward_F = left_FF @ unit_QF[best]
        left_FF = left_FF - np.outer(toward_F, toward_F) / (1 + unit_QF[best] @ toward_F)
        is_known_Q = length_Q1[:, 0] > 0
        share_Q = np.where(is_known_Q, np.einsum("qf,fg,qg->q", unit_QF, left_FF, unit_QF), 1.0)
    return np.array(chosen), np.array(rates)
