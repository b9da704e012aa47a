"""A list of jobs, each a process: a line of progress for each, and what is finished survives a kill."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from benchmarks.harness import ROOT, Job, run_job, stop_jobs

KEPT = ROOT / "build" / "benchmarks"
TIMEOUT_S = 8 * 3600.0
"""Of one job: long enough for millions of steps on a slow machine with other work beside it."""


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """One process of a benchmark."""

    label: str
    """For the progress line."""
    command: Sequence[str]
    size: float
    """How long it lasts beside the others, in any unit: the time left is judged by it."""


def run_plan(name: str, plan: Sequence[PlannedJob], *, kept: "KeptJobs | None" = None, at_once: int = 1) -> list[Job]:
    """Run the jobs; their standard error goes to ours as it comes.

    Args:
        name: of the benchmark, for the progress lines.
        plan: what to run, in this order.
        kept: finished jobs of an earlier start, which are not run again; None runs all and keeps none.
        at_once: jobs that run beside one another, the longest first, each on one thread. What they say of time is said
            of a machine that is shared.
    """
    jobs = {index: job for index, one in enumerate(plan) if kept and (job := kept.find(one.command))}
    for index in jobs:
        _say(f"{name} {index + 1}/{len(plan)}: {plan[index].label}: kept from before")
    wanting = [index for index in range(len(plan)) if index not in jobs]
    if at_once > 1:
        wanting.sort(key=lambda index: -plan[index].size)
    left = sum(plan[index].size for index in wanting)
    done = seconds = 0.0
    threads = 1 if at_once > 1 else None

    lock = Lock()

    def run(index: int) -> None:
        nonlocal done, left, seconds
        planned = plan[index]
        estimate = f"; about {_duration(left * seconds / done / at_once)} left" if done else ""
        _say(f"{name} {index + 1}/{len(plan)}: {planned.label}{estimate}")
        jobs[index] = job = run_job(planned.command, live=True, threads=threads, timeout_s=TIMEOUT_S)
        with lock:
            done, left, seconds = done + planned.size, left - planned.size, seconds + job.wall_s
            if kept:
                kept.add(planned.command, job)

    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(run, index) for index in wanting]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # A thread may have been about to start its next job.
            while not all(future.done() for future in futures):
                stop_jobs()
                time.sleep(0.05)
            raise
    return [jobs[index] for index in range(len(plan))]


class KeptJobs:
    """Finished jobs of one benchmark, one JSON line each.

    A line counts only while every file of this repository that its job has run, which the job prints as `files`, is
    as it was. Remove the file to measure all jobs again.

    Args:
        path: of the file; it and its folder are made when needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, command: Sequence[str]) -> Job | None:
        """The last sound result of this very command, if there is one."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        for line in reversed(lines):
            try:
                row = json.loads(line)
            except ValueError:  # cut short by the kill
                continue
            if row["command"] == list(command[1:]) and row["sha256"] == sources_sha256(row["printed"]):
                return Job(printed=row["printed"], wall_s=row["wall_s"], peak_mb=row["peak_mb"])
        return None

    def add(self, command: Sequence[str], job: Job) -> None:
        """Keep a result; the interpreter's own path is no part of the command."""
        row = {
            "command": list(command[1:]),
            "sha256": sources_sha256(job.printed),
            "printed": dict(job.printed),
            "wall_s": job.wall_s,
            "peak_mb": job.peak_mb,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+") as file:
            # A line that a kill cut short is ended first, so that it spoils itself alone.
            torn = file.tell() > 0 and not self.path.read_bytes().endswith(b"\n")
            file.write(("\n" if torn else "") + json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())


def sources_sha256(printed: Mapping[str, Any]) -> str:
    """One hash over names and contents of the files that a job printed as `files`, as they are now."""
    whole = hashlib.sha256()
    for name in printed["files"]:
        path = ROOT / name
        content = path.read_bytes() if path.exists() else b""
        whole.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
