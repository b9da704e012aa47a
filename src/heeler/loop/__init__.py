"""The only place that knows the order: act, show, answer, reward, learn; later also check and release.

`run` and `resume` are all that most programs need. They are loaded on first use, since they bring torch with them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heeler.loop.config import RunConfig as RunConfig
    from heeler.loop.exporting import export_run as export_run
    from heeler.loop.online import RunResult as RunResult
    from heeler.loop.online import resume as resume
    from heeler.loop.online import run as run
    from heeler.loop.reading import load_policy as load_policy
    from heeler.loop.report import write_report as write_report

_WHERE = {
    "RunConfig": "config",
    "RunResult": "online",
    "export_run": "exporting",
    "load_policy": "reading",
    "resume": "online",
    "run": "online",
    "write_report": "report",
}

__all__ = ["RunConfig", "RunResult", "export_run", "load_policy", "resume", "run", "write_report"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
