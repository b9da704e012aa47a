"""Whatever is done to a log is found, and called by its name."""

import itertools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from heeler.core.audit import GENESIS, AuditLog, entries, verify
from heeler.core.audit_entry import canonical, make_entry
from heeler.core.audit_file import Head, head_path, write_head
from heeler.core.errors import ConfigError
from tests.unit.core.audit_logs import chain, kinds, kinds_in, make_log, put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_log(tmp_path, 5).path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def other_bytes(byte: int) -> set[int]:
    """Single bits flipped (the other case of a letter among them), a digit, the ends of words and lines."""
    return {byte ^ 1, byte ^ 0x20, byte ^ 0x80, *b" 0\n"} - {byte}


def test_a_sound_log(path: Path) -> None:
    report = verify(path)
    assert (report.num_entries, report.problems, report.is_sound) == (5, (), True)
    assert report.head == entries(path, after=4, limit=1)[0].sha256
    assert report.to_dict() == {
        "is_sound": True,
        "num_entries": 5,
        "head": report.head,
        "problems": [],
        "expected_number": None,
    }


def test_every_change_of_a_single_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    put(path, chain(3))
    content = path.read_bytes()
    for place, byte in enumerate(content):
        for other in other_bytes(byte):
            path.write_bytes(content[:place] + bytes([other]) + content[place + 1 :])
            report = verify(path)
            assert report.problems, (place, other)
            line = content[:place].count(b"\n") + 1
            assert kinds(report) & {"changed", "torn"}, (place, other)
            assert line in {problem.line for problem in report.problems}, (place, other)


def test_every_change_of_a_single_byte_of_the_head_is_found(path: Path) -> None:
    head = head_path(path)
    content = head.read_bytes()
    for place in range(len(content)):
        for other in other_bytes(content[place]) | set(b"123456789") - {content[place]}:
            head.write_bytes(content[:place] + bytes([other]) + content[place + 1 :])
            assert verify(path).problems, (place, other)


def test_every_byte_added_or_taken_out_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    put(path, chain(2))
    content = path.read_bytes()
    for place in range(len(content) + 1):
        for added in (b" ", b"\n", b"0", b"\0"):
            path.write_bytes(content[:place] + added + content[place:])
            assert verify(path).problems, (place, added)
        if place < len(content):
            path.write_bytes(content[:place] + content[place + 1 :])
            assert verify(path).problems, place


def test_a_line_that_says_the_same_in_other_words_is_changed(path: Path) -> None:
    AuditLog(path).append("p-1", "stop", "größe")
    lines = lines_of(path)
    others = {place: (json.dumps(json.loads(line)) + "\n").encode() for place, line in enumerate(lines)}
    others[5] = lines[5].replace(rb"\u00f6", rb"\u00F6")
    for place, other in others.items():
        assert json.loads(other) == json.loads(lines[place])
        path.write_bytes(b"".join([*lines[:place], other, *lines[place + 1 :]]))
        (problem,) = verify(path).problems
        assert (problem.kind, problem.line) == ("changed", place + 1)


@pytest.mark.parametrize(
    "written",
    [
        lambda content: "\ufeff".encode() + content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.replace(b"\n", b"\r"),
        lambda content: content.replace(b"\n", "\u2028".encode()),
        lambda content: content.decode().encode("utf-16"),
        lambda content: content.replace(rb"\u00f6", "ö".encode()),
        lambda content: content.replace(rb"\u00f6", "ö".encode("latin-1")),
        lambda content: content.replace(b'":', b'": '),
        lambda content: content.replace(b"\n", b"\n\n"),
        lambda content: b"",
        lambda content: content + content,
        lambda content: b"\n".join(reversed(content.splitlines())) + b"\n",
    ],
    ids=[
        "BOM",
        "CRLF",
        "CR",
        "U+2028",
        "UTF-16",
        "UTF-8",
        "Latin-1",
        "spaces",
        "gaps",
        "emptied",
        "twice",
        "backwards",
    ],
)
def test_a_log_in_another_form_is_not_the_log(path: Path, written: Callable[[bytes], bytes]) -> None:
    AuditLog(path).append("p-1", "stop", "größe")
    content = path.read_bytes()
    assert verify(path).is_sound
    other = written(content)
    assert other != content
    path.write_bytes(other)
    assert verify(path).problems


def test_every_line_taken_out_is_found(path: Path) -> None:
    lines = lines_of(path)
    for place in range(5):
        path.write_bytes(b"".join(lines[:place] + lines[place + 1 :]))
        (problem,) = verify(path).problems
        assert problem.kind == ("cut at the end" if place == 4 else "cut in the middle")
        assert problem.line == place + 1
        assert verify(path).num_entries == 4


def test_every_stretch_taken_out_is_found(path: Path) -> None:
    lines = lines_of(path)
    for first, end in itertools.combinations(range(6), 2):
        path.write_bytes(b"".join(lines[:first] + lines[end:]))
        (problem,) = verify(path).problems
        assert problem.kind == ("cut at the end" if end == 5 else "cut in the middle")
        assert problem.line == first + 1
        missing = f"entry {end} is" if end == first + 1 else f"entries {first + 1} to {end} are"
        assert problem.message.startswith(f"{missing} missing")


