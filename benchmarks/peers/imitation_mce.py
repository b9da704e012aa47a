"""Maximum causal entropy IRL of the package imitation on one of its random worlds. Runs in `.peers/imitation`.

The world is seals' `RandomTransitionEnv` with one-hot observations, so that the reward is a number for each state; the
demonstrators are the soft policy of the world's own reward, and what is learned from are their visits in expectation.
It is undiscounted: with a discount imitation 1.0.1 plans without it while it learns. World, demonstrators' visits and
the visits reached are written to `--out`; prints {"seconds" of making the learner and of learning, "gap": largest
difference of a state's visits from the demonstrators', "visits" of all states, their sum}.
"""

import argparse
import contextlib
import json
import sys
import time

import numpy as np
import torch
from imitation.algorithms.mce_irl import MCEIRL, mce_occupancy_measures, mce_partition_fh
from imitation.rewards.reward_nets import BasicRewardNet
from imitation.util import logger
from seals.diagnostics.random_trans import RandomTransitionEnv


def main() -> None:
    """Make the world, learn, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--states", type=int, default=64)
    parser.add_argument("--actions", type=int, default=4)
    parser.add_argument("--horizon", type=int, default=20)
    parser.add_argument("--tolerance", type=float, default=5e-4)
    parser.add_argument("--max-iterations", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    world = RandomTransitionEnv(
        n_states=arguments.states,
        n_actions=arguments.actions,
        branch_factor=3,
        horizon=arguments.horizon,
        random_obs=False,
        generator_seed=arguments.seed,
    )
    _, _, policy = mce_partition_fh(world)
    _, demonstrated = mce_occupancy_measures(world, pi=policy)
    # It logs as it goes, and on standard output only the result is wanted.
    with contextlib.redirect_stdout(sys.stderr):
        start = time.perf_counter()
        reward_net = BasicRewardNet(
            world.observation_space,
            world.action_space,
            hid_sizes=[],
            use_action=False,
            use_next_state=False,
            use_done=False,
        )
        learner = MCEIRL(
            demonstrated,
            world,
            reward_net,
            linf_eps=arguments.tolerance,
            grad_l2_eps=0.0,
            log_interval=None,
            rng=np.random.default_rng(arguments.seed),
            custom_logger=logger.configure(format_strs=()),
        )
        reached = learner.train(max_iter=arguments.max_iterations)
        seconds = time.perf_counter() - start
    np.savez(
        arguments.out,
        transitions=np.asarray(world.transition_matrix, float),
        start=np.asarray(world.initial_state_dist, float),
        horizon=np.int64(arguments.horizon),
        demonstrated=demonstrated,
        reached=reached,
    )
    gap = float(np.abs(reached - demonstrated).max())
    print(json.dumps({"seconds": seconds, "gap": gap, "visits": float(reached.sum())}))


if __name__ == "__main__":
    main()
