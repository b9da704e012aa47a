"""The console's own style and scripts, and plotly.js as the installed plotly package has it, held in memory."""

import gzip
import hashlib
import threading
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response

from heeler.service.problems import unknown

PLOTLY = "plotly.js"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_GOOD, _ASK_AGAIN = "public, max-age=31536000, immutable", "no-cache"
# Level 6 takes a quarter of the time of level 9 for plotly.js, which is then 2 % longer.
_LEVEL = 6


@dataclass(frozen=True)
class StaticFile:
    """A file as it is sent."""

    content: bytes
    zipped: bytes
    media_type: str
    etag: str


class StaticFiles:
    """What lies under /static.

    Pages name a file as /static/VERSION/NAME, where the version is a hash of all of them: a browser then never asks
    again, and scripts that import their neighbours get those of the same version. /static/NAME is answered too, to be
    asked for again each time.
    """

    def __init__(self) -> None:
        folder = resources.files("heeler.service") / "static"
        found = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
        self._files = {name: _static_file(name, content) for name, content in found.items()}
        self._plotly: StaticFile | None = None
        self._lock = threading.Lock()
        digest = hashlib.sha256()
        for name, file in sorted(self._files.items()):
            digest.update(f"{name} {file.etag} ".encode())
        digest.update(str(_plotly_path().stat().st_size).encode())
        self.version = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        """Where a page finds a file.

        Raises:
            KeyError: there is no such file.
        """
        if name != PLOTLY and name not in self._files:
            raise KeyError(name)
        return f"/static/{self.version}/{name}"

    def answer(self, path: str, headers: Headers) -> Response:
        """The file at a path below /static.

        Raises:
            Problem: 404.
        """
        version, _, name = path.rpartition("/")
        file = self._file(name) if version in ("", self.version) else None
        if file is None:
            raise unknown("file", path)
        told = {
            "Cache-Control": _FOR_GOOD if version else _ASK_AGAIN,
            "ETag": file.etag,
            "Vary": "Accept-Encoding",
        }
        if file.etag in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=told)
        if "gzip" in headers.get("accept-encoding", ""):
            return Response(file.zipped, headers=told | {"Content-Encoding": "gzip"}, media_type=file.media_type)
        return Response(file.content, headers=told, media_type=file.media_type)

    def _file(self, name: str) -> StaticFile | None:
        return self._plotly_file() if name == PLOTLY else self._files.get(name)

    def _plotly_file(self) -> StaticFile:
        # Compressing it takes a fifth of a second, which only a service that shows charts pays, once.
        with self._lock:
            if self._plotly is None:
                self._plotly = _static_file(PLOTLY, _plotly_path().read_bytes())
            return self._plotly


def _static_file(name: str, content: bytes) -> StaticFile:
    return StaticFile(
        content=content,
        zipped=gzip.compress(content, _LEVEL, mtime=0),
        media_type=_TYPES[Path(name).suffix],
        etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    )


def _plotly_path() -> Path:
    # Found without importing it, which takes a second and is of no use here.
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"
