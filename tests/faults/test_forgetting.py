"""`heeler people forget`, whole: both choices, on files and on a server, killed between any two of its steps."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.testclient import TestClient

from heeler.cli import main
from heeler.core.audit import AUDIT_NAME, AuditLog, entries, verify
from heeler.core.errors import ConflictError, DataError
from heeler.core.releases import Releases
from heeler.core.rundir import REPORT_NAME, RunDirectory
from heeler.feedback.staleness import staleness
from heeler.service.app import create_app
from heeler.service.callers import COOKIE
from heeler.service.config import ServiceConfig
from tests.faults.forgetting import ANSWERED, EMAIL, NAME, NUM_ANSWERS, Known, accounts_of, make_folder, opened
from tests.unit.feedback.helpers import make_answer
from tests.unit.service.helpers import API, ENVIRONMENT, Served, answer_to, bearer, make_keys

FATES = ["keep", "remove"]
# For each line [MODULE, CLASS, METHOD, before|after, N, ARGUMENT...]: a child, which kills itself before or after the
# nth call of the method. A fork, as to load all that the command needs takes longer than to carry it out.
KILLED = """
import importlib, json, os, signal, sys
from heeler.cli import main
import heeler.service.forgetting

def killing(method, when, number):
    calls = 0

    def killed(*arguments, **named):
        nonlocal calls
        calls += 1
        if calls == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = method(*arguments, **named)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return killed

for line in sys.stdin:
    module, owner, name, when, number, *arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        owner = getattr(importlib.import_module(module), owner)
        setattr(owner, name, killing(getattr(owner, name), when, number))
        os._exit(main(arguments))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
