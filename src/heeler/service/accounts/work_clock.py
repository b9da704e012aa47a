"""How long somebody worked, from when their answers came: nothing here looks at a clock.

An answer counts the time since the one before, where that is at most `longest_item_s`; after a longer pause, the time
that the person took for it, up to the same limit. No second counts twice: of answers that came together, only the time
since the one before can be shared out among them. So whatever a client claims, and wherever the machine's clock jumps
to, an answer is worth at most `longest_item_s`, and a jump by itself nothing.
"""

from dataclasses import dataclass

_FREE_AT_FIRST_S = 3600.0
"""What may have gone by before the first answer, where nothing is known of it."""
_JUMP_S = 60.0
"""Answers to two runs may be committed in another order than they came; more than this is a clock set back."""


@dataclass(frozen=True, kw_only=True)
class WorkClock:
    """Where the counting of one person's time stands."""

    last_unix_s: float
    """When their last answer came."""
    free_s: float
    """Time before it that no answer was counted for yet."""
    stretch_s: float
    """Time worked since the last break."""


def counted(
    clock: WorkClock | None, received_unix_s: float, taken_s: float | None, *, longest_item_s: float, break_s: float
) -> tuple[WorkClock, float]:
    """Count one more answer.

    Args:
        clock: of the person; None at their first answer.
        received_unix_s: when the answer came.
        taken_s: how long they say that they took.
        longest_item_s: the most that an answer counts.
        break_s: a pause of this length is a break.

    Returns:
        The clock, and the seconds that this answer counts.
    """
    claimed_s = max(0.0, taken_s or 0.0)
    gap_s = 0.0 if clock is None else received_unix_s - clock.last_unix_s
    if clock is None or gap_s < -_JUMP_S:
        last_s, free_s, gap_s = received_unix_s, _FREE_AT_FIRST_S, 0.0
    elif gap_s <= 0:
        last_s, free_s, gap_s = clock.last_unix_s, clock.free_s, 0.0
    else:
        last_s, free_s = received_unix_s, gap_s
    if gap_s <= longest_item_s:
        claimed_s = max(claimed_s, gap_s)
    seconds = min(free_s, longest_item_s, claimed_s)
    stretch_s = 0.0 if clock is None or gap_s - seconds >= break_s else clock.stretch_s
    return WorkClock(last_unix_s=last_s, free_s=free_s - seconds, stretch_s=stretch_s + seconds), seconds
