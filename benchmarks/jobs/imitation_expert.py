"""An expert for the benchmark `imitation`: PPO on the true reward, and episodes of its policy as demonstrations.

The run and the demonstrations stay in `--folder`, where other jobs read them. Prints {"demonstrations", "expert":
the run's directory, "sha256": of the file, "expert_return", "random_return", "episodes", "steps", "train_wall_s",
"files": the sources that all this depends on}.
"""

import argparse
import hashlib
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.jobs.training import loaded_sources
from heeler.feedback.episodes import save_npz
from heeler.loop.demonstrating import demonstrate_run
from heeler.loop.imitating import random_return
from heeler.loop.running import run
from heeler.recipes import ppo


def main() -> None:
    """Train, record, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    start = time.perf_counter()
    path = arguments.folder / "expert"
    # What an earlier start left is of other sources, or it would not be made again.
    shutil.rmtree(path, ignore_errors=True)
    config = replace(ppo(env=arguments.task, total_steps=arguments.steps), num_evaluation_episodes=1)
    run(config, path)
    shown = demonstrate_run(path, num_episodes=arguments.episodes)
    save_npz(arguments.folder / "demos.npz", shown)
    assert shown.returns is not None
    printed = {
        "demonstrations": str(arguments.folder / "demos.npz"),
        "expert": str(path),
        "sha256": hashlib.sha256((arguments.folder / "demos.npz").read_bytes()).hexdigest(),
        "expert_return": float(shown.returns.mean()),
        "random_return": random_return(config),
        "episodes": len(shown),
        "steps": config.num_updates * config.steps_per_update,
        "train_wall_s": time.perf_counter() - start,
    }
    print(json.dumps(printed | {"files": loaded_sources()}))


if __name__ == "__main__":
    main()
