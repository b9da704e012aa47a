"""A gate's decision as a record, and the decision made anew from a record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from heeler.core.errors import DataError
from heeler.core.gate_records import GateRecord
from heeler.oversight.gate_config import Check, GateConfig
from heeler.oversight.gate_nouns import Evidence, GateResult, Pair
from heeler.oversight.text_gate import judge


def record_of(
    config: GateConfig,
    result: GateResult,
    evidence: Evidence,
    sizes: Mapping[str, int],
    *,
    candidate_sha256: str,
    current_sha256: str | None,
    suites: Mapping[str, str],
    seed: int,
) -> GateRecord:
    """What is kept of a gate that is decided.

    Args:
        config: of the gate.
        result: what it said.
        evidence: all scores.
        sizes: how many items each suite has.
        candidate_sha256: of the candidate's checkpoint.
        current_sha256: of the checkpoint in use; None where no release was.
        suites: SHA-256 of each suite's items.
        seed: of sampling and of the items' order.
    """
    assert result.decision != "go on", "a gate is recorded once it is decided"
    return GateRecord(
        candidate_sha256=candidate_sha256,
        current_sha256=current_sha256,
        passed=result.decision == "release",
        reasons=result.reasons,
        details={
            "config": asdict(config) | {"checks": [asdict(check) for check in config.checks]},
            "seed": seed,
            "suites": dict(suites),
            "sizes": dict(sizes),
            "checks": [asdict(check) for check in result.checks],
            "scores": scores_of(evidence),
        },
    )


def scores_of(evidence: Evidence) -> dict[str, list[list[Any]]]:
    """All scores in plain JSON types; `evidence_of` reads them."""
    return {suite: [list(pair) for pair in pairs] for suite, pairs in evidence.items()}


def evidence_of(scores: Mapping[str, Sequence[Sequence[Any]]]) -> dict[str, list[Pair]]:
    """The evidence that `scores_of` wrote."""
    return {suite: [Pair(*pair) for pair in pairs] for suite, pairs in scores.items()}


def recheck(record: GateRecord) -> GateResult:
    """Decide anew from a record's scores; they must lead to what it says.

    Raises:
        DataError: they do not, or it cannot be read.
    """
    details = record.details
    try:
        config = _config_of(details["config"])
        result = judge(config, evidence_of(details["scores"]), details["sizes"])
    except (KeyError, TypeError) as error:
        raise DataError(f"details: the gate's record lacks what it was decided on ({error})") from error
    said = "release" if record.passed else "keep"
    if (result.decision, result.reasons) != (said, record.reasons):
        raise DataError(f"passed: the record says {said}, but its scores lead to {result.decision}")
    return result


def _config_of(values: Mapping[str, Any]) -> GateConfig:
    checks = tuple(Check(**check) for check in values["checks"])
    return GateConfig(checks=checks, error_rate=values["error_rate"], batch_size=values["batch_size"])
