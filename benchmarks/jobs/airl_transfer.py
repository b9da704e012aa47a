"""A reward by AIRL, learned in a maze with a gap on the left and moved to one with the gap on the right.

An expert is trained on the true reward and shows how it is done; AIRL learns from that once a reward of states alone
and once one of states and actions; in the other maze fresh policies are trained on the true reward and on either of the
two.

Prints {"random_return", "true_return", "state_only_return" and "state_action_return" (means of fresh episodes in the
second maze), "expert_return" (of what was shown, in the first), "state_only_imitation" and "state_action_imitation" (of
the imitating policies, in the first), "steps", "train_wall_s", "files": the sources that all this depends on}.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.jobs.training import loaded_sources
from heeler.feedback.episodes import save_npz
from heeler.loop.config import RunConfig
from heeler.loop.demonstrating import demonstrate_run
from heeler.loop.imitating import random_return
from heeler.loop.running import run
from heeler.recipes import imitation, ppo

TASK, NUM_DEMONSTRATIONS = "PointMaze", 20


def main() -> None:
    """Train all six, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400_000, help="of each training")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="heeler-benchmark-") as folder:
        figures = moved(Path(folder), arguments.steps, arguments.seed)
    taken = {"steps": 6 * arguments.steps, "train_wall_s": time.perf_counter() - start}
    print(json.dumps(figures | taken | {"files": loaded_sources()}))


def moved(folder: Path, steps: int, seed: int) -> dict[str, Any]:
    """All returns of one seed."""
    expert = run(ppo(env=TASK, seed=seed, total_steps=steps), folder / "expert")
    shown = demonstrate_run(expert.path, num_episodes=NUM_DEMONSTRATIONS, sample=True)
    save_npz(folder / "demos.npz", shown)
    assert shown.returns is not None
    second = _in_second(ppo(env=TASK, seed=seed + 1000, total_steps=steps))
    figures = {
        "expert_return": float(shown.returns.mean()),
        "random_return": random_return(second),
        "true_return": _return_of(second, folder / "true"),
    }
    for name, state_only in (("state_only", True), ("state_action", False)):
        given = {"env": TASK, "demonstrations": str(folder / "demos.npz"), "method": "airl", "total_steps": steps}
        imitating = imitation(**given, state_only=state_only, seed=seed)
        figures[f"{name}_imitation"] = _return_of(imitating, folder / name)
        figures[f"{name}_return"] = _return_of(replace(second, reward_of=str(folder / name)), folder / f"{name}-moved")
    return figures


def _in_second(config: RunConfig) -> RunConfig:
    return replace(config, env=replace(config.env, kwargs={"gap": "right"}))


def _return_of(config: RunConfig, path: Path) -> float:
    return float(run(replace(config, num_evaluation_episodes=50), path).evaluation.returns.mean())


if __name__ == "__main__":
    main()
