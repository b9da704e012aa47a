"""What a report tells of answers of every kind: what they took, what they said, and what they were worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from heeler.core.errors import DataError
from heeler.core.rundir import Checkpoint
from heeler.loop.config import RunConfig
from heeler.loop.kinds.answer_worth import AnswerWorth
from heeler.loop.reading import learned_kinds, policy_of
from heeler.loop.words import number

_NUM_TELLING = 5


@dataclass(frozen=True, kw_only=True)
class KindWorth:
    """What the answers of one kind came to."""

    kind: str
    answered: int
    seconds: float
    """Of people's time."""
    bits: float
    """That its answers said when they came, together; those before the first fit count for nothing."""
    precision: float | None
    """How much of what is judged goes into the logit of an answer; None of what was not fitted."""
    gain: float | None
    """Bits by which a held-out answer of another kind is foretold better with it than without, on average; None where
    there are too few to say."""

    @property
    def bits_per_s(self) -> float:
        """Bits for a second of people's time."""
        return self.bits / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**vars(self), "bits_per_s": self.bits_per_s}


def worth_of_kinds(config: RunConfig, checkpoint: Checkpoint, row: Mapping[str, float]) -> list[KindWorth]:
    """Of a run that learned from every kind; fits the reward again without each of them, which takes seconds.

    Args:
        config: of the run; its `kinds` must be set.
        checkpoint: whose reward it is.
        row: of metrics, the newest.
    """
    assert config.kinds is not None
    model, state = learned_kinds(checkpoint, config, policy_of(checkpoint, config))
    gains: Mapping[str, float] = {}
    if state.num_fits:
        try:
            gains = {str(kind): gain for kind, gain in model.held_out_gains(state, config.seed).items()}
        except DataError:
            # One kind alone, or nothing was kept from training.
            gains = {}
    found: list[KindWorth] = []
    for kind in config.kinds.kinds:
        figure = {name: row.get(f"kinds/{kind}/{name}", 0.0) for name in ("answered", "seconds", "bits")}
        found.append(
            KindWorth(
                kind=kind,
                answered=int(figure["answered"]),
                seconds=figure["seconds"],
                bits=figure["bits"],
                precision=state.last_fit.get(f"precision_{kind}"),
                gain=gains.get(kind),
            )
        )
    return found


def kinds_section(worth: Sequence[KindWorth], answers: Sequence[AnswerWorth], asking: Sequence[str]) -> str:
    """The section of the page; nothing where no kinds were asked.

    Args:
        worth: of each kind.
        answers: every single one, those that said most first.
        asking: why it stopped, or began again, and by what people cannot judge, in words.
    """
    if not worth:
        return ""
    rows = "\n".join(
        f"<tr><td>{escape(one.kind)}</td><td>{one.answered:,}</td><td>{one.seconds:,.0f} s</td>"
        f"<td>{number(one.bits)}</td><td>{number(one.bits_per_s)}</td><td>{_figure(one.precision)}</td>"
        f"<td>{_figure(one.gain)}</td></tr>"
        for one in worth
    )
    notes = "\n".join(f'<p class="note">{escape(why[0].upper() + why[1:])}.</p>' for why in asking)
    heads = "".join(
        f"<th>{name}</th>" for name in ("kind", "answers", "time", "bits", "bits a second", "precision", "gain")
    )
    return f"""<section>
<h2>What answers were worth</h2>
<div class="card"><div class="scroll"><table><thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table></div>
<p class="note">Bits: what answers said when they came to an ensemble that did not know them. Gain: bits by which
held-out answers of the other kinds are foretold better with this kind than without, each on average.</p>
{notes}</div>
{_telling(answers)}
</section>"""


def _telling(answers: Sequence[AnswerWorth]) -> str:
    """The answers that said most; who gave them is not told in a report."""
    shown = [one for one in answers[:_NUM_TELLING] if one.bits]
    if not shown:
        return ""
    rows = "\n".join(
        f"<tr><td>{one.position:,}</td><td>{escape(one.kind)}</td><td>{one.seconds:,.1f} s</td>"
        f"<td>{number(one.bits or 0.0)}</td></tr>"
        for one in shown
    )
    return f"""<div class="card"><p>The answers that said most, of {len(answers):,}; all of them: <code>heeler feedback
worth RUN</code>.</p><div class="scroll"><table><thead><tr><th>answer</th><th>kind</th><th>time</th><th>bits</th></tr>
</thead><tbody>
{rows}
</tbody></table></div></div>"""


def _figure(value: float | None) -> str:
    return "" if value is None else number(value)
