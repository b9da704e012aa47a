"""Signals made by hand, and decision processes small enough to know all of."""

import numpy as np

from heeler.core.signals import CreditedSignal


def credited(observations, actions, credit, sign, *, log_prob=None, begins=None, known=None):
    """A signal about steps that are listed, the oldest first."""
    observation = np.asarray(observations, np.float32)
    action = np.asarray(actions)
    num_steps = len(observation)
    return CreditedSignal(
        observation=observation,
        action=action[:, None] if action.ndim == 1 else action,
        log_prob=np.zeros(num_steps, np.float32) if log_prob is None else np.asarray(log_prob, np.float32),
        begins=np.zeros(num_steps, bool) if begins is None else np.asarray(begins),
        known=np.ones(num_steps, bool) if known is None else np.asarray(known),
        credit=np.asarray(credit, np.float64),
        sign=float(sign),
    )


def one_hot(state, size):
    return np.eye(size, dtype=np.float32)[state]
