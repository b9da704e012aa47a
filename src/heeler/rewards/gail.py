"""GAIL (Ho and Ermon 2016, arXiv 1606.03476): a step is paid for looking like one that was shown.

Left out: the causal entropy bonus, which the learner's own entropy coefficient is for. Added: a penalty on the
discriminator's slope, and the choice of the reward's form. Shapes: B steps, X numbers of a step, T steps of N
environments.
"""

from dataclasses import dataclass, field
from typing import Literal

import gymnasium
import torch
from torch import Tensor

from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.models.flat import FlatParameters
from heeler.models.optimizers import Adam
from heeler.models.policy import MLP, Policy
from heeler.ops.imitation import RewardForm, gail_reward
from heeler.rewards.discriminator import (
    DiscriminatorConfig,
    DiscriminatorState,
    Scale,
    StepBatch,
    fit_discriminator,
    load_state_tensors,
    state_tensors,
)
from heeler.rewards.shown_steps import StepSpace
from heeler.rewards.step_features import StepInput


@dataclass(frozen=True, kw_only=True)
class GAILConfig:
    """Settings of GAIL."""

    inputs: tuple[StepInput, ...] = ("observation", "action")
    """What of a step is compared."""
    form: Literal["auto", "survive", "finish", "logit"] = "auto"
    """What a step is paid. `survive`, -log(1 - D), is never negative and pays for staying alive, whatever is done;
    `finish`, log D, is never positive and pays for ending; `logit` is their sum. `auto` takes `finish` where most
    episodes that were shown ended by themselves, as at a goal, and `survive` where most went on until they were cut."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Units of the discriminator's hidden layers."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """How it learns."""

    def __post_init__(self) -> None:
        check_inputs(self.inputs)
        if self.form not in ("auto", "survive", "finish", "logit"):
            raise ConfigError(f"form must be auto, survive, finish or logit, got {self.form!r}")
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


def form_for(demonstrations: Demonstrations) -> RewardForm:
    """`finish` where most episodes that were shown ended by themselves, else `survive`.

    Under `survive` a learner that could end an episode as the expert does earns more by never doing so; under `finish`
    one that can only fall ends it at once.
    """
    return "finish" if demonstrations.terminated_share > 0.5 else "survive"


class GAIL:
    """The reward. `init` makes a state, `update` learns from a rollout, `reward` says what its steps are paid.

    Args:
        config: settings.
        observation_size: O.
        action_space: of one environment.
        demonstrations: checked against this world.
    """

    def __init__(
        self,
        config: GAILConfig,
        observation_size: int,
        action_space: gymnasium.Space,
        demonstrations: Demonstrations | None,
    ) -> None:
        self.config, self.space = config, StepSpace(observation_size, action_space)
        self.demonstrations = demonstrations
        self.columns = self.space.columns(config.inputs)
        self.form: RewardForm = "survive"
        if config.form != "auto":
            self.form = config.form
        elif demonstrations is not None:
            self.form = form_for(demonstrations)

    def init(self, seed: int) -> DiscriminatorState:
        """A fresh discriminator; the same seed gives the same weights."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            sizes = (len(self.columns), *self.config.hidden_sizes, 1)
            network = MLP(sizes, self.config.discriminator.activation, output_gain=1.0)
        settings = self.config.discriminator
        parameters = FlatParameters(network)
        optimizer = Adam(parameters.flat, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)
        scale = Scale.of(self.space.observation_size, self.space.coded_size, is_box=self.space.is_box)
        return DiscriminatorState(network, parameters, optimizer, scale, torch.Generator().manual_seed(seed))

    def update(
        self, state: DiscriminatorState, rollout: Rollout, policy: Policy
    ) -> tuple[DiscriminatorState, dict[str, float]]:
        """Learn to tell what was shown from this rollout; the state is changed in place."""
        assert self.demonstrations is not None
        expert, learner = self.space.shown(self.demonstrations, None), self.space.acted(rollout, None)
        settings = self.config.discriminator
        return state, fit_discriminator(state, settings, self._logit_of(state), expert, learner)

    @torch.no_grad()
    def reward(self, state: DiscriminatorState, rollout: Rollout, policy: Policy) -> Tensor:
        """[T, N] what the steps of a rollout are paid."""
        return self.step_reward(state, self.space.acted(rollout, None)).view(rollout.terminated.shape)

    @torch.no_grad()
    def step_reward(self, state: DiscriminatorState, batch: StepBatch) -> Tensor:
        """[B] what any steps are paid, whoever made them."""
        return gail_reward(self.logit(state, state.scale(batch)), self.form)

    def logit(self, state: DiscriminatorState, x_BX: Tensor) -> Tensor:
        """[B] of the probability that steps as networks see them are the expert's."""
        return state.networks(x_BX[:, self.columns]).squeeze(-1)

    def _logit_of(self, state: DiscriminatorState):
        return lambda x_BX, batch: self.logit(state, x_BX)

    def tensors(self, state: DiscriminatorState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return state_tensors(state)

    def load_tensors(self, state: DiscriminatorState, tensors: dict[str, Tensor]) -> DiscriminatorState:
        """Go on from what `tensors` returned, bit for bit."""
        return load_state_tensors(state, tensors)
