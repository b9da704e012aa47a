"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    _policies_and_people()
    _segments_and_queries()
    _answers()


def downgrade() -> None:
    """Drop every table, those that refer to others first."""
    for table in ("consumers", "feedback", "query_segments", "queries", "segments", "annotators", "policy_versions"):
        op.drop_table(table)


def _policies_and_people() -> None:
    op.create_table(
        "policy_versions",
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint_sha256", sa.String(64)),
    )
    op.create_table(
        "annotators",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
    )


def _segments_and_queries() -> None:
    op.create_table(
        "segments",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("env_id", sa.String(200), nullable=False),
        sa.Column("policy_version", sa.Integer(), sa.ForeignKey("policy_versions.version"), nullable=False),
        sa.Column("trajectory_id", sa.String(200), nullable=False),
        sa.Column("start_step", sa.BigInteger(), nullable=False),
        sa.Column("num_steps", sa.Integer(), nullable=False),
        sa.Column("observation_size", sa.Integer(), nullable=False),
        sa.Column("action_size", sa.Integer(), nullable=False),
        sa.Column("action_discrete", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "queries",
        sa.Column("number", _POSITION, primary_key=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("policy_version", sa.Integer(), sa.ForeignKey("policy_versions.version"), nullable=False),
        sa.Column("asked_step", sa.BigInteger(), nullable=False),
        sa.Column("acquisition", sa.String(64), nullable=False),
        sa.Column("score", sa.Float(53), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "query_segments",
        sa.Column("query_id", sa.String(64), sa.ForeignKey("queries.id"), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("segment_id", sa.String(64), sa.ForeignKey("segments.id"), nullable=False),
    )


def _answers() -> None:
    op.create_table(
        "feedback",
        sa.Column("position", _POSITION, primary_key=True),
        sa.Column("key", sa.String(36), nullable=False, unique=True),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("query_id", sa.String(64), sa.ForeignKey("queries.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("annotator", sa.String(200), sa.ForeignKey("annotators.id"), nullable=False),
        sa.Column("time_taken_s", sa.Float(53)),
        sa.Column("confidence", sa.Float(53)),
        sa.Column("answered_step", sa.BigInteger()),
        sa.Column("received_unix_s", sa.Float(53), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_feedback_query_id", "feedback", ["query_id"])
    op.create_table(
        "consumers",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("position", _POSITION, nullable=False),
    )
