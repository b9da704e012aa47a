"""People, sessions and keys: what is kept of them, when they end, and that no change comes without its line."""

import hashlib
import sqlite3
import stat
import uuid
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from heeler.core.errors import ConflictError, DataError, StoreError
from heeler.feedback.database import Database
from heeler.service.accounts import passwords, schema
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import PEOPLE
from heeler.service.accounts.sessions import token_sha256
from tests.unit.service.helpers import Lines

HOUR_S, DAY_S = 3600.0, 86_400.0
MONEY = {"amount_minor": 1, "currency": "EUR", "note": ""}


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    for module in ("people", "sessions", "keys", "consents", "steady_clock"):
        monkeypatch.setattr(f"heeler.service.accounts.{module}.time", clock)
    return clock


@pytest.fixture
def accounts(tmp_path, audit):
    opened = Accounts(tmp_path / "people.db", audit, session_idle_s=HOUR_S, session_s=DAY_S)
    yield opened
    opened.close()


def add(accounts: Accounts, name: str = "ann", role: str = "annotator", **changes):
    return accounts.people.add("admin", **({"name": name, "email": None, "kind": "person", "role": role} | changes))


def test_migrations_make_what_the_schema_says(tmp_path, accounts):
    database = Database(tmp_path / "people.db", PEOPLE)
    with database.reading() as connection:
        options = {"compare_type": True, "version_table": schema.VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata) == []
    database.close()


def test_a_store_is_not_taken_for_people(tmp_path, audit):
    Database(tmp_path / "people.db").close()
    with pytest.raises(StoreError, match=r"people's database .*people.db: this database belongs to another program"):
        Accounts(tmp_path / "people.db", audit, session_idle_s=1, session_s=1)


def test_the_files_are_for_their_owner_alone(tmp_path, accounts):
    add(accounts)
    for path in tmp_path.glob("people.db*"):
        if not path.name.endswith(".lock"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_first_start_makes_an_admin_and_no_other_does(accounts, audit):
    password = accounts.people.make_first_admin()
    assert password is not None
    (admin,) = accounts.people.page(after="", limit=10)
    assert (admin.name, admin.role, admin.must_change_password) == ("admin", "admin", True)
    assert accounts.people.with_password("admin", password) == admin
    assert audit.lines == [("service", "people.add", admin.id, {"role": "admin", "kind": "person"})]
    # Whoever was to be told may have been killed with the service that made it.
    again = accounts.people.make_first_admin()
    assert again not in (None, password)
    assert accounts.people.with_password("admin", password) is None
    assert accounts.people.with_password("admin", again) == admin
    accounts.people.set_password(admin.id, admin.id, "a password of my own")
    assert accounts.people.make_first_admin() is None
    assert accounts.people.with_password("admin", "a password of my own") is not None


def test_no_secret_is_kept(tmp_path, accounts):
    person, password = add(accounts)
    token = accounts.sessions.begin(person, instead_of=None)
    key, text = accounts.keys.add("admin", person, label="mine", scopes=["answer"], days=1)
    accounts.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (password, token, text, text.removeprefix(f"hlr_{key.prefix}_")):
        assert secret.encode() not in content
    connection = sqlite3.connect(tmp_path / "people.db")
    assert connection.execute("SELECT key_sha256 FROM api_keys").fetchall() == [
        (hashlib.sha256(text.encode()).hexdigest(),)
    ]
    (password_hash,) = connection.execute("SELECT password_hash FROM people").fetchone()
    connection.close()
    assert password_hash.startswith("$argon2id$")
    assert len(text) >= len("hlr_12345678_") + 43, "32 random bytes in base64"


def test_the_audit_log_carries_no_name_no_address_and_no_secret(accounts, audit):
    person, password = add(accounts, "Ann Example", email="ann@example.org")
    text = accounts.keys.add("admin", person, label="my laptop", scopes=["answer"], days=1)[1]
    accounts.people.change("admin", person.id, {"email": "other@example.org", "name": "Bea"})
    token = accounts.sessions.begin(person, instead_of=None)
    told = repr(audit.lines)
    for private in ("Ann", "Bea", "example.org", "laptop", password, text, token, token_sha256(token)):
        assert private not in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name: expected 1 to 100"),
        ({"name": "a" * 101}, "name: expected 1 to 100"),
        ({"name": "a\nb"}, "name: expected 1 to 100 printable"),
        ({"email": "nobody"}, "email: expected an address"),
        ({"kind": "robot"}, "kind: expected one of 'person', 'program', got 'robot'"),
        ({"role": "admn"}, "role: expected one of .* Did you mean 'admin'"),
    ],
)
def test_a_bad_person_is_refused_by_field(accounts, audit, changes, message):
    with pytest.raises(DataError, match=message):
        add(accounts, **changes)
    assert accounts.people.page(after="", limit=10) == []
    assert audit.lines == []


