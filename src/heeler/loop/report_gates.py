"""What a report tells of a gate's decisions, and of answers before and after: HTML without scripts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from heeler.core.gate_records import GateRecord
from heeler.core.texts import TextSample
from heeler.loop.words import number

_MAX_CHARACTERS = 1200


@dataclass(frozen=True, kw_only=True)
class BeforeAfter:
    """One held-out prompt as two versions answered it.

    Held-out prompts only: a report goes where nobody can forget what a person wrote.
    """

    before: TextSample
    after: TextSample
    note: str = ""
    """Such as the suite and both scores."""


def gates_section(records: Iterable[GateRecord]) -> str:
    """What the gate decided, the newest first: HTML."""
    every = list(records)
    if not every:
        return ""
    parts = "\n".join(_gate(number, record) for number, record in reversed(list(enumerate(every, 1))))
    return f"<section>\n<h2>Gate</h2>\n{parts}\n</section>"


def _gate(number_of: int, record: GateRecord) -> str:
    back = "kept back" if _named(record) == "Candidate" else "taken back"
    state, kind = ("passed", "finished") if record.passed else (back, "going")
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in record.reasons)
    return f"""<div class="card gate"><h3>{_named(record)} {number_of} <span class="state {kind}">{state}</span></h3>
<ul>{reasons}</ul>
{_table(record.details)}
<p class="note">Checkpoint {escape(record.candidate_sha256[:12])}, record {escape(record.sha256[:12])}.</p></div>"""


def _named(record: GateRecord) -> str:
    return {"canary": "Canary share", "watch": "Watch"}.get(str(record.details.get("kind")), "Candidate")


def _table(details: Mapping[str, Any]) -> str:
    """What was decided on; what a canary share or a watch saw is told in its reasons."""
    if "checks" in details:
        heads = ("suite", "in use", "candidate", "gain", "interval", "items", "shown")
        rows = [_check_row(check) for check in details["checks"]]
    elif "shown" in details:
        heads = ("claim", "seen", "interval", "limit", "bound by", "shown")
        rows = [_claim_row(shown) for shown in details["shown"]]
    else:
        return ""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "\n".join(rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _claim_row(shown: Mapping[str, Any]) -> str:
    """Of a policy's gate: the difference of returns, or a cost."""
    low, high = (_figure(shown[side]) for side in ("low", "high"))
    is_shown = "yes" if shown["is_shown"] else "no"
    cells = [str(shown["name"]), number(shown["estimate"]), f"{low} to {high}", number(shown["limit"])]
    return _row([*cells, str(shown["method"]), is_shown])


def _check_row(check: Mapping[str, Any]) -> str:
    between = f"{_signed(check['gain_low'])} to {_signed(check['gain_high'])}"
    cells = [
        str(check["suite"]),
        _figure(check["current_mean"]),
        _figure(check["candidate_mean"]),
        "none" if check["gain"] is None else _signed(check["gain"]),
        between,
        f"{check['num_pairs']:,}",
        _shown(check),
    ]
    return _row(cells)


def _row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _shown(check: Mapping[str, Any]) -> str:
    if check["is_worse"]:
        return "worse"
    if check["is_better"]:
        return "better"
    return "not worse" if check["is_not_worse"] else "nothing"


def _figure(value: float | None) -> str:
    return "none" if value is None else number(value)


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value)}"


def samples_section(samples: Sequence[BeforeAfter]) -> str:
    """Answers of two versions to the same prompts, side by side: HTML."""
    if not samples:
        return ""
    shown = "\n".join(_sample(each) for each in samples)
    return f"<section>\n<h2>Answers before and after</h2>\n{shown}\n</section>"


def _sample(each: BeforeAfter) -> str:
    prompt = "\n".join(f"{message.role}: {message.content}" for message in each.before.prompt)
    note = f'<p class="note">{escape(each.note)}</p>' if each.note else ""
    return (
        f'<div class="card sample"><p class="prompt">{_text(prompt)}</p><div class="pair">'
        f"<div><h3>Before</h3><p>{_text(each.before.completion)}</p></div>"
        f"<div><h3>After</h3><p>{_text(each.after.completion)}</p></div></div>{note}</div>"
    )


def _text(text: str) -> str:
    cut = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} …"
    return escape(cut) or "(nothing)"
