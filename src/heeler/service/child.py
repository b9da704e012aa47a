"""The service as a second process of a run: started by the learner, and not left behind by it for ever.

It prints one JSON object on standard output once it serves: `url`, and `password` on the first start. When the learner
is killed it goes on for a while, so that people's answers find a place while the run is started again, and then stops.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from heeler.core.errors import HeelerError

BAD_START = 2
"""Exit code where it cannot serve; the error stream says why."""
_LOOK_EVERY_S = 0.5


def main(arguments: Sequence[str]) -> int:
    """Serve until told to stop, or until `orphan_s` after the parent's death.

    Args:
        arguments: the program's name, and one JSON object with `runs`, `port`, `num_ports`, `orphan_s` and the process
            id `parent`.

    Returns:
        The exit code.
    """
    settings = json.loads(arguments[1])
    watch = threading.Thread(
        target=_stop_when_orphaned, args=(settings["parent"], settings["orphan_s"]), name="orphan-watch", daemon=True
    )
    watch.start()
    try:
        from heeler.service.config import ServiceConfig
        from heeler.service.server import serve

        config = ServiceConfig(runs=Path(settings["runs"]), port=settings["port"], num_ports=settings["num_ports"])
        serve(config, on_start=_tell)
    except HeelerError as error:
        print(error, file=sys.stderr, flush=True)
        return BAD_START
    except KeyboardInterrupt:
        return 0
    return 0


def _tell(url: str, password: str | None) -> None:
    print(json.dumps({"url": url, "password": password}), flush=True)


def _stop_when_orphaned(parent: int, orphan_s: float) -> None:
    # A process whose parent has died gets another one. A pipe's end would tell too, but workers that the parent
    # forked may hold the other end open.
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    time.sleep(orphan_s)
    os.kill(os.getpid(), signal.SIGTERM)
