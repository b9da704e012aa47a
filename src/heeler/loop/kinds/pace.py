"""How fast clips of a world are shown, and so how long watching one takes."""

from dataclasses import dataclass

from heeler.envs import World
from heeler.loop.live import steps_per_second
from heeler.rewards.joint.readings import Delay

_SHOWN_AT_LEAST_S = 2.0
"""The console shows shorter clips more slowly, so that they last so long."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Of clips of one length."""

    step_s: float
    """Seconds of the world's own time in a step."""
    watched_s: float
    """Seconds that a clip is seen for."""
    speed: float
    """How fast the world's time passes in it; at most 1."""

    @classmethod
    def of(cls, world: World, segment_length: int) -> "Pace":
        """Of clips of a world."""
        step_s = 1 / steps_per_second(world)
        watched_s = max(_SHOWN_AT_LEAST_S, segment_length * step_s)
        return cls(step_s=step_s, watched_s=watched_s, speed=segment_length * step_s / watched_s)

    def in_clip_time(self, delay: Delay) -> Delay:
        """A delay of people, who live at their own pace, in the time of the clip, in which their marks are."""
        return Delay(least_s=delay.least_s * self.speed, most_s=delay.most_s * self.speed)
