"""A language model's run from its beginning to its end, and going on with one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from heeler.core.errors import RunStopped
from heeler.core.gate_records import GateRecord
from heeler.core.rundir import RunDirectory
from heeler.feedback.patience import Patience, patient
from heeler.feedback.stores import open_store
from heeler.feedback.told import PAUSED
from heeler.loop.absence import Absence
from heeler.loop.acts import Acts
from heeler.loop.config import to_dict
from heeler.loop.language.config import LanguageRunConfig, ModelConfig, language_config_from_dict
from heeler.loop.language.evaluation import evaluate
from heeler.loop.language.fitting import refuse_what_does_not_fit, watch_in_vain
from heeler.loop.language.offering import Offering
from heeler.loop.language.rewarding import tells_apart
from heeler.loop.language.run import LanguageRun, Metrics
from heeler.loop.language.suite_means import SuiteMeans
from heeler.loop.run_model import has_start, keep_start, load_start, template_in
from heeler.loop.steering import Steering
from heeler.loop.watching import watched
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel

WATCH = "watch"
"""Who paused a run whose learned reward is being exploited."""


@dataclass(frozen=True, kw_only=True)
class LanguageResult:
    """What a run came to."""

    path: Path
    """Its directory."""
    suites: Mapping[str, SuiteMeans]
    """Means on held-out suites, before and after learning."""
    refused_checkpoints: list[str]
    """Checkpoints that were torn or altered, and how; empty in a run that was never resumed."""
    has_learned: bool
    """Whether there was anything to learn from in any update: a part that told answers apart."""


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who is told how a run goes."""

    on_metrics: Callable[[Metrics], None] = lambda row: None
    """After each update, and while people are waited for with what there is."""
    on_gate: Callable[[GateRecord], None] = lambda record: None
    """After each decision of the gate."""
    on_begin: Callable[[], None] = lambda: None
    """Once nothing more is refused."""
    on_warning: Callable[[str], None] = lambda words: None
    """Right after that, with what the run will not do though its configuration may seem to say so."""


def run_language(config: LanguageRunConfig, path: Path | str, listeners: Listeners | None = None) -> LanguageResult:
    """Make the run directory and learn to the end; a directory with the same configuration is gone on with.

    Args:
        config: from a recipe.
        path: of the run directory.
        listeners: who is told.

    Raises:
        HeelerError: what is wrong and how to mend it; where model or prompts cannot be read nothing is written.
        RunStopped: an operator stopped it, or the watch did.
        StoreAway: the store's server was away for longer than `store_patience_s`; `resume_language` goes on from the
            last checkpoint.
    """
    is_kept = has_start(Path(path))
    # What a run that is gone on with began with may be gone from where it was.
    start = _kept_start(Path(path), config.model) if is_kept else _start(config.model)
    refuse_what_does_not_fit(config, start)
    directory = RunDirectory.create(Path(path), to_dict(config))
    if not is_kept:
        keep_start(directory.path, start, config.model.path)
    del start
    return _learn(directory, config, listeners or Listeners())


def resume_language(path: Path | str, listeners: Listeners | None = None) -> LanguageResult:
    """Go on with a run from its newest sound checkpoint. The rest is as of `run_language`."""
    directory = RunDirectory.open(Path(path))
    config = language_config_from_dict(directory.config())
    if not has_start(directory.path):
        # It was killed before the model was there.
        return run_language(config, path, listeners)
    return _learn(directory, config, listeners or Listeners())


def _start(config: ModelConfig) -> LanguageModel:
    """The model as it is before learning, with whatever its settings put on it: what cannot be is refused here."""
    return load_language_model(
        config.path,
        dtype=config.dtype,
        device=config.device,
        lora=config.lora,
        chat_template=template_in(config.chat_template) if config.chat_template else None,
        eos_token=config.eos_token or None,
        trainable=False,
    )


def _kept_start(path: Path, config: ModelConfig) -> LanguageModel:
    return load_start(path, lora=config.lora, dtype=config.dtype, device=config.device, trainable=False)


def _learn(directory: RunDirectory, config: LanguageRunConfig, listeners: Listeners) -> LanguageResult:
    with directory.locked(), open_store(directory) as opened, opened.sole_learner():
        acts = Acts(directory)
        absence = Absence(acts, listeners.on_metrics)
        store = patient(opened, Patience(config.store_patience_s, absence))
        run = absence.run = LanguageRun(directory, config, store)
        refused, steering = run.begin(), Steering(run, store, acts)
        what = {"recipe": config.recipe, "world": config.world, "seed": config.seed, "people": config.asks_people}
        acts.note("run.resume" if run.step else "run.begin", step=run.step, **what)
        steering.begin()
        listeners.on_begin()
        in_vain = watch_in_vain(config)
        if in_vain is not None:
            acts.note("watch.in_vain", step=run.step, reason=in_vain)
            listeners.on_warning(in_vain)
        offering = None if config.release is None else Offering(run, acts)

        def tell() -> None:
            listeners.on_metrics(run.waiting())

        def offer() -> None:
            record = None if offering is None else offering.offer_if_due()
            if record is not None:
                listeners.on_gate(record)

        # Whether a candidate is good may take longer to find out than any update: that is no stall.
        with acts.ending(run), watched(run.monitors, run, for_stalls=False):
            steering.obey(while_paused=tell)
            # Whoever goes on with a run that the watch stopped, or paused, has seen why.
            _go_on_if_halted(run, acts)
            while not run.is_finished:
                offer()
                row = run.iterate()
                listeners.on_metrics(row or run.waiting())
                if row is not None:
                    _watch(run, acts)
                steering.obey(while_paused=tell)
                _go_on_if_halted(run, acts)
            offer()
            suites = evaluate(run)
        acts.note("run.finish", step=run.step)
        has_learned = any(tells_apart(row) for row in directory.metrics())
        return LanguageResult(path=directory.path, suites=suites, refused_checkpoints=refused, has_learned=has_learned)


def _watch(run: LanguageRun, acts: Acts) -> None:
    """Pause learning, or end it where nobody is there to look, once its reward is being exploited."""
    verdict = run.verdict()
    if verdict is None or verdict.decision != "halt":
        return
    run.save()
    acts.note("watch.halt", step=run.step, reason=verdict.reason, nearness=verdict.evidence["nearness"])
    if not run.config.asks_people:
        raise RunStopped(f"{verdict.reason} The checkpoint is kept; whoever goes on has seen this")
    run.store.set_setting(PAUSED, WATCH)


def _go_on_if_halted(run: LanguageRun, acts: Acts) -> None:
    """After somebody had the run go on, other evidence counts."""
    verdict = run.verdict()
    if verdict is not None and verdict.decision == "halt":
        run.watch_anew()
        acts.note("watch.begin_anew", step=run.step)
