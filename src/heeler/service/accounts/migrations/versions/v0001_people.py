"""People, their sessions, keys and consents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "people",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("folded_name", sa.String(200), nullable=False, unique=True),
        sa.Column("email", sa.String(254)),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.String(255)),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("created_unix_s", sa.Float(53), nullable=False),
        sa.Column("disabled_unix_s", sa.Float(53)),
    )
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.String(64), primary_key=True),
        sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
        sa.Column("created_unix_s", sa.Float(53), nullable=False),
        sa.Column("used_unix_s", sa.Float(53), nullable=False),
        sa.Column("expires_unix_s", sa.Float(53), nullable=False),
    )
    op.create_index("ix_sessions_person_id", "sessions", ["person_id"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("label", sa.String(100), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_unix_s", sa.Float(53), nullable=False),
        sa.Column("expires_unix_s", sa.Float(53), nullable=False),
        sa.Column("revoked_unix_s", sa.Float(53)),
    )
    op.create_index("ix_api_keys_person_id", "api_keys", ["person_id"])
    op.create_table(
        "consents",
        sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("text_sha256", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("agreed_unix_s", sa.Float(53), nullable=False),
    )


def downgrade() -> None:
    """Drop every table, those that refer to others first."""
    for table in ("consents", "api_keys", "sessions", "people"):
        op.drop_table(table)
