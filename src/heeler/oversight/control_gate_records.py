"""A decision of the gate of policies as a record, and the decision made anew from a record."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from heeler.core.errors import DataError
from heeler.core.gate_records import GateRecord
from heeler.oversight.control_gate import finite, judge_control
from heeler.oversight.control_gate_config import ControlGateConfig, CostClaim
from heeler.oversight.control_gate_nouns import ControlGateResult, Episodes

KIND = "control"
"""What a record's details say of their kind."""


def control_record(
    config: ControlGateConfig,
    claims: Sequence[CostClaim],
    result: ControlGateResult,
    *,
    candidate: Episodes,
    current: Episodes,
    candidate_sha256: str,
    current_sha256: str | None,
    seed: int,
) -> GateRecord:
    """What is kept of a decision.

    Args:
        config: of the gate.
        claims: costs with their budgets.
        result: what it said.
        candidate: its episodes.
        current: those of the policy in use.
        candidate_sha256: of the candidate's checkpoint.
        current_sha256: of the checkpoint in use; None where no release was.
        seed: of the episodes.
    """
    return GateRecord(
        candidate_sha256=candidate_sha256,
        current_sha256=current_sha256,
        passed=result.passed,
        reasons=result.reasons,
        details={
            "kind": KIND,
            "config": asdict(config) | {"max_costs": {name: finite(most) for name, most in config.max_costs.items()}},
            # JSON knows no infinity.
            "costs": [asdict(claim) | {"most": finite(claim.most)} for claim in claims],
            "seed": seed,
            "shown": [asdict(each) for each in result.shown],
            "means": dict(result.means),
            "episodes": {"candidate": candidate.to_json(), "current": current.to_json()},
        },
    )


def claims_in(record: GateRecord) -> tuple[CostClaim, ...]:
    """The costs that a record is about."""
    told = record.details["costs"]
    return tuple(CostClaim(**each | {"most": math.inf if each["most"] is None else each["most"]}) for each in told)


def recheck_control(record: GateRecord) -> ControlGateResult:
    """Decide anew from a record's episodes; they must lead to what it says.

    Raises:
        DataError: they do not, or it cannot be read.
    """
    try:
        config = config_in(record)
        candidate, current = (Episodes.from_json(record.details["episodes"][who]) for who in ("candidate", "current"))
        result = judge_control(config, claims_in(record), candidate, current)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"details: the gate's record lacks what it was decided on ({error})") from error
    if (result.passed, result.reasons) != (record.passed, record.reasons):
        said, found = ("release" if one.passed else "keep" for one in (record, result))
        raise DataError(f"passed: the record says {said}, but its episodes lead to {found}")
    return result


def config_in(record: GateRecord) -> ControlGateConfig:
    """The configuration that a record was decided by.

    Raises:
        KeyError: it is of another kind of gate.
    """
    if record.details.get("kind") != KIND:
        raise KeyError("kind")
    values: dict[str, Any] = dict(record.details["config"])
    values["max_costs"] = {name: math.inf if most is None else most for name, most in values["max_costs"].items()}
    if values["return_range"] is not None:
        values["return_range"] = tuple(values["return_range"])
    return ControlGateConfig(**values)