def test_every_pair_that_was_swapped_is_found(path: Path) -> None:
    lines = lines_of(path)
    for a, b in itertools.combinations(range(5), 2):
        swapped = list(lines)
        swapped[a], swapped[b] = lines[b], lines[a]
        path.write_bytes(b"".join(swapped))
        report = verify(path)
        assert kinds(report) == {"reordered"}, (a, b)
        # Neighbours: one of them is out of place. Others: both are.
        assert len(report.problems) == (1 if b == a + 1 else 2)
        assert {problem.line for problem in report.problems} <= set(range(a + 1, b + 2))


def test_every_line_that_stands_twice_is_found(path: Path) -> None:
    lines = lines_of(path)
    for place, copied in itertools.product(range(6), range(5)):
        path.write_bytes(b"".join([*lines[:place], lines[copied], *lines[place:]]))
        report = verify(path)
        assert kinds(report) == {"inserted"}, (place, copied)
        (problem,) = report.problems
        assert f"the same entry {copied + 1} stands in line" in problem.message


def test_a_cut_at_every_byte_is_found(path: Path) -> None:
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        found = kinds_in(path)
        num_whole = content[:length].count(b"\n")
        assert "cut at the end" in found, length
        assert ("torn" in found) == (not content[:length].endswith(b"\n") and length > 0)
        assert verify(path).num_entries == num_whole


def test_every_line_that_was_put_in_is_found(path: Path) -> None:
    lines, own = lines_of(path), entries(path, after=0, limit=9)
    for place in range(5):
        previous = own[place].previous
        for foreign in (b"\n", b"{}\n", b"nonsense\n", chain(1, previous, first=place + 1, act="forged")[0].line()):
            path.write_bytes(b"".join([*lines[:place], foreign, *lines[place:]]))
            report = verify(path)
            assert "inserted" in kinds(report), (place, foreign)
            assert {problem.line for problem in report.problems} <= {place + 1, place + 2, place + 3}


def test_a_line_that_was_written_anew_with_its_own_hash_is_found(path: Path) -> None:
    lines, own = lines_of(path), entries(path, after=0, limit=9)
    for place in range(5):
        forged = chain(1, own[place].previous, first=place + 1, act="forged")
        path.write_bytes(b"".join([*lines[:place], forged[0].line(), *lines[place + 1 :]]))
        (problem,) = verify(path).problems
        assert problem.kind == "changed"
        assert problem.line == min(place + 2, 5)


def test_several_things_at_once_are_each_named(tmp_path: Path) -> None:
    path = make_log(tmp_path, 12).path
    lines = lines_of(path)
    damaged = lines[1].replace(b"release-2", b"release-7")
    path.write_bytes(b"".join([lines[0], damaged, lines[2], *lines[5:8], lines[9], lines[8], lines[3], lines[10][:-9]]))
    found = [(problem.line, problem.kind) for problem in verify(path).problems]
    # Line 4 is entry 6: entry 5 is missing before it, and entry 4 stands in line 9.
    assert found[:2] == [(2, "changed"), (4, "cut in the middle")]
    assert {(9, "reordered"), (10, "torn"), (10, "cut at the end")} <= set(found)
    assert {line for line, kind in found if kind == "reordered"} in ({7, 9}, {8, 9})
    assert len(found) == 6


SMALL = chain(4)
SMALL_BYTES = b"".join(entry.line() for entry in SMALL)
PIECES = st.binary(max_size=12) | st.tuples(*[st.integers(0, len(SMALL_BYTES))] * 2).map(
    lambda ends: SMALL_BYTES[min(ends) : max(ends)]
)


@settings(deadline=None, max_examples=300)
@given(ends=st.tuples(*[st.integers(0, len(SMALL_BYTES))] * 2), piece=PIECES, num_known=st.integers(3, 4))
def test_whatever_is_spliced_in_anywhere_is_found(ends: tuple[int, int], piece: bytes, num_known: int) -> None:
    content = SMALL_BYTES[: min(ends)] + piece + SMALL_BYTES[max(ends) :]
    # Without the one line that its head does not know yet, a log is whole too.
    whole = {SMALL_BYTES, b"".join(entry.line() for entry in SMALL[:num_known])}
    assume(content not in whole)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.jsonl"
        put(path, SMALL, num_known)
        path.write_bytes(content)
        assert verify(path).problems


@settings(deadline=None, max_examples=200)
@given(order=st.lists(st.integers(0, 5), max_size=8))
def test_only_the_lines_in_their_order_are_sound(order: list[int]) -> None:
    own = chain(6)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.jsonl"
        put(path, own)
        path.write_bytes(b"".join(own[place].line() for place in order))
        report = verify(path)
        assert report.is_sound == (order == [0, 1, 2, 3, 4, 5])
        assert report.num_entries == len(order)


