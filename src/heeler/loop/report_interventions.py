"""What a report tells of what was done to a run, by rules and by people: HTML without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from heeler.core.audit import AUDIT_NAME, AuditEntry, entries
from heeler.core.errors import RunError
from heeler.core.hard_stop import ACT as HARD_STOP

_MAX_ENTRIES, _MAX_SHOWN = 1_000_000, 100
_BY_RULE = "intervention."
_BY_HAND = ("command.obeyed", "command.refused", HARD_STOP)


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """One thing that was done, or asked for in vain."""

    unix_s: float
    """When, in Unix seconds."""
    by: str
    """`a rule` or `a person`: a report goes where nobody can forget who it was, whom the audit log names."""
    act: str
    """In words, such as `slow`."""
    about: str
    """Why a rule did it, or what came of it."""


def interventions_to_show(run: Path) -> list[Intervention]:
    """Of a run's audit log, the oldest first; nothing of a log that is damaged, which the findings tell of."""
    try:
        every = entries(run / AUDIT_NAME, after=0, limit=_MAX_ENTRIES)
    except RunError:
        return []
    return [_told(entry) for entry in every if entry.act.startswith(_BY_RULE) or entry.act in _BY_HAND]


def _told(entry: AuditEntry) -> Intervention:
    details = entry.details
    if entry.act.startswith(_BY_RULE):
        parts = [f"at step {details['step']:,}"] if "step" in details else []
        parts += [f"in place of {details['instead_of'].replace('_', ' ')}"] if "instead_of" in details else []
        parts += [str(details[name]) for name in ("reason", "problem", "outcome") if name in details]
        by, act, about = "a rule", entry.act.removeprefix(_BY_RULE), "; ".join(parts)
    elif entry.act == HARD_STOP:
        by, act, about = "a person", "hard_stop", f"process {details['pid']} was ended"
    else:
        refused = " (refused)" if entry.act == "command.refused" else ""
        by, act, about = "a person", f"{details['kind']}{refused}", str(details["outcome"])
    return Intervention(unix_s=entry.unix_s, by=by, act=act.replace("_", " "), about=about)


def interventions_section(interventions: Sequence[Intervention]) -> str:
    """What was done, the newest first: HTML; nothing where nothing was."""
    if not interventions:
        return ""
    shown = interventions[::-1][:_MAX_SHOWN]
    rows = "\n".join(
        f"<tr><td>{datetime.fromtimestamp(one.unix_s, UTC):%d %B %Y, %H:%M:%S}</td><td>{escape(one.by)}</td>"
        f"<td>{escape(one.act)}</td><td>{escape(one.about)}</td></tr>"
        for one in shown
    )
    num_left = len(interventions) - len(shown)
    left = f'<p class="note">And {num_left:,} before.</p>' if num_left else ""
    return f"""<section>
<h2>Interventions</h2>
<div class="card"><p>What was done to the run. Which person it was, and why, stands in the audit log.</p>
<div class="scroll"><table>
<thead><tr><th>when (UTC)</th><th>by</th><th>act</th><th>what is known of it</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>{left}</div>
</section>"""
