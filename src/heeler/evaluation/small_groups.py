"""Which groups may be told of, so that no figure tells of few people, nor lets one be worked out from others."""

from collections.abc import Sequence


def shown_groups(size_G: Sequence[int], min_people: int) -> tuple[bool, ...]:
    """Which groups may be shown.

    None with fewer than `min_people` is. As how many people there are is known, what is left out can be worked out from
    what is shown: where something is left out, it is at least two groups of together at least `min_people`, so that the
    smallest of those that could be shown are left out, too, as far as that takes. Being in no group yet is no wish, and
    is not hidden.
    """
    hidden = {number for number, size in enumerate(size_G) if size < min_people}
    for number in sorted(range(len(size_G)), key=lambda one: (size_G[one], one)):
        if not hidden or (len(hidden) >= 2 and sum(size_G[one] for one in hidden) >= min_people):
            break
        hidden.add(number)
    return tuple(number not in hidden for number in range(len(size_G)))
