"""What all who ask about the clips of a run do alike: when questions are due, which clips there are, and putting them.

Shapes: Q windows.
"""

from collections.abc import Sequence

import numpy as np

from heeler.core.errors import ConfigError
from heeler.core.nouns import PolicyVersion, Query, Segment
from heeler.core.rollout import Rollout
from heeler.feedback.sampling import candidate_windows, cut, longest_stretch
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.store import Store
from heeler.loop.config import RunConfig

TRAJECTORIES = "train"
"""What the trajectories of a run's clips are called by."""
MAX_WINDOWS = 2000
"""That are looked at to choose from."""


def num_rollouts(config: RunConfig, step: int) -> int:
    """Of a run that is so many steps far."""
    return step // config.steps_per_update


def first_due(config: RunConfig, step: int, *, num_first: int, num_warmup_rollouts: int) -> int:
    """How many of the first questions are to be put by `step`: they are spread over the first rollouts."""
    return round(num_first * min(1.0, num_rollouts(config, step) / num_warmup_rollouts))


def later_due(config: RunConfig, schedule: LabelSchedule, step: int, num_asked: int) -> int:
    """How many questions more are due, once the first are answered."""
    # A run is rounded down to whole updates, so that its last step may not come: the last update ends it.
    is_last = num_rollouts(config, step) >= config.num_updates
    return schedule.due(config.total_steps if is_last else step, config.total_steps, num_asked)


def clips(
    config: RunConfig, rollout: Rollout, windows_Q2: np.ndarray, length: int, *, keep_true_reward: bool
) -> list[Segment]:
    """The clips in these windows of a rollout."""
    return cut(
        rollout,
        windows_Q2,
        length,
        env_id=config.env.id,
        trajectories=TRAJECTORIES,
        keep_true_reward=keep_true_reward,
    )


def clips_too_long(rollout: Rollout, setting: str, length: int) -> ConfigError:
    """What to raise where no clip of this length fits within an episode; `setting` is the name of the length."""
    return ConfigError(
        f"{setting} must be at most the episodes' length, got {length}: the longest stretch within one episode of the "
        f"last rollout has {longest_stretch(rollout.ended)} steps, so that nothing can be asked; make clips shorter, "
        "or episodes longer"
    )


def refuse_long_clips(
    config: RunConfig, rollout: Rollout, step: int, length: int, num_warmup_rollouts: int, *, setting: str
) -> None:
    """Refuse to go on without a question once the first rollouts are over, where no clip fits within an episode.

    Raises:
        ConfigError: none of this length does; `setting` is the name of the length.
    """
    over = num_rollouts(config, step) >= num_warmup_rollouts
    if over and len(candidate_windows(rollout.ended, length)) == 0:
        raise clips_too_long(rollout, setting, length)


def put(
    store: Store, config: RunConfig, rollout: Rollout, segments: Sequence[Segment], queries: Sequence[Query]
) -> None:
    """Put questions about clips of the policy that acted in `rollout`."""
    made = rollout.policy_version * config.steps_per_update
    store.add_policy_version(PolicyVersion(version=rollout.policy_version, step=made))
    store.add_segments(segments)
    store.add_queries(queries)
