"""A policy shows how it is done: whole episodes, recorded as demonstrations.

Shapes: N environments, of which each plays one episode; O observation numbers, A action numbers.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from heeler.core.demonstrations import Demonstration, Demonstrations
from heeler.core.errors import ConfigError
from heeler.core.rundir import RunDirectory
from heeler.envs import World, make
from heeler.loop.config import check_seed, from_dict
from heeler.loop.evaluations import final_seed
from heeler.loop.reading import newest_sound_checkpoint, policy_of, shield_of, shield_state
from heeler.models.policy import Policy
from heeler.rollouts.shielding import ShieldRecord
from heeler.safety.shields.shield import Shield

MAX_STEPS = 100_000


def demonstrate_run(
    path: Path, *, num_episodes: int, seed: int | None = None, sample: bool = False, least_return: float | None = None
) -> Demonstrations:
    """Episodes of a run's newest policy in the run's own world, behind its shield where it has one.

    Args:
        path: the run's directory; nothing in it is changed.
        num_episodes: how many.
        seed: of the episodes; None for those that the run was judged by at its end.
        sample: act as it did while it learned, instead of by the likeliest action.
        least_return: leave out episodes of less true return.

    Raises:
        RunError: there is no run, or no sound checkpoint in it.
        ConfigError: no number of episodes, or none of them was good enough.
    """
    if num_episodes < 1:
        raise ConfigError(f"episodes must be >= 1, got {num_episodes}")
    config = from_dict(RunDirectory.open(path).config())
    seed = final_seed(config) if seed is None else seed
    check_seed(seed)
    checkpoint = newest_sound_checkpoint(RunDirectory.open(path))
    env = replace(config.env, num_envs=num_episodes)
    world, shield = make(env, seed), None
    try:
        shield = shield_of(config, env, world, shield_state(checkpoint))
        shown = record(policy_of(checkpoint, config), world, seed=seed, sample=sample, shield=shield)
    finally:
        world.close()
        if shield is not None:
            shield.close()
    if least_return is None:
        return shown
    returns = shown.returns
    assert returns is not None
    kept = tuple(one for one, value in zip(shown.episodes, returns, strict=True) if value >= least_return)
    if not kept:
        raise ConfigError(
            f"least_return is {least_return:g}, and the best of {num_episodes} episodes returned {returns.max():.4g}; "
            "lower it, or let the run learn for longer"
        )
    return replace(shown, episodes=kept)


def record(
    policy: Policy, world: World, *, seed: int, sample: bool = False, shield: Shield | None = None
) -> Demonstrations:
    """One whole episode in every environment of `world`, with the actions that were executed.

    Args:
        policy: who acts.
        world: as many environments as episodes are wanted; its state is lost.
        seed: of the world's resets, and of the sampling where there is any.
        sample: act with noise.
        shield: of this very world.

    Raises:
        ConfigError: an episode has not ended after so many steps that it may never.
    """
    N, generator = world.num_envs, torch.Generator().manual_seed(seed)
    observation, _ = world.reset(seed=seed)
    acting = ShieldRecord(shield, None)
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    last = np.zeros_like(observation)
    length, terminated = np.zeros(N, np.int64), np.zeros(N, bool)
    running = np.ones(N, bool)
    while running.any():
        if len(rows) >= MAX_STEPS:
            raise ConfigError(
                f"an episode has not ended after {MAX_STEPS:,} steps; give the world an end, by max_episode_steps"
            )
        noise = policy.head.noise((N,), generator).to(policy.shift.device) if sample else None
        _, executed = acting.act(policy, observation, noise)
        before = observation.copy()
        observation, reward, ends, cut, infos = world.step(policy.executable(executed))
        rows.append((before, executed.copy(), reward.copy()))
        length += running
        ended = running & (ends | cut)
        if ended.any():
            last[ended], terminated[ended] = infos["final_obs"][ended], ends[ended]
        running &= ~ended
    seen, done, paid = (np.stack(column) for column in zip(*rows, strict=True))
    episodes = tuple(
        Demonstration(
            observation=np.concatenate([seen[: length[n], n], last[None, n]]).astype(np.float32),
            action=done[: length[n], n],
            terminated=bool(terminated[n]),
            reward=paid[: length[n], n].astype(np.float64),
        )
        for n in range(N)
    )
    return Demonstrations(episodes=episodes, env_id=world.env_id, source="a policy's episodes")
