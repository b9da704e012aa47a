"""Payments that were taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "reversals",
        sa.Column("payment_id", sa.String(36), sa.ForeignKey("payments.id"), primary_key=True),
        sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("reversed_unix_s", sa.Float(53), nullable=False),
    )
    op.create_index("ix_reversals_person_id", "reversals", ["person_id"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("reversals")
