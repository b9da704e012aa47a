"""What must hold of every route and every answer, made from the routes so that a new one cannot be forgotten."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from heeler.core.audit import AUDIT_NAME
from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
from heeler.service.guard import SAFE_METHODS, ApiRoute
from heeler.service.permissions import Permission, Role
from tests.unit.service.helpers import API, HERE, PASSWORD, add_key, add_person, answer_to, bearer, make_run, signed_in

SAFE_HEADERS = (
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "cache-control",
)


def routes(client: TestClient, *, is_unsafe: bool = False) -> list[tuple[str, str, ApiRoute]]:
    """Method, path and route of every route; of all that is in braces, `none` stands there."""
    found: list[tuple[str, str, ApiRoute]] = []
    for route in client.app.router.routes:  # type: ignore[attr-defined]
        path = route.path_format.format(**dict.fromkeys(route.param_convertors, "none"))
        found += [(method, path, route) for method in route.methods if not (is_unsafe and method in SAFE_METHODS)]
    return found


def told_in(problem: dict[str, Any]) -> str:
    """The words of a problem, in the API's form or in OpenAI's."""
    return problem["error"]["message"] if "error" in problem else problem["detail"]


def browser_of(client: TestClient, service: Service) -> TestClient:
    """An admin's browser."""
    add_person(service, "boss", "admin")
    return signed_in(client, "boss")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": HERE + ".evil.example"},
        {"Origin": HERE, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_no_route_is_changed_from_another_site(client, service, headers):
    browser = browser_of(client, service)
    del browser.headers["Origin"]
    for method, path, route in routes(client, is_unsafe=True):
        if method in route.methods:
            answer = browser.request(method, path, headers=headers, json={})
            assert answer.status_code == 403, (method, path)
            assert "page" in told_in(answer.json()), (method, path)
    assert browser.get(f"{API}/session").status_code == 200, "nothing signed the browser out"


def test_who_must_change_their_password_comes_past_no_route_but_their_own(client, service):
    for role in Role:
        _, password = service.accounts.people.add("test", name=f"new {role}", email=None, kind="person", role=role)
        browser = signed_in(client, f"new {role}", password)
        own = (Permission.PUBLIC, Permission.SIGNED_IN, Permission.SESSION)
        for method, path, route in routes(client):
            if route.permission not in own and path.startswith(API):
                assert browser.request(method, path).status_code == 403, (role, method, path)


def test_a_session_that_somebody_else_made_up_is_never_taken(client, service):
    """Session fixation: the token before signing in is not the one after it, and never becomes worth anything."""
    add_person(service, "ann", "annotator")
    browser = TestClient(client.app, headers={"Origin": HERE}, cookies={"heeler_session": "made-up-by-somebody"})
    answer = browser.post(f"{API}/session", json={"name": "ann", "password": PASSWORD})
    assert answer.status_code == 200
    token = answer.cookies["heeler_session"]
    assert token != "made-up-by-somebody"
    assert len(token) >= 32
    for fixed, status in (("made-up-by-somebody", 401), (token, 200)):
        other = TestClient(client.app, cookies={"heeler_session": fixed})
        assert other.get(f"{API}/session").status_code == status


def test_another_person_in_the_same_browser_ends_the_first_ones_session(client, service):
    add_person(service, "ann", "admin")
    add_person(service, "bea", "annotator")
    browser = signed_in(client, "ann")
    first = browser.cookies["heeler_session"]
    assert browser.post(f"{API}/session", json={"name": "bea", "password": PASSWORD}).status_code == 200
    assert TestClient(client.app, cookies={"heeler_session": first}).get(f"{API}/session").status_code == 401


def test_every_cookie_is_kept_from_scripts_and_other_sites(client, service):
    """Whatever route sets one."""
    browser = browser_of(client, service)
    answers = [
        browser.post(f"{API}/session", json={"name": "boss", "password": PASSWORD}),
        browser.put(f"{API}/session/password", json={"old": PASSWORD, "new": "another password"}),
        browser.delete(f"{API}/session"),
    ]
    cookies = [cookie for answer in answers for cookie in answer.headers.get_list("set-cookie")]
    assert len(cookies) >= 4
    for cookie in cookies:
        assert "httponly" in cookie.lower()
        assert "samesite=strict" in cookie.lower()
        assert "path=/" in cookie.lower()
        assert "domain" not in cookie.lower()
        assert "secure" in cookie.lower() or cookie.startswith("heeler_session=")


def test_every_answer_of_every_route_has_the_headers_that_keep_pages_safe(client, service):
    service.stopping = True
    key = bearer(add_key(service, add_person(service, "ann", "admin"), "people", "read_runs", "settings", "answer"))
    for method, path, _ in [*routes(client), ("GET", "/nothing", None), ("BREW", f"{API}/runs", None)]:
        for headers in ({}, key):
            answer = client.request(method, path, headers=headers)
            for name in SAFE_HEADERS:
                assert name in answer.headers, (method, path, answer.status_code, name)
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert "*" not in policy
            assert "default-src 'none'" in policy


def test_every_route_that_changes_something_has_a_size(client, service):
    browser = browser_of(client, service)
    long = b'{"x":"' + b"x" * service.config.max_body_bytes + b'"}'
    for method, path, _ in routes(client, is_unsafe=True):
        answer = browser.request(method, path, content=long, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413, (method, path, answer.text)


@pytest.fixture
def verbose(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[TestClient]:
    """A program on a service with a real audit log, whose every word is heard."""
    caplog.set_level(logging.DEBUG)
    with TestClient(create_app(ServiceConfig(runs=tmp_path)), base_url=HERE) as client:
        yield client


def test_no_secret_is_written_down(verbose, tmp_path, caplog, capfd):
    """Passwords, keys and sessions: after they were used, right and wrong ones, they stand in no file and no log."""
    service: Service = verbose.app.state.service
    queries = make_run(tmp_path)
    boss = browser_of(verbose, service)
    made = boss.post(f"{API}/people", json={"name": "ann", "email": "ann@example.org", "kind": "person"}).json()
    person, one_time = made["person"]["id"], made["one_time_password"]
    key = boss.post(f"{API}/keys", json={"person_id": person, "label": "x", "scopes": ["answer"]}).json()["text"]
    reset = boss.post(f"{API}/people/{person}/one-time-password").json()["one_time_password"]
    ann = signed_in(verbose, "ann", reset)
    tokens = [boss.cookies["heeler_session"], ann.cookies["heeler_session"]]
    text = service.accounts.consents.current()
    service.accounts.consents.add(person, version=text.version, text_sha256=text.text_sha256)
    new, wrong = "a password that is new", "a password that is wrong"
    assert ann.put(f"{API}/session/password", json={"old": reset, "new": new}).status_code == 200
    assert verbose.post(f"{API}/session", json={"name": "ann", "password": wrong}).status_code == 401
    assert verbose.post(f"{API}/session", json={"name": "ann", "password": [wrong]}).status_code == 422
    assert verbose.get(f"{API}/runs", headers=bearer(key + "x")).status_code == 401
    posted = verbose.post(f"{API}/runs/run/feedback", json=answer_to(queries[0]), headers=bearer(key))
    assert posted.status_code == 200, posted.text
    secrets = [PASSWORD, one_time, reset, key, key.split("_", 2)[2], new, wrong, *tokens, *ann.cookies.values()]
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert tmp_path / AUDIT_NAME in files
    heard = caplog.text + "".join(capfd.readouterr())
    for secret in secrets:
        assert secret not in heard
        assert [path for path, content in files.items() if secret.encode() in content] == []
    assert b"ann@example.org" not in files[tmp_path / AUDIT_NAME]
