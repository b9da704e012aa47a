"""Of a language model's run: its held-out suites, the newest model beside the one that learning began with."""

from collections.abc import Sequence

import numpy as np

from heeler.core.named import under
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.evaluation.honesty.resampling import Estimate, mean_of
from heeler.evaluation.text_subject import LanguageSubject
from heeler.evaluation.text_suites import Scored, Suite
from heeler.loop.chat_releases import MODEL_PREFIX, put_weights
from heeler.loop.honesty.examining import Effort
from heeler.loop.honesty.found import Honesty, SuiteFound, SuiteVerdict
from heeler.loop.honesty.texts import text_shortcuts
from heeler.loop.language.config import LanguageRunConfig, language_config_from_dict
from heeler.loop.language.offering import suite_seed
from heeler.loop.language.worlds import world_named
from heeler.loop.reading import newest_sound_checkpoint
from heeler.loop.run_model import load_start
from heeler.loop.tensors import to_tensors
from heeler.models.language.model import LanguageModel

SYCOPHANCY = ("stated_belief", "pushback")
_BATCH = 50
_OTHERS = 2
"""Added to the suites' seed: other items than those of the gate, and than those of the run's end."""


def examine_language(directory: RunDirectory, effort: Effort, own: Sequence[Suite] = ()) -> Honesty:
    """Ask both models the suites of the run's world, of items that neither gate nor end asked.

    Args:
        directory: of the run; nothing in it is changed.
        effort: how many items of each suite (`num_envs`), and the seed.
        own: more suites, all items of which are asked; one takes the place of the world's of the same name.

    Raises:
        HeelerError: there is no sound checkpoint, or model or prompts cannot be read.
    """
    config = language_config_from_dict(directory.config())
    checkpoint = newest_sound_checkpoint(directory)
    seed = config.seed if effort.seed is None else effort.seed
    world = world_named(config.world, config.num_in_suites)
    first, newest = _model(directory, config, None), _model(directory, config, checkpoint)
    theirs = world.suites(effort.num_envs, seed=suite_seed(seed) + _OTHERS)
    suites = [*(suite for suite in theirs if suite.name not in {one.name for one in own}), *own]
    found = tuple(_beside(suite, first, newest, config, seed) for suite in suites)
    shortcuts, num_held_out = text_shortcuts(directory, config, checkpoint, first, seed=seed)
    missing = (
        [] if shortcuts else ["shortcuts: this run has no reward learned from comparisons that could be looked at"]
    )
    absent = [name for name in SYCOPHANCY if name not in {suite.name for suite in suites}]
    if absent:
        missing.append(
            f"sycophancy: the suites {' and '.join(absent)} need questions with a known right answer, which this run's "
            "prompts do not have; give some of your own with --probes"
        )
    return Honesty(
        step=checkpoint.step,
        checkpoint_sha256=checkpoint.sha256,
        seed=seed,
        held_out_by="answers about fresh texts, which only the watch goes by" if shortcuts else "",
        num_held_out=num_held_out,
        shortcuts=shortcuts,
        suites=found,
        missing=tuple(missing),
    )


def _model(directory: RunDirectory, config: LanguageRunConfig, checkpoint: Checkpoint | None) -> LanguageModel:
    """As learning began with it, or as a checkpoint has it."""
    model = load_start(
        directory.path,
        lora=None if checkpoint is None else config.model.lora,
        dtype=config.model.dtype,
        device=config.model.device,
        trainable=False,
    )
    if checkpoint is not None:
        weights = {name: value for name, value in checkpoint.tensors.items() if name.startswith(MODEL_PREFIX)}
        place = directory.path / "checkpoints" / f"step-{checkpoint.step}"
        put_weights(model, under(MODEL_PREFIX, to_tensors(weights)), place)
    return model


def _beside(
    suite: Suite, first: LanguageModel, newest: LanguageModel, config: LanguageRunConfig, seed: int
) -> SuiteFound:
    before, after = (_scores(suite, model, config, seed) for model in (first, newest))
    both = [
        (a.score, b.score) for a, b in zip(before, after, strict=True) if a.score is not None and b.score is not None
    ]
    gain_N = np.array([b - a for a, b in both])
    change = mean_of(gain_N, np.arange(len(gain_N)), seed=seed) if len(gain_N) else None
    return SuiteFound(
        name=suite.name,
        better=suite.better,
        num_items=len(suite.items),
        before=_mean(before),
        after=_mean(after),
        change=change,
        verdict=verdict_of(change, suite.better),
    )


def verdict_of(change: Estimate | None, better: str) -> SuiteVerdict:
    """In which direction the newest model surely differs from the first."""
    if change is None:
        return "too little to say"
    low, high = (change.low, change.high) if better == "higher" else (-change.high, -change.low)
    return "better" if low > 0 else "worse" if high < 0 else "no sign"


def _scores(suite: Suite, model: LanguageModel, config: LanguageRunConfig, seed: int) -> list[Scored]:
    subject = LanguageSubject(model=model, sampling=config.sampling)
    found: list[Scored] = []
    for start in range(0, len(suite.items), _BATCH):
        found += suite.scores(subject, start, start + _BATCH, seed=seed + start)
    return found


def _mean(scored: Sequence[Scored]) -> float | None:
    values = [one.score for one in scored if one.score is not None]
    return float(np.mean(values)) if values else None
