"""Who may do what: every route with every role and every scope of a key, so that no new route can be forgotten."""

import itertools
from collections import defaultdict

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from heeler.core.errors import ConfigError
from heeler.service.context import Service
from heeler.service.guard import ApiRoute, check_guarded
from heeler.service.permissions import ROLES, SCOPES, Permission, Role, of_key, of_session
from tests.unit.service.helpers import add_key, add_person, bearer, make_run, signed_in

PUBLIC, OWN, SESSION, ANSWER = Permission.PUBLIC, Permission.SIGNED_IN, Permission.SESSION, Permission.ANSWER
AUDIT, PROMOTE, CARE = Permission.READ_AUDIT, Permission.PROMOTE, Permission.CARE
CHAT = Permission.CHAT
READ, STEER, PEOPLE = Permission.READ_RUNS, Permission.STEER, Permission.PEOPLE
TABLE = {
    ("GET", "/health"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("POST", "/session"): PUBLIC,
    ("GET", "/session"): OWN,
    ("DELETE", "/session"): SESSION,
    ("PUT", "/session/password"): SESSION,
    ("GET", "/session/consent"): OWN,
    ("POST", "/session/consent"): SESSION,
    ("GET", "/session/care"): OWN,
    ("GET", "/session/preferences"): OWN,
    ("PATCH", "/session/preferences"): SESSION,
    ("GET", "/session/work"): OWN,
    ("POST", "/session/forget"): SESSION,
    ("GET", "/consent"): CARE,
    ("PUT", "/consent"): CARE,
    ("GET", "/care"): CARE,
    ("PATCH", "/care"): CARE,
    ("GET", "/people/{person_id}/care"): CARE,
    ("PATCH", "/people/{person_id}/care"): CARE,
    ("GET", "/people/{person_id}/work"): CARE,
    ("POST", "/people/{person_id}/payments"): CARE,
    ("POST", "/people/{person_id}/payments/{payment_id}/reversal"): CARE,
    ("GET", "/work"): CARE,
    ("GET", "/work.csv"): CARE,
    ("POST", "/people/{person_id}/forget"): PEOPLE,
    ("POST", "/runs/{run}/leases/{query_id}/flag"): ANSWER,
    ("GET", "/runs/{run}/flags"): Permission.READ_FEEDBACK,
    ("DELETE", "/runs/{run}/flags/{query_id}/{category}"): Permission.SETTINGS,
    ("GET", "/runs/{run}/queries"): Permission.READ_FEEDBACK,
    ("GET", "/runs/{run}/queries/{query_id}"): Permission.READ_FEEDBACK,
    ("GET", "/runs/{run}/queries/{query_id}/segments/{place}"): Permission.READ_FEEDBACK,
    ("GET", "/runs/{run}/queries/{query_id}/segments/{place}/film"): Permission.READ_FEEDBACK,
    ("POST", "/runs/{run}/set-aside"): Permission.SETTINGS,
    ("GET", "/runs/{run}/set-aside"): Permission.READ_FEEDBACK,
    ("DELETE", "/runs/{run}/set-aside/{query_id}"): Permission.SETTINGS,
    ("POST", "/runs/{run}/gold"): Permission.SETTINGS,
    ("GET", "/runs/{run}/gold"): Permission.SETTINGS,
    ("GET", "/runs/{run}/gold-results"): Permission.SETTINGS,
    ("GET", "/runs/{run}/trust"): Permission.READ_FEEDBACK,
    ("DELETE", "/runs/{run}/gold/{query_id}"): Permission.SETTINGS,
    ("GET", "/tasks"): ANSWER,
    ("POST", "/runs/{run}/leases"): ANSWER,
    ("DELETE", "/runs/{run}/leases/{query_id}"): ANSWER,
    ("GET", "/runs/{run}/leases/{query_id}/segments/{place}"): ANSWER,
    ("GET", "/runs/{run}/leases/{query_id}/segments/{place}/film"): ANSWER,
    ("GET", "/runs/{run}/watch"): ANSWER,
    ("GET", "/runs/{run}/watch/{query_id}/film"): ANSWER,
    ("POST", "/runs/{run}/watch/marks"): ANSWER,
    ("POST", "/runs/{run}/leases/{query_id}/drive"): ANSWER,
    ("POST", "/runs/{run}/leases/{query_id}/drive/steps"): ANSWER,
    ("POST", "/runs/{run}/leases/{query_id}/drive/finish"): ANSWER,
    ("POST", "/runs/{run}/feedback"): ANSWER,
    ("POST", "/runs/{run}/feedback/batch"): ANSWER,
    ("GET", "/runs/{run}/feedback"): Permission.READ_FEEDBACK,
    ("POST", "/v1/chat/completions"): CHAT,
    ("GET", "/v1/models"): CHAT,
    ("GET", "/v1/models/{model}"): CHAT,
    ("GET", "/chat"): CHAT,
    ("POST", "/chat/feedback"): CHAT,
    ("GET", "/chat/conversations"): CHAT,
    ("GET", "/chat/conversations/{conversation}"): CHAT,
    ("POST", "/chat/stop"): STEER,
    ("POST", "/chat/resume"): STEER,
    ("GET", "/runs"): READ,
    ("GET", "/runs/{run}"): READ,
    ("GET", "/runs/{run}/metrics"): READ,
    ("GET", "/runs/{run}/events"): READ,
    ("GET", "/runs/{run}/checkpoints"): READ,
    ("GET", "/runs/{run}/settings"): READ,
    ("GET", "/runs/{run}/commands"): READ,
    ("POST", "/runs/{run}/commands"): STEER,
    ("GET", "/runs/{run}/series"): READ,
    ("GET", "/runs/{run}/alarms"): READ,
    ("GET", "/runs/{run}/clip"): READ,
    ("GET", "/runs/{run}/clip/{step}"): READ,
    ("GET", "/runs/{run}/releases"): READ,
    ("POST", "/runs/{run}/releases"): PROMOTE,
    ("POST", "/runs/{run}/releases/{release_id}/approve"): PROMOTE,
    ("POST", "/runs/{run}/releases/{release_id}/withdraw"): STEER,
    ("GET", "/audit"): AUDIT,
    ("GET", "/runs/{run}/audit"): AUDIT,
    ("GET", "/operators"): AUDIT,
    ("PATCH", "/runs/{run}/settings"): Permission.SETTINGS,
    ("GET", "/people"): PEOPLE,
    ("POST", "/people"): PEOPLE,
    ("GET", "/people/{person_id}"): PEOPLE,
    ("PATCH", "/people/{person_id}"): PEOPLE,
    ("POST", "/people/{person_id}/one-time-password"): PEOPLE,
    ("GET", "/keys"): PEOPLE,
    ("POST", "/keys"): PEOPLE,
    ("DELETE", "/keys/{key_id}"): PEOPLE,
}
"""Written by hand: what a new route needs is to be decided here too."""

PAGES = {
    "/static/{path:path}": PUBLIC,
    "/sign-in": PUBLIC,
    "/": SESSION,
    "/password": SESSION,
    "/answer": ANSWER,
    "/chat": CHAT,
    "/operate": READ,
    "/watch": Permission.ANSWER,
    "/reports": Permission.READ_FEEDBACK,
    "/admin": PEOPLE,
    "/person": CARE,
    "/me": SESSION,
    "/consent": SESSION,
}
"""The same for the pages of the console, which are all got."""

GRANTED = {
    Role.ANNOTATOR: {OWN, SESSION, ANSWER, CHAT},
    Role.OPERATOR: {OWN, SESSION, ANSWER, CHAT, READ, Permission.READ_FEEDBACK, STEER, AUDIT, PROMOTE},
    Role.ADMIN: {OWN, SESSION, ANSWER, CHAT, READ, Permission.READ_FEEDBACK, STEER, AUDIT, PROMOTE}
    | {Permission.SETTINGS, PEOPLE, CARE},
}


def test_every_route_stands_in_the_table_with_its_permission(client: TestClient) -> None:
    found = {}
    for route in client.app.router.routes:  # type: ignore[attr-defined]
        assert isinstance(route, ApiRoute)
        (method,) = route.methods - {"HEAD"}
        found[method, route.path] = route.permission
    table = {(method, address(path)): permission for (method, path), permission in TABLE.items()}
    assert found == table | {("GET", path): permission for path, permission in PAGES.items()}


def test_what_roles_may() -> None:
    assert {role: set(allowed) for role, allowed in ROLES.items()} == GRANTED


def address(path: str) -> str:
    """Where a route of the table is: what is in OpenAI's form stands beside the rest of the API."""
    return path if path.startswith("/v1/") else f"/api/v1{path}"


def may(client: TestClient, method: str, path: str, headers: dict[str, str]) -> bool:
    """Whether a request comes past the guard; what it asks for is never there, so that nothing is changed."""
    # What a route asks for is never there, whatever it is called; places and steps are numbers.
    url = address(path).format_map(defaultdict(lambda: "none", run="nowhere", place=0, step=1))
    status = client.request(method, url, headers=headers, json={} if method in ("POST", "PUT", "PATCH") else None)
    assert status.status_code < 500, status.text
    # Who tries too many wrong keys is told 429, which lets nobody in either.
    return status.status_code not in (401, 403, 429)


@pytest.mark.parametrize("role", Role)
def test_every_route_with_every_role(client: TestClient, service: Service, role: Role) -> None:
    add_person(service, "ann", role.value)
    browser = signed_in(client, "ann")
    # Signing out comes last: who has signed out may nothing.
    for (method, path), permission in sorted(TABLE.items(), key=lambda item: item[0] == ("DELETE", "/session")):
        allowed = permission in GRANTED[role] | {PUBLIC}
        assert may(browser, method, path, {}) == allowed, (role, method, path)


@pytest.mark.parametrize("role", [None, *Role])
def test_every_page_with_every_role(client: TestClient, service: Service, role: Role | None) -> None:
    browser = client
    if role is not None:
        add_person(service, "ann", role.value)
        browser = signed_in(client, "ann")
    for path, permission in PAGES.items():
        status = browser.get(path.replace("{path:path}", "style.css"), follow_redirects=False)
        is_let = permission in (GRANTED[role] if role is not None else set()) | {PUBLIC}
        is_led_away = status.headers.get("location", "").startswith("/sign-in")
        assert (status.status_code != 403 and not is_led_away) == is_let, (role, path)


@pytest.mark.parametrize("scope", SCOPES)
def test_every_route_with_every_scope(client: TestClient, service: Service, scope: Permission) -> None:
    key = add_key(service, add_person(service, "ann", "admin"), scope.value)
    for (method, path), permission in TABLE.items():
        allowed = permission in (PUBLIC, OWN, scope)
        assert may(client, method, path, bearer(key)) == allowed, (scope, method, path)


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer hlr_00000000_nothing"}, {"Cookie": "heeler_session=x"}]
)
def test_every_route_without_a_name(client: TestClient, service: Service, headers: dict[str, str]) -> None:
    for (method, path), permission in TABLE.items():
        # There are more routes than wrong names in a row that are listened to.
        service.guard._wrong.forgive("testclient")
        assert may(client, method, path, headers) == (permission is PUBLIC), (method, path)


