"""Views: what a model thought of a question, where that was offered, and whether it was opened before the answer."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of answers that were given before nobody knows."""
    op.add_column("feedback", sa.Column("view", sa.JSON()))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("feedback", "view")
