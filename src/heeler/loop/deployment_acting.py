"""A released policy as it acts: behind the overseers and the shield that it learned and was tested behind.

Shapes: N lanes, O observation numbers, A action numbers.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from heeler.core.errors import ConfigError
from heeler.core.rundir import Checkpoint
from heeler.envs import World, make
from heeler.evaluation.returns import MODIFIED, NOTHING_SAFE, SHIELDED, VETOED
from heeler.loop.config import RunConfig
from heeler.loop.overseers.acting import ActionReview, halted_by
from heeler.loop.overseers.course import Course, EpisodeCount
from heeler.loop.reading import overseers_state, policy_of, shield_of, shield_state
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
        count: of the lanes' episodes.
        course: of the lanes; every release's overseers share it.

    Raises:
        CheckpointError: the policy does not fit the run's world.
        ConfigError: shield or overseers cannot be had as the release had them.
        RunError: the rules that its overseers go by are not those that they went by.
    """

    def __init__(
        self, checkpoint: Checkpoint, config: RunConfig, world: World, count: EpisodeCount, course: Course
    ) -> None:
        self._policy = policy_of(checkpoint, config)
        self.review: ActionReview | None = None
        if config.overseers is not None:
            # Who goes on learning what is usual would in time find usual whatever is done.
            self.review = ActionReview(config.overseers, world, count, course=course, is_frozen=True)
            if (kept := overseers_state(checkpoint)) is not None:
                self.review.load_learned(*kept)
        self._shield = shield_of(config, config.env, world, shield_state(checkpoint))

    def act(self, observation: np.ndarray, rows_N: np.ndarray) -> Acted:
        """The likeliest actions, or what is done in their place.

        Args:
            observation: [N, O] float32.
            rows_N: bool: lanes that this release acts in; what is said of others means nothing.

        Raises:
            RunHalted: the overseers halt it.
            NothingSafe: no action is safe in one of these lanes, and the shield is to halt then.
        """
        policy, counted = self._policy, dict[str, np.ndarray]()

        def reviewed(seen: np.ndarray, proposed: np.ndarray) -> np.ndarray:
            if self.review is None:
                return proposed
            found = self.review.review(seen, proposed, rows_N)
            for verdict in found.halted.values():
                raise halted_by(verdict, "the deployment")
            counted.update({VETOED: found.vetoed, MODIFIED: found.modified})
            return found.executed

        if self._shield is None:
            own = policy.act(observation[rows_N], None).cpu().numpy()
            proposed = np.zeros((len(observation), own.shape[1]), own.dtype)
            proposed[rows_N] = policy.within_bounds(own)
            return Acted(policy.executable(reviewed(observation, proposed)), counted)
        guarded = self._shield.act(policy, observation, None, rows_N, review=reviewed)
        counted |= {SHIELDED: guarded.shielded_N & rows_N, NOTHING_SAFE: guarded.nothing_safe_N & rows_N}
        return Acted(policy.executable(guarded.executed_NA), counted)

    def close(self) -> None:
        """Close the shield's twins."""
        if self._shield is not None:
            self._shield.close()


def acted_in(run: Path, config: RunConfig, world: World | None, count: EpisodeCount) -> World:
    """The world that a deployment's shield and overseers stand before.

    Args:
        run: the run's directory, for messages.
        config: of the run.
        world: that is acted in; None where nobody has one, as of machines and clients.
        count: of the lanes, with the costs that are told.

    Returns:
        `world`, or, where no shield asks it, one of the run's kind that nobody acts in and that has nothing to close.

    Raises:
        ConfigError: the shield asks the world and there is none, or it is another one than the run's; or overseers
            are not told of all its costs.
    """
    own, num_lanes = make(config.env.single(), config.seed), len(count.episode_step)
    own.close()
    untold = [name for name in own.cost_names if name not in count.cost_names]
    if config.overseers is not None and untold:
        raise ConfigError(
            f"cost_names: the overseers of {run} were told of the cost {untold[0]!r}; name it, and give it to `observe`"
        )
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
