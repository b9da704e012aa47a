"""Tables of people.db. A change here needs a new revision in `migrations/versions`; a test holds the two together."""

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
)

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

consent_texts = Table(
    "consent_texts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("version", String(40), nullable=False, unique=True),
    Column("text", Text, nullable=False),
    Column("text_sha256", String(64), nullable=False),
    Column("created_unix_s", Float(53), nullable=False),
)

# One row, whose number grows with every act: who remembers people looks at it, and not at what is merely counted.
generation = Table(
    "generation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", Integer, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

person_settings = Table(
    "person_settings",
    metadata,
    Column("person_id", String(36), ForeignKey("people.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

# What a person did in a day, apart by what an hour was worth then: a new rate changes nothing of what was done before.
work = Table(
    "work",
    metadata,
    Column("person_id", String(36), ForeignKey("people.id"), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("rate_minor", Integer, primary_key=True, autoincrement=False),
    Column("items", Integer, nullable=False),
    Column("milliseconds", BigInteger, nullable=False),
)

# Up to which position the answers of a store are counted in `work`: changed in the same transaction.
work_marks = Table(
    "work_marks",
    metadata,
    Column("store", String(36), primary_key=True),
    Column("run", String(128), nullable=False),
    Column("position", BigInteger, nullable=False),
)

work_clocks = Table(
    "work_clocks",
    metadata,
    Column("person_id", String(36), ForeignKey("people.id"), primary_key=True),
    Column("last_unix_s", Float(53), nullable=False),
    Column("free_s", Float(53), nullable=False),
    Column("stretch_s", Float(53), nullable=False),
)

payments = Table(
    "payments",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("person_id", String(36), ForeignKey("people.id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("note", String(200), nullable=False),
    Column("paid_unix_s", Float(53), nullable=False),
    Index("ix_payments_person_id", "person_id"),
)

# A payment that was noted by mistake stays, and this says that it counts for nothing: once, and why.
reversals = Table(
    "reversals",
    metadata,
    Column("payment_id", String(36), ForeignKey("payments.id"), primary_key=True),
    Column("person_id", String(36), ForeignKey("people.id"), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("reversed_unix_s", Float(53), nullable=False),
    Index("ix_reversals_person_id", "person_id"),
)

# Who is being forgotten: from the first step until the last store has forgotten them.
forgettings = Table(
    "forgettings",
    metadata,
    Column("person_id", String(36), ForeignKey("people.id"), primary_key=True),
    Column("answers", String(8), nullable=False),
    Column("began_unix_s", Float(53), nullable=False),
)
