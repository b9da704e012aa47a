"""People at once: who answers what (leases), what operators told the learner, and a run's settings for people."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COUNT_ANSWERS = (
    "UPDATE queries SET num_answers = "
    "(SELECT count(DISTINCT annotator) FROM feedback WHERE feedback.query_id = queries.id)"
)


def upgrade() -> None:
    """Add what people need, and count the answers that are there."""
    op.add_column("queries", sa.Column("num_answers", sa.Integer(), nullable=False, server_default="0"))
    op.execute(_COUNT_ANSWERS)
    op.create_index("ix_queries_num_answers", "queries", ["num_answers", "number"])
    _leases()
    _commands()
    op.create_table(
        "settings",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
    )


def downgrade() -> None:
    """Take it away again."""
    for table in ("settings", "commands", "leases"):
        op.drop_table(table)
    op.drop_index("ix_queries_num_answers", "queries")
    op.drop_column("queries", "num_answers")


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("query_id", sa.String(64), sa.ForeignKey("queries.id"), primary_key=True),
        sa.Column("annotator", sa.String(200), sa.ForeignKey("annotators.id"), primary_key=True),
        sa.Column("expires_unix_s", sa.Float(53), nullable=False),
    )
    op.create_index("ix_leases_annotator", "leases", ["annotator"])


def _commands() -> None:
    op.create_table(
        "commands",
        sa.Column("number", _POSITION, primary_key=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.BigInteger()),
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("asked_unix_s", sa.Float(53), nullable=False),
        sa.Column("done_unix_s", sa.Float(53)),
        sa.Column("outcome", sa.Text()),
        sqlite_autoincrement=True,
    )
