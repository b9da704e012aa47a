"""The benchmark harness: what it measures is what happened, and a target that is missed is never called held."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.harness import ROOT, Benchmark, BenchmarkError, holds, medians, run, run_job

HOLD_64_MIB = "block = bytearray(64 * 2**20)"


def job(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def peak_from_outside(code: str) -> float:
    """Peak memory (MiB) of a job as a process of its own sees it: pytest itself is too large to see small jobs."""
    measurer = (
        "import json, sys; from benchmarks.harness import run_job; print(json.dumps(run_job(sys.argv[1:]).peak_mb))"
    )
    ended = subprocess.run([*job(measurer), *job(code)], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(ended.stdout)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ({"speed_ratio": ">= 15"}, True),
        ({"speed_ratio": ">= 15.01"}, False),
        ({"memory_ratio": "<= 1"}, True),
        ({"memory_ratio": "<= 0.5"}, False),
        ({"memory_ratio": "< 1"}, False),
        ({"memory_ratio": "< 1.01"}, True),
        ({"return": ">= peer_return"}, False),
        ({"peer_return": ">= return"}, True),
        ({"speed_ratio": ">= 15", "return": ">= peer_return"}, False),
        ({"not_a_number": ">= 0"}, False),
        ({"not_a_number": "<= 0"}, False),
    ],
)
def test_holds_is_computed_from_the_figures(targets: dict[str, str], expected: bool) -> None:
    figures = {
        "speed_ratio": 15.0,
        "memory_ratio": 1.0,
        "return": 499.0,
        "peer_return": 500.0,
        "not_a_number": float("nan"),
    }
    assert holds(targets, figures) is expected


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"speed": ">= 1"}, "not measured"),
        ({"speed_ratio": ">= peer"}, "not measured"),
        ({"speed_ratio": "about 1"}, "must begin with one of"),
    ],
)
def test_a_target_that_cannot_be_judged_is_an_error(targets: dict[str, str], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        holds(targets, {"speed_ratio": 2.0})


def test_medians_are_taken_figure_by_figure() -> None:
    rows = [{"a": 3.0, "b": 1.0}, {"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 30.0}]
    assert medians(rows) == {"a": 2.0, "b": 2.0}


def test_seeds_with_different_figures_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="same figures"):
        medians([{"a": 1.0}, {"b": 1.0}])


def test_the_result_is_one_flat_json_object_with_rounded_figures() -> None:
    def measure(seeds: object, quick: bool) -> dict[str, float]:
        assert (seeds, quick) == ([7], True)
        return {"ratio": 2 / 3}

    benchmark = Benchmark(name="example", about="", targets={"ratio": ">= 0.5"}, measure=measure)
    printed = json.loads(run(benchmark, [7], quick=True).to_json())
    assert printed["figures"] == {"ratio": 0.666667}
    assert printed["holds"] is True
    assert (printed["name"], printed["seeds"], printed["targets"]) == ("example", [7], {"ratio": ">= 0.5"})
    assert set(printed) == {
        "name", "figures", "targets", "holds", "seeds", "quick", "wall_s", "hardware", "commit", "date",
    }  # fmt: skip
    missed = run(replace(benchmark, targets={"ratio": ">= 0.7"}), [7], quick=True)
    assert missed.holds is False


def test_a_job_gives_its_last_line_and_whole_process_seconds() -> None:
    ended = run_job(job("import time; print('progress'); time.sleep(0.3); print('{\"steps\": 5}')"))
    assert ended.printed == {"steps": 5}
    assert 0.3 <= ended.wall_s < 30


def test_peak_memory_counts_what_was_freed_before_the_end() -> None:
    assert 50 < peak_from_outside(f"{HOLD_64_MIB}; del block; print('{{}}')") - peak_from_outside("print('{}')") < 75


def test_peak_memory_counts_child_processes() -> None:
    child = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{HOLD_64_MIB}'], check=True); print('{{}}')"
    )
    assert peak_from_outside(child) - peak_from_outside("print('{}')") > 55


def test_the_process_that_measures_stays_small() -> None:
    """What it holds is the least that any job can be seen to hold."""
    heavy = {"numpy", "torch", "heeler", "gymnasium", "mujoco"}
    code = f"import json, sys, benchmarks.__main__; print(json.dumps({{'held': sorted({heavy} & set(sys.modules))}}))"
    ended = run_job(job(code))
    assert ended.printed == {"held": []}
    assert peak_from_outside("print('{}')") < 40


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no such world')", "exit code 1(.|\n)*no such world"),
        ("print('{}'); print('not an object')", "last line must be a JSON object, got 'not an object'"),
        ("print('[1]')", "last line must be a JSON object"),
        ("pass", "got nothing"),
    ],
)
def test_a_job_that_gives_no_result_is_an_error(code: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        run_job(job(code))


def test_a_live_jobs_standard_error_comes_through(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('half way', file=sys.stderr); print('{\"steps\": 5}')"
    assert run_job(job(code), live=True).printed == {"steps": 5}
    assert capfd.readouterr().err == "half way\n"
    run_job(job(code))
    assert capfd.readouterr().err == ""


def test_a_job_that_runs_too_long_is_killed_with_its_children() -> None:
    marker = "heeler-harness-test-sleeper"
    code = f"import subprocess; subprocess.run(['bash', '-c', 'exec -a {marker} sleep 60'])"
    start = time.perf_counter()
    with pytest.raises(BenchmarkError, match="ran longer than 1 s"):
        run_job(job(code), timeout_s=1)
    assert time.perf_counter() - start < 20
    assert _wait_until(lambda: not _running(marker))


def test_an_interrupt_ends_the_job_too() -> None:
    marker = "heeler-harness-test-interrupted"
    sleeper = f"import os; os.execvp('bash', ['bash', '-c', 'exec -a {marker} sleep 60'])"
    measurer = "import sys; from benchmarks.harness import run_job; run_job(sys.argv[1:])"
    # Tests that run in the background of a shell are deaf to Ctrl-C, and so would be what they start.
    process = subprocess.Popen(
        [*job(measurer), *job(sleeper)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert _wait_until(lambda: _running(marker))
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=20)
    assert complaint.strip().endswith("KeyboardInterrupt")
    assert _wait_until(lambda: not _running(marker))


def test_threads_reach_the_job_and_the_callers_own_variables_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    names = ("OMP_NUM_THREADS", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    code = f"import json, os; print(json.dumps({{'seen': [os.environ.get(n) for n in {names}]}}))"
    assert run_job(job(code), threads=1).printed == {"seen": ["1", None, None]}


def _wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def _running(name: str) -> bool:
    """Whether a process whose command line begins with `name` is there."""
    return any(_command_line(entry).startswith(name.encode()) for entry in os.listdir("/proc") if entry.isdigit())


def _command_line(process: str) -> bytes:
    try:
        with open(f"/proc/{process}/cmdline", "rb") as stream:
            return stream.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""