def test_a_key_can_never_do_more_than_its_person(client: TestClient, service: Service) -> None:
    person = add_person(service, "ann", "admin")
    key = add_key(service, person, "read_runs", "people")
    assert client.get("/api/v1/people", headers=bearer(key)).status_code == 200
    service.accounts.people.change("test", person.id, {"role": "operator"})
    assert client.get("/api/v1/people", headers=bearer(key)).status_code == 403
    assert client.get("/api/v1/runs", headers=bearer(key)).status_code == 200


def test_permissions_are_what_is_granted_and_asked_for() -> None:
    for role, scope in itertools.product(Role, SCOPES):
        assert of_key(role, frozenset({scope})) == {OWN} | ({scope} & GRANTED[role])
        assert of_session(role, must_change_password=True) == {OWN, SESSION}
    assert SESSION not in of_key(Role.ADMIN, frozenset({SESSION, PUBLIC}))


def test_an_app_with_a_route_that_declares_nothing_refuses_to_start(client: TestClient) -> None:
    app = client.app
    app.router.routes.append(APIRoute("/backdoor", lambda: {}))  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="route /backdoor: no permission is declared"):
        check_guarded(app)  # type: ignore[arg-type]


def test_a_one_time_password_is_good_for_nothing_but_another(client: TestClient, service: Service, tmp_path) -> None:
    make_run(tmp_path)
    person, password = service.accounts.people.add("test", name="ann", email=None, kind="person", role="admin")
    assert password is not None
    browser = signed_in(client, "ann", password)
    refused = browser.get("/api/v1/runs")
    assert refused.status_code == 403
    assert "change the one-time password first" in refused.json()["detail"]
    body = {"old": password, "new": "another password, longer"}
    assert browser.put("/api/v1/session/password", json=body).status_code == 200
    assert browser.get("/api/v1/runs").status_code == 200
    assert service.accounts.people.get(person.id).must_change_password is False
