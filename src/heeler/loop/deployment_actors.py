"""The releases that act in a deployment: where each acts, what was not done as proposed, and what the log is told.

Shapes: N lanes, O observation numbers.
"""

from collections.abc import Callable, Collection

import numpy as np

from heeler.core.errors import NothingSafe, RunHalted
from heeler.core.rundir import Checkpoint
from heeler.envs import World
from heeler.loop.config import RunConfig
from heeler.loop.deployment_acting import Actor
from heeler.loop.deployment_lanes import Lanes
from heeler.loop.overseers.course import Course, EpisodeCount
from heeler.loop.overseers.objections import OBJECTED

DEPLOYMENT = "deployment"
"""Who tells the audit log of what happened while a policy acted."""
_TELL_EVERY = 1000
"""Steps of all lanes between two lines of the audit log about overseers' objections."""


class Actors:
    """What acts of each release.

    Args:
        config: of the run.
        world: that is acted in, or one like it where no shield asks it.
        episodes: of N lanes.
        tell: writes a line of the audit log.
    """

    def __init__(self, config: RunConfig, world: World, episodes: EpisodeCount, tell: Callable[..., object]) -> None:
        self._config, self._world, self._episodes, self._tell = config, world, episodes, tell
        self._course = Course(len(episodes.episode_step))
        self._actors: dict[str, Actor] = {}
        self.counted: dict[str, int] = {}
        """Steps so far, by the names of evaluations' figures."""
        self._num_acted, self._told_at = 0, -_TELL_EVERY

    def __contains__(self, release: object) -> bool:
        return release in self._actors

    def __getitem__(self, release: str) -> Actor:
        return self._actors[release]

    def add(self, release: str, checkpoint: Checkpoint) -> None:
        """Have a release act. Errors are as of `Actor`."""
        self._actors[release] = Actor(checkpoint, self._config, self._world, self._episodes, self._course)

    def keep(self, wanted: Collection[str]) -> None:
        """Let no other releases act."""
        gone = self._actors.keys() - set(wanted)
        if gone:
            self._tell_objections()
        for release in gone:
            self._actors.pop(release).close()

    def act(self, observation: np.ndarray, lanes: Lanes, in_use: str) -> np.ndarray:
        """[N, ...] what is done, as a world takes it; `observation` is [N, O]. Errors are as of `Actor.act`."""
        actions: np.ndarray | None = None
        for release, rows_N in lanes.by_release(in_use, self):
            try:
                acted = self._actors[release].act(observation, rows_N)
            except (NothingSafe, RunHalted) as error:
                self._tell_halt(release, error)
                raise
            lanes.count(acted.counted)
            for name, is_so_N in acted.counted.items():
                self.counted[name] = self.counted.get(name, 0) + int(is_so_N.sum())
            actions = acted.action if actions is None else actions
            actions[rows_N] = acted.action[rows_N]
        assert actions is not None
        self._num_acted += len(actions)
        if self._num_acted - self._told_at >= _TELL_EVERY:
            self._tell_objections()
        return actions

    def _tell_halt(self, release: str, error: NothingSafe | RunHalted) -> None:
        self._tell_objections()
        evidence = error.evidence if isinstance(error, RunHalted) else {}
        self._tell("deployment.halt", release=release, problem=str(error), evidence=evidence)

    def _tell_objections(self) -> None:
        """What overseers objected to since this was told last; the log takes milliseconds, and is not for steps."""
        for release, actor in self._actors.items():
            told = actor.review and actor.review.objections.take()
            if told:
                self._tell(OBJECTED, release=release, **told)
                self._told_at = self._num_acted
