"""The audit log as it is written: what a line holds, what is refused, what a crash or a full disk leaves."""

import errno
import fcntl
import hashlib
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.core import audit_file
from heeler.core.audit import GENESIS, AuditLog, entries, newest_number, verify
from heeler.core.audit_entry import MAX_LINE_BYTES, parse
from heeler.core.errors import ConfigError, DataError, RunError
from tests.unit.core.audit_logs import chain, kinds_in, make_log, put


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_line_is_what_the_docs_say_without_our_code(tmp_path: Path) -> None:
    before_s = time.time()
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append("p-7", "release.promote", "release-3", gate="passed", überschuß=[1, 0.5, None, {"b": True, "a": 2}])
    log.append("learner", "pause")
    rows = [json.loads(line) for line in log.path.read_text("ascii").splitlines()]
    names = {"number", "unix_s", "person", "act", "subject", "details", "previous", "sha256"}
    assert [set(row) for row in rows] == [names, names]
    assert [row["number"] for row in rows] == [1, 2]
    assert [row["previous"] for row in rows] == ["0" * 64, rows[0]["sha256"]]
    assert (rows[0]["person"], rows[0]["act"], rows[0]["subject"]) == ("p-7", "release.promote", "release-3")
    assert rows[0]["details"] == {"gate": "passed", "überschuß": [1, 0.5, None, {"b": True, "a": 2}]}
    assert (rows[1]["subject"], rows[1]["details"]) == ("", {})
    assert before_s - 1e-6 <= rows[0]["unix_s"] <= rows[1]["unix_s"] <= time.time() + 1e-6
    for row in rows:
        own = row.pop("sha256")
        assert hashlib.sha256(json.dumps(row, sort_keys=True, separators=(",", ":")).encode()).hexdigest() == own
    head = json.loads((tmp_path / "audit.head").read_text())
    assert head == {"number": 2, "sha256": own, "size": log.path.stat().st_size}


