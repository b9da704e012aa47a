"""Overseers in an evaluation: they review as in the run, learn nothing, and what they did is counted by episode.

Shapes: N episodes side by side, A action numbers, C costs.
"""

import numpy as np

from heeler.envs import World
from heeler.evaluation.returns import HALTED, MODIFIED, VETOED
from heeler.loop.overseers.acting import ActionReview
from heeler.loop.overseers.course import EpisodeCount
from heeler.loop.overseers.settings import OverseersConfig
from heeler.loop.parts import Kept


class EvaluationReview:
    """What `evaluate` takes for overseers.

    What is used up by the run, such as seconds, is counted from here on.

    Args:
        config: the overseers.
        world: of N environments, each of which plays one episode.
        kept: what they knew in the run, by `ActionReview.kept`; None for nothing yet.

    Raises:
        ConfigError: as of `ActionReview`.
        RunError: the file of rules is not as it was.
    """

    def __init__(self, config: OverseersConfig, world: World, kept: Kept | None) -> None:
        self._count = EpisodeCount(world.num_envs, world.cost_names)
        self._review = ActionReview(config, world, self._count, is_frozen=True)
        if kept is not None:
            self._review.load_learned(*kept)
        self._figures = {name: np.zeros(world.num_envs) for name in (VETOED, MODIFIED, HALTED)}

    def review(self, observation: np.ndarray, proposed: np.ndarray, running: np.ndarray) -> np.ndarray:
        """[N, A] what is to be done; of episodes that do not run nothing is reviewed."""
        if not running.any():
            return proposed
        found = self._review.review(observation, proposed, running)
        self._figures[VETOED] += found.vetoed
        self._figures[MODIFIED] += found.modified
        self._figures[HALTED][list(found.halted)] = 1
        return found.executed

    @property
    def halted(self) -> np.ndarray:
        """[N] bool: episodes that they ended."""
        return self._figures[HALTED] > 0

    def add(self, cost: np.ndarray) -> None:
        """A step was taken, of which each cost [N, C]."""
        self._count.add(cost)

    def figures(self) -> dict[str, np.ndarray]:
        """[N] each: steps that were vetoed and modified, and whether the episode was halted."""
        return self._figures
