"""Care of people: flags on content, queries whose right answer is known, and annotators who were forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the three tables."""
    op.create_table(
        "flags",
        sa.Column("query_id", sa.String(64), sa.ForeignKey("queries.id"), primary_key=True),
        sa.Column("annotator", sa.String(200), primary_key=True),
        sa.Column("category", sa.String(32), primary_key=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("flagged_unix_s", sa.Float(53), nullable=False),
    )
    op.create_table(
        "gold",
        sa.Column("query_id", sa.String(64), sa.ForeignKey("queries.id"), primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("added_unix_s", sa.Float(53), nullable=False),
    )
    op.create_table(
        "withdrawals",
        sa.Column("number", _POSITION, primary_key=True),
        sa.Column("annotator_sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("answers", sa.String(8), nullable=False),
        sa.Column("num_answers", sa.Integer(), nullable=False),
        sa.Column("first_position", _POSITION),
        sa.Column("withdrawn_unix_s", sa.Float(53), nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Take them away again."""
    for table in ("withdrawals", "gold", "flags"):
        op.drop_table(table)
