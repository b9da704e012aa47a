"""What an operator sees of a run: its state, charts, alarms and clips."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from heeler.core import live
from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.live import LiveStretch
from heeler.core.rundir import RunDirectory
from heeler.service import metrics_file
from heeler.service.context import Service
from tests.unit.feedback.helpers import make_answer, make_query, make_segment
from tests.unit.service.helpers import API, add_key, add_person, answer_to, bearer, make_run, store_of


@pytest.fixture
def olga(client: TestClient, service: Service, tmp_path):
    make_run(tmp_path)
    key = add_key(service, add_person(service, "olga", "operator"), "read_runs", "read_audit")
    return TestClient(client.app, headers=bearer(key))


def configure(path, **config) -> None:
    whole = {"recipe": "ppo", "total_steps": 1000, "num_steps": 10, "env": {"id": "Pendulum-v1", "num_envs": 10}}
    (path / "config.yaml").write_text(json.dumps(whole | config))


def state(olga: TestClient) -> str:
    (item,) = olga.get(f"{API}/runs").json()["items"]
    assert olga.get(f"{API}/runs/run").json()["state"] == item["state"]
    return item["state"]


def test_the_state_of_a_run(olga, tmp_path):
    run = tmp_path / "run"
    configure(run)
    assert state(olga) == "stopped"
    with RunDirectory(run).locked():
        assert state(olga) == "learning"
        with store_of(tmp_path) as store:
            store.set_setting("waiting_for_people", 5.0)
            assert state(olga) == "waiting for people"
            store.set_setting("paused", "olga")
            assert state(olga) == "paused"
    assert state(olga) == "stopped"
    (run / "metrics.jsonl").write_text('{"step": 1000, "update": 10}\n')
    assert state(olga) == "finished"
    (run / "metrics.jsonl").write_text('{"step": 900, "update": 9}\n')
    assert state(olga) == "stopped", "it was rolled back"


def test_whom_to_trust_goes_by_the_settings_of_the_run(client, service, tmp_path):
    queries = make_run(tmp_path)
    with store_of(tmp_path) as store:
        store.add_annotator("bob", "person")
        store.add_feedback([make_answer(query, annotator="bob") for query in queries])
    opal = add_key(service, add_person(service, "opal", "operator"), "read_feedback")

    def told() -> dict:
        (one,) = client.get(f"{API}/runs/run/trust", headers=bearer(opal)).json()["people"]
        return one

    assert told()["verdict"] == "unknown" and "too few" in told()["reason"]
    people = {"reliability": {"prior_honest": 60.0}, "verdicts": {"least_answers": 3}}
    configure(tmp_path / "run", preferences={"people": people})
    assert told()["verdict"] == "reliable" and told()["reliability"] > 0.95
    configure(tmp_path / "run", preferences={"people": None})
    assert told()["verdict"] == "unknown"


def test_whom_to_trust_with_labels(client, service, tmp_path):
    make_run(tmp_path)
    opal = add_key(service, add_person(service, "opal", "operator"), "read_feedback")
    assert client.get(f"{API}/runs/run/trust", headers=bearer(opal)).json()["labels"] == []
    with store_of(tmp_path) as store:
        ids = store.add_segments([make_segment(100 + seed) for seed in range(8)])
        queries = [make_query(f"rated {place}", name, kind="rating") for place, name in enumerate(ids)]
        store.add_queries(queries)
        for who in ("bob", "cleo"):
            store.add_annotator(who, "person")
            for place, query in enumerate(queries):
                score = {"score": float(place % 2), "low": 0.0, "high": 1.0}
                store.add_feedback([make_answer(query, who, annotator=who, value=score)])
    told = client.get(f"{API}/runs/run/trust", headers=bearer(opal)).json()
    assert told["people"] == []
    (labels,) = told["labels"]
    assert labels["num_shared"] == 8 and {one["person_id"] for one in labels["people"]} == {"bob", "cleo"}
    assert labels["people"][0]["says"]["low"]["low"] > 0.5


def test_that_only_people_who_are_held_out_have_answered_is_an_alarm(olga, tmp_path):
    configure(tmp_path / "run")
    with RunDirectory(tmp_path / "run").locked():
        assert olga.get(f"{API}/runs/run/alarms").json()["items"] == []
        with store_of(tmp_path) as store:
            store.set_setting("only_held_out", 3)
        (alarm,) = olga.get(f"{API}/runs/run/alarms").json()["items"]
        assert (alarm["name"], alarm["severity"]) == ("only_held_out", "bad")
        assert alarm["words"].startswith("All 3 answers that came are by people who are held out")


@pytest.mark.parametrize("config", ["{}", "env: 3", "total_steps: x\nnum_steps: 1\nenv:\n  num_envs: 1\n"])
def test_a_config_that_says_little_is_no_error(olga, tmp_path, config):
    (tmp_path / "run" / "config.yaml").write_text(config)
    assert state(olga) == "stopped"
    assert olga.get(f"{API}/runs/run/alarms").status_code == 200
    assert olga.get(f"{API}/runs/run/clip").json()["can_be_drawn"] is False


def test_series_leave_rows_out_and_keep_the_newest(olga, tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    rows = [{"step": 10 * n, "a": float(n)} | ({"b": n / 2} if n % 2 else {}) for n in range(1, 1001)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 99999, "cut')
    whole = olga.get(f"{API}/runs/run/series", params={"names": "a,b", "max_points": 5000}).json()
    assert whole["step"] == [row["step"] for row in rows]
    assert whole["values"]["b"] == [row.get("b") for row in rows]
    few = olga.get(f"{API}/runs/run/series", params={"names": "a,none", "max_points": 300}).json()
    assert few["every"] == 4
    assert len(few["step"]) <= 300
    assert few["step"][-1] == 10_000
    assert few["values"]["a"] == [step / 10 for step in few["step"]]
    assert set(few["values"]["none"]) == {None}


@pytest.mark.parametrize(("names", "field"), [("", "names"), (",", "names"), (",".join("abcdefgh" * 6), None)])
def test_names_of_series(olga, names, field):
    answer = olga.get(f"{API}/runs/run/series", params={"names": names})
    assert (answer.status_code, answer.json().get("field")) == ((422, field) if field else (200, None))
    many = ",".join(f"m{n}" for n in range(41))
    assert olga.get(f"{API}/runs/run/series", params={"names": many}).json()["field"] == "names"


@pytest.mark.parametrize("number", [1, 2, 3, 99, 100, 101, 500])
def test_the_newest_rows_are_those_at_the_end(tmp_path, number):
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": n, "fill": "x" * (n * 7919 % 5000)} for n in range(100)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 500, "cut')
    assert metrics_file.newest_rows(path, number) == rows[-number:]
    assert metrics_file.newest_rows(tmp_path / "none", number) == []


def test_alarms_of_a_learner_that_was_killed(olga, tmp_path):
    assert olga.get(f"{API}/runs/run/alarms").json() == {"items": []}
    AuditLog(tmp_path / "run" / AUDIT_NAME).append("learner", "run.begin", "run")
    (alarm,) = olga.get(f"{API}/runs/run/alarms").json()["items"]
    assert (alarm["name"], alarm["severity"], alarm["since_step"]) == ("learner_gone", "bad", 7)
    AuditLog(tmp_path / "run" / AUDIT_NAME).append("learner", "run.stop", "run")
    assert olga.get(f"{API}/runs/run/alarms").json() == {"items": []}


def test_a_stale_reward_model_is_an_alarm_until_a_checkpoint_has_done_without(olga, tmp_path, client, service):
    directory = RunDirectory(tmp_path / "run")
    with store_of(tmp_path) as store:
        store.add_feedback([make_answer(query) for query in store.open_queries(2)])
        directory.save_checkpoint(100, {}, {"preferences": {"taken": [[1, "q"]]}}, keep=9)
        directory.save_checkpoint(200, {}, {"preferences": {"taken": [[1, "q"], [2, "r"]]}}, keep=9)
        assert olga.get(f"{API}/runs/run/alarms").json() == {"items": []}
        store.withdrawals.forget("ann", "remove")
    (alarm,) = olga.get(f"{API}/runs/run/alarms").json()["items"]
    assert (alarm["name"], alarm["severity"]) == ("stale_reward", "warn")
    assert alarm["words"] == ("The reward model learned from 2 answers that were withdrawn; train again from step 0.")
    assert olga.get(f"{API}/runs/run").json()["stale_reward_model"] in alarm["words"].lower()
    directory.save_checkpoint(300, {}, {"preferences": {"taken": []}}, keep=9)
    assert olga.get(f"{API}/runs/run/alarms").json() == {"items": []}


def test_questions_that_nobody_answers_raise_an_alarm_until_somebody_does(olga, tmp_path, client, service):
    run = tmp_path / "run"
    configure(run, preferences={"teacher": "people"})
    os.utime(run / "config.yaml", (0, 0))
    with RunDirectory(run).locked():
        (alarm,) = olga.get(f"{API}/runs/run/alarms").json()["items"]
        assert alarm["name"] == "unanswered"
        assert alarm["words"].startswith("3 questions are open")
        ann = bearer(add_key(service, add_person(service, "ann", "annotator"), "answer"))
        (lease, *_) = client.post(f"{API}/runs/run/leases", json={"count": 3}, headers=ann).json()["items"]
        with store_of(tmp_path) as store:
            (query,) = store.queries([lease["query_id"]])
        assert client.post(f"{API}/runs/run/feedback", json=answer_to(query), headers=ann).status_code == 200
        assert olga.get(f"{API}/runs/run/alarms").json() == {"items": []}


def stretch(step: int = 500, number: int = 50, size: int = 2) -> LiveStretch:
    snapshot = np.linspace(0, 1, number * size, dtype=np.float32).reshape(number, size)
    return LiveStretch(snapshot=snapshot, fps=12.5, step=step)


def test_who_asks_for_a_clip_watches_and_sees_what_the_learner_left(olga, tmp_path):
    run = tmp_path / "run"
    configure(run)
    assert not live.is_watched(run)
    assert olga.get(f"{API}/runs/run/clip").json() == {
        "can_be_drawn": True,
        "step": None,
        "fps": None,
        "sheet": None,
    }
    assert live.is_watched(run)
    live.leave(run, stretch())
    clip = olga.get(f"{API}/runs/run/clip").json()
    assert (clip["step"], clip["fps"]) == (500, 12.5)
    sheet = clip["sheet"]
    answer = olga.get(f"{API}/runs/run/clip/500")
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (sheet["columns"] * sheet["width"], sheet["rows"] * sheet["height"])
    assert sheet["num_pictures"] == 50 <= sheet["columns"] * sheet["rows"]
    assert olga.get(f"{API}/runs/run/clip/501").status_code == 404


def test_a_world_that_cannot_be_drawn_is_not_watched(olga, tmp_path):
    run = tmp_path / "run"
    configure(run, env={"id": "module:Mine", "num_envs": 1})
    live.leave(RunDirectory(run).path, stretch()) if (run / "media").exists() else None
    assert olga.get(f"{API}/runs/run/clip").json()["can_be_drawn"] is False
    assert not live.is_watched(run)
    assert olga.get(f"{API}/runs/run/clip/500").status_code == 404


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_what_was_left_damaged_is_told(olga, tmp_path, content):
    run = tmp_path / "run"
    configure(run)
    (run / "media").mkdir()
    if content is None:
        live.leave(run, stretch(size=3))
        path = f"{API}/runs/run/clip/500"
    else:
        (run / "media" / "live.safetensors").write_bytes(content)
        path = f"{API}/runs/run/clip"
    answer = olga.get(path)
    assert answer.status_code == 503
    assert "media" in answer.json()["detail"]
