"""What every request must pass: origins, sizes, rates; and what every answer carries."""

import threading
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from heeler.service import rate_limits
from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
from heeler.service.problems import Problem
from heeler.service.rate_limits import RateLimit
from tests.unit.service.helpers import API, HERE, PASSWORD, add_key, add_person, bearer, make_run, signed_in


@pytest.fixture
def browser(client: TestClient, service: Service) -> TestClient:
    add_person(service, "ann", "admin")
    return signed_in(client, "ann")


ORIGINS = [
    ({"Origin": HERE}, True),
    ({"Origin": HERE, "Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://evil.example"}, False),
    ({"Origin": "http://testserver.evil.example"}, False),
    ({"Origin": "https://testserver"}, False),
    ({"Origin": "http://testserver:81"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Origin": HERE, "Sec-Fetch-Site": "cross-site"}, False),
    ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, False),
]


@pytest.mark.parametrize(("headers", "is_right"), ORIGINS)
def test_a_session_changes_things_only_from_its_own_pages(client, service, browser, headers, is_right):
    del browser.headers["Origin"]
    answer = browser.post(f"{API}/people", json={"name": "bea"}, headers=headers)
    assert answer.status_code == (201 if is_right else 403), answer.text
    assert len(service.accounts.people.page(after="", limit=10)) == (3 if is_right else 2)
    assert browser.get(f"{API}/people", headers=headers).status_code == 200, "to look changes nothing"


def test_another_sites_page_cannot_sign_anybody_in(client, service):
    add_person(service, "ann", "admin")
    body = {"name": "ann", "password": PASSWORD}
    assert client.post(f"{API}/session", json=body, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post(f"{API}/session", json=body, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post(f"{API}/session", json=body).status_code == 200, "a program says neither"


def test_a_key_needs_no_origin(client, service, browser):
    person = service.accounts.people.with_password("ann", PASSWORD)
    key = add_key(service, person, "people")
    assert client.post(f"{API}/people", json={"name": "bea"}, headers=bearer(key)).status_code == 201


def test_a_wrong_key_is_not_saved_by_a_good_cookie(browser):
    assert browser.get(f"{API}/session").status_code == 200
    assert browser.get(f"{API}/session", headers=bearer("hlr_0_0")).status_code == 401
    assert browser.get(f"{API}/session", headers={"Authorization": "Basic YTpi"}).status_code == 401


def test_the_cookie(client, service):
    add_person(service, "ann", "admin")
    body = {"name": "ann", "password": PASSWORD}
    plain = client.post(f"{API}/session", json=body).headers["set-cookie"]
    assert plain.startswith("heeler_session=")
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part in plain
    assert "Secure" not in plain
    assert "Domain" not in plain
    secure = TestClient(client.app, base_url="https://testserver").post(f"{API}/session", json=body)
    assert secure.headers["set-cookie"].startswith("__Host-heeler_session=")
    assert "Secure" in secure.headers["set-cookie"]
    assert secure.headers["strict-transport-security"] == "max-age=31536000"


def test_signing_out_ends_the_session_for_good(client, browser):
    token = browser.cookies["heeler_session"]
    assert browser.delete(f"{API}/session").status_code == 204
    assert "heeler_session" not in browser.cookies
    thief = TestClient(client.app, cookies={"heeler_session": token})
    assert thief.get(f"{API}/session").status_code == 401


def test_signing_in_again_ends_the_session_before(client, browser):
    former = browser.cookies["heeler_session"]
    assert browser.post(f"{API}/session", json={"name": "ann", "password": PASSWORD}).status_code == 200
    assert browser.cookies["heeler_session"] != former
    assert TestClient(client.app, cookies={"heeler_session": former}).get(f"{API}/session").status_code == 401
    assert browser.get(f"{API}/session").status_code == 200


def test_another_password_ends_the_other_sessions(client, browser):
    other = signed_in(client, "ann")
    wrong = browser.put(f"{API}/session/password", json={"old": "wrong", "new": "another password"})
    assert (wrong.status_code, wrong.json()["field"]) == (403, "old")
    same = browser.put(f"{API}/session/password", json={"old": PASSWORD, "new": PASSWORD})
    assert (same.status_code, same.json()["field"]) == (422, "new")
    short = browser.put(f"{API}/session/password", json={"old": PASSWORD, "new": "short"})
    assert (short.status_code, short.json()["field"]) == (422, "new")
    assert short.json()["detail"] == "new: expected 12 to 200 characters, got 5"
    assert other.get(f"{API}/session").status_code == 200
    right = browser.put(f"{API}/session/password", json={"old": PASSWORD, "new": "another password"})
    assert right.status_code == 200
    assert browser.get(f"{API}/session").status_code == 200
    assert other.get(f"{API}/session").status_code == 401


def test_guessing_passwords_is_slowed_down(client, service):
    add_person(service, "ann", "admin")
    codes = [client.post(f"{API}/session", json={"name": "ann", "password": str(n)}).status_code for n in range(7)]
    assert codes == [401] * 5 + [429] * 2
    right = client.post(f"{API}/session", json={"name": "ANN ", "password": PASSWORD})
    assert right.status_code == 429
    assert 1 <= int(right.headers["retry-after"]) <= 61
    assert client.post(f"{API}/session", json={"name": "bea", "password": "x"}).status_code == 401, "others may"


def test_every_answer_has_the_headers_that_keep_pages_safe(client):
    for path, status in (("/health", 200), ("/session", 401), ("/nothing", 404)):
        answer = client.get(API + path)
        assert answer.status_code == status
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_what_goes_wrong_is_told_as_a_problem(client, browser):
    def told(answer) -> tuple[int, str, str | None]:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert set(problem) == {"type", "title", "status", "detail", "field"}
        assert problem["status"] == answer.status_code
        return problem["status"], problem["type"], problem["field"]

    assert told(client.get(f"{API}/nothing")) == (404, "urn:heeler:problem:not-found", None)
    assert told(client.put(f"{API}/health", json={})) == (405, "urn:heeler:problem:method-not-allowed", None)
    assert told(client.get(f"{API}/runs")) == (401, "urn:heeler:problem:unauthorized", None)
    assert told(browser.get(f"{API}/runs/nowhere")) == (404, "urn:heeler:problem:not-found", "run")
    assert told(browser.get(f"{API}/runs?limit=0"))[::2] == (422, "limit")
    assert told(browser.get(f"{API}/runs?limit=many"))[::2] == (422, "limit")
    assert told(browser.post(f"{API}/people", json={}))[::2] == (422, "name")
    assert told(browser.post(f"{API}/people", json={"name": "x", "rol": "admin"}))[::2] == (422, "rol")
    assert told(browser.post(f"{API}/people", json={"name": 7}))[::2] == (422, "name")
    body = {"content": b"{", "headers": {"Content-Type": "application/json"}}
    assert told(browser.post(f"{API}/people", **body))[::2] == (400, None)


def test_no_traceback_ever_leaves(client, browser, service, monkeypatch, caplog):
    def fail(**_: object) -> None:
        raise RuntimeError("the secret of the inside")

    monkeypatch.setattr(service.accounts.people, "page", fail)
    answer = browser.get(f"{API}/people")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "the secret of the inside" in caplog.text, "the log has it"


def test_a_long_body_is_refused_whatever_its_head_says(client, service, browser, tmp_path):
    make_run(tmp_path)
    most = service.config.max_body_bytes

    def pieces() -> Iterator[bytes]:
        for _ in range(most // 1000 + 2):
            yield b"x" * 1000

    for content in (b"x" * (most + 1), pieces()):
        answer = browser.post(f"{API}/runs/run/feedback", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
        assert "longer than 1048576 bytes" in answer.json()["detail"]
    answer = browser.post(f"{API}/people", content=b"{}", headers={"Content-Length": "9" * 30})
    assert answer.status_code == 413


def test_a_stranger_is_refused_before_the_body_is_read(client):
    answer = client.post(f"{API}/runs/run/commands", content=b"x" * 5_000_000)
    assert answer.status_code == 401


def test_one_key_cannot_take_all_the_time(tmp_path, audit):
    config = ServiceConfig(runs=tmp_path, requests_per_s=0.5, request_burst=3)
    with TestClient(create_app(config, audit), base_url=HERE) as client:
        service = client.app.state.service
        keys = [add_key(service, add_person(service, name, "annotator"), "answer") for name in ("ann", "bea")]
        codes = [client.get(f"{API}/session", headers=bearer(keys[0])).status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        assert client.get(f"{API}/session", headers=bearer(keys[1])).status_code == 200
        assert client.get(f"{API}/session", headers=bearer(keys[0])).headers["retry-after"] in ("1", "2", "3")


def test_wrong_keys_cannot_be_tried_for_ever(client):
    codes = [client.get(f"{API}/runs", headers=bearer(f"hlr_0_{n}")).status_code for n in range(40)]
    assert codes[:30] == [401] * 30
    assert set(codes[-5:]) == {429}


def test_buckets_fill_by_a_clock_that_nobody_can_set(monkeypatch):
    now_s = 100.0

    class Clock:
        monotonic = staticmethod(lambda: now_s)

    monkeypatch.setattr(rate_limits, "time", Clock)
    limit = RateLimit(per_s=2.0, burst=3)
    for _ in range(3):
        limit.take("ann")
    with pytest.raises(Problem, match="try again in 1 s"):
        limit.take("ann")
    limit.take("bea")
    now_s += 0.5
    limit.take("ann")
    with pytest.raises(Problem):
        limit.take("ann")
    now_s += 1000
    for _ in range(3):
        limit.take("ann")
    with pytest.raises(Problem):
        limit.take("ann")
    limit.forgive("ann")
    limit.take("ann")


def test_buckets_do_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(rate_limits, "_MAX_BUCKETS", 3)
    limit = RateLimit(per_s=0.001, burst=1)
    for name in "abcd":
        limit.take(name)
    with pytest.raises(Problem):
        limit.take("d")
    limit.take("a")


def test_many_threads_take_no_more_than_there_is():
    limit = RateLimit(per_s=1e-9, burst=50)
    taken: list[int] = []

    def take() -> None:
        for _ in range(30):
            try:
                limit.take("ann")
            except Problem:
                continue
            taken.append(1)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 50
