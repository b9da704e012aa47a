"""What a report tells of what monitors found: HTML without scripts."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.errors import RunError
from heeler.loop.watching import FINDING
from heeler.oversight.finding import Finding

_MAX_ENTRIES, _MAX_SHOWN = 1_000_000, 100


def read_findings(run: Path) -> list[Finding]:
    """Of a run's audit log, in the order in which they were found; each once, though a stretch was walked again.

    Raises:
        RunError: the log cannot be read, or is damaged.
    """
    found: dict[tuple[str, int], Finding] = {}
    for entry in entries(run / AUDIT_NAME, after=0, limit=_MAX_ENTRIES):
        if entry.act == FINDING:
            told = entry.details
            finding = Finding(
                monitor=told["monitor"], step=told["step"], reason=told["reason"], evidence=told["evidence"]
            )
            found.setdefault((finding.monitor, finding.step), finding)
    return list(found.values())


def findings_to_show(run: Path) -> list[Finding]:
    """The same for a report, which a damaged log does not keep from being made: it is what was found, then."""
    try:
        return read_findings(run)
    except RunError as error:
        return [Finding(monitor="audit log", step=0, reason=str(error))]


def asking_to_show(run: Path) -> list[str]:
    """Why a run stopped asking people, or began again, and by what they cannot judge, the oldest first.

    Each once, though a stretch was walked again; nothing of a log that is damaged.
    """
    found: dict[tuple[str, int], str] = {}
    try:
        for each in entries(run / AUDIT_NAME, after=0, limit=_MAX_ENTRIES):
            if each.act in ("asking.stop", "asking.begin_again", "asking.aids"):
                step, since = each.details["step"], f", from step {each.details['step']:,} on"
                reason = f"{each.details['reason']}{since if each.act == 'asking.aids' else ''}"
                found.setdefault((each.act, step), reason)
    except RunError:
        return []
    return list(found.values())


def findings_section(findings: Sequence[Finding]) -> str:
    """What monitors found, the newest first: HTML; nothing where they found nothing."""
    if not findings:
        return ""
    shown = sorted(findings, key=lambda finding: finding.step, reverse=True)[:_MAX_SHOWN]
    rows = "\n".join(
        f"<tr><td>{one.step:,}</td><td>{escape(one.monitor)}</td><td>{escape(_reason(one))}</td></tr>" for one in shown
    )
    left = f'<p class="note">And {len(findings) - len(shown):,} before.</p>' if len(findings) > len(shown) else ""
    return f"""<section>
<h2>Findings</h2>
<div class="card"><div class="scroll"><table><thead><tr><th>step</th><th>monitor</th><th>what it found</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>{left}</div>
</section>"""


def _reason(finding: Finding) -> str:
    """A report goes where nobody can forget a person any more: who answered stands in the audit log alone."""
    annotator = finding.evidence.get("annotator")
    return finding.reason.replace(str(annotator), "An annotator") if annotator else finding.reason