def test_no_two_have_one_name_whatever_its_capitals(accounts):
    person, _ = add(accounts, "Ann")
    other, _ = add(accounts, "bea")
    with pytest.raises(ConflictError, match="name: somebody has it already"):
        add(accounts, "ANN ")
    with pytest.raises(ConflictError, match="name: somebody has it already"):
        accounts.people.change("admin", other.id, {"name": "aNN"})
    assert accounts.people.change("admin", person.id, {"name": "ANN"}).name == "ANN"


def test_somebody_who_can_manage_people_is_always_left(accounts, audit):
    admin, _ = add(accounts, "one", "admin")
    second, _ = add(accounts, "two", "admin")
    accounts.people.change("admin", admin.id, {"disabled": True})
    before = list(audit.lines)
    for changes in ({"disabled": True}, {"role": "operator"}):
        with pytest.raises(ConflictError, match="nobody would be left"):
            accounts.people.change("admin", second.id, changes)
    assert accounts.people.get(second.id) == second
    assert audit.lines == before


def test_a_wrong_name_is_looked_at_as_long_as_a_wrong_password(accounts, monkeypatch):
    """Not by the clock, which is not ours alone: both go through the same costly look."""
    add(accounts)
    looked: list[str | None] = []
    real = passwords._HASHER.verify

    class Counting:
        def verify(self, password, password_hash):
            looked.append(password_hash)
            return real(password, password_hash)

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    assert accounts.people.with_password("ann", "wrong password") is None
    assert accounts.people.with_password("nobody", "wrong password") is None
    assert [found is not None and found.split("$")[1:4] for found in looked] == [looked[0].split("$")[1:4]] * 2


def test_passwords_have_a_length(accounts):
    person, _ = add(accounts)
    for password in ("short", "x" * 201):
        with pytest.raises(DataError, match="password: expected 12 to 200 characters"):
            accounts.people.set_password("admin", person.id, password)
    accounts.people.set_password("admin", person.id, "x" * 200)
    assert accounts.people.with_password("ann", "x" * 200) is not None
    assert accounts.people.with_password("ann", "x" * 201) is None


def test_who_is_disabled_has_nothing_left(accounts):
    person, password = add(accounts)
    add(accounts, "boss", "admin")
    token = accounts.sessions.begin(person, instead_of=None)
    text = accounts.keys.add("admin", person, label="mine", scopes=["answer"], days=1)[1]
    accounts.people.change("admin", person.id, {"disabled": True})
    assert accounts.people.with_password("ann", password) is None
    assert accounts.sessions.find(token_sha256(token)) is None
    assert accounts.keys.find(token_sha256(text)) is None


def test_a_program_has_no_password(accounts):
    person, password = add(accounts, "robot", kind="program")
    assert password is None
    assert not person.must_change_password
    assert accounts.people.with_password("robot", "") is None


