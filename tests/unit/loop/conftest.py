"""Runs that several tests look at."""

from pathlib import Path

import pytest

from heeler.loop.running import run
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences


@pytest.fixture(scope="session")
def preferences_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run from comparisons; who changes it works on a copy."""
    return run(tiny_preferences(), tmp_path_factory.mktemp("runs") / "from-comparisons").path


@pytest.fixture(scope="session")
def ppo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the true reward; who changes it works on a copy."""
    return run(tiny_ppo(), tmp_path_factory.mktemp("runs") / "true-reward").path
