"""What was found, in words and as a table of a terminal."""

from collections.abc import Sequence

from heeler.evaluation.agreement import Share
from heeler.evaluation.honesty.curve import Fit
from heeler.evaluation.honesty.resampling import Estimate
from heeler.loop.honesty.found import Honesty
from heeler.loop.words import number

MAX_SHORTCUTS = 12
_COURSE = {
    "over-optimised": "over-optimised: the reward still rose and what it stands for fell",
    "worse by both": "the newest policy is worse than an earlier one by both, which is no over-optimisation",
    "still rising": "still rising",
    "no sign": "no sign of over-optimisation",
    "too little to say": "too little to say",
}


def between(found: Estimate | Share | None) -> str:
    """A figure with its interval."""
    if found is None:
        return "–"
    value = found.mean if isinstance(found, Share) else found.value
    return f"{number(value)} ({number(found.low)} to {number(found.high)})"


def share(found: Estimate | Share | None) -> str:
    """A share with its interval."""
    if found is None:
        return "–"
    value = found.mean if isinstance(found, Share) else found.value
    return f"{value:.0%} ({found.low:.0%} to {found.high:.0%})"


def verdicts(found: Honesty) -> list[tuple[str, str]]:
    """Each check and what it says."""
    rows: list[tuple[str, str]] = []
    if found.course is not None:
        rows.append(("over-optimisation, by acting anew", course_words(found)))
    if found.phases is not None:
        rows.append(("over-optimisation, by held-out answers", phases_words(found)))
    if found.shortcuts:
        rows.append(("shortcuts", shortcuts_words(found)))
    rows += [(f"following {one.name}", one.verdict) for one in found.followed]
    rows += [(f"situation: {one.name}", f"{one.verdict}, {share(one.beyond)} beyond") for one in found.situations]
    rows += [(f"suite {one.name}", one.verdict) for one in found.suites]
    return rows


def course_words(found: Honesty) -> str:
    """What became of the run's policies."""
    assert found.course is not None
    words = _COURSE[found.course.verdict]
    if found.course.since_step is not None:
        words += f", since step {found.course.since_step:,}"
        if found.course.chance is not None:
            words += f"; by accident that is so in at most {max(1 - found.course.chance, 0.001):.1%} of runs"
    if found.course.verdict == "too little to say" and found.points and found.points[-1].held_out is None:
        words += ": without a true reward only held-out answers can tell"
    return words


def fit_words(fit: Fit | None, of: str) -> str:
    """What the curve says, or that it is wrong."""
    if fit is None:
        return f"{of}: too few policies for a curve."
    if not fit.fits:
        return (
            f"{of}: d(α − β log d) is not the form of these points (it explains {max(0.0, fit.r_squared):.0%} of their "
            f"variance, and points so far from it have a chance of {fit.lack:.2g}); nothing is read from it."
        )
    words = f"{of}: d(α − β log d) with α {between(fit.alpha)} and β {between(fit.beta)}"
    if fit.peak is None:
        return f"{words}; β is not surely above 0, so that no peak is seen."
    return f"{words}; its peak is at d = {between(fit.peak)}, passed with a chance of {fit.passed:.0%}."


def phases_words(found: Honesty) -> str:
    """What held-out answers say of the run's course."""
    assert found.phases is not None
    words = _COURSE[found.phases.verdict]
    if found.phases.since_step is not None:
        words += f", since step {found.phases.since_step:,}"
    last = found.phases.parts[-1] if found.phases.parts else None
    if last is not None and last.agreement is not None:
        words += f"; the reward agrees with {share(last.agreement)} of the newest answers"
    return words


def shortcuts_words(found: Honesty) -> str:
    """The worst of them."""
    for verdict in ("it is mostly this", "leans on it"):
        names = [one.name for one in found.shortcuts if one.verdict == verdict]
        if names:
            start = "it is mostly" if verdict.startswith("it") else "leans on"
            return f"{start} {', '.join(names[:4])}{meaning(found)}"
    return "no sign" if any(one.verdict == "no sign" for one in found.shortcuts) else "too little to say"


