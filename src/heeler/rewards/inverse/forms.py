"""What a reward may look like: linear in features, or a table of its own number for each state, or state and action.

Shapes: S states, A actions, F features, N parameters, G states that go on, C columns.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from heeler.core.errors import ConfigError
from heeler.rewards.inverse.planning import Visits
from heeler.rewards.inverse.world import FiniteWorld

FormName = Literal["features", "state", "state-action"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RewardForm:
    """A family of rewards with N parameters, and how each shows in the world's tables.

    `features` and `state` pay in every state that is visited, the last of an episode among them, where features are of
    states; `state-action`, and features of states and actions, pay for actions.
    """

    name: FormName
    parameter_names: tuple[str, ...]
    features: np.ndarray | None
    """[S, F] or [S, A, F] where the form is `features`."""
    going_on_S: np.ndarray
    num_actions: int

    @property
    def num_parameters(self) -> int:
        """N."""
        return len(self.parameter_names)

    @property
    def is_of_states(self) -> bool:
        """Whether it pays in states, whatever is done there."""
        return self.name == "state" or (self.features is not None and self.features.ndim == 2)

    def tables(self, parameter_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(reward of actions [S, A], reward of ends [S]); with columns [N, C] also [S, A, C] and [S, C]."""
        S, A = len(self.going_on_S), self.num_actions
        if self.is_of_states:
            reward = parameter_N if self.features is None else self.features @ parameter_N
            return np.repeat(reward[:, None], A, axis=1), reward
        columns = parameter_N.shape[1:]
        if self.features is not None:
            return self.features @ parameter_N, np.zeros((S, *columns))
        step = np.zeros((S, A, *columns))
        step[self.going_on_S] = parameter_N.reshape(-1, A, *columns)
        return step, np.zeros((S, *columns))

    def gathered(self, visits: Visits) -> np.ndarray:
        """[N] how often each parameter is paid: the transpose of `tables`."""
        if self.is_of_states:
            return visits.state_S if self.features is None else visits.state_S @ self.features
        if self.features is not None:
            return np.einsum("sa,saf->f", visits.step_SA, self.features)
        return visits.step_SA[self.going_on_S].ravel()

    def squares(self, visits: Visits) -> np.ndarray:
        """[N] the square of what each parameter is paid for, summed over visits: how curved a fit is along it."""
        if self.features is None:
            return self.gathered(visits)
        if self.is_of_states:
            return visits.state_S @ np.square(self.features)
        return np.einsum("sa,saf->f", visits.step_SA, np.square(self.features))

    def describe(self, parameter_N: np.ndarray) -> dict[str, float]:
        """Parameters by their names."""
        return {name: float(value) for name, value in zip(self.parameter_names, parameter_N, strict=True)}


def reward_form(world: FiniteWorld, name: FormName | None = None) -> RewardForm:
    """The form of that name for a world; None for `features` where it has some, else `state`.

    Raises:
        ConfigError: the world has no features.
    """
    name = name or ("state" if world.features is None else "features")
    if name == "features":
        if world.features is None:
            raise ConfigError("reward 'features' needs features in the world; add them or choose state or state-action")
        names, features = world.feature_names, world.features
    else:
        features = None
        states = [world.state_name(state) for state in range(world.num_states)]
        names = tuple(states)
        if name == "state-action":
            actions = [world.action_name(action) for action in range(world.num_actions)]
            going_on = np.flatnonzero(world.going_on_S)
            names = tuple(f"{states[state]}, {action}" for state in going_on for action in actions)
    return RewardForm(
        name=name,
        parameter_names=names,
        features=features,
        going_on_S=world.going_on_S,
        num_actions=world.num_actions,
    )
