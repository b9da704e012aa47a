"""Runs as operators see them: nothing outside the folder, pages of metrics, commands."""

import json
import uuid

import pytest
from starlette.testclient import TestClient

from heeler.core import lines
from heeler.core.attention import Attention
from heeler.core.rundir import RunDirectory
from heeler.service import metrics_file
from heeler.service.context import Service
from tests.unit.service.helpers import API, add_key, add_person, answer_to, bearer, make_run, store_of


@pytest.fixture
def olga(client: TestClient, service: Service, tmp_path):
    make_run(tmp_path)
    key = add_key(service, add_person(service, "olga", "operator"), "read_runs", "steer", "answer")
    return TestClient(client.app, headers=bearer(key))


def test_only_runs_are_listed_page_by_page(olga, tmp_path):
    for name in ("a", "b", "c"):
        make_run(tmp_path, name, num_queries=1)
    (tmp_path / "notes").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "config.yaml").write_text("recipe: x\n")
    first = olga.get(f"{API}/runs", params={"limit": 3}).json()
    assert [item["name"] for item in first["items"]] == ["a", "b", "c"]
    rest = olga.get(f"{API}/runs", params={"limit": 3, "cursor": first["next"]}).json()
    assert rest["next"] is None
    (item,) = rest["items"]
    assert item.pop("last_row_unix_s") == (tmp_path / "run" / "metrics.jsonl").stat().st_mtime
    assert item == {
        "name": "run",
        "recipe": "preferences",
        "env_id": "Hopper-v5",
        "seed": 7,
        "step": 7,
        "has_store": True,
        "state": "stopped",
    }


@pytest.mark.parametrize(
    "name",
    ["..", "%2e%2e", "..%2f..", "%2fetc", "run%2f..", "run%00", ".hidden", "link", "run%5c..", "run%0a", "people.db"],
)
@pytest.mark.parametrize("path", ["", "/metrics", "/checkpoints", "/settings", "/events"])
def test_no_name_leads_out_of_the_folder(olga, tmp_path, name, path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir(exist_ok=True)
    if not (outside / "run").exists():
        make_run(outside)
    (tmp_path / "link").symlink_to(outside / "run")
    (tmp_path.parent / "config.yaml").write_text("recipe: secret\n")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "config.yaml").write_text("recipe: secret\n")
    answer = olga.get(f"{API}/runs/{name}{path}")
    assert answer.status_code in (404, 405), answer.text
    assert "secret" not in answer.text


def test_a_run_in_full(olga, tmp_path):
    found = olga.get(f"{API}/runs/run").json()
    assert found["config"]["env"] == {"id": "Hopper-v5"}
    assert found["metrics"] == {"step": 7, "update": 7}
    assert found["counts"]["queries"] == 3
    assert found["paused_by"] is None
    with store_of(tmp_path) as store:
        store.set_setting("paused", "olga")
    assert olga.get(f"{API}/runs/run").json()["paused_by"] == "olga"
    assert found["held"] is None
    with store_of(tmp_path) as store:
        store.set_setting("held", {"level": "freeze", "since_step": 3})
    assert olga.get(f"{API}/runs/run").json()["held"] == {"level": "freeze", "since_step": 3}


def test_a_run_that_has_not_begun_can_be_looked_at(olga, tmp_path):
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "config.yaml").write_text("recipe: ppo\n")
    found = olga.get(f"{API}/runs/young").json()
    assert (found["step"], found["has_store"], found["counts"], found["metrics"]) == (None, False, None, None)
    assert olga.get(f"{API}/runs/young/metrics").json() == {"items": [], "next": "0"}
    assert olga.get(f"{API}/runs/young/checkpoints").json() == {"items": [], "next": None}


def test_metrics_page_by_page_and_what_comes_later(olga, tmp_path):
    path = f"{API}/runs/run/metrics"
    seen, cursor = [], None
    for _ in range(4):
        page = olga.get(path, params={"limit": 2} | ({} if cursor is None else {"cursor": cursor})).json()
        seen += [row["step"] for row in page["items"]]
        cursor = page["next"]
    assert seen == list(range(1, 8))
    assert olga.get(path, params={"cursor": cursor}).json() == {"items": [], "next": cursor}
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8}\n{"step": 9, "cut sho')
    later = olga.get(path, params={"cursor": cursor}).json()
    assert later["items"] == [{"step": 8}], "a line that is being written is not there yet"
    after = olga.get(path, params={"after_step": 5}).json()
    assert [row["step"] for row in after["items"]] == [6, 7, 8]
    both = olga.get(path, params={"after_step": 5, "cursor": cursor})
    assert (both.status_code, both.json()["field"]) == (422, "after_step")


def test_a_cursor_behind_which_the_run_went_back_is_refused(olga, tmp_path):
    path = f"{API}/runs/run/metrics"
    cursor = olga.get(path).json()["next"]
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 1}\n')
    answer = olga.get(path, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["field"]) == (409, "cursor")
    assert olga.get(path, params={"cursor": "5"}).status_code == 409, "in the middle of a line"


