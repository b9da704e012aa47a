"""How a file of routes lists them, and what the OpenAPI document says of each."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_type_hints

from fastapi import Request, Response
from pydantic import BaseModel

from heeler.service.bodies import ProblemBody
from heeler.service.guard import SAFE_METHODS, ApiRoute
from heeler.service.page_route import PageRoute
from heeler.service.permissions import Permission
from heeler.service.problems import MEDIA_TYPE

PREFIX = "/api/v1"
_REF = "#/components/schemas/{model}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One route."""

    method: str
    path: str
    """After the prefix."""
    permission: Permission
    endpoint: Callable[..., Any]
    answer: Any = None
    """Model of the answer; None where there is none."""
    status: int = 200
    plain_body: type[BaseModel] | None = None
    """The endpoint takes the request as it is, and reads this from its body."""
    media_type: str | None = None
    """Of an answer that is not JSON."""
    also: tuple[int, ...] = ()
    """Statuses of refusals that do not follow from the route's form; see `refusals_of`."""
    is_page: bool = False
    """For the address bar of a browser, and no part of the API."""
    prefix: str = PREFIX
    """Which a page has none of."""


def route_of(entry: Entry, tag: str) -> ApiRoute:
    """The route of an entry."""
    name = f"{tag}.{entry.endpoint.__name__}"
    if entry.is_page:
        return PageRoute(
            entry.path,
            entry.endpoint,
            permission=entry.permission,
            methods=[entry.method],
            name=name,
            response_model=None,
            include_in_schema=False,
        )
    responses: dict[int | str, dict[str, Any]] = {status: _problem(status) for status in refusals_of(entry)}
    options: dict[str, Any] = {"response_model": entry.answer, "tags": [tag]}
    if entry.plain_body is not None:
        # FastAPI reads neither body nor path here, so that it has to be told what stands in them.
        content = {"application/json": {"schema": {"$ref": _REF.format(model=entry.plain_body.__name__)}}}
        options["openapi_extra"] = {
            "requestBody": {"required": True, "content": content},
            "parameters": [_path_parameter(name) for name in _names_in(entry.path)],
        }
        responses[entry.status] = {"model": entry.answer, "description": "kept"}
        options["response_model"] = None
    if entry.media_type is not None:
        responses[entry.status] = {"content": {entry.media_type: {}}, "description": "as it is"}
        options["response_model"] = None
    return ApiRoute(
        entry.prefix + entry.path,
        entry.endpoint,
        permission=entry.permission,
        is_plain=entry.plain_body is not None,
        takes_json=_takes_json(entry),
        methods=[entry.method],
        status_code=entry.status,
        name=name,
        operation_id=f"{tag}_{entry.endpoint.__name__}",
        responses=responses,
        **options,
    )


def refusals_of(entry: Entry) -> list[int]:
    """Statuses with which a route may refuse: those that follow from its form, and those that it names."""
    found = {429, 500, 503, *entry.also}
    if entry.permission is not Permission.PUBLIC:
        found |= {401, 403}
    if entry.method not in SAFE_METHODS:
        found |= {400, 403, 408, 413}
    if _takes_json(entry):
        found |= {415, 422}
    names = _names_in(entry.path)
    if names:
        found |= {404}
    if "run" in names:
        # A run that has not begun has no store yet.
        found |= {409}
    if any(True for _ in _queries(entry)) or any(_parameters(entry).get(name, str) is not str for name in names):
        found |= {422}
    return sorted(found)


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=ProblemBody.__name__)}
    return {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _names_in(path: str) -> list[str]:
    return re.findall(r"{(\w+)", path)


def _takes_json(entry: Entry) -> bool:
    return entry.plain_body is not None or any(_is_body(kind) for kind in _parameters(entry).values())


def _queries(entry: Entry) -> Iterator[str]:
    """Names of what stands in the query, whose form can be wrong."""
    if entry.plain_body is not None:
        return
    for name, kind in _parameters(entry).items():
        if name not in _names_in(entry.path) and kind not in (Request, Response) and not _is_body(kind):
            yield name


def _parameters(entry: Entry) -> dict[str, Any]:
    hints = get_type_hints(entry.endpoint)
    return {name: hints[name] for name in inspect.signature(entry.endpoint).parameters}


def _is_body(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def schemas_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """Schemas of what FastAPI does not know by itself, by name: bodies that it does not read, and problems."""
    found: dict[str, Any] = {ProblemBody.__name__: ProblemBody.model_json_schema(ref_template=_REF)}
    for model in {entry.plain_body for entry in entries if entry.plain_body is not None}:
        schema = model.model_json_schema(ref_template=_REF)
        found |= schema.pop("$defs", {}) | {model.__name__: schema}
    return found
