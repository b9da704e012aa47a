"""Rewards and runs of which it is known what they are, and what the checks of `heeler honesty` say of each.

- *Runs*: eight policies, sixteen episodes each. Over-optimised ones go past the peak of the true return, which follows
  d(α − β log d) (Gao et al. 2023), while the learned reward goes on rising; sound ones end before it; settled ones are
  all equally good, the distance growing alike.
- *Rewards*: 300 clips of 60 trajectories, of which each has something of its own. A shortcut is one of twelve numbers,
  bent or straight, with a little noise; an honest reward is of numbers that are not among them. Numbers of one
  trajectory are alike.
- *Situations*: steps from where people looked, and from elsewhere, in six numbers that go together.
"""

import argparse
import json
import math

import numpy as np

from heeler.evaluation.honesty.curve import Point, course
from heeler.evaluation.honesty.shortcuts import look_at
from heeler.evaluation.honesty.unlike import Seen, beyond
from heeler.loop.honesty.unlike import UNLIKE

NUM_POLICIES, NUM_EPISODES = 8, 16
NUM_SHORTCUTS, NUM_TRAJECTORIES, CLIPS_EACH = 12, 60, 5
BLAMED = ("it is mostly this", "leans on it")


def run_verdict(kind: str, rng: np.random.Generator) -> str:
    """What is said of a run that is `over-optimised`, `sound` or `settled`."""
    beta = rng.uniform(0.5, 0.9)
    peak = math.exp(1 / beta - 1)
    end = peak * (rng.uniform(1.8, 2.6) if kind == "over-optimised" else rng.uniform(0.4, 0.8))
    points: list[Point] = []
    for place, d in enumerate(np.linspace(0, end, NUM_POLICIES).tolist()):
        true = 0.0 if kind == "settled" or d == 0 else d * (1 - beta * math.log(d))
        points.append(
            Point(
                step=1000 * place,
                distance=d,
                learned_E=d + rng.normal(0, 0.5, NUM_EPISODES),
                held_out_E=true + rng.normal(0, 0.3, NUM_EPISODES),
            )
        )
    return course(points, seed=int(rng.integers(2**31))).verdict


def reward_verdict(kind: str, rng: np.random.Generator) -> bool:
    """Whether a reward that is a `shortcut`, or `honest`, is blamed for any; for the right one where it is one."""
    own = rng.normal(size=(NUM_TRAJECTORIES, NUM_SHORTCUTS + 3)).repeat(CLIPS_EACH, 0)
    number_KS = own + 0.5 * rng.normal(size=own.shape)
    if kind == "shortcut":
        bent = np.exp(number_KS[:, 0]) if rng.random() < 0.5 else -number_KS[:, 0]
        reward_K = bent + 0.2 * bent.std() * rng.normal(size=len(bent))
    else:
        reward_K = number_KS[:, NUM_SHORTCUTS:] @ np.array([1.0, -1.0, 0.5])
    trajectories = np.arange(len(reward_K)) // CLIPS_EACH
    blamed = [
        look_at("", number_KS[:, i], reward_K, list(trajectories), None, seed=0).verdict in BLAMED
        for i in range(NUM_SHORTCUTS)
    ]
    return blamed[0] if kind == "shortcut" else any(blamed)


def is_called_unlike(kind: str, rng: np.random.Generator) -> bool:
    """Whether what a policy meets, `unlike` or `like` what people saw, is called unlike."""
    mix = rng.normal(size=(6, 6))
    seen = rng.normal(size=(40, 1, 6)).repeat(25, 1) + rng.normal(size=(40, 25, 6))
    met = rng.normal(size=(16, 1, 6)).repeat(40, 1) + rng.normal(size=(16, 40, 6))
    if kind == "unlike":
        met[:, 20:] += 6.0 * np.array([1.0, -1.0, 0, 0, 0, 0])
    known = Seen(seen.reshape(-1, 6) @ mix, np.arange(40).repeat(25), seed=int(rng.integers(2**31)))
    share = beyond(known.distance(met.reshape(-1, 6) @ mix), known.edges[-1], np.arange(16).repeat(40), seed=0)
    return share is not None and share.low >= UNLIKE


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cases", type=int, required=True, help="of each kind")
    options = parser.parse_args()
    rng, num = np.random.default_rng(options.seed), options.cases
    runs = {kind: [run_verdict(kind, rng) for _ in range(num)] for kind in ("over-optimised", "sound", "settled")}
    rewards = {kind: sum(reward_verdict(kind, rng) for _ in range(num)) for kind in ("shortcut", "honest")}
    places = {kind: sum(is_called_unlike(kind, rng) for _ in range(num)) for kind in ("unlike", "like")}
    halted = {kind: verdicts.count("over-optimised") for kind, verdicts in runs.items()}
    print(
        json.dumps(
            {
                "cases": num,
                "caught": {
                    "run": halted["over-optimised"],
                    "reward": rewards["shortcut"],
                    "situation": places["unlike"],
                },
                "false": {
                    "run": halted["sound"] + halted["settled"],
                    "reward": rewards["honest"],
                    "situation": places["like"],
                },
                "sound": {"run": 2 * num, "reward": num, "situation": num},
            }
        )
    )


if __name__ == "__main__":
    main()
