"""Chat: which segment an answer is, by the id under which it was given out, and to whom."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "completions",
        sa.Column("number", _POSITION, primary_key=True),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("choice", sa.Integer(), nullable=False),
        sa.Column("segment_id", sa.String(64), sa.ForeignKey("segments.id"), nullable=False),
        sa.Column("annotator", sa.String(200), sa.ForeignKey("annotators.id"), nullable=False),
        sa.Column("conversation", sa.String(36)),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("marks", sa.JSON(), nullable=False),
        sa.Column("created_unix_s", sa.Float(53), nullable=False),
        sa.UniqueConstraint("id", "choice"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_completions_annotator", "completions", ["annotator", "conversation"])
    op.create_index("ix_completions_segment_id", "completions", ["segment_id"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("completions")
