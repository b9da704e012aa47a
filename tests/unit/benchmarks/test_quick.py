"""The smoke tests of the benchmarks that need no peer run to their end and measure what their targets name.

`api-fuzz` needs schemathesis, `mce-irl` imitation, `rl-trl` TRL and `velocity-omnisafe` OmniSafe: they are run where
the benchmark has made that an environment already.
"""

import shutil
import sys
from typing import Any

import pytest

from benchmarks import rl_trl
from benchmarks.__main__ import BENCHMARKS
from benchmarks.harness import RELATIONS, run_job
from benchmarks.mujoco_batch import TASKS
from benchmarks.peers import HOME

_HAS_SCHEMATHESIS = (HOME / "schemathesis" / "installed.sha256").exists()
FUZZ = pytest.param("api-fuzz", marks=pytest.mark.skipif(not _HAS_SCHEMATHESIS, reason="no .peers/schemathesis yet"))
_HAS_TRL = (HOME / "trl" / "installed.sha256").exists() and rl_trl.MODEL.exists()
AGAINST_TRL = pytest.param("rl-trl", marks=pytest.mark.skipif(not _HAS_TRL, reason="no .peers/trl or no model yet"))
_HAS_IMITATION = (HOME / "imitation" / "installed.sha256").exists()
AGAINST_IMITATION = pytest.param("mce-irl", marks=pytest.mark.skipif(not _HAS_IMITATION, reason="no .peers/imitation"))
_HAS_OMNISAFE = (HOME / "omnisafe" / "installed.sha256").exists()
AGAINST_OMNISAFE = pytest.param(
    "velocity-omnisafe", marks=pytest.mark.skipif(not _HAS_OMNISAFE, reason="no .peers/omnisafe yet")
)

NAMES = [
    "backflip",
    "preferences",
    "acquisition",
    "kinds",
    "asking",
    "mujoco-batch",
    "console-overhead",
    "ingest",
    "crash-soak",
    FUZZ,
    "over-optimisation",
    "honesty",
    "exploited-reward",
    "release-gate",
    "overseers",
    "faults",
    "oversight-overhead",
    "chat-load",
    "chat-stop",
    "stop",
    "hh-reward-model",
    "gpu-lm",
    "helpdesk",
    "helpdesk-adversarial",
    "shield",
    AGAINST_IMITATION,
    AGAINST_TRL,
    "velocity",
    "two-costs",
    "evaluative",
    "annotators",
    "drift",
    "groups",
    "airl-transfer",
    AGAINST_OMNISAFE,
]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def smoke_test(name: str) -> dict[str, Any]:
    return dict(run_job((sys.executable, "-m", "benchmarks", name, "--quick", "--json")).printed)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_a_smoke_test_measures_every_target(name: str) -> None:
    printed = smoke_test(name)
    assert (printed["name"], printed["quick"], printed["seeds"]) == (name, True, [0])
    assert printed["targets"]
    assert set(printed["targets"]) <= set(printed["figures"])
    if name in ("crash-soak", "api-fuzz"):
        assert not any(printed["figures"][fault] for fault in printed["targets"] if fault != "kills")
    if name == "mujoco-batch":
        assert printed["figures"]["raw_ratio"] == min(printed["figures"][f"raw_ratio_{task}"] for task in TASKS)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: sudo apt-get install chromium")
@pytest.mark.parametrize("name", ["console-latency", "annotator-time"])
def test_a_smoke_test_in_chromium_measures_every_target(name: str) -> None:
    printed = smoke_test(name)
    assert set(printed["targets"]) <= set(printed["figures"])
    assert printed["figures"]["comparisons"] == 6


def test_every_benchmark_is_named_once_and_its_targets_can_be_read() -> None:
    names = [benchmark.name for benchmark in BENCHMARKS]
    assert sorted(set(names)) == sorted(names)
    for benchmark in BENCHMARKS:
        for condition in benchmark.targets.values():
            relation, _, bound = condition.partition(" ")
            assert relation in RELATIONS
            assert bound.replace(".", "", 1).isdigit() or bound.isidentifier(), "a number or another figure"
