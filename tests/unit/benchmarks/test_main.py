"""`python -m benchmarks`: what it prints, saves and answers to the shell."""

import json
from pathlib import Path

import pytest

import benchmarks.__main__ as command
from benchmarks.harness import Benchmark, BenchmarkError

FIGURE = {"held": 2.0, "missed": 0.0}


def benchmark(name: str) -> Benchmark:
    def measure(seeds: object, quick: bool) -> dict[str, float]:
        if name == "broken":
            raise BenchmarkError("the peer is not there")
        return {"ratio": FIGURE[name]}

    return Benchmark(name=name, about=f"about {name}", targets={"ratio": ">= 1"}, measure=measure)


@pytest.fixture(autouse=True)
def three_benchmarks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(command, "BENCHMARKS", tuple(benchmark(name) for name in ("held", "missed", "broken")))
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(["held"], 0), (["missed"], 1), (["missed", "--quick"], 0), (["broken"], 2), (["all"], 2)],
)
def test_the_exit_code_says_whether_the_targets_are_met(arguments: list[str], exit_code: int) -> None:
    assert command.main(arguments) == exit_code


def test_all_goes_on_after_a_benchmark_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["all", "--json"])
    streams = capsys.readouterr()
    results = [json.loads(line) for line in streams.out.splitlines()]
    assert [(result["name"], result["holds"], result["seeds"]) for result in results] == [
        ("held", True, [0, 1, 2]),
        ("missed", False, [0, 1, 2]),
    ]
    assert "broken: the peer is not there" in streams.err


def test_nothing_is_written_unless_asked(three_benchmarks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["held", "--seeds", "4"])
    assert not three_benchmarks.exists()
    capsys.readouterr()
    command.main(["held", "--seeds", "4", "--save"])
    assert (three_benchmarks / "held.json").read_text() == capsys.readouterr().out


def test_a_smoke_test_is_never_saved(three_benchmarks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["held", "--quick", "--save"]) == 2
    assert not three_benchmarks.exists()
    assert "--quick" in capsys.readouterr().err
