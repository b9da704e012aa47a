"""Consent texts, settings, working time and pay, and who is being forgotten."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FIRST_TEXT = """\
Your answers teach a program.

You look at what it did, or at what it wrote, and say which is better. Your answers are kept together with a \
random number that stands for you. Your name and your e-mail address are kept apart from them, and only the \
admins of this service can see them.

With each answer it is kept when it came and how long you took. From that your working time and your pay are \
counted.

What you write is looked through before it is kept: e-mail addresses, phone, card and account numbers, and keys \
are taken out. Names are not, so please write none, neither your own nor those of others.

You may leave out any question, report what you would rather not have seen, take a break whenever you like, and \
stop for good. Under "My account" you can have your account deleted, and your answers with it if you wish. What \
was learned from them before is then marked as out of date.
"""


def upgrade() -> None:
    """Add what care of people needs, and the first text that they are asked to agree to."""
    _texts_and_settings()
    _work()
    op.create_table(
        "forgettings",
        sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("answers", sa.String(8), nullable=False),
        sa.Column("began_unix_s", sa.Float(53), nullable=False),
    )


def downgrade() -> None:
    """Take it away again."""
    for table in ("forgettings", "payments", "work_clocks", "work_marks", "work", "person_settings"):
        op.drop_table(table)
    for table in ("settings", "generation", "consent_texts"):
        op.drop_table(table)


def _texts_and_settings() -> None:
    texts = op.create_table(
        "consent_texts",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("version", sa.String(40), nullable=False, unique=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_sha256", sa.String(64), nullable=False),
        sa.Column("created_unix_s", sa.Float(53), nullable=False),
    )
    sha256 = hashlib.sha256(_FIRST_TEXT.encode()).hexdigest()
    first = {"number": 1, "version": "1", "text": _FIRST_TEXT, "text_sha256": sha256, "created_unix_s": 0.0}
    op.bulk_insert(texts, [first])
    generation = op.create_table(
        "generation",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
    )
    op.bulk_insert(generation, [{"id": 1, "number": 0}])
    op.create_table(
        "settings",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
    )
    op.create_table(
        "person_settings",
        sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
    )


def _work() -> None:
    op.create_table(
        "work",
        sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("rate_minor", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("milliseconds", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "work_marks",
        sa.Column("store", sa.String(36), primary_key=True),
        sa.Column("run", sa.String(128), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "work_clocks",
        sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("last_unix_s", sa.Float(53), nullable=False),
        sa.Column("free_s", sa.Float(53), nullable=False),
        sa.Column("stretch_s", sa.Float(53), nullable=False),
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("paid_unix_s", sa.Float(53), nullable=False),
    )
    op.create_index("ix_payments_person_id", "payments", ["person_id"])
