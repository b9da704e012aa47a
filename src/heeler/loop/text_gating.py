"""A candidate language model through the gate: held-out suites, asked in batches, until it is decided.

A gate that is killed goes on where its last round ended: its scores are kept in a hidden file beside the records, named
by everything that they depend on.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from heeler.core.errors import ConfigError, RunError
from heeler.core.gate_records import GateRecord, GateRecords
from heeler.core.rundir import RunDirectory, write_atomically
from heeler.core.seeding import stream
from heeler.evaluation.text_suites import Scored, Subject, Suite
from heeler.oversight.gate_config import GateConfig
from heeler.oversight.gate_nouns import Evidence, Pair
from heeler.oversight.gate_records import evidence_of, record_of, scores_of
from heeler.oversight.text_gate import run_gate

Watcher = Callable[[str, Scored, Scored], object]
"""Is told each suite's name, and what the candidate and the version in use answered, as it comes."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One side of the comparison."""

    subject: Subject
    checkpoint_sha256: str | None
    """None for the version in use where no release is."""


def gate_candidate(
    directory: RunDirectory,
    config: GateConfig,
    suites: Sequence[Suite],
    *,
    candidate: Version,
    current: Version,
    seed: int,
    watch: Watcher = lambda suite, candidate, current: None,
) -> GateRecord:
    """Decide about a candidate, and keep the record in the run's `gates/`.

    Args:
        directory: of the run.
        config: of the gate; its checks name the suites.
        suites: as many, in any order.
        candidate: the checkpoint that asks for release.
        current: the version in use, or what people had before the first release.
        seed: of the items' order and of sampling; both versions are asked with the same.
        watch: is told every answer, for a report.

    Returns:
        The record: `passed`, with reasons, and all scores.

    Raises:
        ConfigError: suites and checks do not fit.
        DataError: a scorer failed.
        RunError: the record cannot be written.
    """
    assert candidate.checkpoint_sha256 is not None, "a candidate is a checkpoint"
    by_name = _fitting(config, suites, seed)
    records = GateRecords(directory)
    hashes = {name: suite.sha256 for name, suite in by_name.items()}
    progress = _progress_path(
        records.path, [asdict(config), hashes, candidate.checkpoint_sha256, current.checkpoint_sha256, seed]
    )

    def draw(name: str, start: int, stop: int) -> list[Pair]:
        return _asked_both(by_name[name], start, stop, candidate=candidate, current=current, seed=seed, watch=watch)

    def save(evidence: Evidence) -> None:
        write_atomically(progress, json.dumps(scores_of(evidence)).encode())

    records.path.mkdir(exist_ok=True)
    sizes = {name: len(suite.items) for name, suite in by_name.items()}
    result, evidence = run_gate(config, draw, sizes, evidence=_begun(progress), after_round=save)
    record = record_of(
        config,
        result,
        evidence,
        sizes,
        candidate_sha256=candidate.checkpoint_sha256,
        current_sha256=current.checkpoint_sha256,
        suites=hashes,
        seed=seed,
    )
    records.keep(record)
    progress.unlink(missing_ok=True)
    return record


def _asked_both(
    suite: Suite, start: int, stop: int, *, candidate: Version, current: Version, seed: int, watch: Watcher
) -> list[Pair]:
    """Ask both versions some of a suite's items."""
    of_batch = _batch_seed(seed, suite.name, start)
    new, old = (suite.scores(version.subject, start, stop, seed=of_batch) for version in (candidate, current))
    for ours, theirs in zip(new, old, strict=True):
        watch(suite.name, ours, theirs)
    return [Pair(ours.item, ours.score, theirs.score) for ours, theirs in zip(new, old, strict=True)]


def _begun(progress: Path) -> Evidence | None:
    if not progress.exists():
        return None
    try:
        return evidence_of(json.loads(progress.read_bytes()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{progress} cannot be read ({error}); remove it to begin this gate anew") from error


def _fitting(config: GateConfig, suites: Sequence[Suite], seed: int) -> dict[str, Suite]:
    """Suites by name, their items in the order that the seed gives; each must be what its check takes it for."""
    by_name = {suite.name: suite for suite in suites}
    named = {check.suite for check in config.checks}
    if len(by_name) != len(suites) or set(by_name) != named:
        raise ConfigError(
            f"checks name the suites {', '.join(sorted(named))}, but there are {', '.join(s.name for s in suites)}"
        )
    for check in config.checks:
        if check.better != by_name[check.suite].better:
            raise ConfigError(f"checks.{check.suite}.better: the suite's score is better {by_name[check.suite].better}")
    return {name: _shuffled(suite, seed) for name, suite in by_name.items()}


def _shuffled(suite: Suite, seed: int) -> Suite:
    # From an order that does not depend on how the file was sorted.
    items = sorted(suite.items, key=lambda item: item.id)
    order = stream(seed, f"gate order {suite.name}").permutation(len(items))
    return replace(suite, items=tuple(items[int(i)] for i in order))


def _batch_seed(seed: int, name: str, start: int) -> int:
    return int(stream(seed, f"gate batch {name} {start}").integers(np.iinfo(np.int64).max))


def _progress_path(folder: Path, depends_on: Sequence[object]) -> Path:
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return folder / f".open-{digest}.json"
