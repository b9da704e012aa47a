"""From files of what people did, or chose, to a reward, and to the folder that tells of it."""

from collections.abc import Callable
from pathlib import Path

from heeler.core.rundir import REPORT_NAME, write_atomically
from heeler.loop.inverse_report import inverse_page
from heeler.rewards.inverse.bayesian import Bayesian, BayesianConfig
from heeler.rewards.inverse.choice_data import read_choices
from heeler.rewards.inverse.choices import ChoiceConfig, LinearChoices
from heeler.rewards.inverse.demonstrations import read_demonstrations
from heeler.rewards.inverse.matching import FeatureMatching, FeatureMatchingConfig
from heeler.rewards.inverse.max_causal_entropy import MaxCausalEntropy, MaxCausalEntropyConfig
from heeler.rewards.inverse.result import (
    InverseResult,
    choice_result,
    mixture_result,
    posterior_result,
    soft_result,
    write_result,
)
from heeler.rewards.inverse.world_files import read_world

MethodConfig = MaxCausalEntropyConfig | FeatureMatchingConfig | BayesianConfig
OnProgress = Callable[[str], None]
"""Told how it goes, in words."""


def infer_from_demonstrations(
    world: Path | str, demonstrations: Path | str, config: MethodConfig, *, on_progress: OnProgress = lambda words: None
) -> InverseResult:
    """Learn a reward from demonstrations in a finite world.

    Args:
        world: an `.npz` as `read_world` reads it.
        demonstrations: an `.npz` as `read_demonstrations` reads it.
        config: of the method.
        on_progress: told how it goes.

    Raises:
        DataError: a file does not hold.
        ConfigError: the method does not go with the world.
        LearningError: the reward grew beyond bounds.
    """
    seen = read_demonstrations(demonstrations, read_world(world))
    if isinstance(config, MaxCausalEntropyConfig):
        soft = MaxCausalEntropy(config)

        def on_step(num: int, steepest: float) -> None:
            on_progress(f"values solved {num:,} times, gradient {steepest:.2g}")

        return soft_result(soft.fit(seen, on_step=on_step), soft, seen)
    if isinstance(config, FeatureMatchingConfig):
        matching = FeatureMatching(config)

        def on_round(num: int, margin: float) -> None:
            on_progress(f"round {num:,}, margin {margin:.3g}")

        return mixture_result(matching.fit(seen, on_round=on_round), matching, seen)
    bayesian = Bayesian(config)

    def on_draw(num: int, total: int) -> None:
        on_progress(f"draw {num:,} of {total:,}, in each of {config.num_chains} chains")

    return posterior_result(bayesian.fit(seen, on_draw=on_draw), bayesian, seen)


def infer_from_choices(choices: Path | str, config: ChoiceConfig) -> InverseResult:
    """Learn a linear reward from observed choices.

    Raises:
        DataError: the file does not hold.
        LearningError: the fit did not come to an end.
    """
    learner = LinearChoices(config)
    return choice_result(learner.fit(read_choices(choices)), learner)


def write_inference(result: InverseResult, folder: Path | str) -> list[Path]:
    """Write `result.json`, `reward.npz` and `report.html`.

    Raises:
        RunError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    paths = write_result(result, folder)
    report = folder / REPORT_NAME
    write_atomically(report, inverse_page(folder.resolve().name, result).encode())
    return [*paths, report]
