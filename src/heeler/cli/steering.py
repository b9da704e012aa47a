"""`heeler stop` and `heeler steer`. A hard stop loads nothing that it can do without: it is in a hurry."""

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import tyro

from heeler.cli.arguments import OK, Json, Run, print_json, resume_command
from heeler.cli.people import BY
from heeler.core.errors import RunError, StoreError

if TYPE_CHECKING:
    from heeler.core.hard_stop import HardStop

Told = Literal["pause", "resume", "slow", "freeze", "fall_back", "thaw", "roll_back", "safe_stop", "set_budget"]
What = Annotated[tyro.conf.Positional[Told], tyro.conf.arg(metavar="WHAT", help=", ".join(get_args(Told)))]
Value = Annotated[
    tyro.conf.Positional[int | None],
    tyro.conf.arg(metavar="VALUE", help="the step to roll back to, or the number of comparisons"),
]
Because = Annotated[
    str | None,
    tyro.conf.arg(metavar="TEXT", help="why; it stands in the audit log for good, beside who did it, so name nobody"),
]
_NEXT_STEP = ("freeze", "fall_back", "safe_stop", "stop")


def stop(run: Run, *, hard: bool = False, wait_s: float = 10.0, json: Json = False) -> int:
    """Stop a run: at its learner's next step, with a checkpoint; or at once, whatever its learner does.

    What was collected since the last update is given up, so that a run that is gone on with ends as it would have.

    Args:
        run: the run's directory.
        hard: end the learner's process, and those that it started, at once; the run goes on from its newest checkpoint.
        wait_s: how long to wait for the learner to say that it has stopped.
        json: print the result as JSON.
    """
    from heeler.core.rundir import RunDirectory

    directory = RunDirectory.open(run)
    if hard:
        return _stop_hard(run, as_json=json)
    if not directory.is_locked():
        raise RunError(f"{run}: no learner is at work on this run; there is nothing to stop")
    return _tell(run, "stop", None, wait_s=wait_s, as_json=json)


def steer(
    run: Run,
    what: What,
    value: Value = None,
    *,
    because: Because = None,
    wait_s: float = 10.0,
    json: Json = False,
) -> int:
    """Tell a run to pause or resume, learn slowly, freeze, fall back, thaw, roll back, or stop safely.

    A run whose learner is not at work obeys once it is resumed.

    Args:
        run: the run's directory.
        what: pause and resume; slow (shorter steps of learning); freeze (act on, learn nothing); fall_back (what is
            trusted acts); thaw (learn freely again); roll_back (to a checkpoint); safe_stop (bring the world to rest
            first); set_budget.
        value: the step to roll back to, or the number of comparisons.
        because: why; it stands in the audit log for good, beside who did it, so name nobody.
        wait_s: how long to wait for the learner's answer.
        json: print the result as JSON.
    """
    return _tell(run, what, value, because=because, wait_s=wait_s, as_json=json)


def _tell(
    run: Path,
    kind: Literal["stop"] | Told,
    value: int | None,
    *,
    because: str | None = None,
    wait_s: float,
    as_json: bool,
) -> int:
    from heeler.core.rundir import RunDirectory
    from heeler.loop.by_hand import outcome_of, tell

    command = tell(run, kind, value, person=BY, because=because)
    is_at_work = RunDirectory.open(run).is_locked()
    if not as_json:
        soon = "obeyed at the learner's next step" if kind in _NEXT_STEP else "obeyed after the present update"
        print(f"{kind}: asked; it is {soon if is_at_work else 'obeyed once the run is resumed'}", flush=True)
    outcome = outcome_of(run, command, within_s=wait_s) if is_at_work and wait_s > 0 else None
    if as_json:
        print_json({"run": str(run), "id": command.id, "kind": kind, "value": value, "outcome": outcome})
    elif outcome is not None:
        again = f"; go on with it by: {resume_command(run)}" if kind in ("stop", "safe_stop") else ""
        print(f"{outcome}{again}")
    elif is_at_work and wait_s > 0:
        print("the learner has not answered yet; it will, once its present update is made", file=sys.stderr)
    return OK


def _stop_hard(run: Path, *, as_json: bool) -> int:
    from heeler.core.hard_stop import hard_stop
    from heeler.core.rundir import RunDirectory

    def mark(stop: "HardStop") -> None:
        # What opens the store takes a second to load: who stopped it is told before.
        told = {"run": str(run), "id": stop.id, "pid": stop.pid, "took_s": stop.took_s, "outcome": stop.outcome}
        if as_json:
            print_json(told)
        else:
            print(f"{stop.outcome}; go on with it by: {resume_command(run)}", flush=True)
        _mark(run, stop)

    hard_stop(RunDirectory.open(run), str(uuid.uuid4()), BY, mark=mark)
    return OK


def _mark(run: Path, stop: "HardStop") -> None:
    from heeler.loop.by_hand import mark_hard_stop

    try:
        mark_hard_stop(run, stop)
    except StoreError as error:
        print(f"heeler: the process has ended; its store could not be told: {error}", file=sys.stderr)
