"""Values that break services, for every route, parameter and field of the description: no fault, and only answers that
the description names. Everything is made from the routes, so that a new one cannot be forgotten.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from heeler.feedback.kinds import KINDS
from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
from heeler.service.guard import ApiRoute
from heeler.service.permissions import ROLES, SCOPES, Permission, Role
from tests.unit.service.chatting import ScriptedEngine, echo, make_talks, setup_of
from tests.unit.service.helpers import HERE, Lines, add_key, add_person, ask, bearer, make_run

DIGITS = b"9" * 5000
IN_PATHS = ("%00", "..%2f..%2fpeople.db", "%2e%2e", "%ff%fe", "%ed%a0%80", "%F0%9F%98%80", "-1", "a" * 3000, "9" * 5000)
IN_QUERIES = (*IN_PATHS, "", "nan", "1e999", "-9223372036854775809", "%0d%0aSet-Cookie:x=1", "1&limit=2", "null")
IN_BODIES = (
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1",
    b"9223372036854775808",
    DIGITS,
    DIGITS[:400],
    b'""',
    b'"\\u0000"',
    b'"\\ud800"',
    b'"\xff"',
    b'"' + b"a" * 50_000 + b'"',
    b"[]",
    b"{}",
    b"[[[[]]]]",
    b"[null]",
    b'["\\ud800"]',
    b'{"__proto__":{},"":1}',
    b"[" * 50_000,
    b"[" * 300 + b"]" * 300,
)
WHOLE_BODIES = (b"", b"\x00", b"\xff\xfe{\x00", b"{", b'{"a":1,"a":2}', b'{"\\u0000":1}', *IN_BODIES)
TYPES = (
    "",
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-16",
    "é",
)
VALUES: Mapping[str, dict[str, Any]] = {
    "preference": {"choice": "left"},
    "rating": {"score": 1, "low": 0, "high": 2},
    "evaluation": {"marks": [{"step": 0, "sign": 1}]},
    "critique": {"start": 0, "end": 1, "sign": 1, "text": "x"},
    "correction": {"step": 0, "action": [0.0, 0.0]},
    "demonstration": {"segment_id": "x"},
}
"""Fields of every kind's value."""


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[TestClient]:
    """A program with a key for everything, on a service with the run `run`; what it gets is checked."""
    make_run(tmp_path)
    make_talks(tmp_path)
    config = ServiceConfig(runs=tmp_path, requests_per_s=1e6, request_burst=10**6)
    with TestClient(create_app(config, Lines(), setup_of(ScriptedEngine(echo))), base_url=HERE) as client:
        document = client.get("/api/v1/openapi.json").json()
        client.event_hooks = {"response": [lambda response: check(document, client, response)]}
        yield client


def check(document: Mapping[str, Any], client: TestClient, response: httpx2.Response) -> None:
    """No fault; a refusal is a problem; the status is one of those that are described."""
    response.read()
    request = response.request
    told = f"{request.method} {request.url}: {response.status_code} {response.text[:300]}"[:700]
    assert response.status_code < 500, told
    if response.status_code >= 400:
        if request.url.path.startswith("/v1/"):
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}, told
        else:
            assert response.headers["content-type"] == "application/problem+json", told
            assert response.json()["status"] == response.status_code
    assert "default-src 'none'" in response.headers["content-security-policy"], told
    path = request.extensions.get("template")
    if path is not None and response.status_code not in (404, 405):
        assert str(response.status_code) in document["paths"][path][request.method.lower()]["responses"], told


def routes(client: TestClient) -> list[tuple[ApiRoute, str]]:
    """Every route of the API with its method; pages and their files are not described."""
    found = [route for route in client.app.router.routes if route.include_in_schema]  # type: ignore[attr-defined]
    return [(route, method) for route in found for method in sorted(route.methods - {"HEAD"})]


def credentials(client: TestClient, route: ApiRoute) -> dict[str, str]:
    """Of an admin, new each time, as some routes end what they are asked with."""
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    # Streams end at once.
    service.stopping = route.path.endswith("/events")
    name = str(uuid.uuid4())
    # What no key may be made for needs somebody who signed in.
    if route.permission not in (*SCOPES, Permission.SIGNED_IN, Permission.PUBLIC):
        person = add_person(service, name, "admin")
        token = service.accounts.sessions.begin(person, instead_of=None)
        return {"Cookie": f"heeler_session={token}", "Origin": HERE}
    # A program need not have agreed to anything.
    person, _ = service.accounts.people.add("test", name=name, email=None, kind="program", role="admin")
    scopes = [scope.value for scope in SCOPES if scope in ROLES[Role.ADMIN]]
    return bearer(add_key(service, person, *scopes))