def test_another_password_ends_every_session(accounts):
    person, _ = add(accounts)
    tokens = [accounts.sessions.begin(person, instead_of=None) for _ in range(2)]
    accounts.people.set_password("admin", person.id, "another password, longer")
    assert [accounts.sessions.find(token_sha256(token)) for token in tokens] == [None, None]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_went_back_revives_no_session(tmp_path, accounts, clock, audit, restarted):
    ann, ben = add(accounts)[0], add(accounts, "ben")[0]
    ended = token_sha256(accounts.sessions.begin(ann, instead_of=None))
    clock.now_s += HOUR_S
    assert accounts.sessions.find(ended) is None, "it was idle for too long"
    used = token_sha256(accounts.sessions.begin(ben, instead_of=None))
    # A time server sets a clock back by minutes at the most, and nothing comes of it.
    clock.now_s -= 200
    assert accounts.sessions.find(used) is not None
    clock.now_s -= 5 * HOUR_S
    if restarted:
        accounts.close()
        accounts = Accounts(tmp_path / "people.db", audit, session_idle_s=HOUR_S, session_s=DAY_S)
    assert accounts.sessions.find(used) is None
    assert accounts.sessions.find(ended) is None
    clock.now_s += HOUR_S
    assert accounts.sessions.find(used) is None
    assert audit.acts.count("session.end_all") == 1
    assert audit.lines[-1][3] == {"clock_went_back_s": round(5 * HOUR_S) + 200}
    fresh = token_sha256(accounts.sessions.begin(ann, instead_of=None))
    assert accounts.sessions.find(fresh) is not None, "whoever signs in again is in"
    accounts.close()


def test_a_clock_that_jumped_ahead_ends_sessions_and_shuts_nobody_out(accounts, clock):
    person, _ = add(accounts)
    session = token_sha256(accounts.sessions.begin(person, instead_of=None))
    clock.now_s += 5000 * DAY_S
    assert accounts.sessions.find(session) is None
    ahead = token_sha256(accounts.sessions.begin(person, instead_of=None))
    clock.now_s -= 5000 * DAY_S
    assert accounts.sessions.find(ahead) is None, "it would last for years"
    again = token_sha256(accounts.sessions.begin(person, instead_of=None))
    assert accounts.sessions.find(again) is not None


def test_a_session_ends_when_it_is_idle_and_when_it_is_old(accounts, clock):
    person, _ = add(accounts)
    session_id = token_sha256(accounts.sessions.begin(person, instead_of=None))
    for _ in range(23):
        clock.now_s += HOUR_S - 1
        session = accounts.sessions.find(session_id)
        assert session is not None
        accounts.sessions.note_use(session)
    clock.now_s += HOUR_S - 1
    assert accounts.sessions.find(session_id) is not None
    clock.now_s += 24.0
    assert accounts.sessions.find(session_id) is None, "a day has passed"
    other = token_sha256(accounts.sessions.begin(person, instead_of=None))
    clock.now_s += HOUR_S
    assert accounts.sessions.find(other) is None, "an hour went by without any use"


def test_signing_in_replaces_the_browsers_session_and_clears_away_dead_ones(tmp_path, accounts, clock):
    person, _ = add(accounts)
    accounts.sessions.begin(person, instead_of=None)
    clock.now_s += 2 * HOUR_S
    former = token_sha256(accounts.sessions.begin(person, instead_of=None))
    accounts.sessions.begin(person, instead_of=former)
    assert accounts.sessions.find(former) is None
    connection = sqlite3.connect(tmp_path / "people.db")
    assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
    connection.close()


def test_a_clock_that_is_set_back_locks_nobody_out(accounts, clock):
    person, password = add(accounts)
    session_id = token_sha256(accounts.sessions.begin(person, instead_of=None))
    text = accounts.keys.add("admin", person, label="mine", scopes=["answer"], days=1)[1]
    clock.now_s -= 30 * DAY_S
    assert accounts.sessions.find(session_id) is None, "it would last for a month too long"
    assert accounts.keys.find(token_sha256(text)) is not None
    assert accounts.people.with_password("ann", password) is not None
    again = accounts.sessions.begin(person, instead_of=session_id)
    assert accounts.sessions.find(token_sha256(again)) is not None