AUDIT, FILES = ("heeler.core.audit", "AuditLog", "append"), ("heeler.feedback.segment_files", "SegmentFolder", "remove")
NEW_FILES = ("heeler.feedback.segment_files", "SegmentFolder", "write")
RELEASES, SCRUB = ("heeler.core.releases", "Releases", "rename"), ("heeler.feedback.database", "Database", "scrub")
FINISH = ("heeler.service.accounts.forgettings", "Forgettings", "finish")
# Every database that is opened is scrubbed first: people.db, then each run's, which is scrubbed again when it forgot.
MOMENTS = [
    *((AUDIT, when, number) for number in (1, 2, 3, 5) for when in ("before", "after")),
    *((FILES, when, number) for number in (1, 2) for when in ("before", "after")),
    *((SCRUB, when, number) for number in (3, 5, 8) for when in ("before", "after")),
    (NEW_FILES, "after", 1),
    *((RELEASES, when, 1) for when in ("before", "after")),
    *((FINISH, when, 1) for when in ("before", "after")),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def known(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Known]:
    if request.param == "sqlite":
        yield make_folder(tmp_path / "runs")
        return
    server, urls = request.getfixturevalue("postgres"), list[str]()

    def new_url() -> str:
        urls.append(server.new_database())
        return urls[-1]

    yield make_folder(tmp_path / "runs", new_url)
    for url in urls:
        server.drop(url)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Known:
    return make_folder(tmp_path_factory.mktemp("forgetting") / "runs")


@pytest.fixture
def copied(template: Known, tmp_path: Path) -> Known:
    shutil.copytree(template.folder, tmp_path / "runs")
    return Known(tmp_path / "runs", template.id, template.admin, template.token, template.key)


@pytest.fixture(scope="module")
def killer() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        yield process


def forget(known: Known, answers: str, *more: str) -> int:
    return main(["people", "forget", known.id, "--answers", answers, "--runs", str(known.folder), *more])


def check_forgotten(known: Known, answers: str) -> None:
    assert known.traces() == []
    with accounts_of(known.folder) as accounts:
        assert [person.id for person in accounts.people.page(after="", limit=9)] == [known.admin]
        assert accounts.forgettings.waiting() == []
    for name in ANSWERED:
        with opened(known.run(name)) as store:
            given = store.feedback_after(0, limit=99, up_to_step=None)
            names = [answer.annotator for _, answer in given]
            assert names.count("ben") == 1
            assert len(given) == 1 + (NUM_ANSWERS if answers == "keep" else 0)
            assert len(set(names)) == (2 if answers == "keep" else 1)
            shown = {answer.value["segment_id"] for _, answer in given if answer.kind == "demonstration"}
            assert len(store.segments(shown)) == (answers == "keep")
            assert store.withdrawals.newest() >= 1
        (release,) = Releases(RunDirectory.open(known.run(name))).all()
        assert release.proposed_by.startswith("forgotten-")
        assert not (known.run(name) / REPORT_NAME).exists(), "it named her, and is made anew when it is asked for"
    check_audit(known)


def check_audit(known: Known) -> None:
    """The chains hold, and name nobody; every step stands once."""
    for folder in (known.folder, *map(known.run, ANSWERED)):
        assert verify(folder / AUDIT_NAME).problems == ()
        told = (folder / AUDIT_NAME).read_text()
        assert NAME not in told
        assert EMAIL not in told
    acts = acts_of(known)
    assert acts.count("people.forget.begin") >= 1
    assert acts[-1] == "people.forget"
    assert main(["audit", "verify", str(known.folder)]) == 0


def acts_of(known: Known) -> list[str]:
    return [entry.act for entry in entries(known.folder / AUDIT_NAME, after=0, limit=999)]


@pytest.mark.parametrize("answers", FATES)
def test_a_person_is_forgotten_by_every_run(known: Known, answers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(known.traces()) > 20, "they stand in every table and file that can hold them"
    assert forget(known, answers, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"id": known.id, "answers": answers, "num_runs": 2, "num_answers": 2 * NUM_ANSWERS}
    check_forgotten(known, answers)
    assert acts_of(known)[-5:] == ["people.forget.begin", *["feedback.withdraw"] * 3, "people.forget"]
    for name in ANSWERED:
        with opened(known.run(name)) as store:
            assert (staleness(RunDirectory.open(known.run(name)), store).in_words is None) == (answers == "keep")
    capsys.readouterr()
    # A second time there is nobody to forget, and nothing changes.
    assert forget(known, answers) == 2
    assert f"there is nobody with the id '{known.id}'" in capsys.readouterr().err
    assert main(["people", "list", "--runs", str(known.folder)]) == 0
    assert known.id not in capsys.readouterr().out
    check_forgotten(known, answers)


@pytest.mark.parametrize("answers", FATES)
def test_nothing_of_them_comes_back(known: Known, answers: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, old = str(known.run("first")), str(tmp_path / "old.jsonl")
    assert main(["feedback", "export", run, old]) == 0
    with opened(known.run("first")) as store:
        late = store.queries([store.feedback_after(0, limit=1, up_to_step=None)[0][1].query_id])[0]
    assert forget(known, answers) == 0
    capsys.readouterr()
    assert main(["feedback", "import", run, old]) == 0
    told = capsys.readouterr()
    assert f"passed over {NUM_ANSWERS} answers of somebody who was forgotten" in told.err
    assert "0 answers taken in" in told.out
    with opened(known.run("first")) as store:
        with pytest.raises((DataError, ConflictError), match=r"unknown|forgotten"):
            store.add_feedback([make_answer(late, "late", annotator=known.id)])
        with pytest.raises(DataError, match="forgotten"):
            store.add_annotator(known.id, "person")
    app = create_app(ServiceConfig(runs=known.folder), AuditLog(known.folder / AUDIT_NAME))
    body = {"key": "00000000-0000-4000-8000-000000000001", "query_id": late.id, "kind": "preference"}
    body["value"] = {"choice": "left"}
    with TestClient(app, base_url="http://testserver") as client:
        late_post = f"{API}/runs/first/feedback"
        assert client.post(late_post, json=body, headers=bearer(known.key)).status_code == 401
        client.cookies.set(COOKIE, known.token)
        assert client.post(late_post, json=body, headers={"Origin": "http://testserver"}).status_code == 401
    assert known.id in Path(old).read_text(), "an export of before is not touched"
    assert known.traces() == []
    assert verify(known.folder / AUDIT_NAME).problems == ()


def test_it_is_done_beside_a_service_that_people_answer_in(copied: Known) -> None:
    """The command is another process; whoever else answers meanwhile loses nothing."""
    (other,) = make_keys(copied.folder)
    with opened(copied.run("unanswered")) as store:
        (asked, *_) = store.open_queries(9)
    with Served(copied.folder) as served, httpx2.Client(base_url=served.url + API) as http:
        path = "/runs/first/leases"
        assert http.post(path, json={}, headers=bearer(copied.key)).status_code == 200
        leased = http.post("/runs/unanswered/leases", json={}, headers=bearer(other)).json()["items"]
        assert [item["query_id"] for item in leased] == [asked.id]
        assert forget(copied, "remove") == 0
        deadline = time.monotonic() + 20
        while http.post(path, json={}, headers=bearer(copied.key)).status_code != 401:
            assert time.monotonic() < deadline, "who is forgotten is shut out within seconds"
            time.sleep(0.1)
        late = http.post("/runs/unanswered/feedback", json=answer_to(asked), headers=bearer(other))
        assert late.status_code == 200
    assert copied.traces() == []
    with opened(copied.run("unanswered")) as store:
        assert len(store.feedback_after(0, limit=9, up_to_step=None)) == 2


def test_who_is_unknown_is_refused_and_nothing_changes(
    copied: Known, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(copied.traces())
    log = (copied.folder / AUDIT_NAME).read_bytes()
    for wrong in ("nobody", "", "../first", "0" * 5000, copied.id.upper()):
        assert main(["people", "forget", wrong, "--answers", "remove", "--runs", str(copied.folder)]) == 2
        assert "there is nobody with the id" in capsys.readouterr().err
    assert forget(copied, "burn") == 2
    assert "answers: expected keep or remove, got 'burn'" in capsys.readouterr().err
    assert main(["people", "forget", copied.admin, "--answers", "keep", "--runs", str(copied.folder)]) == 2
    assert "nobody would be left who can manage people" in capsys.readouterr().err
    assert main(["people", "forget", copied.id, "--answers", "keep", "--runs", str(tmp_path / "none")]) == 2
    assert "nobody is known" in capsys.readouterr().err
    assert sorted(copied.traces()) == before
    assert (copied.folder / AUDIT_NAME).read_bytes() == log


@pytest.mark.parametrize("answers", FATES)
def test_backups_of_before_are_not_touched_and_those_of_after_know_nobody(
    copied: Known, answers: str, tmp_path: Path
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
        if folder == after:
            assert forget(copied, answers) == 0
        command = ["backup", str(copied.run("first")), str(folder / "copy.db"), "--segments", str(folder / "segments")]
        assert main(command) == 0
        if folder == before:
            kept = {path: path.read_bytes() for path in before.rglob("*") if path.is_file()}
    assert any(copied.id.encode() in content for content in kept.values())
    assert {path: path.read_bytes() for path in before.rglob("*") if path.is_file()} == kept
    found = b"".join(path.name.encode() + path.read_bytes() for path in after.rglob("*") if path.is_file())
    assert not any(private.encode() in found for private in copied.private)


@pytest.mark.parametrize(
    ("moment", "answers"),
    [(moment, FATES[place % 2]) for place, moment in enumerate(MOMENTS)],
    ids=lambda value: value if isinstance(value, str) else f"{value[1]}-{value[0][2]}-{value[2]}",
)
def test_whoever_is_killed_on_the_way_does_it_again(
    killer: subprocess.Popen[str], copied: Known, moment: tuple, answers: str
) -> None:
    killed_and_done_again(killer, copied, moment, answers)


@pytest.mark.parametrize("answers", FATES)
@pytest.mark.parametrize("known", ["postgresql"], indirect=True)
@pytest.mark.parametrize("moment", [(AUDIT, "before", 2), (FILES, "before", 1)], ids=["first-run", "files"])
def test_so_it_is_where_the_stores_are_on_a_server(
    killer: subprocess.Popen[str], known: Known, moment: tuple, answers: str
) -> None:
    killed_and_done_again(killer, known, moment, answers)


def killed_and_done_again(killer: subprocess.Popen[str], known: Known, moment: tuple, answers: str) -> None:
    target, when, number = moment
    if target == NEW_FILES:
        answers = "keep"
    arguments = ["people", "forget", known.id, "--answers", answers, "--runs", str(known.folder)]
    assert killer.stdin is not None
    assert killer.stdout is not None
    print(json.dumps([*target, when, number, *arguments]), file=killer.stdin)
    assert int(killer.stdout.readline()) == -signal.SIGKILL
    with accounts_of(known.folder) as accounts:
        known_still = known.id in [person.id for person in accounts.people.page(after="", limit=9)]
        begun = bool(accounts.forgettings.waiting())
        # Once it was begun nobody gets in any more, whatever became of the rest.
        assert known_still or not begun
        assert not begun or accounts.people.get(known.id).disabled_unix_s is not None
    again = forget(known, answers)
    assert again == (0 if known_still else 2)
    check_forgotten(known, answers)
