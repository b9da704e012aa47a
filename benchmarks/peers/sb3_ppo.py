"""Stable-Baselines3's PPO with the settings of its zoo, on CartPole-v1 or Hopper-v5. Runs in `.peers/sb3`.

Prints what `benchmarks/comparison.py` asks of a training job.
"""

import argparse
import json
import time
from typing import Any

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import nn

NUM_EVALUATION_EPISODES = 20
FIRST_EVALUATION_SEED = 10_000
# The zoo's entries for CartPole-v1 and for Hopper (it names an older version). Schedules take the part still to go.
SETTINGS: dict[str, dict[str, Any]] = {
    "CartPole-v1": {
        "num_envs": 8,
        "normalize": False,
        "ppo": {
            "n_steps": 32,
            "batch_size": 256,
            "n_epochs": 20,
            "gamma": 0.98,
            "gae_lambda": 0.8,
            "ent_coef": 0.0,
            "learning_rate": lambda remaining: 1e-3 * remaining,
            "clip_range": lambda remaining: 0.2 * remaining,
        },
    },
    "Hopper-v5": {
        "num_envs": 1,
        "normalize": True,
        "ppo": {
            "n_steps": 512,
            "batch_size": 32,
            "n_epochs": 5,
            "gamma": 0.999,
            "gae_lambda": 0.99,
            "ent_coef": 0.00229519,
            "learning_rate": 9.80828e-05,
            "clip_range": 0.2,
            "max_grad_norm": 0.7,
            "vf_coef": 0.835671,
            "policy_kwargs": {
                "log_std_init": -2,
                "ortho_init": False,
                "activation_fn": nn.ReLU,
                "net_arch": {"pi": [256, 256], "vf": [256, 256]},
            },
        },
    },
}


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=SETTINGS, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = SETTINGS[arguments.task]
    envs = make_envs(arguments.task, settings, seed=arguments.seed)
    model = PPO("MlpPolicy", envs, seed=arguments.seed, device="cpu", **settings["ppo"])
    start = time.perf_counter()
    model.learn(arguments.steps)
    train_wall_s = time.perf_counter() - start
    returns = evaluate(model, envs, arguments.task)
    printed = {
        "steps": model.num_timesteps,
        "train_wall_s": train_wall_s,
        "return_mean": sum(returns) / len(returns),
        "returns": returns,
    }
    print(json.dumps(printed))


def make_envs(task: str, settings: dict[str, Any], *, seed: int) -> VecEnv:
    """The environments as the zoo makes them: in one process, observations and rewards normalised where it says so."""
    envs = make_vec_env(task, n_envs=settings["num_envs"], seed=seed)
    return VecNormalize(envs, gamma=settings["ppo"]["gamma"]) if settings["normalize"] else envs


def evaluate(model: PPO, envs: VecEnv, task: str) -> list[float]:
    """True returns of deterministic episodes from the fixed first states, with the training's statistics frozen."""
    env = gymnasium.make(task)
    returns: list[float] = []
    for episode in range(NUM_EVALUATION_EPISODES):
        observation, _ = env.reset(seed=FIRST_EVALUATION_SEED + episode)
        episode_return, ended = 0.0, False
        while not ended:
            seen = envs.normalize_obs(observation) if isinstance(envs, VecNormalize) else observation
            action, _ = model.predict(seen, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            episode_return += float(reward)
            ended = terminated or truncated
        returns.append(episode_return)
    return returns


if __name__ == "__main__":
    main()
