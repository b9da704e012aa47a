"""A run that learns from stored texts from its beginning to its end, and going on with one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from heeler.core.rundir import RunDirectory
from heeler.loop.acts import Acts
from heeler.loop.config import to_dict
from heeler.loop.offline.config import OfflineRunConfig, offline_config_from_dict
from heeler.loop.offline.evaluation import HeldOut
from heeler.loop.offline.material import newest_answer
from heeler.loop.offline.run import OfflineRun, Sources, sources
from heeler.models.data_parallel import is_first_to_be, together, wait_for_all

OnUpdate = Callable[[Mapping[str, float], int], None]


@dataclass(frozen=True, kw_only=True)
class OfflineResult:
    """What a run came to."""

    path: Path
    """Its directory; the finished model is in its folder `model`."""
    held_out: HeldOut
    """Of the model before and after learning."""
    num_texts: int
    """Demonstrations or pairs that were learned from, or with KTO prompts."""
    dropped: Mapping[str, int]
    """What was left out of the data, by reason."""
    first_dropped: str
    """The first of it; empty where there is none."""
    num_truncated: int
    """Texts whose prompts were cut to fit into the model's context."""
    refused_checkpoints: list[str]
    """Checkpoints that were torn or altered, and how."""


def run_offline(config: OfflineRunConfig, path: Path | str, *, on_metrics: OnUpdate | None = None) -> OfflineResult:
    """Make the run directory and learn to the end; a directory with the same configuration is gone on with.

    Started by `torchrun`, all processes learn together: each calls this with the same arguments.

    Args:
        config: from a recipe.
        path: of the run directory.
        on_metrics: called in the first process after each update, with its metrics and how many updates there are.

    Raises:
        HeelerError: what is wrong and how to mend it; where data or model cannot be read nothing is written.
    """
    path = Path(path)
    with together():
        made_of = None
        if is_first_to_be():
            config = _resolved(config, path)
            made_of = sources(config)
            RunDirectory.create(path, to_dict(config))
        wait_for_all()
        return _learn(path, made_of, on_metrics)


def resume_offline(path: Path | str, *, on_metrics: OnUpdate | None = None) -> OfflineResult:
    """Go on with a run from its newest sound checkpoint. The rest is as of `run_offline`."""
    with together():
        return _learn(Path(path), None, on_metrics)


def _resolved(config: OfflineRunConfig, path: Path) -> OfflineRunConfig:
    """With the answers that are learned from, where they are those of another run: it may go on meanwhile."""
    if config.answers_up_to is not None:
        return config
    position = newest_answer(config.data)
    if position is not None and (path / "config.yaml").is_file():
        position = RunDirectory.open(path).config().get("answers_up_to", position)
    return replace(config, answers_up_to=position)


def _learn(path: Path, made_of: Sources | None, on_metrics: OnUpdate | None) -> OfflineResult:
    directory = RunDirectory.open(path)
    config = offline_config_from_dict(directory.config())
    made_of = made_of or sources(config)
    if not is_first_to_be():
        # Nobody reads before the first process holds the run, and has put right what a kill left.
        wait_for_all()
        run = OfflineRun(directory, config, made_of)
        refused = run.begin()
        while not run.is_finished:
            run.iterate()
        wait_for_all()
        return _result(run, refused)
    with directory.locked():
        wait_for_all()
        run, acts = OfflineRun(directory, config, made_of), Acts(directory)
        refused = run.begin()
        what = {"recipe": config.recipe, "method": config.method, "data": Path(config.data).name, "seed": config.seed}
        acts.note("run.resume" if run.step else "run.begin", step=run.step, **what, texts=len(run.material.units))
        with acts.ending(run):
            while not run.is_finished:
                row = run.iterate()
                if on_metrics is not None:
                    on_metrics(row, run.num_updates)
            result = _result(run, refused)
        acts.note("run.finish", step=run.step, checkpoint_sha256=result.held_out.checkpoint_sha256)
        wait_for_all()
    return result


def _result(run: OfflineRun, refused: list[str]) -> OfflineResult:
    return OfflineResult(
        path=run.directory.path,
        held_out=run.conclude(),
        num_texts=len(run.material.units),
        dropped=run.material.dropped,
        first_dropped=run.material.first_dropped,
        num_truncated=run.material.num_truncated,
        refused_checkpoints=refused,
    )
