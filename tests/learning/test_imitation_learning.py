"""What demonstrations teach, against chance. Minutes together, so `slow`."""

from pathlib import Path
from typing import Literal

import pytest

from heeler.feedback.episodes import save_npz
from heeler.loop.demonstrating import demonstrate_run
from heeler.loop.imitating import random_return
from heeler.loop.running import run
from heeler.recipes import imitation, ppo

pytestmark = pytest.mark.slow

TASK = "CartPole-v1"
SOLVED = 475.0


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an expert `run` and of its five episodes, `demos.npz`."""
    folder = tmp_path_factory.mktemp("expert")
    run(ppo(env=TASK, seed=0, total_steps=300_000), folder / "run")
    shown = demonstrate_run(folder / "run", num_episodes=5)
    assert shown.returns is not None and shown.returns.min() >= SOLVED
    save_npz(folder / "demos.npz", shown)
    return folder


@pytest.mark.parametrize("method", ["bc", "gail", "airl"])
def test_a_few_episodes_teach_to_hold_the_pole(expert: Path, tmp_path: Path, method: Literal["bc", "gail", "airl"]):
    config = imitation(env=TASK, demonstrations=str(expert / "demos.npz"), method=method, seed=1)
    assert random_return(config) < 50
    assert run(config, tmp_path / "run").evaluation.returns.mean() >= SOLVED


def test_an_expert_who_is_asked_needs_to_show_nothing(expert: Path, tmp_path: Path):
    config = imitation(env=TASK, demonstrations="none", method="dagger", expert=str(expert / "run"), seed=1)
    assert run(config, tmp_path / "run").evaluation.returns.mean() >= SOLVED
