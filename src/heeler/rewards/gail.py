"""GAIL (Ho and Ermon 2016, arXiv 1606.03476): a step is paid for looking like one that was shown.

Left out: the causal entropy bonus, which the learner's own entropy coefficient is for. Added: a penalty on the
discriminator's slope, the choice of the reward's form, and the worth of an episode's end.
Shapes: B steps, X numbers of a step, T steps of N environments.
"""

from dataclasses import dataclass, field
from typing import get_args

import gymnasium
import torch
from torch import Tensor

from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.models.policy import MLP, Policy
from heeler.ops.imitation import RewardForm, gail_reward
from heeler.rewards.discriminator import (
    DiscriminatorConfig,
    DiscriminatorState,
    StepBatch,
    fit_discriminator,
    load_state_tensors,
    state_tensors,
)
from heeler.rewards.ends import Ends, check_discount
from heeler.rewards.shown_steps import StepSpace
from heeler.rewards.step_features import StepInput


@dataclass(frozen=True, kw_only=True)
class GAILConfig:
    """Settings of GAIL."""

    inputs: tuple[StepInput, ...] = ("observation", "action")
    """What of a step is compared."""
    form: RewardForm = "survive"
    """What a step is paid: `survive` is -log(1 - D), never negative; `finish` is log D, never positive; `logit` is
    their sum."""
    count_ends: bool = True
    """Whether what follows a terminal state counts as a state of its own, by which expert and learner are told apart.
    Without it `survive` pays for staying alive, and `finish` for ending, whatever was shown."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of the discriminator's hidden layers."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """How it learns."""

    def __post_init__(self) -> None:
        check_inputs(self.inputs)
        check_form(self.form)
        check_sizes("hidden_sizes", self.hidden_sizes)


def check_inputs(inputs: tuple[StepInput, ...]) -> None:
    """Refuse what no step has.

    Raises:
        ConfigError: an input is unknown, or given twice, or there is none.
    """
    known = ("observation", "action", "next_observation")
    if not inputs or len(set(inputs)) != len(inputs) or not set(inputs) <= set(known):
        raise ConfigError(f"inputs must be one or more of {', '.join(known)}, each once, got {inputs}")


def check_sizes(name: str, sizes: tuple[int, ...]) -> None:
    """Refuse layers without units.

    Raises:
        ConfigError: there is no layer, or one without units.
    """
    if not sizes or min(sizes) < 1:
        raise ConfigError(f"{name} must be one or more positive numbers, got {sizes}")


def check_form(form: str) -> None:
    """Refuse a form that there is not.

    Raises:
        ConfigError: it is none.
    """
    if form not in get_args(RewardForm):
        raise ConfigError(f"form must be one of {', '.join(get_args(RewardForm))}, got {form!r}")


@dataclass
class GAILState:
    """All that learning changes."""

    discriminator: DiscriminatorState
    ends: Ends


class GAIL:
    """The reward. `init` makes a state, `update` learns from a rollout, `reward` says what its steps are paid.

    Args:
        config: settings.
        observation_size: O.
        action_space: of one environment.
        demonstrations: checked against this world; None for a reward that only is read.
        discount: gamma, the learner's.
    """

    def __init__(
        self,
        config: GAILConfig,
        observation_size: int,
        action_space: gymnasium.Space,
        demonstrations: Demonstrations | None,
        *,
        discount: float,
    ) -> None:
        check_discount(config.count_ends, discount)
        self.config, self.discount, self.demonstrations = config, discount, demonstrations
        self.space = StepSpace(observation_size, action_space)
        self.columns = self.space.columns(config.inputs)

    def init(self, seed: int) -> GAILState:
        """A fresh discriminator; the same seed gives the same weights."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            sizes = (len(self.columns), *self.config.hidden_sizes, 1)
            network = MLP(sizes, self.config.discriminator.activation, output_gain=1.0)
        made = self.space.fresh_state(network, self.config.discriminator, seed)
        return GAILState(made, Ends.of(self.demonstrations))

    def update(self, state: GAILState, rollout: Rollout, policy: Policy) -> tuple[GAILState, dict[str, float]]:
        """Learn to tell what was shown from this rollout; the state is changed in place."""
        assert self.demonstrations is not None
        state.ends.learn(rollout)
        expert, learner = self.space.shown(self.demonstrations, None), self.space.acted(rollout, None)

        def logit(x_BX: Tensor, batch: StepBatch) -> Tensor:
            return self.logit(state, x_BX)

        settings = self.config.discriminator
        return state, fit_discriminator(state.discriminator, settings, logit, expert, learner)

    def reward(self, state: GAILState, rollout: Rollout, policy: Policy) -> Tensor:
        """[T, N] what the steps of a rollout are paid."""
        return self.step_reward(state, self.space.acted(rollout, None)).view(rollout.terminated.shape)

    @torch.no_grad()
    def step_reward(self, state: GAILState, batch: StepBatch) -> Tensor:
        """[B] what any steps are paid, whoever made them."""
        paid_B = gail_reward(self.logit(state, state.discriminator.scale(batch)), self.config.form)
        if not self.config.count_ends:
            return paid_B
        return paid_B + state.ends.worth(batch.terminated_B, self.config.form, discount=self.discount)

    def logit(self, state: GAILState, x_BX: Tensor) -> Tensor:
        """[B] of the probability that steps as networks see them are the expert's."""
        return state.discriminator.networks(x_BX[:, self.columns]).squeeze(-1)

    def tensors(self, state: GAILState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return state_tensors(state.discriminator) | state.ends.tensors()

    def load_tensors(self, state: GAILState, tensors: dict[str, Tensor]) -> GAILState:
        """Go on from what `tensors` returned, bit for bit."""
        load_state_tensors(state.discriminator, tensors)
        state.ends.load_tensors(tensors)
        return state
