"""What a report tells of `heeler honesty`: verdicts, tables and charts; HTML without scripts."""

from collections.abc import Sequence
from html import escape

import numpy as np

from heeler.loop.honesty import words
from heeler.loop.honesty.found import Honesty, PolicyPoint
from heeler.loop.report_chart import Chart, Trace, axes, line, numbers


def honesty_section(found: Honesty | None, newest_sha256: str) -> str:
    """The section of the page; nothing where the run was not examined.

    Args:
        found: what was kept.
        newest_sha256: of the newest checkpoint; a note says where another was examined.
    """
    if found is None:
        return ""
    is_stale = newest_sha256 != found.checkpoint_sha256
    note = "Of an earlier checkpoint; run heeler honesty again for the newest." if is_stale else ""
    parts = [_table((("check", "verdict"), *words.verdicts(found)))]
    if found.course is not None:
        fits = (("Learned reward", found.course.learned), ("True return", found.course.held_out))
        known = [words.fit_words(fit, of) for of, fit in fits if of != "True return" or _knows_true(found)]
        parts.append(_words(" ".join(known)))
    if found.phases is not None:
        parts.append(_titled("Held-out answers, by when they were asked", words.phase_rows(found)))
    if found.shortcuts:
        parts.append(_titled("Shortcuts", words.shortcut_rows(found)))
        parts.append(_words(_OF_SHORTCUTS))
    if found.followed:
        parts.append(_titled("What may be followed", words.followed_rows(found)))
    if found.situations:
        parts.append(_titled("Situations", words.situation_rows(found)))
        parts.append(_titled("By distance from what people saw", words.bin_rows(found)))
    if found.suites:
        parts.append(_titled("Held-out suites", words.suite_rows(found)))
    missing = "".join(f"<li>{escape(why)}</li>" for why in found.missing)
    said = f'<p class="note">What cannot be said:</p><ul class="note">{missing}</ul>' if missing else ""
    held = f"{found.num_held_out:,} {found.held_out_by}. " if found.held_out_by else ""
    about = f"<p>After {found.step:,} steps. {escape(held)}Figures stand with their 95 % intervals.</p>"
    return f"""<section>
<h2>Honesty of the result</h2>
<div class="card">{about}{_words(note)}
{"".join(parts)}
{said}</div>
</section>"""


_OF_SHORTCUTS = (
    "R² is the share of the learned reward's variance over clips that the shortcut explains, on clips that the line "
    "was not fitted to. People may want what a shortcut is: then it foretells their answers as well as the reward "
    "does. Where matched: answers that the reward foretells among pairs that have about as much of it."
)


def honesty_charts(found: Honesty | None) -> list[Chart]:
    """Its charts; none where the run was not examined."""
    if found is None:
        return []
    return [chart for chart in (course_chart(found), distance_chart(found)) if chart is not None]


def course_chart(found: Honesty) -> Chart | None:
    """Learned reward and true return of each policy over its distance from the first, each in units of its own gain."""
    if len(found.points) < 2:
        return None
    points = sorted(found.points, key=lambda point: point.distance)
    distance = [point.distance for point in points]
    traces = [*_with_bars(distance, points, "learned reward", "teal")]
    if _knows_true(found):
        traces += _with_bars(distance, points, "true return", "orange")
    caption = "Policies of this run acting anew, by √KL of a step to the first. "
    caption += "Each is in units of the most that any of them gained on it."
    return Chart(
        id="honesty-course",
        title="Learned reward against what it stands for",
        caption=caption,
        traces=traces,
        layout=axes("distance d from the first policy, √nats", "gain, of the most"),
    )


def _with_bars(distance: Sequence[float], points: Sequence[PolicyPoint], name: str, colour: str) -> list[Trace]:
    known = [point.learned if name == "learned reward" else point.held_out for point in points]
    value = np.array([[each.value, each.low, each.high] for each in known if each is not None])
    first = value[0, 0]
    size = max(1e-9, float(np.abs(value[:, 0] - first).max()))
    gain = (value - first) / size
    drawn = line(distance, gain[:, 0], name, colour) | {"mode": "lines+markers", "x": numbers(distance)}
    bars = {
        "type": "data",
        "symmetric": False,
        "array": numbers(gain[:, 2] - gain[:, 0]),
        "arrayminus": numbers(gain[:, 0] - gain[:, 1]),
        "color": f"@{colour}",
    }
    return [drawn | {"error_y": bars}]


def distance_chart(found: Honesty) -> Chart | None:
    """How often each situation leads beyond what people saw."""
    known = [(one.name, one.beyond) for one in found.situations if one.beyond is not None]
    if not known:
        return None
    value = np.array([[each.value, each.low, each.high] for _, each in known])
    bars = {
        "type": "data",
        "symmetric": False,
        "array": numbers(value[:, 2] - value[:, 0]),
        "arrayminus": numbers(value[:, 0] - value[:, 1]),
        "color": "@grey",
    }
    trace: Trace = {
        "type": "bar",
        "name": "beyond 99 %",
        "x": [name for name, _ in known],
        "y": numbers(value[:, 0]),
        "marker": {"color": "@blue"},
        "error_y": bars,
    }
    return Chart(
        id="honesty-distance",
        title="Beyond what people saw",
        caption="Share of steps farther than 99 % of what people saw; 1 % where nothing is unlike.",
        traces=[trace],
        layout=axes("situation", "share of steps", legend=False, y_format=".1%", y_from_zero=True),
    )


def _knows_true(found: Honesty) -> bool:
    return bool(found.points) and all(point.held_out is not None for point in found.points)


def _titled(title: str, rows: Sequence[Sequence[str]]) -> str:
    return f'<h3 class="sub">{escape(title)}</h3>{_table(rows)}'


def _words(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>' if text else ""


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'
