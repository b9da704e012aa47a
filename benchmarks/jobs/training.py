"""What the training jobs share: a run in a temporary directory, evaluation, and the fields that they print."""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from heeler.evaluation.returns import Evaluation
from heeler.loop.config import RunConfig
from heeler.loop.parts import Metrics
from heeler.loop.running import run
from heeler.models.policy import Policy

ROOT = Path(__file__).resolve().parents[2]
NUM_EVALUATION_EPISODES = 20
FIRST_EVALUATION_SEED = 10_000


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run came to."""

    policy: Policy
    evaluation: Evaluation
    """Fresh episodes in the run's own world."""
    rows: list[Metrics]
    """Every update's metrics, and what there was while it waited."""
    train_wall_s: float
    """From the beginning to the end of the last update, checkpoints included, evaluation left out."""

    @property
    def metrics(self) -> Metrics:
        """The last update's."""
        return self.rows[-1]

    @property
    def steps(self) -> int:
        """Environment steps made while training."""
        return int(self.metrics["step"])

    @property
    def comparisons(self) -> int:
        """Comparisons that were asked for."""
        return int(self.metrics.get("asked", 0))


def train(config: RunConfig) -> Trained:
    """Learn to the end, in a run directory that is gone afterwards; says on standard error how far it is."""
    rows: list[Metrics] = []
    start = ended = time.perf_counter()

    def note(metrics: Metrics) -> None:
        nonlocal ended
        rows.append(metrics)
        ended = time.perf_counter()
        if _tenth(metrics["update"], config) > _tenth(metrics["update"] - 1, config):
            total_steps = config.num_updates * config.steps_per_update
            print(f"  {_progress(metrics, total_steps, ended - start)}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="heeler-benchmark-") as folder:
        result = run(config, Path(folder) / "run", on_metrics=note)
    return Trained(policy=result.policy, evaluation=result.evaluation, rows=rows, train_wall_s=ended - start)


def _tenth(update: float, config: RunConfig) -> int:
    return int(10 * update) // config.num_updates


def _progress(metrics: Metrics, total_steps: int, seconds: float) -> str:
    step = metrics["step"]
    left_s = seconds / step * (total_steps - step)
    true_return = metrics.get("true_return_mean", float("nan"))
    labels = f", {metrics['labels_used']:.0f} labels" if "labels_used" in metrics else ""
    return f"{step:,.0f} of {total_steps:,} steps, true return {true_return:.1f}{labels}; {left_s:.0f} s left"


def gymnasium_returns(policy: Policy, task: str) -> list[float]:
    """True returns of deterministic episodes of Gymnasium's own environment, from the first states all peers begin in.

    Args:
        policy: who acts.
        task: the environment's id.
    """
    envs = [gymnasium.make(task) for _ in range(NUM_EVALUATION_EPISODES)]
    observations = [env.reset(seed=FIRST_EVALUATION_SEED + episode)[0] for episode, env in enumerate(envs)]
    returns = [0.0] * len(envs)
    running = list(range(len(envs)))
    while running:
        seen = np.stack([observations[index] for index in running]).astype(np.float32)
        actions = policy.executable(policy.act(seen, None).numpy())
        for index, action in zip(tuple(running), actions, strict=True):
            observations[index], reward, terminated, truncated, _ = envs[index].step(action)
            returns[index] += float(reward)
            if terminated or truncated:
                running.remove(index)
    return returns


def training_fields(trained: Trained, returns: list[float]) -> dict[str, Any]:
    """What `benchmarks/comparison.py` asks of a training job."""
    return {
        "steps": trained.steps,
        "train_wall_s": trained.train_wall_s,
        "return_mean": sum(returns) / len(returns),
        "returns": returns,
    }


def loaded_sources() -> list[str]:
    """Files of this repository that this process has run, relative to its root: what its result depends on."""
    folders = (ROOT / "src", ROOT / "benchmarks")
    files = (getattr(module, "__file__", None) for module in tuple(sys.modules.values()))
    paths = {Path(file) for file in files if file}
    return sorted(str(path.relative_to(ROOT)) for path in paths if any(path.is_relative_to(f) for f in folders))
