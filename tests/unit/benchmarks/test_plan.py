"""A plan of jobs: kept results are used again only while what made them is unchanged, and a kill spoils none."""

import json
import sys
from pathlib import Path

import pytest

import benchmarks.plan as plan_module
from benchmarks.harness import BenchmarkError
from benchmarks.plan import KeptJobs, PlannedJob, _duration, run_plan

# Prints how often it was run, which is counted in the file that it is given.
COUNTING = (
    "import json, pathlib, sys; log = pathlib.Path(sys.argv[1]); log.open('a').write('x');"
    "print(json.dumps({'runs': len(log.read_text()), 'files': ['source.py']}))"
)


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one source."""
    monkeypatch.setattr(plan_module, "ROOT", tmp_path)
    (tmp_path / "source.py").write_text("first")
    return tmp_path


def planned(log: Path, *options: str, code: str = COUNTING) -> PlannedJob:
    return PlannedJob(label=log.name, command=(sys.executable, "-c", code, str(log), *options), size=1)


def test_finished_jobs_are_not_run_again(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kept = KeptJobs(repository / "build" / "kept.jsonl")
    first, second = planned(repository / "a"), planned(repository / "b")
    before = run_plan("example", [first], kept=kept)
    after = run_plan("example", [first, second], kept=kept)
    assert after[0] == before[0]
    assert [job.printed["runs"] for job in after] == [1, 1]
    assert "example 1/2: a: kept from before\nexample 2/2: b\n" in capfd.readouterr().err


def test_without_kept_jobs_all_are_run(repository: Path) -> None:
    for runs in (1, 2):
        assert run_plan("example", [planned(repository / "a")])[0].printed["runs"] == runs
    assert {path.name for path in repository.iterdir()} == {"source.py", "a"}


@pytest.mark.parametrize("change", ["edited", "removed", "other options"])
def test_a_result_counts_only_for_the_same_sources_and_command(repository: Path, change: str) -> None:
    kept = KeptJobs(repository / "kept.jsonl")
    run_plan("example", [planned(repository / "a")], kept=kept)
    if change == "edited":
        (repository / "source.py").write_text("second")
    elif change == "removed":
        (repository / "source.py").unlink()
    options = ("--more",) if change == "other options" else ()
    assert run_plan("example", [planned(repository / "a", *options)], kept=kept)[0].printed["runs"] == 2


def test_a_line_that_a_kill_cut_short_spoils_itself_alone(repository: Path) -> None:
    kept = KeptJobs(repository / "kept.jsonl")
    plan = [planned(repository / name) for name in ("a", "b", "c")]
    run_plan("example", plan[:2], kept=kept)
    whole = kept.path.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole) - 1, 40):
        kept.path.write_bytes(whole[:length])
        assert kept.find(plan[0].command) is not None
        assert kept.find(plan[1].command) is None
    run_plan("example", plan, kept=kept)
    assert all(kept.find(each.command) is not None for each in plan)
    assert sum(line.startswith('{"command"') and line.endswith("}") for line in kept.path.read_text().split("\n")) == 3


def test_what_was_finished_before_a_failure_is_kept(repository: Path) -> None:
    kept = KeptJobs(repository / "kept.jsonl")
    broken = planned(repository / "b", code="raise SystemExit(3)")
    with pytest.raises(BenchmarkError, match="exit code 3"):
        run_plan("example", [planned(repository / "a"), broken], kept=kept)
    assert kept.find(planned(repository / "a").command) is not None
    assert kept.find(broken.command) is None


def test_the_time_left_is_told_by_the_sizes_of_what_is_left(
    repository: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.harness import Job

    monkeypatch.setattr(
        plan_module, "run_job", lambda command, **_: Job(printed=json.loads(command[1]), wall_s=60.0, peak_mb=1.0)
    )
    plan = [PlannedJob(label=f"job {size}", command=("python", "{}"), size=size) for size in (2, 10, 100)]
    run_plan("example", plan)
    # 30 s for each unit of size after the first; 120 s for 12 units after the second.
    assert capfd.readouterr().err.splitlines() == [
        "example 1/3: job 2",
        "example 2/3: job 10; about 55 min left",
        "example 3/3: job 100; about 17 min left",
    ]


def test_jobs_at_once_run_beside_one_another_and_come_back_in_their_order(repository: Path) -> None:
    # Each waits until the other has begun.
    waiting = (
        "import json, os, pathlib, sys, time; own, other = map(pathlib.Path, sys.argv[1:]); own.touch()\n"
        "while not other.exists(): time.sleep(0.01)\n"
        "print(json.dumps({'runs': own.name, 'threads': os.environ['OMP_NUM_THREADS'], 'files': []}))"
    )
    a, b = repository / "a", repository / "b"
    plan = [planned(a, str(b), code=waiting), planned(b, str(a), code=waiting)]
    found = run_plan("example", plan, kept=KeptJobs(repository / "kept.jsonl"), at_once=2)
    assert [job.printed for job in found] == [{"runs": name, "threads": "1", "files": []} for name in ("a", "b")]


def test_where_a_job_fails_those_beside_it_are_stopped(repository: Path) -> None:
    hanging = [planned(repository / name, code="import time; time.sleep(600)") for name in "acd"]
    with pytest.raises(BenchmarkError, match="exit code 3"):
        run_plan(
            "example", [hanging[0], planned(repository / "b", code="raise SystemExit(3)"), *hanging[1:]], at_once=2
        )


@pytest.mark.parametrize(
    ("seconds", "words"), [(89.4, "89 s"), (90, "2 min"), (3599, "1 h 0 min"), (9000, "2 h 30 min")]
)
def test_durations_are_told_roughly(seconds: float, words: str) -> None:
    assert _duration(seconds) == words
