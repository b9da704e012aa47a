"""How good a run's policy is: fresh episodes with intervals, kept beside the checkpoint that they were played with."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from heeler.core.errors import RunError
from heeler.core.rollout import cost_figure
from heeler.core.rundir import Checkpoint, RunDirectory, write_atomically
from heeler.evaluation.returns import Evaluation
from heeler.loop.config import RunConfig, from_dict
from heeler.loop.costs import costs_of
from heeler.loop.reading import (
    evaluate_policy,
    newest_sound_checkpoint,
    overseers_state,
    policy_of,
    shield_state,
)
from heeler.loop.words import number
from heeler.safety.shields.config import ShieldConfig

EVALUATION_NAME = "evaluation.json"
_NUM_RESAMPLES = 10_000
_BLOCK = 1_000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over episodes and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PolicyEvaluation:
    """What a policy came to in fresh episodes."""

    step: int
    """Environment steps that it had learned for."""
    checkpoint_sha256: str
    """The checkpoint that holds it."""
    seed: int
    """Of the episodes."""
    num_episodes: int
    """How many were played."""
    episode_return: Interval
    """True return of an episode."""
    episode_length: Interval
    """Steps of an episode."""
    figures: Mapping[str, Interval]
    """What the world counts in an episode, such as `landed_backflips`."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PolicyEvaluation":
        """What `to_dict` returned."""
        own = dict(values)
        own["episode_return"] = Interval(**values["episode_return"])
        own["episode_length"] = Interval(**values["episode_length"])
        own["figures"] = {name: Interval(**interval) for name, interval in values["figures"].items()}
        return cls(**own)


def bootstrap_interval(values: np.ndarray, *, seed: int = 0) -> Interval:
    """The mean of [K] values and its 95 % percentile bootstrap interval (Efron 1979), the same for the same values.

    >>> bootstrap_interval(np.array([2.0, 2.0, 2.0]))
    Interval(mean=2.0, low=2.0, high=2.0)
    """
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [values[rng.integers(len(values), size=(_BLOCK, len(values)))].mean(1) for _ in range(_NUM_RESAMPLES // _BLOCK)]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(mean=float(values.mean()), low=float(low), high=float(high))


def summarize(evaluation: Evaluation, checkpoint: Checkpoint, *, seed: int) -> PolicyEvaluation:
    """Means and intervals of an evaluation's episodes."""
    return PolicyEvaluation(
        step=checkpoint.step,
        checkpoint_sha256=checkpoint.sha256,
        seed=seed,
        num_episodes=len(evaluation.returns),
        episode_return=bootstrap_interval(evaluation.returns),
        episode_length=bootstrap_interval(evaluation.lengths),
        figures={name: bootstrap_interval(values) for name, values in evaluation.figures.items()},
    )


def budgets_in_words(evaluation: PolicyEvaluation, config: RunConfig) -> dict[str, str]:
    """What each cost may come to, by the name of its figure; with a budget a step, what a step came to as well."""
    costs = config.limits.costs if config.limits is not None else ()
    words: dict[str, str] = {}
    for cost in costs:
        name = cost_figure(cost.name)
        if name not in evaluation.figures:
            continue
        words[name] = f"budget {number(cost.budget)} {'a step' if cost.per == 'step' else 'an episode'}"
        if cost.per == "step":
            a_step = evaluation.figures[name].mean / evaluation.episode_length.mean
            words[name] = f"{number(a_step)} a step, {words[name]}"
    return words


def final_seed(config: RunConfig) -> int:
    """Seed of the episodes that a run is judged by at its end."""
    return config.seed + 10_000


def evaluate_run(
    run: Path | str,
    *,
    num_episodes: int | None = None,
    seed: int | None = None,
    shield: ShieldConfig | Literal["own"] | None = "own",
    overseers: Literal["own"] | None = "own",
) -> PolicyEvaluation:
    """Play fresh episodes with the policy of a run's newest sound checkpoint.

    Args:
        run: the run's directory; nothing in it is changed.
        num_episodes: None for as many as at the end of the run.
        seed: of the episodes; None for those that the run is judged by at its end.
        shield: between the policy and the world: the run's own, another one, or None for none. A critic must have been
            trained by the run.
        overseers: before the shield: the run's own, or None for none.

    Raises:
        RunError: it has no sound checkpoint, or its overseers' rules were changed.
        ConfigError: `num_episodes` is below 1, or the shield does not fit.
        NothingSafe: the shield found no safe action, and is to halt then.
    """
    directory = RunDirectory.open(Path(run))
    config = from_dict(directory.config())
    if shield != "own":
        config = replace(config, shield=shield)
    if overseers is None:
        config = replace(config, overseers=None)
    checkpoint = newest_sound_checkpoint(directory)
    seed = final_seed(config) if seed is None else seed
    num_episodes = config.num_evaluation_episodes if num_episodes is None else num_episodes
    learned, own = shield_state(checkpoint), costs_of(checkpoint, config)
    evaluation = evaluate_policy(
        policy_of(checkpoint, config),
        config,
        num_episodes=num_episodes,
        seed=seed,
        learned=learned,
        own_costs=own,
        overseen=overseers_state(checkpoint),
    )
    return summarize(evaluation, checkpoint, seed=seed)


def save_evaluation(directory: RunDirectory, evaluation: PolicyEvaluation) -> None:
    """Keep it as `evaluation.json`.

    Raises:
        RunError: the disk is full or read-only.
    """
    content = json.dumps(evaluation.to_dict(), indent=1, allow_nan=False)
    write_atomically(directory.path / EVALUATION_NAME, content.encode())


def saved_evaluation(directory: RunDirectory, checkpoint: Checkpoint) -> PolicyEvaluation | None:
    """The evaluation that was kept of this very checkpoint, if one was."""
    path = directory.path / EVALUATION_NAME
    if not path.exists():
        return None
    try:
        evaluation = PolicyEvaluation.from_dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error!r}); remove it, and it is made again") from error
    return evaluation if evaluation.checkpoint_sha256 == checkpoint.sha256 else None