def test_a_key_ends(accounts, clock):
    person, _ = add(accounts)
    key, text = accounts.keys.add("admin", person, label="mine", scopes=["answer"], days=1)
    clock.now_s += DAY_S - 1
    assert accounts.keys.find(token_sha256(text)) == (key, person)
    clock.now_s += 1
    assert accounts.keys.find(token_sha256(text)) is None


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_went_back_lengthens_no_key_and_revives_none(tmp_path, accounts, clock, audit, restarted):
    person, _ = add(accounts)
    ended = accounts.keys.add("admin", person, label="short", scopes=["answer"], days=1)[1]
    clock.now_s += DAY_S
    _, text = accounts.keys.add("admin", person, label="long", scopes=["answer"], days=10)
    clock.now_s += 4 * DAY_S
    found = accounts.keys.find(token_sha256(text))
    assert found is not None
    # A time server sets a clock back by minutes at the most, and nothing comes of it.
    clock.now_s -= 200
    assert accounts.keys.find(token_sha256(text)) == found
    clock.now_s += 200
    clock.now_s -= 30 * DAY_S
    if restarted:
        accounts.close()
        accounts = Accounts(tmp_path / "people.db", audit, session_idle_s=HOUR_S, session_s=DAY_S)
    assert accounts.keys.find(token_sha256(ended)) is None
    key, _ = accounts.keys.find(token_sha256(text))
    assert key.expires_unix_s == pytest.approx(clock.now_s + 6 * DAY_S), (
        "what is shown goes by the clock that people see"
    )
    clock.now_s += 6 * DAY_S - 1
    assert accounts.keys.is_live(found[0]), "as it was read before the clock went back"
    assert accounts.keys.find(token_sha256(text)) is not None
    clock.now_s += 1
    assert not accounts.keys.is_live(found[0])
    assert accounts.keys.find(token_sha256(text)) is None
    assert [line[3] for line in audit.lines if line[1] == "keys.clock_went_back"] == [
        {"clock_went_back_s": round(30 * DAY_S)}
    ]
    accounts.close()


def test_keys_that_are_made_after_a_clock_went_back_last_as_long_as_they_say(accounts, clock, audit):
    person, _ = add(accounts)
    for _ in range(3):
        accounts.keys.add("admin", person, label="before", scopes=["answer"], days=1)
        clock.now_s -= 100 * DAY_S
    key, text = accounts.keys.add("admin", person, label="mine", scopes=["answer"], days=2)
    assert (key.created_unix_s, key.expires_unix_s) == (clock.now_s, pytest.approx(clock.now_s + 2 * DAY_S))
    assert audit.lines[-1][3]["expires_unix_s"] == pytest.approx(clock.now_s + 2 * DAY_S)
    clock.now_s += 2 * DAY_S - 1
    assert accounts.keys.find(token_sha256(text)) is not None
    clock.now_s += 2
    assert accounts.keys.find(token_sha256(text)) is None
    assert audit.acts.count("keys.clock_went_back") == 3


def test_a_clock_that_ran_ahead_and_was_put_right_has_used_keys_up_and_nothing_else(accounts, clock):
    person, _ = add(accounts)
    _, text = accounts.keys.add("admin", person, label="mine", scopes=["answer"], days=1)
    clock.now_s += 5000 * DAY_S
    assert accounts.keys.find(token_sha256(text)) is None
    clock.now_s -= 5000 * DAY_S
    assert accounts.keys.find(token_sha256(text)) is None, "it had ended"
    _, fresh = accounts.keys.add("admin", person, label="new", scopes=["answer"], days=1)
    assert accounts.keys.find(token_sha256(fresh)) is not None


def test_how_late_it_is_is_noted_now_and_then_and_is_no_act(tmp_path, accounts, clock, audit):
    person, _ = add(accounts)
    _, text = accounts.keys.add("admin", person, label="mine", scopes=["answer"], days=1)
    acts, generation = list(audit.acts), accounts.database.generation()
    notes = set()
    for _ in range(10):
        clock.now_s += 30
        assert accounts.keys.find(token_sha256(text)) is not None
        connection = sqlite3.connect(tmp_path / "people.db")
        notes |= set(connection.execute("SELECT value FROM settings WHERE name = 'steady_clock'"))
        connection.close()
    assert len(notes) == 5, "once a minute"
    assert (audit.acts, accounts.database.generation()) == (acts, generation)


