"""What all benchmarks share: whole-process measurements, medians, targets, and the one JSON object that each prints.

Only the standard library is imported here. A child's peak memory, as the kernel counts it, begins at what its parent
held when it was started, so the process that starts the jobs must stay smaller than any of them.
"""

import json
import os
import platform
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
Figures = dict[str, float]
_NOT_PASSED_ON = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
"""What pip installs for a peer is compiled; so is what is measured here, after its first start."""
_running: set[int] = set()
"""Processes of jobs that have not ended, each the leader of its group."""
RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda figure, bound: figure > bound,
    ">=": lambda figure, bound: figure >= bound,
    "<": lambda figure, bound: figure < bound,
    "<=": lambda figure, bound: figure <= bound,
}


class BenchmarkError(Exception):
    """A benchmark could not be measured: a job failed, ran too long, or printed no result."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark: what it is called, what it must reach, and how it is measured."""

    name: str
    about: str
    """One line for `--help`."""
    targets: Mapping[str, str]
    """Figure to what it must be: a relation and a number or another figure, as in `{"return": ">= peer_return"}`."""
    measure: Callable[[Sequence[int], bool], Figures]
    """Takes the seeds and whether this is a smoke test of at most a minute; returns the medians."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a benchmark prints."""

    name: str
    figures: Figures
    targets: Mapping[str, str]
    holds: bool
    seeds: Sequence[int]
    quick: bool
    """A smoke test: its figures say nothing and are never quoted."""
    wall_s: float
    hardware: str
    commit: str
    date: str

    def to_json(self, *, indent: int | None = None) -> str:
        """The JSON object; figures are rounded to six significant digits."""
        rounded = {name: float(f"{figure:.6g}") for name, figure in self.figures.items()}
        return json.dumps(asdict(self) | {"figures": rounded, "wall_s": round(self.wall_s, 1)}, indent=indent)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One finished process: the object that it printed last, and what it took."""

    printed: Mapping[str, Any]
    wall_s: float
    """From start to end of the whole process, imports included."""
    peak_mb: float
    """Peak resident memory (MiB) of the largest process of the tree, as the kernel reports it at the end."""


def run(benchmark: Benchmark, seeds: Sequence[int], *, quick: bool) -> Result:
    """Measure `benchmark` and judge its figures."""
    start = time.perf_counter()
    figures = benchmark.measure(seeds, quick)
    return Result(
        name=benchmark.name,
        figures=figures,
        targets=benchmark.targets,
        holds=holds(benchmark.targets, figures),
        seeds=list(seeds),
        quick=quick,
        wall_s=time.perf_counter() - start,
        hardware=hardware(),
        commit=commit(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def holds(targets: Mapping[str, str], figures: Figures) -> bool:
    """Whether every target is met; a figure that is not a number meets none.

    Raises:
        BenchmarkError: a target names a figure that was not measured, or has no known relation.
    """
    return all(_meets(figures, name, condition) for name, condition in targets.items())


def _meets(figures: Figures, name: str, condition: str) -> bool:
    relation, _, bound = condition.partition(" ")
    if relation not in RELATIONS:
        raise BenchmarkError(f"target {name!r} must begin with one of {', '.join(RELATIONS)}, got {condition!r}")
    try:
        return RELATIONS[relation](figures[name], figures[bound] if bound in figures else float(bound))
    except (KeyError, ValueError) as error:
        raise BenchmarkError(f"target '{name} {condition}' names a figure that was not measured") from error


def medians(rows: Iterable[Figures]) -> Figures:
    """The median of each figure over `rows`, one row a seed.

    Raises:
        BenchmarkError: the rows do not have the same figures.
    """
    rows = list(rows)
    if any(row.keys() != rows[0].keys() for row in rows):
        raise BenchmarkError(f"every seed must give the same figures, got {[sorted(row) for row in rows]}")
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def run_job(command: Sequence[str], *, timeout_s: float = 7200, threads: int | None = None, live: bool = False) -> Job:
    """Run `command` from the repository's root to its end.

    Args:
        command: program and arguments.
        timeout_s: after so long the whole process group is killed.
        threads: OpenMP threads that it may use; None leaves it what the libraries choose.
        live: let its standard error through as it comes, instead of showing its end only where the job fails.

    Returns:
        What its last line of standard output, one JSON object, says; wall seconds and peak memory.

    Raises:
        BenchmarkError: it failed, ran too long, or its last line is no JSON object.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=None if live else err,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        exit_code, peak_mb = _wait(process, timeout_s)
        wall_s = time.perf_counter() - start
        if exit_code != 0:
            reason = f"ran longer than {timeout_s:g} s" if wall_s >= timeout_s else f"exit code {exit_code}"
            raise BenchmarkError(f"{' '.join(command)}: {reason}\n{_tail(err)}")
        return Job(printed=_last_object(_tail(out), command), wall_s=wall_s, peak_mb=peak_mb)


def stop_jobs() -> None:
    """Kill every job that runs in any thread of this process."""
    for pid in tuple(_running):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _wait(process: "subprocess.Popen[str] | subprocess.Popen[bytes]", timeout_s: float) -> tuple[int, float]:
    """Exit code (negative: the signal that ended it) and peak memory in MiB; kills the group when time is up."""
    timer = threading.Timer(timeout_s, os.killpg, (process.pid, signal.SIGKILL))
    timer.daemon = True
    timer.start()
    _running.add(process.pid)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        # An interrupt from the keyboard does not reach the job: it has its own session.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        timer.cancel()
        _running.discard(process.pid)
    # Popen has not seen the end of its process; without this it would wait for it again.
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss / 1024


def _tail(stream: IO[str], num_characters: int = 20_000) -> str:
    """The last characters of a file just written."""
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - num_characters))
    return stream.read()


def _last_object(text: str, command: Sequence[str]) -> Mapping[str, Any]:
    lines = text.strip().splitlines()
    try:
        printed = json.loads(lines[-1])
    except (IndexError, ValueError):
        printed = None
    if not isinstance(printed, dict):
        last = repr(lines[-1]) if lines else "nothing"
        raise BenchmarkError(f"{' '.join(command)}: its last line must be a JSON object, got {last}")
    return printed


def hardware() -> str:
    """Processor, cores that this process may use, memory and Python, in one line."""
    cpu = platform.processor() or platform.machine()
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{cpu}, {cores} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def commit() -> str:
    """The short hash of the commit that was measured; `-dirty` after it where tracked files differ from it."""
    git = ("git", "-C", str(ROOT))
    found = subprocess.run((*git, "rev-parse", "--short=12", "HEAD"), capture_output=True, text=True)
    if found.returncode != 0:
        return "none"
    # Results that were just saved are no change to what is measured.
    changed = subprocess.run(
        (*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results"),
        capture_output=True,
        text=True,
    )
    return found.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")