def test_damaged_metrics_are_told_as_they_are(olga, tmp_path):
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n')
    answer = olga.get(f"{API}/runs/run/metrics")
    assert answer.status_code == 503
    assert "the line from byte 12 on is damaged" in answer.json()["detail"]


@pytest.mark.parametrize("step", [-1, 0, 1, 2, 3, 49, 50, 98, 99, 100])
def test_bisection_finds_what_a_look_at_every_line_finds(tmp_path, step):
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": 2 * (n // 3), "fill": "x" * (n * 7919 % 300)} for n in range(150)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 500, "cut')
    offset = metrics_file.place_after_step(path, step)
    found = metrics_file.read_page(path, offset=offset, limit=1000).rows
    assert found == [row for row in rows if row["step"] > step]
    assert metrics_file.last_row(path) == rows[-1]


def test_lines_longer_than_a_chunk_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 7)
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {n}, "fill": "{"y" * n}"}}\n' for n in range(40)))
    assert metrics_file.read_page(path, offset=metrics_file.place_after_step(path, 37), limit=9).rows[0]["step"] == 38
    assert metrics_file.last_row(path)["step"] == 39


def test_checkpoints_the_newest_first(olga, tmp_path):
    for step in (100, 20, 3):
        folder = tmp_path / "run" / "checkpoints" / f"step-{step}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"step": step}))
    (tmp_path / "run" / "checkpoints" / ".step-200.tmp").mkdir()
    first = olga.get(f"{API}/runs/run/checkpoints", params={"limit": 2}).json()
    assert [item["step"] for item in first["items"]] == [100, 20]
    rest = olga.get(f"{API}/runs/run/checkpoints", params={"cursor": first["next"]}).json()
    assert ([item["step"] for item in rest["items"]], rest["next"]) == ([3], None)
    assert len(rest["items"][0]["sha256"]) == 64


def test_a_command_is_kept_once_with_its_line(olga, tmp_path, audit):
    path = f"{API}/runs/run/commands"
    body = {"id": str(uuid.uuid4()), "kind": "set_budget", "value": 500}
    first = olga.post(path, json=body)
    assert first.status_code == 200
    assert olga.post(path, json=body).json() == first.json()
    other = olga.post(path, json=body | {"value": 600})
    assert (other.status_code, other.json()["field"]) == (409, "id")
    lines = [line for line in audit.lines if line[1].startswith("command")]
    assert [line[1:] for line in lines] == [("command.set_budget", "run", {"id": body["id"], "value": 500})]
    with store_of(tmp_path) as store:
        (waiting,) = store.open_commands()
        store.finish_command(waiting.id, "the budget is 500 comparisons")
    assert waiting.person == lines[0][0]
    assert olga.get(path).json()["items"][0]["outcome"] == "the budget is 500 comparisons"


