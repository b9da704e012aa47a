"""One request to an OpenAI-compatible chat endpoint. Keys and what the server says go into no message."""

import json
import time
from typing import Any

from heeler.core.errors import ConfigError

_MAX_REPLY_BYTES = 1_000_000
_MAX_WAIT_S = 60.0


class EndpointFailed(Exception):
    """A request brought no reply.

    Args:
        reason: in words, without secrets.
        again: whether the same request may do better later.
    """

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


class Wait(EndpointFailed):
    """The server asked to be asked later.

    Args:
        reason: in words.
        wait_s: for how long.
    """

    def __init__(self, reason: str, wait_s: float) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class ChatEndpoint:
    """An endpoint. Its method may be called from any thread.

    Args:
        url: of the API; `/chat/completions` is added.
        key: sent as a bearer token; None for none.
        timeout_s: how long a request may take in all.
        transport: of httpx2, for tests.

    Raises:
        ConfigError: httpx2 is not installed.
    """

    def __init__(self, url: str, *, key: str | None, timeout_s: float, transport: Any = None) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise ConfigError("a judge needs httpx2: pip install 'heeler[lm]'") from error
        self._httpx2, self._timeout_s = httpx2, timeout_s
        self._url = f"{url.rstrip('/')}/chat/completions"
        headers = {"Content-Type": "application/json", **({} if key is None else {"Authorization": f"Bearer {key}"})}
        # A redirect would carry the key elsewhere.
        self._http = httpx2.Client(timeout=timeout_s, headers=headers, follow_redirects=False, transport=transport)

    def reply(self, body: dict[str, object]) -> str:
        """The text of the first choice.

        Raises:
            EndpointFailed: there is none, for whatever reason.
        """
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._http.stream("POST", self._url, content=json.dumps(body)) as response:
                if response.status_code != 200:
                    raise _refused(response.status_code, response.headers.get("retry-after"))
                raw = b""
                for piece in response.iter_bytes():
                    raw += piece
                    if len(raw) > _MAX_REPLY_BYTES:
                        raise EndpointFailed("its reply is too long", again=False)
                    # Each read has its own timeout, so that drops could go on for ever.
                    if time.monotonic() > deadline:
                        raise EndpointFailed(f"it took longer than {self._timeout_s:g} s")
        except self._httpx2.TimeoutException:
            raise EndpointFailed(f"it took longer than {self._timeout_s:g} s") from None
        except self._httpx2.HTTPError as error:
            raise EndpointFailed(f"the connection failed ({type(error).__name__})") from None
        return _text_of(raw)


def _refused(status: int, retry_after: str | None) -> EndpointFailed:
    reason = f"it answered with status {status}"
    if status in (429, 503) and retry_after is not None and retry_after.strip().isdecimal():
        return Wait(reason, min(float(retry_after), _MAX_WAIT_S))
    return EndpointFailed(reason, again=status in (408, 409, 425, 429) or status >= 500)


def _text_of(raw: bytes) -> str:
    try:
        text = json.loads(raw)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise EndpointFailed("its reply holds no choices[0].message.content")
    return text
