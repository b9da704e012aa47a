"""A released policy as it acts: behind the shield that it learned and was tested behind.

Shapes: N lanes, O observation numbers, A action numbers.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from heeler.core.errors import ConfigError
from heeler.core.rundir import Checkpoint
from heeler.envs import World, make
from heeler.evaluation.returns import NOTHING_SAFE, SHIELDED
from heeler.loop.config import RunConfig
from heeler.loop.reading import policy_of, shield_of, shield_state
from heeler.safety.shields.config import ShieldConfig


class Acted(NamedTuple):
    """What is done in all lanes, of which those of one release count."""

    action: np.ndarray
    """[N, ...] as a world takes it."""
    counted: dict[str, np.ndarray]
    """[N] bool each: of which kind the step was, by the names of evaluations' figures."""


class Actor:
    """The policy of a release with what stands between it and the world.

    Args:
        checkpoint: of the release.
        config: of its run.
        world: that is acted in, or one like it where no shield asks it.

    Raises:
        CheckpointError: the policy does not fit the run's world.
        ConfigError: the shield cannot be had as the release had it.
    """

    def __init__(self, checkpoint: Checkpoint, config: RunConfig, world: World) -> None:
        self._policy = policy_of(checkpoint, config)
        self._shield = shield_of(config, config.env, world, shield_state(checkpoint))

    def act(self, observation: np.ndarray, rows_N: np.ndarray) -> Acted:
        """The likeliest actions, or what is done in their place.

        Args:
            observation: [N, O] float32.
            rows_N: bool: lanes that this release acts in; what is said of others means nothing.

        Raises:
            NothingSafe: no action is safe in one of these lanes, and the shield is to halt then.
        """
        policy = self._policy
        if self._shield is None:
            own = policy.executable(policy.act(observation[rows_N], None).cpu().numpy())
            actions = np.zeros((len(observation), *own.shape[1:]), own.dtype)
            actions[rows_N] = own
            return Acted(actions, {})
        guarded = self._shield.act(policy, observation, None, rows_N)
        counted = {SHIELDED: guarded.shielded_N & rows_N, NOTHING_SAFE: guarded.nothing_safe_N & rows_N}
        return Acted(policy.executable(guarded.executed_NA), counted)

    def close(self) -> None:
        """Close the shield's twins."""
        if self._shield is not None:
            self._shield.close()


def acted_in(run: Path, config: RunConfig, world: World | None, num_lanes: int) -> World:
    """The world that a deployment's shield stands before.

    Args:
        run: the run's directory, for messages.
        config: of the run.
        world: that is acted in; None where nobody has one, as of machines and clients.
        num_lanes: N.

    Returns:
        `world`, or, where no shield asks it, one of the run's kind that nobody acts in and that has nothing to close.

    Raises:
        ConfigError: the shield asks the world and there is none, or it is another one than the run's.
    """
    own = make(config.env.single(), config.seed)
    own.close()
    asking = _asks_world(config.shield)
    if world is None:
        if asking:
            raise ConfigError(
                f"{run} learned and was tested behind a shield whose {asking}: hand over the world that is acted in, "
                "as Deployment(..., world=world). If that cannot be simulated, its policy cannot be deployed"
            )
        return own
    given, expected = ((one.observation_size, one.single_action_space) for one in (world, own))
    if given != expected or world.num_envs != num_lanes:
        raise ConfigError(
            f"world: expected {num_lanes} environments like {own.env_id}, with {expected[0]} numbers seen and actions "
            f"{expected[1]}; got {world.num_envs} of {world.env_id} with {given[0]} and {given[1]}"
        )
    return world


def _asks_world(shield: ShieldConfig | None) -> str:
    """What of a shield must see the world itself, in words; empty where observations are enough."""
    if shield is not None and shield.check is not None:
        return "check tries each action in a simulation that stands where the world stands"
    if shield is not None and shield.mask is not None and shield.mask.source == "world":
        return "mask comes from the world"
    return ""
