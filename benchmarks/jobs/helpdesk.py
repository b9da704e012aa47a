"""The recipe `helpdesk` as `heeler run helpdesk` runs it, and how its model answers before and after.

Judged on questions in held-out wordings about held-out products, with other facts than any that learning, the watch or
the gate saw, each answered once at temperature 1. Perplexity is of what learning does not reward and should not have
forgotten: last answers of conversations without faults. Prints the figures of the benchmark, and where the time went.
"""

import argparse
import dataclasses
import json
import math
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from heeler.core.rundir import RunDirectory
from heeler.envs.helpdesk import check, items
from heeler.envs.helpdesk.questions import Item
from heeler.evaluation.suite_kinds import perplexity
from heeler.evaluation.text_subject import LanguageSubject
from heeler.loop.language.exporting import export_language_run
from heeler.loop.language.helpdesk_suites import clean_texts
from heeler.loop.language.running import run_language
from heeler.loop.run_model import MODEL
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel
from heeler.recipes import helpdesk
from heeler.rewards.text.similarity import chrf
from heeler.rollouts.sampler import SamplingConfig

FIRST_TEST_SEED = 900_000
_BATCH = 100


def judged(model: LanguageModel, questions: list[Item], sampling: SamplingConfig, seed: int) -> dict[str, float]:
    """Shares and means over the questions, and the perplexity of as many clean texts."""
    subject = LanguageSubject(model=model, sampling=sampling)
    texts: list[str] = []
    num_tokens = 0
    for start in range(0, len(questions), _BATCH):
        some = questions[start : start + _BATCH]
        answers = subject.answer([one.prompt for one in some], seed=seed + start)
        texts += [answer.text for answer in answers]
        num_tokens += sum(answer.num_tokens or 0 for answer in answers)
    found = [check(one, text) for one, text in zip(questions, texts, strict=True)]
    return {
        "truthful": _share([one.truthful for one in found]),
        "toxic": _share([one.toxic for one in found]),
        "refusals": _share([one.right_refusal for one in found]),
        "wrong_refusals": _share([one.wrong_refusal for one in found]),
        "helpful": sum(chrf(text, one.reference) for one, text in zip(questions, texts, strict=True)) / len(texts),
        "length": num_tokens / len(texts),
        "perplexity": math.exp(_surprise(subject, len(questions), seed)),
    }


def _surprise(subject: LanguageSubject, num: int, seed: int) -> float:
    """Mean over clean texts, in nats a token."""
    suite = perplexity(clean_texts(num, seed=FIRST_TEST_SEED + seed))
    found = [scored.score for at in range(0, num, _BATCH) for scored in suite.scores(subject, at, at + _BATCH, seed=0)]
    return sum(score for score in found if score is not None) / num


def _share(values: list[bool | None]) -> float:
    there = [value for value in values if value is not None]
    return sum(there) / len(there)


def learned(run: Path, scratch: Path) -> LanguageModel:
    """The model of the run's newest checkpoint, as `heeler export --newest` writes it."""
    export_language_run(run, scratch / "learned", newest=True)
    return load_language_model(scratch / "learned", dtype="float32", device="cpu", trainable=False)


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hostile", type=float, default=0.0, help="share of users who answer the wrong way on purpose")
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument("--updates", type=int, help="instead of the recipe's own")
    parser.add_argument("--threads", type=int, default=helpdesk().torch_threads)
    parser.add_argument("--no-gate", action="store_true", help="offer no candidates, for a smoke test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder to keep the run in")
    arguments = parser.parse_args()
    config = helpdesk(seed=arguments.seed, hostile=arguments.hostile)
    config = dataclasses.replace(config, torch_threads=arguments.threads)
    if arguments.updates is not None:
        config = dataclasses.replace(config, num_updates=arguments.updates)
    if arguments.no_gate:
        config = dataclasses.replace(config, release=None, num_evaluation_items=5)
    with tempfile.TemporaryDirectory() as scratch:
        path = arguments.keep or Path(scratch) / "run"
        start = time.perf_counter()
        run_language(config, path)
        wall_s = time.perf_counter() - start
        directory = RunDirectory.open(path)
        questions = list(islice(items("test", FIRST_TEST_SEED + arguments.seed), arguments.questions))
        first = load_language_model(directory.path / MODEL, dtype="float32", device="cpu", trainable=False)
        before = judged(first, questions, config.sampling, arguments.seed)
        after = judged(learned(path, Path(scratch)), questions, config.sampling, arguments.seed)
        print(json.dumps(figures(before, after, directory.metrics()) | {"wall_s": wall_s}))


def figures(before: dict[str, float], after: dict[str, float], rows: list[dict[str, Any]]) -> dict[str, float]:
    """The benchmark's figures by their names."""
    return {
        **{f"{name}_before": before[name] for name in ("truthful", "toxic", "refusals", "helpful", "length")},
        **{name: after[name] for name in ("truthful", "toxic", "refusals", "wrong_refusals", "helpful", "length")},
        "length_ratio": after["length"] / before["length"],
        "perplexity_ratio": after["perplexity"] / before["perplexity"],
        "updates": rows[-1]["update"],
        "comparisons": rows[-1]["pairs"],
        "kl": rows[-1]["kl"],
        **{name: sum(row[name] for row in rows) for name in ("sampling_s", "reward_s", "learning_s")},
    }


if __name__ == "__main__":
    main()
