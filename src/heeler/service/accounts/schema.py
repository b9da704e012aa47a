"""Tables of people.db. A change here needs a new revision in `migrations/versions`; a test holds the two together."""

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, MetaData, String, Table

VERSION_TABLE = "heeler_people_schema"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

people = Table(
    "people",
    metadata,
    # Random: it is all that an answer carries of its author.
    Column("id", String(36), primary_key=True),
    Column("name", String(100), nullable=False),
    # The name as it is compared, so that no two differ in capitals alone.
    Column("folded_name", String(200), nullable=False, unique=True),
    Column("email", String(254)),
    Column("kind", String(16), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(255)),
    Column("must_change_password", Boolean, nullable=False),
    Column("created_unix_s", Float(53), nullable=False),
    Column("disabled_unix_s", Float(53)),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    Column("person_id", String(36), ForeignKey("people.id"), nullable=False),
    Column("created_unix_s", Float(53), nullable=False),
    Column("used_unix_s", Float(53), nullable=False),
    Column("expires_unix_s", Float(53), nullable=False),
    Index("ix_sessions_person_id", "person_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("person_id", String(36), ForeignKey("people.id"), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("key_sha256", String(64), nullable=False, unique=True),
    Column("label", String(100), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_unix_s", Float(53), nullable=False),
    Column("expires_unix_s", Float(53), nullable=False),
    Column("revoked_unix_s", Float(53)),
    Index("ix_api_keys_person_id", "person_id"),
)

consents = Table(
    "consents",
    metadata,
    Column("person_id", String(36), ForeignKey("people.id"), primary_key=True),
    Column("text_sha256", String(64), primary_key=True),
    Column("version", String(40), nullable=False),
    Column("agreed_unix_s", Float(53), nullable=False),
)
