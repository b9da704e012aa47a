"""Why the gate of policies decided as it did, in plain words."""

from collections.abc import Mapping, Sequence

from heeler.oversight.control_gate_nouns import Shown


def reasons(shown: Sequence[tuple[Shown, str]], means: Mapping[str, float], num_episodes: int) -> tuple[str, ...]:
    """Of a candidate that is kept, everything that it failed to show; of another, everything that it showed.

    Args:
        shown: each claim, and what its budget is per.
        means: returns of candidate and policy in use.
        num_episodes: of each.
    """
    failed = [(each, per) for each, per in shown if not each.is_shown]
    told = [_of_return(each, means) if each.name == "return" else _of_cost(each, per) for each, per in failed or shown]
    return tuple(f"{words} ({num_episodes:,} episodes)" for words in told)


def _of_return(shown: Shown, means: Mapping[str, float]) -> str:
    margin = -shown.limit
    words = f"lower by {margin:g} at most"
    claim = words if shown.is_shown else f"not shown to be {words}{_why(shown)}"
    return (
        f"return: {claim}: {means['current']:.4g} in use, {means['candidate']:.4g} candidate, difference "
        f"{shown.estimate:+.3g} {_between(shown)}"
    )


def _of_cost(shown: Shown, per: str) -> str:
    claim = "within" if shown.is_shown else f"not shown to be within{_why(shown)}"
    return f"{shown.name}: {claim}: {shown.estimate:.3g} of a budget of {shown.limit:g} per {per} {_between(shown)}"


def _why(shown: Shown) -> str:
    return f", since {shown.problem}" if shown.problem else ""


def _between(shown: Shown) -> str:
    low, high = ("unknown" if bound is None else f"{bound:.3g}" for bound in (shown.low, shown.high))
    return f"[{low}, {high}] by {shown.method}"
