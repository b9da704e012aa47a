"""What a model thought of a question, and whether somebody opened it before they answered: an answer's `view`."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from heeler.core.errors import DataError, did_you_mean
from heeler.core.nouns import Feedback, Query
from heeler.feedback.form import SegmentFacts, check_number, check_whole

FOLDED, OPENED = "folded", "opened"
"""A view was offered, and nobody looked; or somebody did."""
_FIELDS = ("opened", "first_better", "best", "worst")


def check_view(value: object, query: Query, segments: Mapping[str, SegmentFacts]) -> dict[str, Any]:
    """An answer's `view` in plain JSON types, once it can be one of this query.

    Whether it is the one that was offered is not known: views change while people answer, and the answer says which
    one its annotator was shown.

    Args:
        value: to look at.
        query: that is answered.
        segments: facts of what it shows, by id.

    Raises:
        DataError: naming the field that does not hold.
    """
    if not isinstance(value, Mapping):
        raise DataError(f"view: expected an object with {', '.join(_FIELDS)}, got {value!r:.80}")
    fields = cast(Mapping[Any, Any], value)
    for name in fields:
        if name not in _FIELDS:
            near = did_you_mean(str(name), _FIELDS)
            raise DataError(f"view.{name}: unknown field; expected {', '.join(_FIELDS)}.{near}")
    for name in _FIELDS:
        if name not in fields:
            raise DataError(f"view.{name}: missing; expected an object with {', '.join(_FIELDS)}")
    shown = [segments[segment_id] for segment_id in query.segment_ids]
    if any(segment.is_text for segment in shown):
        raise DataError("view: nothing that a model thinks is offered with texts; leave it out")
    if not isinstance(fields["opened"], bool):
        raise DataError(f"view.opened: expected true or false, got {fields['opened']!r:.80}")
    lengths = [segment.num_steps for segment in shown]
    return {
        "opened": fields["opened"],
        "first_better": _chance(fields["first_better"], len(shown)),
        "best": _parts(fields["best"], "view.best", lengths),
        "worst": _parts(fields["worst"], "view.worst", lengths),
    }


def view_of(answer: Feedback) -> str:
    """What became of the view that was offered with the question: FOLDED, OPENED, or "" where nobody says."""
    return "" if answer.view is None else (OPENED if answer.view["opened"] else FOLDED)


def _chance(value: object, num_segments: int) -> float | None:
    if num_segments == 2:
        return check_number(value, "view.first_better", low=0, high=1)
    if value is not None:
        raise DataError(f"view.first_better: expected null, as one segment is shown, got {value!r:.80}")
    return None


def _parts(value: object, field: str, lengths: Sequence[int]) -> list[list[int]]:
    """One part of each segment."""
    parts = _listed(value)
    if parts is None or len(parts) != len(lengths):
        raise DataError(f"{field}: expected a list of {len(lengths)}, one part of each segment, got {value!r:.80}")
    found: list[list[int]] = []
    for place, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        ends, where = _listed(part), f"{field}[{place}]"
        if ends is None or len(ends) != 2:
            raise DataError(f"{where}: expected [start, end], got {part!r:.80}")
        start = check_whole(ends[0], f"{where}[0]", low=0, high=length - 1)
        found.append([start, check_whole(ends[1], f"{where}[1]", low=start + 1, high=length)])
    return found


def _listed(value: object) -> Sequence[object] | None:
    return cast(Sequence[object], value) if isinstance(value, list | tuple) else None
