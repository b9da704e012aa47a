"""What goes wrong, for whoever asks: a page in plain words for a browser's address bar, a problem for programs."""

from collections.abc import Mapping
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from heeler.service.chat.openai_problem import is_openai, response_of
from heeler.service.guard import SAFE_METHODS
from heeler.service.problems import Problem
from heeler.service.rendering import rendered

_API = "/api/"


class _Words(NamedTuple):
    title: str
    text: str


_WORDS: Mapping[int, _Words] = {
    403: _Words(
        "This page is not for you",
        "It is for people with another role. If you need it, ask an admin to change your role.",
    ),
    404: _Words("There is no such page", "The address may be mistyped, or what was here is gone."),
    429: _Words("Too much at once", "This browser has asked for more than it may. Wait a moment, then try again."),
    503: _Words("The service cannot answer now", "Nothing that you sent is lost. Wait a moment, then try again."),
}
_OTHER = _Words("Something went wrong", "The service failed to show this page; its log says why.")


def answered(scope: Scope, problem: Problem) -> Response:
    """The answer that tells of a problem."""
    if is_openai(scope):
        return response_of(problem)
    if not _is_for_a_person(scope):
        return problem.response()
    words = _WORDS.get(problem.status, _OTHER)
    text = rendered(
        scope["app"].state.service.static,
        "trouble.html",
        title=words.title,
        text=words.text,
        status=problem.status,
        menu=(),
        here="",
    )
    return HTMLResponse(text, problem.status, problem.all_headers())


def _is_for_a_person(scope: Scope) -> bool:
    """Whether a browser asks for a page to show. Scripts and programs do not ask for HTML."""
    if scope["method"] not in SAFE_METHODS or scope["path"].startswith(_API):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")
