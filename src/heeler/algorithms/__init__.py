"""Learners, one file each. `ALGORITHMS` lists them all; the conformance tests go through it."""

from heeler.algorithms.ppo import PPO, PPOConfig

ALGORITHMS: tuple[tuple[type[PPO], type[PPOConfig]], ...] = ((PPO, PPOConfig),)

__all__ = ["ALGORITHMS", "PPO", "PPOConfig"]