@pytest.mark.parametrize("field", ["previous", "sha256"])
def test_every_hash_that_was_replaced_by_another_is_found(path: Path, field: str) -> None:
    """By that of any other entry, by that of the beginning, and by one that is made up."""
    lines, own = lines_of(path), entries(path, after=0, limit=9)
    others = [GENESIS, "f" * 64, *(entry.sha256 for entry in own)]
    for place, other in itertools.product(range(5), others):
        row = json.loads(lines[place])
        if row[field] == other:
            continue
        row[field] = other
        path.write_bytes(b"".join([*lines[:place], canonical(row) + b"\n", *lines[place + 1 :]]))
        report = verify(path)
        assert not report.is_sound, (place, other)
        assert place + 1 in {problem.line for problem in report.problems}


def test_an_edit_that_makes_its_own_hash_right_again_breaks_the_next_link(path: Path) -> None:
    lines, own = lines_of(path), entries(path, after=0, limit=9)
    for place, entry in enumerate(own):
        forged = make_entry(
            entry.person, entry.act, "another release", entry.details, number=entry.number, previous=entry.previous
        )
        path.write_bytes(b"".join([*lines[:place], forged.line(), *lines[place + 1 :]]))
        (problem,) = verify(path).problems
        assert problem.kind == "changed"


def test_a_tail_that_was_written_anew_with_right_hashes_is_found_by_the_head(path: Path) -> None:
    """From any entry on, as long as it was, longer or shorter."""
    own = entries(path, after=0, limit=9)
    head = head_path(path).read_bytes()
    for place, num in itertools.product(range(5), range(1, 7)):
        forged = chain(num, own[place].previous, first=place + 1, act="forged")
        put(path, [*own[:place], *forged])
        head_path(path).write_bytes(head)
        assert not verify(path).is_sound, (place, num)


# The head


def test_the_head_may_be_one_entry_behind_and_no_more(path: Path) -> None:
    own = entries(path, after=0, limit=9)
    for known in range(6):
        head_path(path).unlink(missing_ok=True)
        put(path, own, known)
        assert kinds_in(path) == {0: {"head"}, 4: set(), 5: set()}.get(known, {"inserted"})


def test_a_log_of_one_line_may_have_no_head_yet(tmp_path: Path) -> None:
    put(tmp_path / "audit.jsonl", chain(1), 0)
    assert not (tmp_path / "audit.head").exists()
    assert verify(tmp_path / "audit.jsonl").is_sound


def test_a_head_of_another_log_is_found(path: Path) -> None:
    write_head(path, Head(number=5, sha256=chain(1)[0].sha256, size=path.stat().st_size))
    (problem,) = verify(path).problems
    assert (problem.kind, problem.line) == ("changed", 5)
    assert "entry 5 is not the one that audit.head knows" in str(problem)


def test_a_log_that_was_removed_is_cut(path: Path) -> None:
    path.unlink()
    (problem,) = verify(path).problems
    assert str(problem) == "line 1: cut at the end: entries 1 to 5 are missing; audit.head knows entry 5"


def test_a_log_that_never_was_is_empty(tmp_path: Path) -> None:
    report = verify(tmp_path / "audit.jsonl")
    assert (report.num_entries, report.head, report.problems) == (0, GENESIS, ())


def test_numbers_beyond_all_measure_do_not_take_for_ever(path: Path) -> None:
    forged = chain(1, entries(path, after=4, limit=1)[0].sha256, first=10**18)
    path.write_bytes(path.read_bytes() + forged[0].line())
    assert "cut in the middle" in kinds_in(path)


# The expected head


def test_an_expected_head_is_looked_for_in_the_chain(path: Path) -> None:
    for entry in entries(path, after=0, limit=9):
        for written in (entry.sha256, f" {entry.sha256.upper()}\n"):
            report = verify(path, expected_head=written)
            assert (report.expected_number, report.problems) == (entry.number, ())


def test_a_chain_that_was_written_anew_is_found_only_by_the_expected_head(path: Path) -> None:
    noted = verify(path).head
    put(path, chain(5, act="forged"))
    assert verify(path).is_sound
    report = verify(path, expected_head=noted)
    assert kinds(report) == {"other head"}
    assert report.expected_number is None
    assert noted in report.problems[0].message


def test_a_cut_with_a_head_to_match_is_found_by_the_expected_head(path: Path) -> None:
    noted = verify(path).head
    put(path, entries(path, after=0, limit=3))
    assert verify(path).is_sound
    assert kinds(verify(path, expected_head=noted)) == {"other head"}
    path.unlink()
    head_path(path).unlink()
    assert kinds(verify(path, expected_head=noted)) == {"other head"}


@pytest.mark.parametrize("wrong", ["", "abc", "g" * 64, "0" * 63, "0" * 65])
def test_an_expected_head_that_is_no_hash_is_refused(path: Path, wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"must be a SHA-256 of 64 hexadecimal digits, got '"):
        verify(path, expected_head=wrong)


def test_verify_changes_nothing(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert not verify(path).is_sound
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
