"""How good a run's model is at its end, beside the one that learning began with, on held-out suites."""

import json
from dataclasses import asdict
from typing import Any

from heeler.core.rundir import write_atomically
from heeler.evaluation.text_subject import LanguageSubject
from heeler.evaluation.text_suites import Scored, Suite
from heeler.loop.language.offering import suite_seed
from heeler.loop.language.run import LanguageRun
from heeler.loop.language.suite_means import EVALUATION_NAME, SuiteMeans
from heeler.models.language.model import LanguageModel

_BATCH, _NUM_SHOWN = 50, 2


def evaluate(run: LanguageRun) -> dict[str, SuiteMeans]:
    """Ask both models, and write `evaluation.json`; the same run comes to the same figures."""
    found: dict[str, SuiteMeans] = {}
    for suite in run.world.suites(run.config.num_evaluation_items, seed=suite_seed(run.config.seed) + 1):
        before, after = (_scores(run, model, suite) for model in (run.reference, run.model))
        examples = [_example(old, new) for old, new in list(zip(before, after, strict=True))[:_NUM_SHOWN]]
        found[suite.name] = SuiteMeans(
            better=suite.better,
            num_items=len(before),
            before=_mean(before),
            after=_mean(after),
            examples=tuple(examples),
        )
    content = {"step": run.step, "suites": {name: asdict(means) for name, means in found.items()}}
    write_atomically(run.directory.path / EVALUATION_NAME, json.dumps(content, indent=1).encode())
    return found


def _scores(run: LanguageRun, model: LanguageModel, suite: Suite) -> list[Scored]:
    subject = LanguageSubject(model=model, sampling=run.config.sampling)
    found: list[Scored] = []
    for start in range(0, len(suite.items), _BATCH):
        found += suite.scores(subject, start, start + _BATCH, seed=run.config.seed + start)
    return found


def _mean(scored: list[Scored]) -> float | None:
    values = [one.score for one in scored if one.score is not None]
    return sum(values) / len(values) if values else None


def _example(before: Scored, after: Scored) -> dict[str, Any]:
    said = before.samples[-1]
    return {
        "prompt": [[message.role, message.content] for message in said.prompt],
        "before": said.completion,
        "after": after.samples[-1].completion,
    }