def test_what_append_returns_is_what_is_read(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    written = [log.append("p-1", "budget.set", budget=700, when=(1, 2)), log.append("p-2", "stop")]
    assert written[0].details == {"budget": 700, "when": [1, 2]}
    assert entries(log.path, after=0, limit=10) == written
    report = verify(log.path)
    assert (report.num_entries, report.head, report.problems) == (2, written[1].sha256, ())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PERSONS = st.text(min_size=1, max_size=20).filter(lambda text: "@" not in text and not any(map(str.isspace, text)))
ACTS = st.tuples(PERSONS, st.text(min_size=1), st.text(), st.dictionaries(st.text(), JSON_VALUES, max_size=3))


@settings(deadline=None, max_examples=60)
@given(acts=st.lists(ACTS, max_size=5))
def test_whatever_is_appended_comes_back_in_a_sound_chain(acts: list[tuple[str, str, str, dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = AuditLog(Path(folder) / "audit.jsonl")
        for person, act, subject, details in acts:
            own = {name: value for name, value in details.items() if name not in ("self", "person", "act", "subject")}
            entry = log.append(person, act, subject, **own)
            assert (entry.person, entry.act, entry.subject, entry.details) == (person, act, subject, own)
            assert parse(entry.line()[:-1]) == entry
        assert [entry.number for entry in entries(log.path, after=0, limit=9)] == list(range(1, len(acts) + 1))
        assert verify(log.path).problems == ()
        assert log.path.exists() == bool(acts)


class Odd:
    pass


@pytest.mark.parametrize(
    ("arguments", "details", "message"),
    [
        (("", "stop"), {}, "person: expected an id of 1 to 200 characters"),
        (("p" * 201, "stop"), {}, "got 201 characters"),
        (("jo@example.org", "stop"), {}, "names and addresses do not belong here"),
        (("Jo Doe", "stop"), {}, "without spaces or @"),
        ((7, "stop"), {}, "person: expected text, got int"),
        (("p-1", ""), {}, "act: expected a word"),
        (("p-1", "stop", None), {}, "subject: expected text, got NoneType"),
        (("p-1", "stop"), {"value": float("nan")}, "details: expected plain JSON values and finite numbers"),
        (("p-1", "stop"), {"value": Odd()}, "Odd is not JSON serializable"),
        (("p-1", "stop"), {"value": {2: "a", 10: "b"}}, "mappings with text for keys"),
        (("p-1", "stop"), {"value": {2: "a", "2": "b"}}, "details: expected plain JSON"),
        (("p-1", "stop"), {"value": "x" * MAX_LINE_BYTES}, r"at most 65,536 are written"),
    ],
)
def test_what_does_not_belong_in_the_log_is_refused(
    tmp_path: Path, arguments: tuple[Any, ...], details: dict[str, Any], message: str
) -> None:
    log = make_log(tmp_path, 1)
    before = contents(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        log.append(*arguments, **details)
    assert "example.org" not in str(caught.value)
    assert contents(tmp_path) == before


def test_a_circle_is_refused(tmp_path: Path) -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(DataError, match="details: expected plain JSON"):
        AuditLog(tmp_path / "audit.jsonl").append("p-1", "stop", value=circle)
    assert contents(tmp_path) == {}


def test_numbers_order_the_log_whatever_the_clock_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [1.7e9, 3.0, 1e12, -5.0, 1.7e9]
    for time_s in times:
        monkeypatch.setattr(time, "time", lambda now=time_s: now)
        AuditLog(tmp_path / "audit.jsonl").append("p-1", "stop")
    found = entries(tmp_path / "audit.jsonl", after=0, limit=9)
    assert [entry.number for entry in found] == [1, 2, 3, 4, 5]
    assert [entry.unix_s for entry in found] == times
    assert verify(tmp_path / "audit.jsonl").is_sound


def test_threads_may_append_at_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    shared = AuditLog(path)
    told: list[tuple[int, str]] = []

    def append(name: str) -> None:
        for log in [shared, AuditLog(path)] * 10:
            told.append((log.append(name, "answer").number, name))

    threads = [threading.Thread(target=append, args=(f"p-{place}",)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify(path)
    assert (report.num_entries, report.problems) == (80, ())
    assert sorted(told) == [(entry.number, entry.person) for entry in entries(path, after=0, limit=100)]


def test_a_rival_that_holds_the_lock_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make_log(tmp_path, 1)
    monkeypatch.setattr(audit_file, "LOCK_TIMEOUT_S", 0.1)
    with log.path.open() as rival:
        fcntl.flock(rival, fcntl.LOCK_EX)
        for do in (lambda: log.append("p-1", "stop"), lambda: verify(log.path)):
            with pytest.raises(RunError, match=r"kept it locked for 0\.1 s"):
                do()
    assert log.append("p-1", "stop").number == 2


def test_a_child_that_inherited_the_file_does_not_keep_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make_log(tmp_path, 1)
    monkeypatch.setattr(audit_file, "LOCK_TIMEOUT_S", 0.1)
    inherited = []
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, *rest: (inherited.append(os.dup(file)), write(file, *rest))[1])
    log.append("p-1", "stop")
    assert log.append("p-1", "stop").number == 3
    for descriptor in inherited:
        os.close(descriptor)


# What a crash leaves


def crashed(folder: Path, piece: bytes, num_entries: int = 2) -> AuditLog:
    """A log whose head knows all its entries, followed by what a crash left of the next."""
    log = make_log(folder, num_entries)
    with log.path.open("ab") as file:
        file.write(piece)
    return log


def next_line(folder: Path) -> bytes:
    """The line that would follow the entries of `make_log(folder, 2)`, which stay as they are."""
    make_log(folder, 2)
    (last,) = entries(folder / "audit.jsonl", after=1, limit=1)
    return chain(1, last.sha256, first=3)[0].line()


def test_a_line_torn_at_any_byte_is_put_aside_and_told(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    line = next_line(tmp_path / "whole")
    for length in range(1, len(line)):
        folder = tmp_path / str(length)
        folder.mkdir()
        log = AuditLog(folder / "audit.jsonl")
        log.path.write_bytes((tmp_path / "whole" / "audit.jsonl").read_bytes() + line[:length])
        (folder / "audit.head").write_bytes((tmp_path / "whole" / "audit.head").read_bytes())
        (problem,) = verify(log.path).problems
        assert (problem.kind, problem.line) == ("torn", 3)
        assert f"{length} bytes without an end" in problem.message
        assert len(entries(log.path, after=0, limit=9)) == 2
        assert log.append("p-9", "stop").number == 4
        assert (folder / "audit.torn-3").read_bytes() == line[:length]
        note = entries(log.path, after=2, limit=1)[0]
        sha256 = hashlib.sha256(line[:length]).hexdigest()
        assert (note.person, note.act, note.subject) == ("heeler", "audit.torn", "audit.jsonl")
        assert note.details == {"file": "audit.torn-3", "num_bytes": length, "sha256_of_file": sha256}
        assert verify(log.path).problems == ()


@pytest.mark.parametrize("piece", [b"\n", b"\0" * 300, b"\0" * 300 + b"\n", b'{"act":"stop"}\n'])
def test_a_torn_line_may_have_an_end_where_a_disk_lost_its_beginning(tmp_path: Path, piece: bytes) -> None:
    log = crashed(tmp_path, piece)
    assert kinds_in(log.path) == {"torn"}
    assert log.append("p-9", "stop").number == 4
    assert (tmp_path / "audit.torn-3").read_bytes() == piece
    assert verify(log.path).problems == ()


def test_the_very_first_line_may_be_torn(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.path.write_bytes(chain(1)[0].line()[:-9])
    assert kinds_in(log.path) == {"torn"}
    assert log.append("p-9", "stop").number == 2
    assert [entry.act for entry in entries(log.path, after=0, limit=9)] == ["audit.torn", "stop"]
    assert verify(log.path).problems == ()


@pytest.mark.parametrize("num_known", [0, 4])
def test_one_line_more_than_the_head_knows_is_sound_and_taken_up(tmp_path: Path, num_known: int) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    put(log.path, chain(num_known + 1), num_known)
    leftover = tmp_path / ".audit.head.123.tmp"
    leftover.write_bytes(b"written aside by a process that was killed")
    report = verify(log.path)
    assert (report.num_entries, report.problems) == (num_known + 1, ())
    assert newest_number(log.path) == num_known + 1
    assert log.append("p-1", "stop").number == num_known + 2
    assert sorted(contents(tmp_path)) == ["audit.head", "audit.jsonl"]
    assert verify(log.path).problems == ()


def test_putting_aside_may_be_cut_short_anywhere(tmp_path: Path) -> None:
    """Put aside but still in the log; gone from the log but not told; the note of it torn as well."""
    piece = b'{"act":"st'
    log = crashed(tmp_path, piece)
    aside = tmp_path / "audit.torn-3"
    aside.write_bytes(piece)
    log.append("p-9", "stop")
    assert aside.read_bytes() == piece

    other = tmp_path / "other"
    other.mkdir()
    log = crashed(other, b'{"act":"audi')
    aside = other / "audit.torn-3"
    aside.write_bytes(piece)
    log.append("p-9", "stop")
    assert aside.read_bytes() == piece + b'{"act":"audi'

    third = tmp_path / "third"
    third.mkdir()
    log = make_log(third, 2)
    (third / "audit.torn-3").write_bytes(piece)
    log.append("p-9", "stop")
    for path in (tmp_path, other, third):
        found = entries(path / "audit.jsonl", after=2, limit=9)
        assert [entry.act for entry in found] == ["audit.torn", "stop"]
        assert found[0].details["num_bytes"] == (path / "audit.torn-3").stat().st_size
        assert verify(path / "audit.jsonl").problems == ()


# What no crash leaves: the next append does not cover it up


def cut(path: Path, num_bytes: int) -> None:
    os.truncate(path, path.stat().st_size - num_bytes)


def forge(path: Path, act: str, num: int) -> None:
    (last,) = entries(path, after=3, limit=1)
    path.write_bytes(path.read_bytes() + b"".join(e.line() for e in chain(num, last.sha256, first=5, act=act)))


def change_newest(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1].replace(b"release.promote", b"release.prevent"))


TAMPERED = {
    "one byte cut": (lambda path: cut(path, 1), "is cut off"),
    "lines cut": (lambda path: cut(path, 500), "is cut off"),
    "emptied": (lambda path: path.write_bytes(b""), "is cut off"),
    "removed": (Path.unlink, "the file is missing"),
    "newest changed": (change_newest, "entry 4 is not where audit.head has it"),
    "head removed": (lambda path: path.with_name("audit.head").unlink(), "audit.head is missing"),
    "head damaged": (lambda path: cut(path.with_name("audit.head"), 1), "audit.head is damaged"),
    "two lines added": (lambda path: forge(path, "forged", 2), "something was added after entry 4"),
    "a foreign line added": (lambda path: path.write_bytes(path.read_bytes() + chain(1)[0].line()), "something was"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_log_that_was_tampered_with_is_not_gone_on_with(tmp_path: Path, name: str) -> None:
    tamper, message = TAMPERED[name]
    log = make_log(tmp_path, 4)
    tamper(log.path)
    before = contents(tmp_path)
    with pytest.raises(RunError, match=rf"audit.jsonl: .*{message}.*`heeler audit verify` names"):
        log.append("p-1", "stop")
    assert contents(tmp_path) == before
    assert not verify(log.path).is_sound


# Disks that fail


def failing_at(monkeypatch: pytest.MonkeyPatch, at: int, reason: int) -> list[str]:
    """Let the `at`-th write of any kind fail from now on; what was called, in order."""
    called: list[str] = []

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            called.append(name)
            if len(called) == at:
                raise OSError(reason, os.strerror(reason))
            return real(*arguments, **named)

        monkeypatch.setattr(os, name, counted)

    for name in ("pwrite", "fsync", "replace", "ftruncate"):
        wrap(name)
    return called


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("state", ["sound", "torn", "ahead"])
def test_any_write_may_fail_and_the_chain_stays_valid(tmp_path: Path, state: str, reason: int) -> None:
    num_failed = 0
    for at in range(1, 30):
        folder = tmp_path / str(at)
        folder.mkdir()
        log = make_log(folder, 2)
        if state == "torn":
            log.path.write_bytes(log.path.read_bytes() + b'{"act":')
        if state == "ahead":
            put(log.path, [*entries(log.path, after=0, limit=2), *chain(1, verify(log.path).head, first=3)], 2)
        with pytest.MonkeyPatch.context() as patch:
            called = failing_at(patch, at, reason)
            try:
                log.append("p-1", "stop")
            except RunError as error:
                num_failed += 1
                assert os.strerror(reason) in str(error)
        assert kinds_in(log.path) <= ({"torn"} if state == "torn" else set())
        assert entries(log.path, after=0, limit=2)[-1].number == 2
        after = log.append("p-2", "go")
        assert verify(log.path).problems == ()
        assert entries(log.path, after=after.number - 1, limit=9) == [after]
        acts = [entry.act for entry in entries(log.path, after=2, limit=9)]
        # Where the very last flush failed the entry was in the head already; it is there once.
        assert acts.count("stop") <= 1
        assert acts.count("audit.torn") == (state == "torn")
        if len(called) < at:
            break
    else:
        pytest.fail("append never came to its end")
    assert num_failed == at - 1
    assert num_failed >= {"sound": 5, "torn": 14, "ahead": 8}[state]


@pytest.mark.parametrize("state", ["sound", "torn", "ahead"])
def test_the_line_is_flushed_before_its_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """Otherwise a power cut could leave a head that knows more than the log holds."""
    log = make_log(tmp_path, 2)
    if state == "torn":
        log.path.write_bytes(log.path.read_bytes() + b'{"act":')
    if state == "ahead":
        put(log.path, [*entries(log.path, after=0, limit=2), *chain(1, verify(log.path).head, first=3)], 2)
    is_flushed, num_heads = False, 0
    write, flush, replace = os.pwrite, os.fsync, os.replace

    def writing(file: int, data: bytes, at: int) -> int:
        nonlocal is_flushed
        is_flushed = False
        return write(file, data, at)

    def flushing(file: int) -> None:
        nonlocal is_flushed
        flush(file)
        is_flushed |= Path(f"/proc/self/fd/{file}").readlink() == log.path

    def replacing(source: Path, target: Path) -> None:
        nonlocal num_heads
        if target.name == "audit.head":
            num_heads += 1
            assert is_flushed
        replace(source, target)

    monkeypatch.setattr(os, "pwrite", writing)
    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(os, "replace", replacing)
    log.append("p-1", "stop")
    assert num_heads == {"sound": 1, "torn": 2, "ahead": 2}[state]


def test_a_write_that_takes_several_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:7], at))
    log = make_log(tmp_path, 3)
    assert verify(log.path).problems == ()


def test_ctrl_c_in_the_middle_of_a_line_takes_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make_log(tmp_path, 2)
    before = contents(tmp_path)
    write = os.pwrite

    def interrupted(file: int, data: bytes, at: int) -> int:
        write(file, data[:20], at)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "pwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log.append("p-1", "stop")
    assert contents(tmp_path) == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*nowhere/audit.jsonl: No such file or directory"):
        AuditLog(tmp_path / "nowhere" / "audit.jsonl").append("p-1", "stop")


def test_a_folder_in_the_place_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(RunError, match=r"audit.jsonl.*Is a directory"):
        AuditLog(tmp_path / "audit.jsonl").append("p-1", "stop")
    for read in (verify, newest_number):
        with pytest.raises(RunError, match=r"audit.jsonl cannot be read: Is a directory"):
            read(tmp_path / "audit.jsonl")


# Pages


def test_pages(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    everything = chain(13)
    put(path, everything)
    for after in range(16):
        for limit in range(1, 16):
            assert entries(path, after=after, limit=limit) == everything[after : after + limit]
    assert newest_number(path) == 13


def test_there_is_no_page_of_a_log_that_is_not_there(tmp_path: Path) -> None:
    assert entries(tmp_path / "audit.jsonl", after=0, limit=5) == []
    assert newest_number(tmp_path / "audit.jsonl") == 0
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(("after", "limit"), [(-1, 5), (0, 0)])
def test_pages_that_cannot_be(tmp_path: Path, after: int, limit: int) -> None:
    with pytest.raises(ConfigError, match=rf"after must be >= 0 and limit >= 1, got {after} and {limit}"):
        entries(tmp_path / "audit.jsonl", after=after, limit=limit)


def test_a_page_of_a_long_log_reads_little_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    everything = chain(3000)
    put(path, everything)
    num_parsed = 0

    def counted(line: bytes) -> Any:
        nonlocal num_parsed
        num_parsed += 1
        return parse(line)

    monkeypatch.setattr("heeler.core.audit.parse", counted)
    for after in (0, 1, 1499, 2990):
        num_parsed = 0
        assert entries(path, after=after, limit=5) == everything[after : after + 5]
        # 20 bisections of some 900,000 bytes, the page and the last line.
        assert num_parsed <= 20 + 5 + 1


@pytest.mark.parametrize("removed", range(6))
def test_a_page_with_a_gap_is_no_page(tmp_path: Path, removed: int) -> None:
    path = tmp_path / "audit.jsonl"
    everything = chain(6)
    put(path, everything)
    path.write_bytes(b"".join(entry.line() for entry in everything if entry is not everything[removed]))
    with pytest.raises(RunError, match="heeler audit verify"):
        entries(path, after=0, limit=9)


def test_no_page_holds_a_line_that_was_changed_or_put_in(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    everything = chain(8)
    for place in range(8):
        forged = chain(1, everything[place].previous, first=place + 1, act="forged")
        put(path, everything[:place] + forged + everything[place + 1 :], 8)
        if place < 7:
            with pytest.raises(RunError, match=r"line \d is damaged"):
                entries(path, after=0, limit=9)
        lines = [entry.line() for entry in everything]
        lines[place] = lines[place].replace(b"budget.set", b"budget.sat")
        path.write_bytes(b"".join(lines))
        with pytest.raises(RunError, match=r"damaged"):
            entries(path, after=0, limit=9)


def test_genesis_is_no_hash_of_anything() -> None:
    assert chain(1)[0].previous == GENESIS == "0" * 64