def test_why_a_command_was_given_stands_in_its_line(olga, audit):
    body = {"id": str(uuid.uuid4()), "kind": "slow", "because": "it learns too fast"}
    assert olga.post(f"{API}/runs/run/commands", json=body).status_code == 200
    (line,) = [line for line in audit.lines if line[1].startswith("command")]
    assert line[3] == {"id": body["id"], "value": None, "because": "it learns too fast"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "x"}, "id"),
        ({"because": " "}, "because"),
        ({"because": "x" * 1001}, "because"),
        ({"kind": "explode"}, "kind"),
        ({"kind": "roll_back"}, "value"),
        ({"kind": "roll_back", "value": -1}, "value"),
        ({"value": 3}, "value"),
        ({"kind": "set_budget", "value": 1.5}, "value"),
        ({"person": "somebody else"}, "person"),
    ],
)
def test_a_bad_command_is_refused_by_field_and_has_no_line(olga, audit, changes, field):
    body = {"id": str(uuid.uuid4()), "kind": "pause"} | changes
    answer = olga.post(f"{API}/runs/run/commands", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert not any(line[1].startswith("command") for line in audit.lines)


def test_commands_page_by_page_the_newest_first(olga):
    path = f"{API}/runs/run/commands"
    for kind in ("pause", "resume", "stop"):
        olga.post(path, json={"id": str(uuid.uuid4()), "kind": kind})
    first = olga.get(path, params={"limit": 2}).json()
    assert [item["kind"] for item in first["items"]] == ["stop", "resume"]
    rest = olga.get(path, params={"limit": 2, "cursor": first["next"]}).json()
    assert ([item["kind"] for item in rest["items"]], rest["next"]) == (["pause"], None)


def test_annotators_learn_names_of_runs_and_nothing_else_of_them(client, service, olga):
    key = add_key(service, add_person(service, "ann", "annotator"), "answer")
    assert client.get(f"{API}/tasks", headers=bearer(key)).json() == {"items": [{"run": "run"}], "next": None}
    for path in ("", "/run", "/run/metrics", "/run/feedback", "/run/commands", "/run/settings"):
        assert client.get(f"{API}/runs{path}", headers=bearer(key)).status_code == 403


def test_a_full_answer_has_no_true_reward_and_no_policy(client, service, olga, tmp_path):
    """Whatever an annotator can ask for."""
    key = add_key(service, add_person(service, "ann", "annotator"), "answer")
    ann = TestClient(client.app, headers=bearer(key))
    texts = [ann.post(f"{API}/runs/run/leases", json={"count": 3}).text, ann.get(f"{API}/tasks").text]
    with store_of(tmp_path) as store:
        texts.append(ann.post(f"{API}/runs/run/feedback", json=answer_to(store.open_queries(1)[0])).text)
    for text in texts:
        assert "reward" not in text
        assert "policy" not in text


def test_the_description_names_every_route_and_its_bodies(client):
    document = client.get(f"{API}/openapi.json").json()
    assert document["openapi"].startswith("3.")
    paths = {path for path in document["paths"]}
    described = {route.path for route in client.app.router.routes if route.include_in_schema}  # type: ignore[attr-defined]
    assert paths == described
    for path in ("/api/v1/runs/{run}/feedback", "/api/v1/runs/{run}/feedback/batch"):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body.get("properties") or body["$ref"], path
    missing = [ref for ref in references(document) if ref not in document["components"]["schemas"]]
    assert missing == []


def references(value) -> set[str]:
    """Names of all schemas that are referred to."""
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(("kind", "is_urgent"), [("slow", False), ("freeze", True), ("stop", True), ("pause", False)])
def test_what_is_urgent_calls_the_learner(olga, tmp_path, kind, is_urgent):
    body = {"id": str(uuid.uuid4()), "kind": kind, "value": None}
    assert olga.post(f"{API}/runs/run/commands", json=body).status_code == 200
    attention = Attention(tmp_path / "run")
    assert attention.is_called() == is_urgent
    attention.come()
    with store_of(tmp_path) as store:
        store.finish_command(body["id"], "done")
    olga.post(f"{API}/runs/run/commands", json=body)
    assert not attention.is_called(), "the same again, which was obeyed"


def test_a_hard_stop_without_a_learner_is_refused_and_leaves_nothing(olga, tmp_path):
    body = {"id": str(uuid.uuid4()), "kind": "hard_stop", "value": None}
    refused = olga.post(f"{API}/runs/run/commands", json=body)
    assert refused.status_code == 409
    assert "no learner is at work" in refused.json()["detail"]
    assert olga.get(f"{API}/runs/run/commands").json()["items"] == []
    for wrong in ({"value": 3}, {"id": "1"}):
        assert olga.post(f"{API}/runs/run/commands", json=body | wrong).status_code == 422
    assert olga.post(f"{API}/runs/none/commands", json=body).status_code == 404


def test_who_may_not_steer_stops_nobody(client, service, tmp_path):
    key = add_key(service, add_person(service, "ann", "annotator"), "answer")
    body = {"id": str(uuid.uuid4()), "kind": "hard_stop", "value": None}
    make_run(tmp_path)
    with RunDirectory(tmp_path / "run").locked():
        answer = TestClient(client.app, headers=bearer(key)).post(f"{API}/runs/run/commands", json=body)
    assert answer.status_code == 403
