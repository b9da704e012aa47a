"""The only place that knows the order: act, show, answer, reward, learn, check, release.

`run` and `resume` are all that most programs need; `evaluate_run`, `watch_run`, `write_report`, `export_run`,
`back_up_run` and `deploy` are the commands of those names, and a `Deployment` acts by what was released. They are
loaded on first use, since they bring torch with them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heeler.loop.backing_up import back_up_run as back_up_run
    from heeler.loop.clips import FilmedRun as FilmedRun
    from heeler.loop.clips import watch_run as watch_run
    from heeler.loop.config import RunConfig as RunConfig
    from heeler.loop.deploying import deploy as deploy
    from heeler.loop.deployment import Deployment as Deployment
    from heeler.loop.evaluations import PolicyEvaluation as PolicyEvaluation
    from heeler.loop.evaluations import evaluate_run as evaluate_run
    from heeler.loop.exporting import export_run as export_run
    from heeler.loop.reading import load_policy as load_policy
    from heeler.loop.report import write_report as write_report
    from heeler.loop.running import RunResult as RunResult
    from heeler.loop.running import resume as resume
    from heeler.loop.running import run as run

_WHERE = {
    "Deployment": "deployment",
    "FilmedRun": "clips",
    "PolicyEvaluation": "evaluations",
    "RunConfig": "config",
    "RunResult": "running",
    "back_up_run": "backing_up",
    "deploy": "deploying",
    "evaluate_run": "evaluations",
    "export_run": "exporting",
    "load_policy": "reading",
    "resume": "running",
    "run": "running",
    "watch_run": "clips",
    "write_report": "report",
}

__all__ = [
    "Deployment",
    "FilmedRun",
    "PolicyEvaluation",
    "RunConfig",
    "RunResult",
    "back_up_run",
    "deploy",
    "evaluate_run",
    "export_run",
    "load_policy",
    "resume",
    "run",
    "watch_run",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
