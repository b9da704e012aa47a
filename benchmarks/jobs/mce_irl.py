"""Heeler's maximum causal entropy IRL: on a world that the peer has written, or on a large grid of its own.

`--world FILE` matches the demonstrators' visits that the file holds, by the peer's stopping rule, and prints
{"seconds" of learning, "gap": largest difference of a state's visits from the demonstrators', "difference": the same
from the visits that the peer reached, "visits" of all states, their sum}. `--grid SIDE` takes a grid of SIDE by SIDE
cells on which moves slip one time in ten, a smooth random reward and the visits of its soft policy, discounted by
0.99 and without a horizon; the reward that is learned is a number for each state. It prints "seconds", "gap",
"states" and "evaluations".
"""

import argparse
import json
import sys

import numpy as np

from heeler.rewards.inverse.grids import bumps, open_grid
from heeler.rewards.inverse.max_causal_entropy import MaxCausalEntropy, MaxCausalEntropyConfig, SoftFit
from heeler.rewards.inverse.planning import flow, plan
from heeler.rewards.inverse.world import FiniteWorld, from_dense

_DISCOUNT, _SLIP, _BUMPS = 0.99, 0.1, 5


def main() -> None:
    """Learn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", help="an .npz of the peer's")
    parser.add_argument("--grid", type=int, help="cells along each side")
    parser.add_argument("--tolerance", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if (arguments.world is None) == (arguments.grid is None):
        parser.error("give one of --world and --grid")
    if arguments.grid is not None:
        print(json.dumps(large(arguments.grid, arguments.seed, arguments.tolerance)))
    else:
        print(json.dumps(small(arguments.world, arguments.tolerance)))


def small(path: str, tolerance: float) -> dict[str, float]:
    """On the peer's world."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    world = from_dense(arrays["transitions"], start_S=arrays["start"], discount=1.0, horizon=int(arrays["horizon"]))
    fit = matched(world, arrays["demonstrated"], tolerance)
    reached_S = fit.visits.state_S
    return {
        "seconds": fit.seconds,
        "gap": float(np.abs(reached_S - arrays["demonstrated"]).max()),
        "difference": float(np.abs(reached_S - arrays["reached"]).max()),
        "visits": float(reached_S.sum()),
    }


def large(side: int, seed: int, tolerance: float) -> dict[str, float]:
    """On a grid."""
    world = open_grid(side, side, slip=_SLIP, discount=_DISCOUNT)
    features_SF = bumps(world, _BUMPS, width=side / 8)
    reward_S = features_SF @ np.random.default_rng(seed).normal(size=features_SF.shape[1])
    step_SA = np.repeat(reward_S[:, None], world.num_actions, axis=1)
    demonstrated_S = flow(world, plan(world, step_SA, reward_S).policy_TSA).state_S
    fit = matched(world, demonstrated_S, tolerance)
    return {
        "seconds": fit.seconds,
        "gap": float(np.abs(fit.visits.state_S - demonstrated_S).max()),
        "states": float(world.num_states),
        "evaluations": float(fit.num_evaluations),
    }


def matched(world: FiniteWorld, demonstrated_S: np.ndarray, tolerance: float) -> SoftFit:
    """A reward of states under which the soft policy visits as the demonstrators do."""
    config = MaxCausalEntropyConfig(reward="state", ridge=0.0, tolerance=tolerance)

    def tell(num: int, steepest: float) -> None:
        if num % 20 == 0:
            print(f"  values solved {num} times, largest gap {steepest:.2g}", file=sys.stderr, flush=True)

    return MaxCausalEntropy(config).fit_visits(world, demonstrated_S, on_step=tell)


if __name__ == "__main__":
    main()
