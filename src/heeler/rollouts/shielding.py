"""What a shield did over one rollout, step by step. Shapes: T steps, N environments, A action numbers, L choices."""

import numpy as np
from torch import Tensor

from heeler.models.policy import Policy
from heeler.safety.shields.shield import Guarded, Shield


class ShieldRecord:
    """Acts through a shield, or without one, and keeps what came of it.

    Args:
        shield: None for none.
    """

    def __init__(self, shield: Shield | None) -> None:
        self._shield = shield
        self._steps: list[Guarded] = []

    def act(self, policy: Policy, observation: np.ndarray, noise: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """[N, A] what the policy proposes, and what the world is to take instead, in the world's own form."""
        if self._shield is None:
            action = policy.act(observation, noise).cpu().numpy()
            return action, policy.executable(action)
        guarded = self._shield.act(policy, observation, noise)
        self._steps.append(guarded)
        return guarded.proposed_NA, policy.executable(guarded.executed_NA)

    def fields(self, action: np.ndarray, policy: Policy) -> dict[str, np.ndarray]:
        """The fields of a rollout that a shield has a part in; `executed` alone where there is none.

        Args:
            action: [T, N, A] what was proposed.
            policy: that proposed it.
        """
        if self._shield is None:
            return {"executed": policy.within_bounds(action)}
        fields = {
            "executed": np.stack([step.executed_NA for step in self._steps]).astype(action.dtype),
            "shielded": np.stack([step.shielded_N for step in self._steps]),
            "nothing_safe": np.stack([step.nothing_safe_N for step in self._steps]),
        }
        masks = [step.allowed_NK for step in self._steps if step.allowed_NK is not None]
        if masks:
            fields["allowed"] = np.stack(masks)
        credited = self._shield.credited(action, fields["executed"], fields.get("allowed"))
        return fields if credited is None else fields | {"credited": credited}
