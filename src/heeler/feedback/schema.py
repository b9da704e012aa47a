"""Tables of the store. A change here needs a new revision in `migrations/versions`; a test holds the two together."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION_TABLE = "heeler_schema"
"""Where the schema's revision is written; our own name, so that another program's database is not taken for ours."""

# SQLite counts rows by itself only in a column that is declared INTEGER.
Position = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("step", BigInteger, nullable=False),
    Column("checkpoint_sha256", String(64)),
)

annotators = Table(
    "annotators",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("note", Text, nullable=False),
)

segments = Table(
    "segments",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("env_id", String(200), nullable=False),
    Column("policy_version", Integer, ForeignKey("policy_versions.version"), nullable=False),
    Column("trajectory_id", String(200), nullable=False),
    Column("start_step", BigInteger, nullable=False),
    Column("num_steps", Integer, nullable=False),
    Column("observation_size", Integer, nullable=False),
    Column("action_size", Integer, nullable=False),
    Column("action_discrete", Boolean, nullable=False),
)

queries = Table(
    "queries",
    metadata,
    Column("number", Position, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("policy_version", Integer, ForeignKey("policy_versions.version"), nullable=False),
    Column("asked_step", BigInteger, nullable=False),
    Column("acquisition", String(64), nullable=False),
    Column("score", Float(53), nullable=False),
    # How many annotators have answered: kept here, so that what is left to ask is found by an index.
    Column("num_answers", Integer, nullable=False, server_default="0"),
    Index("ix_queries_num_answers", "num_answers", "number"),
    sqlite_autoincrement=True,
)

query_segments = Table(
    "query_segments",
    metadata,
    Column("query_id", String(64), ForeignKey("queries.id"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("segment_id", String(64), ForeignKey("segments.id"), nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    Column("position", Position, primary_key=True),
    Column("key", String(36), nullable=False, unique=True),
    Column("body_sha256", String(64), nullable=False),
    Column("query_id", String(64), ForeignKey("queries.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("value", JSON, nullable=False),
    Column("annotator", String(200), ForeignKey("annotators.id"), nullable=False),
    Column("time_taken_s", Float(53)),
    Column("confidence", Float(53)),
    Column("answered_step", BigInteger),
    Column("received_unix_s", Float(53), nullable=False),
    # What a model thought of the question, where that was offered, and whether it was opened.
    Column("view", JSON(none_as_null=True)),
    Index("ix_feedback_query_id", "query_id"),
    sqlite_autoincrement=True,
)

leases = Table(
    "leases",
    metadata,
    Column("query_id", String(64), ForeignKey("queries.id"), primary_key=True),
    Column("annotator", String(200), ForeignKey("annotators.id"), primary_key=True),
    Column("expires_unix_s", Float(53), nullable=False),
    Index("ix_leases_annotator", "annotator"),
)

commands = Table(
    "commands",
    metadata,
    Column("number", Position, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("value", BigInteger),
    Column("person", String(200), nullable=False),
    Column("asked_unix_s", Float(53), nullable=False),
    Column("done_unix_s", Float(53)),
    Column("outcome", Text),
    sqlite_autoincrement=True,
)

# What people said should not be shown to everybody. No foreign key for who said so: whoever asks may say it too.
flags = Table(
    "flags",
    metadata,
    Column("query_id", String(64), ForeignKey("queries.id"), primary_key=True),
    Column("annotator", String(200), primary_key=True),
    Column("category", String(32), primary_key=True),
    Column("note", Text, nullable=False),
    Column("flagged_unix_s", Float(53), nullable=False),
)

# Queries whose right answer is known. Everybody may be asked them, whatever the overlap.
gold = Table(
    "gold",
    metadata,
    Column("query_id", String(64), ForeignKey("queries.id"), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("person", String(200), nullable=False),
    Column("added_unix_s", Float(53), nullable=False),
)

# Annotators who were forgotten. Their id is kept as a hash alone, so that whoever has it can be refused.
withdrawals = Table(
    "withdrawals",
    metadata,
    Column("number", Position, primary_key=True),
    Column("annotator_sha256", String(64), nullable=False, unique=True),
    Column("answers", String(8), nullable=False),
    Column("num_answers", Integer, nullable=False),
    Column("first_position", Position),
    Column("withdrawn_unix_s", Float(53), nullable=False),
    sqlite_autoincrement=True,
)

# Answers of a chat by the ids under which they were given out. A title is the beginning of what was asked first.
completions = Table(
    "completions",
    metadata,
    Column("number", Position, primary_key=True),
    Column("id", String(64), nullable=False),
    Column("choice", Integer, nullable=False),
    Column("segment_id", String(64), ForeignKey("segments.id"), nullable=False),
    Column("annotator", String(200), ForeignKey("annotators.id"), nullable=False),
    Column("conversation", String(36)),
    Column("title", Text, nullable=False),
    Column("marks", JSON, nullable=False),
    Column("created_unix_s", Float(53), nullable=False),
    UniqueConstraint("id", "choice"),
    Index("ix_completions_annotator", "annotator", "conversation"),
    Index("ix_completions_segment_id", "segment_id"),
    sqlite_autoincrement=True,
)

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

consumers = Table(
    "consumers",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("position", Position, nullable=False),
)
