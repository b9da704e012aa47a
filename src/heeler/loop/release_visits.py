"""States that a released policy visits as it acts: by its likeliest action, behind its overseers and its shield.

Shapes: N environments, S states, O observation numbers, A action numbers.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from heeler.core.errors import NothingSafe
from heeler.core.rundir import Checkpoint
from heeler.envs import EnvConfig, World, make
from heeler.evaluation.returns import StepReview, act_behind
from heeler.loop.config import RunConfig
from heeler.loop.overseers.evaluating import EvaluationReview
from heeler.loop.reading import overseers_state, shield_of, shield_state
from heeler.models.policy import Policy
from heeler.safety.shields.shield import Shield

_NUM_ENVS, _NUM_STEPS, _MAX_STATES, _MAX_ROUNDS = 8, 256, 512, 20
_FAR = 5.0
"""Standard deviations of what was learned on, beyond which a number is strange."""
_Step = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Visited:
    """Steps of a policy that acts by its likeliest action."""

    observation: np.ndarray
    """[S, O] float32."""
    executed: np.ndarray
    """[S, A] what was done."""
    next_observation: np.ndarray
    """[S, O] float32: what came of it; at an episode's end the terminal observation."""
    behind: tuple[str, ...] = ()
    """What stands between it and the world: `overseers`, `shield`."""
    is_let: bool = True
    """Whether those let anything be done; else these are states that it would visit without them."""


def visited(policy: Policy, config: RunConfig, checkpoint: Checkpoint, *, seed: int) -> Visited:
    """States of fresh episodes in the run's world, a few hundred of them spread evenly.

    Where nothing can be done behind overseers and shield, as they halt every episode before its first step, they are
    those of the policy alone.

    Args:
        policy: of the checkpoint.
        config: of the run.
        checkpoint: says what shield and overseers had learned.
        seed: of the episodes.
    """
    behind = tuple(name for name in ("overseers", "shield") if getattr(config, name) is not None)
    let = _steps(policy, config, checkpoint, seed)
    seen = let or _steps(policy, replace(config, overseers=None, shield=None), checkpoint, seed)
    observation, executed, after = (np.concatenate(some) for some in zip(*seen, strict=True))
    rows = np.unique(np.linspace(0, len(observation) - 1, min(len(observation), _MAX_STATES)).astype(int))
    return Visited(
        observation=observation[rows],
        executed=executed[rows],
        next_observation=after[rows],
        behind=behind,
        is_let=bool(let),
    )


def _steps(policy: Policy, config: RunConfig, checkpoint: Checkpoint, seed: int) -> list[_Step]:
    """Steps of whole episodes, or of their beginnings, until there are enough of them."""
    env = replace(config.env, num_envs=_NUM_ENVS, vectorization=config.env.single().vectorization)
    seen: list[_Step] = []
    for number in range(_MAX_ROUNDS):
        if sum(len(observation) for observation, _, _ in seen) >= _MAX_STATES:
            break
        seen += _round(policy, config, checkpoint, env, seed + number * _NUM_ENVS)
    return seen


def _round(policy: Policy, config: RunConfig, checkpoint: Checkpoint, env: EnvConfig, seed: int) -> list[_Step]:
    """An episode in each environment."""
    world, shield = make(env, seed), None
    seen: list[_Step] = []
    try:
        shield = shield_of(config, env, world, shield_state(checkpoint))
        overseers = None
        if config.overseers is not None:
            overseers = EvaluationReview(config.overseers, world, overseers_state(checkpoint))
        # What was done until nothing was safe was done.
        with suppress(NothingSafe):
            _play(policy, world, shield, overseers, seed, into=seen)
    finally:
        world.close()
        if shield is not None:
            shield.close()
    return seen


def _play(
    policy: Policy, world: World, shield: Shield | None, overseers: StepReview | None, seed: int, *, into: list[_Step]
) -> None:
    observation, _ = world.reset(seed=seed)
    running = np.ones(world.num_envs, bool)
    for _ in range(_NUM_STEPS):
        executed, _ = act_behind(policy, observation, None, running, shield, overseers)
        if overseers is not None:
            running &= ~overseers.halted
        if not running.any():
            return
        following, _, terminated, truncated, infos = world.step(policy.executable(executed))
        if overseers is not None:
            overseers.add(infos["cost"] if world.cost_names else np.zeros((world.num_envs, 0)))
        ended = terminated | truncated
        after = following.copy()
        if ended.any():
            after[ended] = infos["final_obs"][ended]
        into.append((observation[running], executed[running], after[running]))
        running &= ~ended
        observation = following


def strange_share(policy: Policy, states: Visited) -> float | None:
    """Share of the visited states in which a number lies far outside of what was learned on; None where that was not
    kept."""
    if not float(policy.moments.count):
        return None
    mean, variance = (values.numpy() for values in (policy.moments.mean, policy.moments.variance))
    far_SO = np.abs(states.observation - mean) > _FAR * np.sqrt(variance + 1e-8)
    return float(far_SO.any(1).mean())
