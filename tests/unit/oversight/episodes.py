"""Episodes and records of policies' gates, made up."""

from collections.abc import Mapping, Sequence

import numpy as np

from heeler.core.gate_records import GateRecord
from heeler.oversight.control_gate import judge_control
from heeler.oversight.control_gate_config import ControlGateConfig
from heeler.oversight.control_gate_nouns import Episodes
from heeler.oversight.control_gate_records import control_record
from heeler.safety.costs import CostConfig

SPEED = CostConfig(name="speed", budget=25.0)


def episodes(
    returns: Sequence[float] | np.ndarray, *, length: float = 100.0, **costs: Sequence[float] | np.ndarray
) -> Episodes:
    """Episodes of one length."""
    found = np.asarray(returns, np.float64)
    return Episodes(
        returns=found,
        lengths=np.full(len(found), length),
        costs={name: np.asarray(values, np.float64) for name, values in costs.items()},
    )


def made_record(
    config: ControlGateConfig,
    candidate: Episodes,
    current: Episodes,
    *,
    costs: Sequence[CostConfig] = (),
    hashes: Mapping[str, str | None] | None = None,
) -> GateRecord:
    """What a gate says of these."""
    claims = config.claims(costs)
    result = judge_control(config, claims, candidate, current)
    named = {"candidate_sha256": "c", "current_sha256": "u"} | dict(hashes or {})
    return control_record(
        config,
        claims,
        result,
        candidate=candidate,
        current=current,
        candidate_sha256=str(named["candidate_sha256"]),
        current_sha256=named["current_sha256"],
        seed=1,
    )
