"""BC, GAIL and AIRL of the package imitation, from a file of demonstrations. Runs in `.peers/imitation`.

Settings are those that its own benchmark found best for the nearest tasks, seals/Hopper and seals/HalfCheetah. Prints
what `benchmarks/comparison.py` asks of a training job; BC makes no steps, and says 1.
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
from imitation.algorithms.adversarial.airl import AIRL
from imitation.algorithms.adversarial.gail import GAIL
from imitation.algorithms.bc import BC
from imitation.data.types import TrajectoryWithRew
from imitation.policies.base import FeedForward32Policy, NormalizeFeaturesExtractor
from imitation.rewards.reward_nets import BasicRewardNet, BasicShapedRewardNet, NormalizedRewardNet
from imitation.util import logger
from imitation.util.networks import RunningNorm
from imitation.util.util import make_vec_env
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

NUM_ENVS = 8
NUM_EVALUATION_EPISODES = 20
FIRST_EVALUATION_SEED = 10_000
NORMALIZED = {"features_extractor_class": NormalizeFeaturesExtractor}
NORMALIZED |= {"features_extractor_kwargs": {"normalize_class": RunningNorm}}
WIDE = {"policy": "MlpPolicy", "policy_kwargs": {"activation_fn": torch.nn.ReLU, "net_arch": [64, 64]} | NORMALIZED}
SMALL = {"policy": FeedForward32Policy, "policy_kwargs": NORMALIZED}
HOPPER = {"clip_range": 0.1, "gae_lambda": 0.98, "gamma": 0.995, "max_grad_norm": 0.9, "n_epochs": 20}
HOPPER |= {"batch_size": 512, "vf_coef": 0.20315938606555833} | WIDE
CHEETAH = {"clip_range": 0.1, "gae_lambda": 0.95, "gamma": 0.95, "max_grad_norm": 0.8, "n_epochs": 5}
CHEETAH |= {"batch_size": 64, "vf_coef": 0.11483689492120866} | SMALL
SETTINGS: dict[tuple[str, str], tuple[dict[str, Any], int, dict[str, Any]]] = {
    ("gail", "Hopper-v4"): (
        {"demo_batch_size": 128, "gen_replay_buffer_capacity": 4096, "n_disc_updates_per_round": 8},
        4096,
        HOPPER | {"ent_coef": 0.001255299425412744, "learning_rate": 4.3984856156897565e-5},
    ),
    ("gail", "HalfCheetah-v4"): (
        {"demo_batch_size": 8192, "gen_replay_buffer_capacity": 512, "n_disc_updates_per_round": 8},
        4096,
        CHEETAH | {"ent_coef": 3.992371122209408e-6, "learning_rate": 0.00026250519057717037},
    ),
    ("airl", "Hopper-v4"): (
        {"demo_batch_size": 2048, "gen_replay_buffer_capacity": 8192, "n_disc_updates_per_round": 16},
        8192,
        HOPPER | {"ent_coef": 0.009709494745755033, "learning_rate": 0.0005807211840258373},
    ),
    ("airl", "HalfCheetah-v4"): (
        {"demo_batch_size": 2048, "gen_replay_buffer_capacity": 512, "n_disc_updates_per_round": 16},
        8192,
        CHEETAH | {"ent_coef": 0.0005544771755195421, "learning_rate": 0.00047248619386801587},
    ),
}
"""Of each adversarial method and task: its own settings, steps of a round, and PPO's."""
CLONING = {
    "Hopper-v4": {"batch_size": 64, "l2_weight": 1.3610189916104634e-6, "lr": 0.0007172435323620212},
    "HalfCheetah-v4": {"batch_size": 64, "l2_weight": 0.005728455628518169, "lr": 0.008056922426724927},
}
CLONING_EPOCHS = 20


