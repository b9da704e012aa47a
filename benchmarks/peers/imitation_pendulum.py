"""The preference-comparison job that the package imitation documents, on Pendulum-v1. Runs in `.peers/imitation`.

The job has two stages: an agent and a reward network learn together from synthetic comparisons, then a fresh learner is
trained on the finished reward network alone. Its documentation shortens both so that its page builds quickly and says
beside them what to set for a good policy; those are the defaults here. Both policies are evaluated, and the better
one's return is the peer's. Prints what `benchmarks/comparison.py` asks of a training job, and the comparisons made.
"""

import argparse
import contextlib
import json
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import torch
from imitation.algorithms import preference_comparisons as pc
from imitation.policies.base import FeedForward32Policy, NormalizeFeaturesExtractor
from imitation.rewards.reward_nets import BasicRewardNet
from imitation.rewards.reward_wrapper import RewardVecEnvWrapper
from imitation.util import logger
from imitation.util.networks import RunningNorm
from imitation.util.util import make_vec_env
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

TASK = "Pendulum-v1"
NUM_ENVS = 8
NUM_EVALUATION_EPISODES = 20
FIRST_EVALUATION_SEED = 10_000


class StepCounter:
    """Counts the steps of all environments that it has wrapped: the loop makes more than it is asked for."""

    def __init__(self) -> None:
        self.num_steps = 0

    def wrap(self, env: gymnasium.Env, index: int) -> gymnasium.Env:
        """`env`, counted; `index` is what `make_vec_env` gives its wrappers."""
        counter = self

        class Counted(gymnasium.Wrapper):
            def step(self, action: Any) -> Any:
                counter.num_steps += 1
                return super().step(action)

        return Counted(env)


def main() -> None:
    """Train both stages, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--steps", type=int, default=5_000, help="what the loop is asked for, before rounding up")
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--learner-steps", type=int, default=100_000, help="0 leaves the second stage out")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # The reward network's first weights come from torch's global stream.
    torch.manual_seed(arguments.seed)
    counter = StepCounter()
    start = time.perf_counter()
    # The loop prints as it goes, and on standard output only the result is wanted.
    with contextlib.redirect_stdout(sys.stderr):
        policies, comparisons = train(arguments, counter)
    steps, train_wall_s = counter.num_steps, time.perf_counter() - start
    returns_by_policy = {name: evaluate(policy) for name, policy in policies.items()}
    best = max(returns_by_policy, key=lambda name: sum(returns_by_policy[name]))
    printed = {
        "steps": steps,
        "train_wall_s": train_wall_s,
        "return_mean": float(np.mean(returns_by_policy[best])),
        "returns": returns_by_policy[best],
        "policy": best,
        "return_means": {name: float(np.mean(returns)) for name, returns in returns_by_policy.items()},
        "comparisons": comparisons,
    }
    print(json.dumps(printed))


def train(arguments: argparse.Namespace, counter: StepCounter) -> tuple[dict[str, PPO], int]:
    """Both stages; the policies by stage, and how many comparisons were made."""
    rng = np.random.default_rng(arguments.seed)
    envs = make_vec_env(TASK, rng=rng, n_envs=NUM_ENVS, post_wrappers=[counter.wrap])
    reward_net = BasicRewardNet(envs.observation_space, envs.action_space, normalize_input_layer=RunningNorm)
    agent = make_ppo(envs, arguments.seed)
    loop = pc.PreferenceComparisons(
        pc.AgentTrainer(algorithm=agent, reward_fn=reward_net, venv=envs, exploration_frac=0.05, rng=rng),
        reward_net,
        num_iterations=arguments.iterations,
        fragmenter=pc.RandomFragmenter(warning_threshold=0, rng=rng),
        preference_gatherer=pc.SyntheticGatherer(rng=rng),
        reward_trainer=pc.BasicRewardTrainer(
            preference_model=pc.PreferenceModel(reward_net), loss=pc.CrossEntropyRewardLoss(), epochs=3, rng=rng
        ),
        fragment_length=100,
        transition_oversampling=1,
        initial_comparison_frac=0.1,
        allow_variable_horizon=False,
        initial_epoch_multiplier=4,
        query_schedule="hyperbolic",
        custom_logger=logger.configure(format_strs=()),
    )
    loop.train(total_timesteps=arguments.steps, total_comparisons=arguments.comparisons)
    policies = {"agent": agent}
    if arguments.learner_steps > 0:
        policies["learner"] = make_ppo(RewardVecEnvWrapper(envs, reward_net.predict_processed), arguments.seed)
        policies["learner"].learn(arguments.learner_steps)
    return policies, len(loop.dataset)


def make_ppo(envs: VecEnv, seed: int) -> PPO:
    """PPO with the documented settings; both stages use the same."""
    return PPO(
        policy=FeedForward32Policy,
        policy_kwargs={
            "features_extractor_class": NormalizeFeaturesExtractor,
            "features_extractor_kwargs": {"normalize_class": RunningNorm},
        },
        env=envs,
        seed=seed,
        n_steps=2048 // envs.num_envs,
        batch_size=64,
        ent_coef=0.01,
        learning_rate=2e-3,
        clip_range=0.1,
        gae_lambda=0.95,
        gamma=0.97,
        n_epochs=10,
        device="cpu",
    )


def evaluate(policy: PPO) -> list[float]:
    """True returns of deterministic episodes from the fixed first states."""
    env = gymnasium.make(TASK)
    returns: list[float] = []
    for episode in range(NUM_EVALUATION_EPISODES):
        observation, _ = env.reset(seed=FIRST_EVALUATION_SEED + episode)
        episode_return, ended = 0.0, False
        while not ended:
            # `predict` puts the policy into evaluation mode, in which its running statistics stay as they are.
            action, _ = policy.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            episode_return += float(reward)
            ended = terminated or truncated
        returns.append(episode_return)
    return returns


if __name__ == "__main__":
    main()
