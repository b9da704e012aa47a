"""From a configuration to an agent that learned from good and bad: `run_evaluative` and `resume_evaluative`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from heeler.core.errors import WorldError
from heeler.core.rundir import RunDirectory
from heeler.envs import make
from heeler.feedback.judges import judge_of
from heeler.feedback.patience import Patience, patient
from heeler.feedback.stores import open_store, refuse_taken_store
from heeler.loop.absence import Absence
from heeler.loop.acts import Acts
from heeler.loop.config import to_dict
from heeler.loop.evaluative.config import EvaluativeRunConfig, evaluative_config_from_dict
from heeler.loop.evaluative.outcome import Outcome, outcome_of, save_outcome
from heeler.loop.evaluative.run import EvaluativeRun
from heeler.loop.parts import Metrics
from heeler.loop.steering import Steering

_MAX_REFUSED = 20
"""Answers that are told of one by one in the audit log at one time."""


@dataclass(frozen=True, kw_only=True)
class EvaluativeResult:
    """What a run came to."""

    path: Path
    """Its directory."""
    outcome: Outcome
    """Fresh episodes of the best that it knows, and what it took of people's time."""
    refused_checkpoints: list[str]
    """Checkpoints that were torn or altered, and how."""


def run_evaluative(
    config: EvaluativeRunConfig,
    path: Path | str,
    *,
    on_metrics: Callable[[Metrics], None] | None = None,
    on_begin: Callable[[], None] | None = None,
) -> EvaluativeResult:
    """Make the run directory and learn to the end; a directory with the same configuration is gone on with.

    Args:
        config: from a recipe.
        path: of the run directory.
        on_metrics: called after each turn with its metrics, and while people are waited for with what there is.
        on_begin: called once nothing more is refused.

    Raises:
        HeelerError: what is wrong and how to mend it; what cannot be run is refused before anything is written.
        RunStopped: an operator stopped it.
    """
    check_evaluative(config)
    refuse_taken_store(config.store, Path(path))
    directory = RunDirectory.create(Path(path), to_dict(config))
    return _learn(directory, config, on_metrics, on_begin)


def resume_evaluative(
    path: Path | str,
    *,
    on_metrics: Callable[[Metrics], None] | None = None,
    on_begin: Callable[[], None] | None = None,
) -> EvaluativeResult:
    """Go on with a run from its newest sound checkpoint. The rest is as of `run_evaluative`."""
    directory = RunDirectory.open(Path(path))
    return _learn(directory, evaluative_config_from_dict(directory.config()), on_metrics, on_begin)


def check_evaluative(config: EvaluativeRunConfig) -> None:
    """Refuse what cannot be run: world, actions, features, trainer.

    Raises:
        HeelerError: why.
    """
    world = make(config.env, config.seed)
    try:
        config.learner(world)
    finally:
        world.close()
    if config.teacher != "people":
        judge_of(config.env)


def _learn(
    directory: RunDirectory,
    config: EvaluativeRunConfig,
    on_metrics: Callable[[Metrics], None] | None,
    on_begin: Callable[[], None] | None,
) -> EvaluativeResult:
    with directory.locked(), open_store(directory) as opened, opened.sole_learner():
        acts = Acts(directory)
        absence = Absence(acts, on_metrics)
        store = patient(opened, Patience(config.store_patience_s, absence))
        run = absence.run = EvaluativeRun(directory, config, store)
        refused, steering = run.begin(), Steering(run, store, acts)
        what = {"recipe": config.recipe, "env": config.env.id, "method": config.method, "seed": config.seed}
        acts.note("run.resume" if run.step else "run.begin", step=run.step, **what, people=config.asks_people)
        steering.begin()
        if on_begin is not None:
            on_begin()

        def tell() -> None:
            if on_metrics is not None:
                on_metrics(run.waiting())

        try:
            with acts.ending(run):
                steering.obey(while_paused=tell)
                while not run.is_finished:
                    row = run.iterate()
                    _note_refused(run, acts)
                    if on_metrics is not None:
                        on_metrics(row or run.waiting())
                    steering.obey(while_paused=tell)
                outcome = outcome_of(run)
        except WorldError:
            # What was heard before it broke down is kept.
            run.save()
            raise
        finally:
            run.close()
        save_outcome(directory, outcome)
        acts.note("run.finish", step=run.step, checkpoint_sha256=outcome.checkpoint_sha256)
        return EvaluativeResult(path=directory.path, outcome=outcome, refused_checkpoints=refused)


def _note_refused(run: EvaluativeRun, acts: Acts) -> None:
    """Write down which answers were not learned from, and why."""
    for words in run.refused[:_MAX_REFUSED]:
        acts.note("answer.refused", step=run.step, problem=words)
    run.refused = []
