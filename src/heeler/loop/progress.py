"""What is known of a run while it goes on: returns of whole episodes, and how learned and true reward agree."""

from collections import deque
from typing import Any

import numpy as np

from heeler.core.rollout import Rollout
from heeler.loop.parts import Arrays, Kept, Part, Turn


class EpisodeReturns(Part):
    """True returns and lengths of the latest whole episodes, followed over rollouts.

    Args:
        num_envs: N.
        num_latest: how many episodes the means are taken over.
    """

    name = "returns"

    def __init__(self, num_envs: int, num_latest: int = 100) -> None:
        self.running = np.zeros(num_envs)
        self.length = np.zeros(num_envs, np.int64)
        self.partial = np.zeros(num_envs, bool)
        """Episodes under way that were not seen whole, or are cut short on purpose, and so do not count."""
        self.latest: deque[tuple[float, int]] = deque(maxlen=num_latest)
        self.latest_figures: dict[str, deque[float]] = {}
        """What the world counted in the latest episodes, by name."""
        self.num_latest = num_latest
        self.num_episodes = 0

    def after_rollout(self, turn: Turn) -> Turn:
        """Take in a rollout."""
        self.add(turn.rollout)
        return turn

    def add(self, rollout: Rollout) -> None:
        """Take in a rollout."""
        self._add_figures(rollout)
        for t in range(rollout.num_steps):
            self.running += rollout.true_reward[t]
            self.length += 1
            ended = np.flatnonzero(rollout.ended[t])
            if len(ended):
                whole = ended[~self.partial[ended]]
                self.latest.extend(zip(self.running[whole].tolist(), self.length[whole].tolist(), strict=True))
                self.num_episodes += len(whole)
                self.partial[ended] = False
                self.running[ended] = 0
                self.length[ended] = 0

    def _add_figures(self, rollout: Rollout) -> None:
        whole = np.zeros(len(rollout.final_index), bool)
        partial = self.partial.copy()
        for end, (_, env) in enumerate(rollout.final_index):
            whole[end] = not partial[env]
            partial[env] = False
        for name, values in rollout.episode_figures.items():
            latest = self.latest_figures.setdefault(name, deque(maxlen=self.num_latest))
            latest.extend(values[whole].astype(float).tolist())

    def restart(self, *, partial: bool = False) -> None:
        """Every environment has begun a new episode; `partial` ones are not counted when they end."""
        self.running[:] = 0
        self.length[:] = 0
        self.partial[:] = partial

    def means(self) -> dict[str, float]:
        """Means over the latest episodes and the return's standard error; nothing before the first has ended."""
        if not self.latest:
            return {"episodes": 0}
        returns, lengths = np.array(self.latest).T
        return {
            "episodes": self.num_episodes,
            "true_return_mean": float(returns.mean()),
            "true_return_standard_error": float(returns.std(ddof=1) / len(returns) ** 0.5) if len(returns) > 1 else 0.0,
            "episode_length_mean": float(lengths.mean()),
        } | {f"{name}_mean": float(np.mean(values)) for name, values in self.latest_figures.items() if values}

    def kept(self) -> Kept:
        """What a checkpoint keeps."""
        return {}, {
            "running": self.running.tolist(),
            "length": self.length.tolist(),
            "partial": self.partial.tolist(),
            "latest": list(self.latest),
            "latest_figures": {name: list(values) for name, values in self.latest_figures.items()},
            "num_episodes": self.num_episodes,
        }

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Go on from what `kept` returned."""
        self.running = np.array(state["running"])
        self.length = np.array(state["length"])
        self.partial = np.array(state["partial"], bool)
        self.latest.clear()
        self.latest.extend((float(r), int(length)) for r, length in state["latest"])
        figures = state["latest_figures"].items()
        self.latest_figures = {name: deque(values, maxlen=self.num_latest) for name, values in figures}
        self.num_episodes = state["num_episodes"]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two arrays of one shape; 0 where either does not vary."""
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
