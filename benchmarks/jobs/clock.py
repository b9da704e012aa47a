"""Where a training job's time goes, and how far each part is from its limit.

Methods are wrapped while the clock runs. A part's seconds leave out those of other parts that it calls, so that all
parts together are the seconds of the whole.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import torch

from heeler.algorithms.ppo import PPO
from heeler.envs.mujoco_batch import BatchedMujoco
from heeler.envs.world import BatchedWorld
from heeler.loop.config import RunConfig
from heeler.loop.preferences import PreferenceLoop
from heeler.loop.preferences_config import PreferencesConfig
from heeler.models.policy import Policy
from heeler.rewards.preference_model import PreferenceModel
from heeler.rollouts.collector import Collector

PARTS: Mapping[tuple[type, str], str] = {
    (BatchedWorld, "step"): "environment",
    (BatchedMujoco, "_step_physics"): "physics",
    (Collector, "collect"): "collecting",
    (Policy, "act"): "acting",
    (PreferenceLoop, "ask"): "questions",
    (PreferenceLoop, "listen"): "questions",
    (PreferenceLoop, "reward"): "labelling",
    (PreferenceModel, "fit"): "fitting",
    (PreferenceModel, "_step"): "fit_steps",
    (PPO, "update"): "learning",
}


class Clock:
    """Seconds and calls of each of `PARTS` while it runs."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._inner = [0.0]
        """Seconds of the calls inside each call that is open now."""

    @contextmanager
    def running(self) -> Generator[None]:
        """Wraps the methods, and puts them back."""
        patches = [
            patch.object(owner, name, self._timed(getattr(owner, name), part)) for (owner, name), part in PARTS.items()
        ]
        for each in patches:
            each.start()
        try:
            yield
        finally:
            for each in patches:
                each.stop()

    def _timed(self, method: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                whole = time.perf_counter() - start
                self.seconds[part] += whole - self._inner.pop()
                self.calls[part] += 1
                self._inner[-1] += whole

        return timed


def time_figures(clock: Clock, config: RunConfig, policy: Policy, *, wall_s: float) -> dict[str, float]:
    """Share of the wall seconds that each part takes, and share of each part that is its limit.

    The limit is what cannot be left out: of the environment the physics in MuJoCo's threads, of the others the matrix
    products of their networks, measured by themselves.

    Args:
        clock: that ran.
        config: of the run.
        policy: of the run.
        wall_s: seconds of the run, evaluation included.
    """
    seconds, calls, preferences = clock.seconds, clock.calls, config.preferences
    assert preferences is not None
    parts = {
        "environment": seconds["environment"] + seconds["physics"],
        "acting": seconds["acting"] + seconds["collecting"],
        "reward_model": sum(seconds[part] for part in ("questions", "labelling", "fitting", "fit_steps")),
        "learning": seconds["learning"],
    }
    hidden, ppo = config.algorithm.policy.hidden_sizes, config.algorithm
    actor, critic = (policy.observation_size, *hidden, policy.head.num_outputs), (policy.observation_size, *hidden, 1)
    batch = ppo.minibatch_size
    gradient_step = products_s(actor, batch, learning=True) + products_s(critic, batch, learning=True)
    gradient_steps = calls["learning"] * ppo.num_epochs * round(config.steps_per_update / batch)
    limits = {
        "environment": seconds["physics"],
        "acting": calls["acting"] * products_s(actor, config.env.num_envs, learning=False),
        "reward_model": calls["fit_steps"] * _fit_step_s(preferences),
        "learning": gradient_steps * gradient_step,
    }
    shares = {f"share_{part}": spent / wall_s for part, spent in parts.items()}
    rest = {"share_rest": 1 - sum(shares.values())}
    return shares | rest | {f"limit_{part}": limits[part] / spent if spent else 0.0 for part, spent in parts.items()}


def _fit_step_s(preferences: PreferencesConfig) -> float:
    model = preferences.model
    assert model.observation_columns is not None and model.inputs == ("next_observation",)
    sizes = (len(model.observation_columns), *model.hidden_sizes, 1)
    rows = 2 * model.minibatch_size * preferences.segment_length
    return products_s(sizes, rows, members=model.num_members, learning=True)


def products_s(sizes: tuple[int, ...], batch: int, *, members: int = 1, learning: bool) -> float:
    """Seconds of the matrix products of one pass through `members` fully connected networks, and of nothing else.

    Args:
        sizes: of the layers, input first.
        batch: rows.
        members: networks of this shape.
        learning: whether the way back, with its two products a layer (one in the first), counts as well.
    """
    layers = [
        (torch.randn(members, batch, a), torch.randn(members, a, b), torch.randn(members, batch, b))
        for a, b in pairwise(sizes)
    ]
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(20):
            for index, (x, weight, y) in enumerate(layers):
                torch.bmm(x, weight)
                if learning:
                    torch.bmm(x.mT, y)
                    if index:
                        torch.bmm(y, weight.mT)
        best = min(best, (time.perf_counter() - start) / 20)
    return best
