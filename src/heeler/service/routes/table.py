"""How a file of routes lists them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from heeler.service.bodies import ProblemBody
from heeler.service.guard import ApiRoute
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
    """After the prefix, which a page has none of."""
    permission: Permission
    endpoint: Callable[..., Any]
    answer: Any = None
    """Model of the answer; None where there is none."""
    status: int = 200
    plain_body: type[BaseModel] | None = None
    """The endpoint takes the request as it is, and reads this from its body."""
    media_type: str | None = None
    """Of an answer that is not JSON."""
    is_page: bool = False
    """For the address bar of a browser, and no part of the API."""


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
    problem = {"model": ProblemBody, "content": {MEDIA_TYPE: {}}, "description": "what is wrong, and how to mend it"}
    responses: dict[int | str, dict[str, Any]] = {"4XX": problem, "5XX": problem}
    options: dict[str, Any] = {"response_model": entry.answer, "responses": responses, "tags": [tag]}
    if entry.plain_body is not None:
        # FastAPI does not read this body, so that it has to be told what stands in it.
        content = {"application/json": {"schema": {"$ref": _REF.format(model=entry.plain_body.__name__)}}}
        options["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
        responses[entry.status] = {"model": entry.answer, "description": "kept"}
        options["response_model"] = None
    if entry.media_type is not None:
        responses[entry.status] = {"content": {entry.media_type: {}}, "description": "as it is"}
        options["response_model"] = None
    return ApiRoute(
        PREFIX + entry.path,
        entry.endpoint,
        permission=entry.permission,
        is_plain=entry.plain_body is not None,
        methods=[entry.method],
        status_code=entry.status,
        name=name,
        operation_id=f"{tag}_{entry.endpoint.__name__}",
        **options,
    )


def schemas_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """Schemas of the bodies that FastAPI does not read, by name."""
    found: dict[str, Any] = {}
    for model in {entry.plain_body for entry in entries if entry.plain_body is not None}:
        schema = model.model_json_schema(ref_template=_REF)
        found |= schema.pop("$defs", {}) | {model.__name__: schema}
    return found
