"""Segments in which an annotator shows how it is done, and what becomes of them when that one is forgotten.

Such a segment is what they said as much as any answer. Its trajectory names them by a hash, in stores of earlier
versions by their id. A segment's id covers its trajectory, so that one that stays gets another id, and no line of the
audit log leads to it any more.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy import Connection, delete, insert, select, update

from heeler.core.errors import DataError
from heeler.core.nouns import Segment
from heeler.feedback import rows, schema
from heeler.feedback.intake import body_sha256
from heeler.feedback.segment_files import SegmentFolder

_START, _HASH_LENGTH = "demonstration/", 32
_TO_REMOVE = "segments_to_remove"
"""Setting that lists segments whose rows are gone and whose files are yet to go."""
_SEGMENTS, _SHOWN, _FEEDBACK, _SETTINGS = schema.segments, schema.query_segments, schema.feedback, schema.settings
_SEGMENT_ID = _FEEDBACK.c.value["segment_id"].as_string()


def trajectory_name(annotator_sha256: str) -> str:
    """Of what somebody shows: no two are equal, and only who has their id can tell whose it is.

    Args:
        annotator_sha256: as `withdrawal.id_sha256` makes it.
    """
    return f"{_START}{annotator_sha256[:_HASH_LENGTH]}/{uuid.uuid4()}"


def named_by(connection: Connection, annotator: str) -> set[str]:
    """Segments that an annotator's demonstrations name."""
    wanted = select(_SEGMENT_ID).where(_FEEDBACK.c.annotator == annotator, _FEEDBACK.c.kind == "demonstration")
    return set(connection.execute(wanted).scalars())


def shown_by(connection: Connection, annotator: str, annotator_sha256: str) -> set[str]:
    """Segments whose trajectory says that an annotator made them."""
    starts = (f"{_START}{owner}/" for owner in (annotator, annotator_sha256[:_HASH_LENGTH]))
    found: set[str] = set()
    for start in starts:
        mine = _SEGMENTS.c.trajectory_id.startswith(start, autoescape=True)
        found.update(connection.execute(select(_SEGMENTS.c.id).where(mine)).scalars())
    return found


def let_go(connection: Connection, folder: SegmentFolder, *, shown: set[str], named: set[str], pseudonym: str) -> None:
    """Take away what nothing refers to any more, and put the rest under a pseudonym.

    Rows change in the caller's transaction. New files are written before it ends, old ones listed for `remove_files`.

    Args:
        connection: in a writing transaction, in which the annotator's answers were renamed or removed already.
        folder: of the segments.
        shown: whose trajectory names the annotator.
        named: others that their answers named.
        pseudonym: in the annotator's place.
    """
    candidates = shown | named
    used = referred_to(connection, candidates)
    stay = {segment_id: _under(connection, folder, segment_id, pseudonym) for segment_id in sorted(shown & used)}
    _point(connection, {old: new for old, new in stay.items() if old != new})
    gone = (candidates - used) | {old for old, new in stay.items() if old != new}
    for some in rows.chunks(gone):
        connection.execute(delete(_SEGMENTS).where(_SEGMENTS.c.id.in_(some)))
    _list(connection, gone | shown)


def remove_files(connection: Connection, folder: SegmentFolder | None) -> None:
    """Remove the files that are listed, then the list; after a kill in between it is done again."""
    listed = connection.execute(select(_SETTINGS.c.value).where(_SETTINGS.c.name == _TO_REMOVE)).scalar()
    if listed and folder is not None:
        folder.remove(listed)
        connection.execute(delete(_SETTINGS).where(_SETTINGS.c.name == _TO_REMOVE))


def referred_to(connection: Connection, candidates: Iterable[str]) -> set[str]:
    """Those that a query shows, an answer names, or somebody was given in a chat."""
    found: set[str] = set()
    for some in rows.chunks(candidates):
        given = schema.completions.c.segment_id
        found.update(connection.execute(select(given).where(given.in_(some))).scalars())
        found.update(connection.execute(select(_SHOWN.c.segment_id).where(_SHOWN.c.segment_id.in_(some))).scalars())
        names = select(_SEGMENT_ID).where(_FEEDBACK.c.kind == "demonstration", _SEGMENT_ID.in_(some))
        found.update(connection.execute(names).scalars())
    return found


def _under(connection: Connection, folder: SegmentFolder, segment_id: str, pseudonym: str) -> str:
    """The segment once more under another name; returns its id, which is the old one where its file cannot be read."""
    name = f"{_START}{pseudonym}/{uuid.uuid4()}"
    try:
        segment = folder.read(segment_id)
        assert isinstance(segment, Segment)
    except DataError:
        # What it shows is lost already. Its row must not name anybody all the same, and the damaged file goes.
        change = update(_SEGMENTS).where(_SEGMENTS.c.id == segment_id)
        connection.execute(change.values(trajectory_id=name))
        return segment_id
    renamed = replace(segment, trajectory_id=name)
    folder.write({renamed.id: renamed})
    connection.execute(insert(_SEGMENTS).values(rows.segment_row(renamed.id, renamed)))
    return renamed.id


def _point(connection: Connection, renamed: Mapping[str, str]) -> None:
    """Have queries and answers name segments by their new ids."""
    for old, new in renamed.items():
        connection.execute(update(_SHOWN).where(_SHOWN.c.segment_id == old).values(segment_id=new))
    for some in rows.chunks(renamed):
        wanted = select(_FEEDBACK).where(_FEEDBACK.c.kind == "demonstration", _SEGMENT_ID.in_(some))
        for row in connection.execute(wanted).all():
            answer = vars(rows.feedback_of(row)) | {"value": {"segment_id": renamed[row.value["segment_id"]]}}
            change = update(_FEEDBACK).where(_FEEDBACK.c.position == row.position)
            connection.execute(change.values(value=answer["value"], body_sha256=body_sha256(answer)))


def _list(connection: Connection, gone: set[str]) -> None:
    if not gone:
        return
    same = _SETTINGS.c.name == _TO_REMOVE
    before: list[str] = connection.execute(select(_SETTINGS.c.value).where(same)).scalar() or []
    connection.execute(delete(_SETTINGS).where(same))
    connection.execute(insert(_SETTINGS).values(name=_TO_REMOVE, value=sorted({*before, *gone})))