def main() -> None:
    """Learn, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--method", choices=("bc", "gail", "airl"), required=True)
    parser.add_argument("--demonstrations", required=True)
    parser.add_argument("--sha256", default="", help="of the demonstrations: a result counts for these alone")
    parser.add_argument("--steps", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # The networks' first weights come from torch's global stream.
    torch.manual_seed(arguments.seed)
    shown = demonstrations(arguments.demonstrations)
    start = time.perf_counter()
    # It prints as it goes, and on standard output only the result is wanted.
    with contextlib.redirect_stdout(sys.stderr):
        learn = clone if arguments.method == "bc" else adversarial
        policy, steps = learn(arguments, shown)
    train_wall_s = time.perf_counter() - start
    returns = evaluate(policy, arguments.task)
    printed = {"steps": steps, "train_wall_s": train_wall_s, "return_mean": float(np.mean(returns)), "returns": returns}
    print(json.dumps(printed | {"files": ["benchmarks/peers/imitation_learning.py", "benchmarks/peers/imitation.txt"]}))


def demonstrations(path: str) -> list[TrajectoryWithRew]:
    """The episodes of a file that heeler wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    length = arrays["length"]
    observations = np.split(arrays["observation"], np.cumsum(length + 1)[:-1])
    actions, rewards = (np.split(arrays[name], np.cumsum(length)[:-1]) for name in ("action", "reward"))
    return [
        TrajectoryWithRew(obs=obs, acts=acts, infos=None, terminal=bool(terminal), rews=rews)
        for obs, acts, terminal, rews in zip(observations, actions, arrays["terminated"], rewards, strict=True)
    ]


def clone(arguments: argparse.Namespace, shown: list[TrajectoryWithRew]) -> tuple[ActorCriticPolicy, int]:
    """Behavioural cloning."""
    env, settings = gymnasium.make(arguments.task), CLONING[arguments.task]
    policy = FeedForward32Policy(
        observation_space=env.observation_space,
        action_space=env.action_space,
        lr_schedule=lambda _: settings["lr"],
        **NORMALIZED,
    )
    trainer = BC(
        observation_space=env.observation_space,
        action_space=env.action_space,
        policy=policy,
        demonstrations=shown,
        batch_size=settings["batch_size"],
        l2_weight=settings["l2_weight"],
        optimizer_kwargs={"lr": settings["lr"]},
        rng=np.random.default_rng(arguments.seed),
        custom_logger=logger.configure(format_strs=()),
        device="cpu",
    )
    trainer.train(n_epochs=CLONING_EPOCHS, progress_bar=False)
    return trainer.policy, 1


def adversarial(arguments: argparse.Namespace, shown: list[TrajectoryWithRew]) -> tuple[ActorCriticPolicy, int]:
    """GAIL or AIRL."""
    own, round_steps, ppo = SETTINGS[arguments.method, arguments.task]
    envs = make_vec_env(arguments.task, rng=np.random.default_rng(arguments.seed), n_envs=NUM_ENVS)
    learner = PPO(env=envs, seed=arguments.seed, n_steps=round_steps // NUM_ENVS, device="cpu", **ppo)
    net_class = BasicRewardNet if arguments.method == "gail" else BasicShapedRewardNet
    net = net_class(envs.observation_space, envs.action_space, normalize_input_layer=RunningNorm)
    trainer = (GAIL if arguments.method == "gail" else AIRL)(
        demonstrations=shown,
        venv=envs,
        gen_algo=learner,
        reward_net=NormalizedRewardNet(net, RunningNorm),
        # Ten episodes may hold fewer steps than a batch of its settings.
        **(own | {"demo_batch_size": min(own["demo_batch_size"], sum(len(one) for one in shown))}),
        allow_variable_horizon=True,
        custom_logger=logger.configure(format_strs=()),
    )
    trainer.train(max(arguments.steps, round_steps))
    return learner.policy, int(learner.num_timesteps)


def evaluate(policy: ActorCriticPolicy, task: str) -> list[float]:
    """True returns of deterministic episodes from the fixed first states."""
    env = gymnasium.make(task)
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
