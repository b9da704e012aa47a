"""How sure a learned reward is of answers that it did not learn from, to hold those who gave them against.

Shapes: M members, Q comparisons, F features.
"""

import numpy as np
import torch

from heeler.rewards.answerers import Margins
from heeler.rewards.preference_model import PreferenceModel, PreferenceModelState


def unseen_margins(model: PreferenceModel, state: PreferenceModelState, num_fitted: int) -> Margins:
    """How sure each comparison's answer is, by the members that did not learn from it.

    Each member's bootstrap left out about a third of the comparisons; those of validation were left out by all, and so
    was what came after the last fit.

    Args:
        model: the learned reward.
        state: holds the comparisons.
        num_fitted: how many of the comparisons, the first, it was fitted to.
    """
    data = state.comparisons
    num = 0 if data is None else len(data.outcome_Q)
    if data is None or state.num_fits == 0:
        return Margins(value_Q=np.zeros(num), is_unseen_Q=np.zeros(num, bool), is_fitted=False)
    advantage_MQ = model.advantages(state).double()
    unseen_MQ = (data.weight_MQ == 0) | (torch.arange(num) >= num_fitted)
    is_unseen_Q = unseen_MQ.any(0)
    by_MQ = torch.where(is_unseen_Q, unseen_MQ, True)
    margin_Q = torch.where(by_MQ, advantage_MQ, 0.0).sum(0) / by_MQ.sum(0)
    return Margins(value_Q=margin_Q.numpy(), is_unseen_Q=is_unseen_Q.numpy(), is_fitted=True)


def differences(state: PreferenceModelState) -> np.ndarray:
    """[Q, F] what the left of each comparison shows more of than the right, in spreads: means over its steps."""
    data = state.comparisons
    assert data is not None
    mean_Q2F = data.feature_Q2LF.double().mean(2)
    difference_QF = mean_Q2F[:, 0] - mean_Q2F[:, 1]
    return (difference_QF / difference_QF.std(0, correction=0).clamp_min(1e-9)).numpy()
