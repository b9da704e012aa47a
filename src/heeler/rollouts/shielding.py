"""What overseers and a shield did over one rollout, step by step.

Shapes: T steps, N environments, A action numbers, L choices.
"""

import numpy as np
from torch import Tensor

from heeler.models.policy import Policy
from heeler.safety.shields.shield import ActionFilter, Guarded, Shield


class ShieldRecord:
    """Acts through a review and a shield, or without them, and keeps what came of it.

    Args:
        shield: has the last word; None for none.
        review: what a step passes before the shield; None for nothing.
    """

    def __init__(self, shield: Shield | None, review: ActionFilter | None) -> None:
        self._shield, self._review = shield, review
        self._steps: list[Guarded] = []

    def act(self, policy: Policy, observation: np.ndarray, noise: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
        """[N, A] what the policy proposes, and what is carried out."""
        if self._shield is None:
            action = policy.act(observation, noise).cpu().numpy()
            bounded = policy.within_bounds(action)
            return action, bounded if self._review is None else self._review(observation, bounded)
        guarded = self._shield.act(policy, observation, noise, review=self._review)
        self._steps.append(guarded)
        return guarded.proposed_NA, guarded.executed_NA

    def fields(self, action: np.ndarray, executed: np.ndarray) -> dict[str, np.ndarray]:
        """The fields of a rollout that a shield alone fills; none where there is no shield.

        Args:
            action: [T, N, A] what was proposed.
            executed: [T, N, A] what was carried out.
        """
        if self._shield is None:
            return {}
        fields = {
            "shielded": np.stack([step.shielded_N for step in self._steps]),
            "nothing_safe": np.stack([step.nothing_safe_N for step in self._steps]),
        }
        masks = [step.allowed_NK for step in self._steps if step.allowed_NK is not None]
        if masks:
            fields["allowed"] = np.stack(masks)
        credited = self._shield.credited(action, executed, fields.get("allowed"))
        return fields if credited is None else fields | {"credited": credited}
