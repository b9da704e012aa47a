"""The service and runs whose store is on a PostgreSQL server, which is killed and started again meanwhile."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from psycopg import sql

from heeler.core.nouns import PolicyVersion, Query
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import open_store
from heeler.service.client import Client
from tests.postgres import PostgresServer, database_of
from tests.unit.feedback.helpers import add_comparisons
from tests.unit.service.helpers import API, Served, answer_to, bearer, make_keys

pytestmark = pytest.mark.slow

CONFIG = {"recipe": "preferences", "seed": 7, "env": {"id": "Hopper-v5"}}


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.new_database()
    yield name
    postgres.drop(name)


def make_run(folder: Path, url: str, *, num_queries: int, name: str = "run") -> list[Query]:
    """A run that has begun, with its store on the server."""
    path = folder / name
    path.mkdir()
    (path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"store": url}))
    with open_store(RunDirectory(path)) as store:
        store.add_annotator("ann", "person")
        store.add_policy_version(PolicyVersion(version=0, step=0))
        return add_comparisons(store, num_queries)


def kept(folder: Path) -> dict[str, int]:
    with open_store(RunDirectory(folder / "run")) as store:
        return {answer.key: position for position, answer in store.feedback_after(0, limit=10**6, up_to_step=None)}


def test_it_is_served_as_a_file_is(tmp_path: Path, url: str) -> None:
    queries = make_run(tmp_path, url, num_queries=6)
    (key,) = make_keys(tmp_path)
    (boss,) = make_keys(tmp_path, "admin", "read_runs", "read_feedback", "steer", "settings")
    with Served(tmp_path) as served, Client(served.url, key=key) as ann, Client(served.url, key=boss) as olga:
        assert ann.tasks() == ["run"]
        first, *rest = ann.lease("run", count=4)
        assert ann.answer("run", first, {"choice": "left"}).position == 1
        asked = {query.id: query for query in queries}
        bodies = [answer_to(asked[lease.query_id]) for lease in rest]
        with httpx2.Client(base_url=served.url + API, headers=bearer(key)) as http:
            answer = http.post("/runs/run/feedback/batch", json={"feedback": bodies})
            assert [item["position"] for item in answer.json()["items"]] == [2, 3, 4]
            assert http.post("/runs/run/feedback/batch", json={"feedback": bodies}).json() == answer.json()
            changed = bodies[0] | {"value": {"choice": "right"}}
            assert http.post("/runs/run/feedback", json=changed).status_code == 409
        told = olga.command("run", "pause")
        assert [command.id for command in olga.commands("run")] == [told.id]
        assert olga.change_settings("run", overlap=2).overlap == 2
        detail = olga.run("run")
        assert detail.has_store
        assert detail.counts is not None
        assert detail.counts["feedback"] == 4
    assert len(kept(tmp_path)) == 4


def test_posts_at_the_same_time_share_a_transaction(postgres: PostgresServer, tmp_path: Path, url: str) -> None:
    queries = make_run(tmp_path, url, num_queries=120)
    keys = make_keys(tmp_path, number=8)

    def post(served: Served, key: str, own: list[Query]) -> None:
        with httpx2.Client(base_url=served.url + API, headers=bearer(key)) as http:
            for query in own:
                assert http.post("/runs/run/feedback", json=answer_to(query)).status_code == 200

    with Served(tmp_path) as served:
        threads = [threading.Thread(target=post, args=(served, key, queries[n::8])) for n, key in enumerate(keys)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    database = database_of(url)
    counted = sql.SQL("SELECT count(DISTINCT xmin::text), count(*) FROM feedback")
    ((transactions, answers),) = postgres.execute(counted, database)
    assert answers == 120
    assert transactions < 90, "each answer had a transaction of its own"


def test_no_acknowledged_answer_is_lost_or_doubled_when_the_server_is_killed(
    postgres: PostgresServer, tmp_path: Path, url: str
) -> None:
    queries = make_run(tmp_path, url, num_queries=240)
    keys = make_keys(tmp_path, number=3)
    acknowledged: dict[str, int] = {}
    refused: list[httpx2.Response] = []
    crashes: list[BaseException] = []

    def post(served: Served, key: str, own: list[Query]) -> None:
        try:
            with httpx2.Client(base_url=served.url + API, headers=bearer(key), timeout=60) as http:
                for query in own:
                    body = answer_to(query)
                    while body["key"] not in acknowledged:
                        answer = http.post("/runs/run/feedback", json=body)
                        if answer.status_code == 200:
                            acknowledged[body["key"]] = answer.json()["position"]
                        else:
                            refused.append(answer)
                            time.sleep(0.05)
        except BaseException as error:
            crashes.append(error)

    with Served(tmp_path) as served:
        threads = [threading.Thread(target=post, args=(served, key, queries[n::3])) for n, key in enumerate(keys)]
        for thread in threads:
            thread.start()
        for wanted in (30, 90):
            deadline = time.monotonic() + 60
            while len(acknowledged) < wanted and time.monotonic() < deadline:
                time.sleep(0.005)
            assert len(acknowledged) < 240, "all was posted before the server could be killed"
            postgres.kill()
            time.sleep(0.3)
            assert httpx2.get(f"{served.url}{API}/health").status_code == 200
            postgres.start()
        for thread in threads:
            thread.join(timeout=120)
        told = served.stop()
    assert crashes == []
    assert refused, "nobody noticed"
    assert {answer.status_code for answer in refused} == {503}
    assert all(answer.headers["retry-after"] for answer in refused)
    assert kept(tmp_path) == acknowledged
    assert len(acknowledged) == 240
    assert "Traceback" not in told


def test_it_refuses_while_its_server_is_away_and_recovers_by_itself(
    postgres: PostgresServer, tmp_path: Path, url: str
) -> None:
    queries = make_run(tmp_path, url, num_queries=90)
    keys = make_keys(tmp_path, number=4)
    acknowledged: dict[str, int] = {}
    crashes: list[BaseException] = []

    def post(served: Served, key: str, own: list[Query]) -> None:
        try:
            with Client(served.url, key=key, patience_s=60) as client:
                for query in own:
                    (receipt,) = client.answer_all("run", [answer_to(query)])
                    acknowledged[receipt.key] = receipt.position
        except BaseException as error:
            crashes.append(error)

    with Served(tmp_path) as served:
        threads = [threading.Thread(target=post, args=(served, key, queries[n::3])) for n, key in enumerate(keys[:3])]
        for thread in threads:
            thread.start()
        while len(acknowledged) < 15:
            time.sleep(0.005)
        postgres.stop("fast")
        went_s, before = time.monotonic(), len(acknowledged)
        assert before < 90, "all was posted before the server could be stopped"
        with httpx2.Client(base_url=served.url + API, headers=bearer(keys[3])) as http:
            while time.monotonic() - went_s < 3:
                answer = http.post("/runs/run/feedback", json=answer_to(queries[0]))
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
                time.sleep(0.1)
        # What was committed before the stop is told after it.
        assert len(acknowledged) <= before + 3
        postgres.start()
        for thread in threads:
            thread.join(timeout=60)
        told = served.stop()
    assert crashes == []
    assert kept(tmp_path) == acknowledged
    assert len(acknowledged) == 90
    assert "Traceback" not in told


def test_a_server_that_is_away_at_first_is_found_later(postgres: PostgresServer, tmp_path: Path, url: str) -> None:
    make_run(tmp_path, url, num_queries=2)
    (key,) = make_keys(tmp_path)
    postgres.kill()
    try:
        with Served(tmp_path) as served, httpx2.Client(base_url=served.url + API, headers=bearer(key)) as http:
            for _ in range(2):
                answer = http.post("/runs/run/leases", json={})
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
                assert "cannot be reached" in answer.json()["detail"]
            postgres.start()
            time.sleep(1)
            assert len(http.post("/runs/run/leases", json={"count": 2}).json()["items"]) == 2
    finally:
        if not postgres._is_open():
            postgres.start()


def test_a_password_stands_in_no_answer_and_no_log(tmp_path: Path, url: str) -> None:
    make_run(tmp_path, url, num_queries=1)
    secret = url.replace("heeler@", "heeler:hunter2@")
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"store": secret}))
    (boss,) = make_keys(tmp_path, "admin", "read_runs", "answer")
    with Served(tmp_path) as served:
        with httpx2.Client(base_url=served.url + API, headers=bearer(boss)) as http:
            answers = [http.post("/runs/run/leases", json={}), http.get("/runs/run"), http.get("/runs")]
        told = served.stop()
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert "config.yaml is no place for one" in answers[0].json()["detail"]
    for text in (*(answer.text for answer in answers), told, (tmp_path / "audit.jsonl").read_text()):
        assert "hunter2" not in text