def test_a_revoked_key_is_dead_at_once(accounts, audit):
    person, _ = add(accounts)
    key, text = accounts.keys.add("admin", person, label="mine", scopes=["answer"], days=1)
    accounts.keys.revoke("admin", key.id)
    accounts.keys.revoke("admin", key.id)
    assert accounts.keys.find(token_sha256(text)) is None
    assert audit.acts == ["people.add", "keys.add", "keys.revoke"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": " "}, "label: expected 1 to 100"),
        ({"scopes": []}, "scopes: expected at least one"),
        ({"scopes": ["answer", "answr"]}, r"scopes\[1\]: expected one of .* Did you mean 'answer'"),
        ({"scopes": ["session"]}, r"scopes\[0\]: expected one of"),
        ({"scopes": ["steer"]}, r"scopes\[0\]: 'steer' is more than the role annotator may do"),
        ({"days": 0}, "days: expected"),
        ({"days": 400}, "days: expected .* to 366, got 400"),
        ({"days": float("nan")}, "days: expected a finite number"),
    ],
)
def test_a_bad_key_is_refused_by_field(accounts, changes, message):
    person, _ = add(accounts)
    with pytest.raises(DataError, match=message):
        accounts.keys.add("admin", person, **({"label": "mine", "scopes": ["answer"], "days": 1} | changes))
    assert accounts.keys.page(after="", limit=10) == []


def test_a_consent_is_kept_once_with_its_version_and_hash(tmp_path: Path, accounts, audit, clock):
    person, _ = add(accounts)
    text = accounts.consents.change_text("admin", "You may stop whenever you like.")
    sha256 = hashlib.sha256(b"You may stop whenever you like.\n").hexdigest()
    assert (text.version, text.text_sha256) == ("2", sha256)
    assert not accounts.consents.has(person.id, sha256)
    accounts.consents.add(person.id, version="2", text_sha256=sha256)
    clock.now_s += 60
    accounts.consents.add(person.id, version="2", text_sha256=sha256)
    assert accounts.consents.has(person.id, sha256)
    connection = sqlite3.connect(tmp_path / "people.db")
    assert connection.execute("SELECT * FROM consents").fetchall() == [(person.id, sha256, "2", clock.now_s - 60)]
    connection.close()
    assert audit.lines[-1] == (person.id, "consents.add", person.id, {"version": "2", "text_sha256": sha256})


def test_without_its_line_nothing_is_changed(accounts, audit: Lines):
    person, password = add(accounts)
    add(accounts, "boss", "admin")
    session = accounts.sessions.find(token_sha256(accounts.sessions.begin(person, instead_of=None)))
    key, secret = accounts.keys.add("admin", person, label="mine", scopes=["answer"], days=1)
    assert session is not None
    text = accounts.consents.current()
    paid = accounts.payments.note("admin", person.id, payment_id=str(uuid.uuid4()), **MONEY)
    audit.fails = StoreError("audit log: No space left on device")
    for change in (
        lambda: add(accounts, "bea"),
        lambda: accounts.people.change("admin", person.id, {"role": "admin"}),
        lambda: accounts.people.set_password("admin", person.id, "another password, longer"),
        lambda: accounts.sessions.begin(person, instead_of=session.id),
        lambda: accounts.sessions.end(session),
        lambda: accounts.keys.add("admin", person, label="other", scopes=["answer"], days=1),
        lambda: accounts.keys.revoke("admin", key.id),
        lambda: accounts.consents.add(person.id, version=text.version, text_sha256=text.text_sha256),
        lambda: accounts.consents.change_text("admin", "Another text."),
        lambda: accounts.options.set("admin", "care", {"day_hours": 1}),
        lambda: accounts.options.set_own("admin", person.id, {"avoid": []}),
        lambda: accounts.payments.note("admin", person.id, payment_id=str(uuid.uuid4()), **MONEY),
        lambda: accounts.payments.take_back("admin", person.id, paid.id, "by mistake"),
        lambda: accounts.forgettings.begin("admin", person.id, "keep"),
        lambda: accounts.forgettings.finish("admin", person.id),
    ):
        with pytest.raises(StoreError, match="No space left"):
            change()
    assert len(accounts.people.page(after="", limit=10)) == 2
    assert accounts.people.with_password("ann", password) == person
    assert accounts.sessions.find(session.id) == session
    assert accounts.keys.find(token_sha256(secret)) == (key, person)
    assert len(accounts.keys.page(after="", limit=10)) == 1
    assert not accounts.consents.has_current(person.id)
    assert accounts.consents.current() == text
    assert (accounts.options.get("care", None), accounts.options.own(person.id)) == (None, {})
    assert (accounts.payments.all(), accounts.forgettings.waiting()) == ([paid], [])