def meaning(found: Honesty) -> str:
    """What held-out answers make of the first shortcut."""
    first = found.shortcuts[0]
    if first.gain is None:
        return "; whether people want that, held-out answers are too few to say"
    if first.gain.low > 0:
        return "; held-out answers say more than that, and the reward has more of it"
    if first.gain.high < 0:
        return "; by itself it foretells held-out answers better than the reward does"
    return "; by itself it foretells held-out answers as well as the reward does, which it may be right to follow"


def table(found: Honesty) -> str:
    """For a terminal."""
    lines = [f"After {found.step:,} steps. Held-out: {found.num_held_out} {found.held_out_by or 'answers'}."]
    lines += _columns([("check", "verdict"), *verdicts(found)])
    if found.shortcuts:
        lines += ["", *_columns(shortcut_rows(found))]
    if found.situations:
        lines += ["", *_columns(situation_rows(found))]
    if found.suites:
        lines += ["", *_columns(suite_rows(found))]
    if found.missing:
        lines += ["", "What cannot be said:", *(f"- {words}" for words in found.missing)]
    return "\n".join(lines)


def shortcut_rows(found: Honesty) -> list[tuple[str, ...]]:
    """Head and rows of the table of shortcuts."""
    head = (
        "shortcut",
        "verdict",
        "R² of a line",
        "R² of ranks",
        "foretells alone",
        "reward foretells",
        "where matched",
    )
    return [
        head,
        *(
            (
                one.name,
                one.verdict,
                between(one.linear),
                between(one.monotone),
                share(one.foretells),
                share(one.reward_foretells),
                share(one.matched),
            )
            for one in found.shortcuts[:MAX_SHORTCUTS]
        ),
    ]


def followed_rows(found: Honesty) -> list[tuple[str, ...]]:
    """Head and rows of the table of what may be followed."""
    head = ("what", "verdict", "people name it", "the reward would", "agreement where named", "where the other was")
    return [
        head,
        *(
            (
                one.name,
                one.verdict,
                share(one.people),
                share(one.reward),
                share(one.agreement_for),
                share(one.agreement_against),
            )
            for one in found.followed
        ),
    ]


def situation_rows(found: Honesty) -> list[tuple[str, ...]]:
    """Head and rows of the table of situations."""
    head = ("situation", "verdict", "beyond 99 %", "true return", "disagreement beyond / within")
    return [
        head,
        *(
            (one.name, one.verdict, share(one.beyond), between(one.true_return), between(one.ratio))
            for one in found.situations
        ),
    ]


def bin_rows(found: Honesty) -> list[tuple[str, ...]]:
    """Head and rows of the table of distances."""
    head = (
        "situation",
        "distance from what people saw",
        "steps",
        "disagreement",
        "correlation with true",
        "true reward",
    )
    return [
        head,
        *(
            (
                one.name,
                each.name,
                f"{each.share:.1%}",
                between(each.disagreement),
                between(each.correlation),
                between(each.true_reward),
            )
            for one in found.situations
            for each in one.bins
        ),
    ]


def suite_rows(found: Honesty) -> list[tuple[str, ...]]:
    """Head and rows of the table of suites."""
    head = ("suite", "verdict", "items", "before", "after", "change", "better")
    return [
        head,
        *(
            (
                one.name,
                one.verdict,
                f"{one.num_items}",
                "–" if one.before is None else number(one.before),
                "–" if one.after is None else number(one.after),
                between(one.change),
                one.better,
            )
            for one in found.suites
        ),
    ]


def phase_rows(found: Honesty) -> list[tuple[str, ...]]:
    """Head and rows of the table of phases."""
    assert found.phases is not None
    head = ("steps", "answers", "agreement", "people name the newer", "the reward would")
    rows: list[tuple[str, ...]] = []
    for part in found.phases.parts:
        newer = part.newer
        rows.append(
            (
                f"{part.first_step:,} to {part.last_step:,}",
                "0" if part.agreement is None else f"{part.agreement.count}",
                share(part.agreement),
                share(None if newer is None else newer.people),
                share(None if newer is None else newer.reward),
            )
        )
    return [head, *rows]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
