"""How much there is in a store."""

from typing import Any

from sqlalchemy import Connection, func, select

from heeler.core.nouns import TEXT
from heeler.feedback import rows, schema
from heeler.feedback.completions import is_asked_elsewhere
from heeler.feedback.flags import is_set_aside
from heeler.feedback.withdrawal import is_given


def clip_comparisons(connection: Connection) -> int:
    """Comparisons of clips asked so far."""
    asked, shown, segments = schema.queries, schema.query_segments, schema.segments
    # A query never mixes texts and clips, so that its first segment says which it is about.
    first = select(shown.c.query_id).join(segments, segments.c.id == shown.c.segment_id)
    about_texts = first.where(shown.c.query_id == asked.c.id, shown.c.place == 0, segments.c.env_id == TEXT)
    return rows.count(connection, asked, asked.c.kind == "preference", ~about_texts.exists())


def answering(connection: Connection) -> tuple[int, float | None]:
    """How many queries wait for an answer, and when the newest answer came (Unix seconds; None where none has)."""
    queries, answers = schema.queries, schema.feedback
    newest = select(answers.c.received_unix_s).order_by(answers.c.position.desc()).limit(1)
    waiting = (queries.c.num_answers == 0, ~is_set_aside(), ~is_asked_elsewhere())
    unanswered = select(func.count()).select_from(queries).where(*waiting)
    return connection.execute(unanswered).scalar_one(), connection.execute(newest).scalar()


def counts(connection: Connection) -> dict[str, Any]:
    """`segments`, `queries`, `feedback`, and feedback `by_kind`, `by_choice`, `by_annotator`."""
    table = schema.feedback
    choice, preference = table.c.value["choice"].as_string(), table.c.kind == "preference"
    return {
        "segments": rows.count(connection, schema.segments),
        "queries": rows.count(connection, schema.queries),
        "feedback": rows.count(connection, table, is_given()),
        "by_kind": rows.count_by(connection, table.c.kind, is_given()),
        "by_choice": rows.count_by(connection, choice, preference),
        "by_annotator": rows.count_by(connection, table.c.annotator, is_given()),
    }
