"""What a report tells of what overseers kept from being done: HTML without scripts."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from heeler.core.errors import RunError
from heeler.loop.overseers.telling import Objected, Objection, read_objections

_MAX_SHOWN = 100


def objections_to_show(run: Path) -> Objected | None:
    """Of a run's audit log, which a report is made without where it is damaged; findings tell that it is."""
    try:
        return read_objections(run)
    except RunError:
        return None


def objections_section(objected: Objected | None) -> str:
    """How often overseers objected, every halt, and the newest of those that are told in full; nothing without any."""
    if objected is None:
        return ""
    by = ", ".join(f"{name} {num:,}" for name, num in objected.by.items())
    counts = f"{objected.num_vetoed:,} steps were vetoed and {objected.num_modified:,} modified"
    counts += f"; objections: {by}." if by else "."
    rest = len(objected.told) - _MAX_SHOWN
    left = f'<p class="note">And {rest:,} before that are told in the audit log.</p>' if rest > 0 else ""
    newest = sorted(objected.told, key=lambda one: one.step, reverse=True)[:_MAX_SHOWN]
    rows = _rows([*sorted(objected.halts, key=lambda one: one.step, reverse=True), *newest])
    return f"""<section>
<h2>Overseers</h2>
<div class="card"><p>{escape(counts)} The first few of each update are told in full.</p>
<div class="scroll"><table><thead><tr><th>step</th><th>decision</th><th>why</th><th>evidence</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>{left}</div>
</section>"""


def _rows(objections: Sequence[Objection]) -> str:
    return "\n".join(
        f"<tr><td>{one.step:,}</td><td>{escape(one.decision)}</td><td>{escape(one.reason)}</td>"
        f"<td>{escape(json.dumps(one.evidence))}</td></tr>"
        for one in objections
    )