def filled(route: ApiRoute, **changes: str) -> str:
    """The path with `run` for the run and `0` for all else, but for what changes."""
    names = {name: "0" for name in route.param_convertors} | {"run": "run"} | changes
    return route.path_format.format(**names)


def send(client: TestClient, route: ApiRoute, method: str, url: str, **options: Any) -> None:
    client.request(method, url, extensions={"template": route.path_format}, **options)


def test_nasty_paths(asked: TestClient) -> None:
    for route, method in routes(asked):
        headers = credentials(asked, route)
        for name in route.param_convertors:
            for value in IN_PATHS:
                send(asked, route, method, filled(route, **{name: value}), headers=headers)


def test_nasty_queries(asked: TestClient) -> None:
    document = asked.get("/api/v1/openapi.json").json()
    num_seen = 0
    for route, method in routes(asked):
        parameters = document["paths"][route.path_format][method.lower()].get("parameters", [])
        headers = credentials(asked, route)
        for name in [parameter["name"] for parameter in parameters if parameter["in"] == "query"]:
            for value in IN_QUERIES:
                send(asked, route, method, f"{filled(route)}?{name}={value}", headers=headers)
                num_seen += 1
    assert num_seen > 100


def test_nasty_bodies(asked: TestClient) -> None:
    for route, method in routes(asked):
        if method not in ("GET", "DELETE"):
            headers = credentials(asked, route) | {"Content-Type": "application/json"}
            for content in WHOLE_BODIES:
                send(asked, route, method, filled(route), content=content, headers=headers)


def test_nasty_types(asked: TestClient) -> None:
    for route, method in routes(asked):
        if method not in ("GET", "DELETE"):
            headers = credentials(asked, route)
            for kind in TYPES:
                typed = {"Content-Type": kind.encode("latin-1")} if kind else {}
                send(asked, route, method, filled(route), content=b"{}", headers=headers | typed)


def test_nasty_fields(asked: TestClient) -> None:
    document = asked.get("/api/v1/openapi.json").json()
    num_seen = 0
    for route, method in routes(asked):
        operation = document["paths"][route.path_format][method.lower()]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None:
            continue
        headers = credentials(asked, route) | {"Content-Type": "application/json"}
        for content in bodies(example(document, body["schema"])):
            send(asked, route, method, filled(route), content=content, headers=headers)
            num_seen += 1
    assert num_seen > 500


@pytest.mark.parametrize("kind", KINDS)
def test_nasty_values(asked: TestClient, tmp_path: Path, kind: str) -> None:
    route = next(route for route, _ in routes(asked) if route.path_format.endswith("{run}/feedback"))
    headers = credentials(asked, route) | {"Content-Type": "application/json"}
    if KINDS[kind].num_segments == 1:
        name = ask(tmp_path, kind).id
    else:
        name = asked.post("/api/v1/runs/run/leases", json={}, headers=headers).json()["items"][0]["query_id"]
    body = {"key": "00000000-0000-4000-8000-000000000000", "query_id": name, "kind": kind, "value": VALUES[kind]}
    for content in bodies(body):
        send(asked, route, "POST", filled(route), content=content, headers=headers)


def test_methods_that_no_route_has(asked: TestClient) -> None:
    for path in {route.path_format for route, _ in routes(asked)}:
        same = [(route, method) for route, method in routes(asked) if route.path_format == path]
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - {m for _, m in same}:
            headers = credentials(asked, same[0][0])
            refused = asked.request(method, filled(same[0][0]), headers=headers)
            assert refused.status_code == 405, (method, path)
            assert {name.strip() for name in refused.headers["allow"].split(",")} == {method for _, method in same}


def example(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Something of the right type."""
    if "$ref" in schema:
        return example(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return example(document, schema[several][0])
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            return {name: example(document, part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [example(document, schema["items"])] if "items" in schema else []
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
        case _:
            return "00000000-0000-4000-8000-000000000000" if schema.get("format") == "uuid" else "0"


MARK = "@here@"


def bodies(whole: Any) -> Iterator[bytes]:
    """The body, with one part of it after the other replaced by every nasty value."""
    for marked in holes(whole):
        text = json.dumps(marked).encode()
        for nasty in IN_BODIES:
            yield text.replace(f'"{MARK}"'.encode(), nasty)


def holes(whole: Any) -> Iterator[Any]:
    """Copies of something, each with MARK in one place."""
    yield MARK
    if isinstance(whole, dict):
        for name, part in whole.items():
            yield from (whole | {name: inner} for inner in holes(part))
    elif isinstance(whole, list):
        for place, part in enumerate(whole):
            yield from ([*whole[:place], inner, *whole[place + 1 :]] for inner in holes(part))
