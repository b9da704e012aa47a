"""OmniSafe's PPO-Lagrangian on SafetyHalfCheetahVelocity-v1 with its own settings. Runs in `.peers/omnisafe`.

Prints {"steps": environment steps made while training, "train_wall_s", "violations": what all of those have cost,
"training_return" and "training_cost": means of the latest 100 episodes of training, "files": this one}.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections import deque
from typing import Any


def _allow_array_defaults() -> None:
    """Have dataclasses take arrays as defaults, as they did before Python 3.11: safety-gymnasium 1.0.0 has some."""
    make = dataclasses.dataclass

    def mended(cls: Any = None, /, **options: Any) -> Any:
        if cls is None:
            return lambda own: mended(own, **options)
        for name in getattr(cls, "__annotations__", {}):
            default = cls.__dict__.get(name, dataclasses.MISSING)
            # What dataclasses refuse: a default that cannot be hashed, unless they always have.
            if getattr(type(default), "__hash__", None) is None and not isinstance(default, (list, dict, set)):
                setattr(cls, name, dataclasses.field(default_factory=lambda value=default: value))
        return make(cls, **options)

    dataclasses.dataclass = mended


_allow_array_defaults()

# These make such dataclasses as they are imported.
import omnisafe  # noqa: E402
from omnisafe.envs.safety_gymnasium_env import SafetyGymnasiumEnv  # noqa: E402

TASK = "SafetyHalfCheetahVelocity-v1"


class Counted:
    """Counts what is done in every environment that is made from now on."""

    def __init__(self) -> None:
        self.steps = 0
        self.violations = 0.0
        self.episode = [0.0, 0.0]
        self.latest: deque[tuple[float, float]] = deque(maxlen=100)
        step = SafetyGymnasiumEnv.step

        def counted(env: Any, action: Any) -> Any:
            result = step(env, action)
            _, reward, cost, terminated, truncated, _ = result
            self.add(float(reward.sum()), float(cost.sum()), bool(terminated.any() or truncated.any()))
            return result

        SafetyGymnasiumEnv.step = counted

    def add(self, reward: float, cost: float, ended: bool) -> None:
        """One step of the one environment that there is."""
        self.steps += 1
        self.violations += cost
        self.episode[0] += reward
        self.episode[1] += cost
        if ended:
            self.latest.append((self.episode[0], self.episode[1]))
            self.episode = [0.0, 0.0]


def main() -> None:
    """Train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="short epochs, for a smoke test")
    arguments = parser.parse_args()
    counted = Counted()
    with tempfile.TemporaryDirectory(prefix="omnisafe-") as folder:
        settings: dict[str, Any] = {
            "seed": arguments.seed,
            "train_cfgs": {"total_steps": arguments.steps, "vector_env_nums": 1, "torch_threads": 1, "device": "cpu"},
            "logger_cfgs": {
                "use_wandb": False, "use_tensorboard": False, "log_dir": folder, "save_model_freq": 10_000,
            },
        }  # fmt: skip
        if arguments.quick:
            settings["algo_cfgs"] = {"steps_per_epoch": arguments.steps // 2, "update_iters": 2}
        agent = omnisafe.Agent("PPOLag", TASK, custom_cfgs=settings)
        start = time.perf_counter()
        agent.learn()
        train_wall_s = time.perf_counter() - start
    returns, costs = zip(*counted.latest, strict=True)
    printed = {
        "steps": counted.steps,
        "train_wall_s": train_wall_s,
        "violations": counted.violations,
        "training_return": sum(returns) / len(returns),
        "training_cost": sum(costs) / len(costs),
        "files": ["benchmarks/peers/omnisafe_velocity.py"],
    }
    sys.stdout.flush()
    print("\n" + json.dumps(printed))


if __name__ == "__main__":
    main()
