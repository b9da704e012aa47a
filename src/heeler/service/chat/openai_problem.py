"""What goes wrong, in the form that clients of OpenAI's API read: {"error": {message, type, param, code}}."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Scope

from heeler.core.errors import ChatStopped, ContextTooLong, HeelerError, UnknownModel
from heeler.service.problems import Problem, problem_of

OPENAI_PREFIX = "/v1"
_KINDS: Mapping[int, tuple[str, str | None]] = {
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("not_found_error", None),
    409: ("conflict_error", None),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}
_CODES: tuple[tuple[type[HeelerError], int, str], ...] = (
    (ContextTooLong, 400, "context_length_exceeded"),
    (UnknownModel, 404, "model_not_found"),
    (ChatStopped, 503, "model_stopped"),
)


class ChatProblem(Problem):
    """A problem with a code by which programs tell it from others.

    Args:
        status: of HTTP.
        detail: what came, what was expected, how to mend it.
        code: in a word.
        field: of the request, where one is to blame.
    """

    def __init__(self, status: int, detail: str, *, code: str, field: str | None = None) -> None:
        super().__init__(status, detail, field=field)
        self.code = code


def chat_problem_of(error: Exception) -> Problem:
    """What an error on the way to an answer means to who asked."""
    for kind, status, code in _CODES:
        if isinstance(error, kind):
            return ChatProblem(status, str(error), code=code, field="model" if status == 404 else None)
    return problem_of(error)


def is_openai(scope: Scope) -> bool:
    """Whether a request speaks OpenAI's form."""
    return scope["path"].startswith(f"{OPENAI_PREFIX}/")


def response_of(problem: Problem) -> Response:
    """The answer that tells of a problem."""
    return Response(error_json(problem), _status(problem), problem.all_headers(), "application/json")


def error_json(problem: Problem) -> bytes:
    """The JSON object, also in the place of a part of a stream."""
    status = _status(problem)
    kind, code = _KINDS.get(status, ("invalid_request_error" if status < 500 else "server_error", None))
    error: dict[str, Any] = {"message": problem.detail, "type": kind, "param": problem.field}
    return json.dumps({"error": error | {"code": getattr(problem, "code", code)}}).encode()


def _status(problem: Problem) -> int:
    # OpenAI's API knows no 422.
    return 400 if problem.status == 422 else problem.status
