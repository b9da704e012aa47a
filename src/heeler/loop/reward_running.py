"""From a configuration to a finished reward model: `run_reward_model` and `resume_reward_model`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from heeler.core.rundir import RunDirectory
from heeler.loop.acts import Acts
from heeler.loop.config import to_dict
from heeler.loop.reward_agreement import Agreement
from heeler.loop.reward_config import RewardRunConfig, reward_config_from_dict
from heeler.loop.reward_run import RewardRun, Sources, sources

OnUpdate = Callable[[Mapping[str, float], int], None]


@dataclass(frozen=True, kw_only=True)
class RewardRunResult:
    """What a run came to."""

    path: Path
    """Its directory; the finished model is in its folder `model`."""
    agreement: Agreement
    """With the pairs that were held out."""
    num_pairs: int
    """That were learned from."""
    dropped: Mapping[str, int]
    """Rows of the data that were left out, by reason."""
    first_dropped: str
    """The first of them; empty where there is none."""
    num_too_long: int
    """Pairs that were left out since the trunk's context does not hold them."""
    num_truncated: int
    """Pairs whose prompts were cut to fit into it."""
    refused_checkpoints: list[str]
    """Checkpoints that were torn or altered, and how."""


def run_reward_model(
    config: RewardRunConfig, path: Path | str, *, on_metrics: OnUpdate | None = None
) -> RewardRunResult:
    """Make the run directory and fit to the end; a directory with the same configuration is gone on with.

    Args:
        config: from a recipe.
        path: of the run directory.
        on_metrics: called after each update with its metrics, and how many updates there will be as far as is known.

    Raises:
        HeelerError: what is wrong and how to mend it; where data or model cannot be read nothing is written.
    """
    made_of = sources(config)
    return _learn(RunDirectory.create(Path(path), to_dict(config)), config, made_of, on_metrics)


def resume_reward_model(path: Path | str, *, on_metrics: OnUpdate | None = None) -> RewardRunResult:
    """Go on with a run from its newest sound checkpoint. The rest is as of `run_reward_model`."""
    directory = RunDirectory.open(Path(path))
    config = reward_config_from_dict(directory.config())
    return _learn(directory, config, sources(config), on_metrics)


def _learn(
    directory: RunDirectory, config: RewardRunConfig, made_of: Sources, on_metrics: OnUpdate | None
) -> RewardRunResult:
    with directory.locked():
        run, acts = RewardRun(directory, config, made_of), Acts(directory)
        refused = run.begin()
        what = {"recipe": config.recipe, "data": Path(config.data).name, "seed": config.seed, "pairs": len(run.pairs)}
        acts.note("run.resume" if run.step else "run.begin", step=run.step, **what)
        with acts.ending(run):
            while not run.is_finished:
                row = run.iterate()
                if on_metrics is not None:
                    # Until the trunk has learned what comes next there is no saying how much follows.
                    on_metrics(row, run.num_pretraining if run.texts is not None else run.num_updates)
        agreement = run.conclude()
        acts.note("run.finish", step=run.step, checkpoint_sha256=agreement.checkpoint_sha256)
    return RewardRunResult(
        path=directory.path,
        agreement=agreement,
        num_pairs=len(run.pairs),
        dropped=run.dataset.dropped,
        first_dropped=run.dataset.first_dropped,
        num_too_long=0 if run.tokens is None else run.tokens.num_dropped,
        num_truncated=0 if run.tokens is None else run.tokens.num_truncated,
        refused_checkpoints=refused,
    )
