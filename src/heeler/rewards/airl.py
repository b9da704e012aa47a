"""AIRL (Fu, Luo and Levine 2018, arXiv 1710.11248): an adversarial reward that is apart from the world's dynamics.

The discriminator's logit is f(s, a, s') - log pi(a | s) with f = r + gamma h(s') - h(s). Where r sees states alone, h
takes up what is of the dynamics: only then is r what was wanted, up to a constant, and may be moved to a world whose
dynamics have changed. A reward of states and actions is as good to imitate by, and fails there.

What steps are paid may have GAIL's forms, as what was wanted is the same: where D is a half everywhere, f is log pi.
Shapes: B steps, O observation numbers, X numbers of a step, T steps of N environments.
"""

from dataclasses import dataclass, field

import gymnasium
import torch
from torch import Tensor, nn

from heeler.core.demonstrations import Demonstrations
from heeler.core.rollout import Rollout
from heeler.models.policy import MLP, Policy
from heeler.ops.imitation import RewardForm, airl_value, gail_reward
from heeler.rewards.discriminator import (
    DiscriminatorConfig,
    StepBatch,
    fit_discriminator,
    load_state_tensors,
    state_tensors,
)
from heeler.rewards.ends import Ends, check_discount
from heeler.rewards.gail import GAILState, check_form, check_inputs, check_sizes
from heeler.rewards.shown_steps import StepSpace
from heeler.rewards.step_features import StepInput


@dataclass(frozen=True, kw_only=True)
class AIRLConfig:
    """Settings of AIRL."""

    inputs: tuple[StepInput, ...] = ("observation", "action")
    """What the reward sees of a step; `observation` alone for one that may be moved to other dynamics."""
    form: RewardForm = "survive"
    """What a step is paid, as for GAIL; `logit`, f - log pi, is the paper's."""
    count_ends: bool = True
    """Whether what follows a terminal state counts as a state of its own, as for GAIL; what ends are worth is no part
    of the reward that is moved."""
    hidden_sizes: tuple[int, ...] = (32,)
    """Units of the reward's hidden layers."""
    potential_hidden_sizes: tuple[int, ...] = (32, 32)
    """Units of the potential's hidden layers."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """How they learn."""

    def __post_init__(self) -> None:
        check_inputs(self.inputs)
        check_form(self.form)
        for name in ("hidden_sizes", "potential_hidden_sizes"):
            check_sizes(name, getattr(self, name))


class RewardAndPotential(nn.Module):
    """The two networks that f is made of."""

    def __init__(self, reward: MLP, potential: MLP) -> None:
        super().__init__()
        self.reward, self.potential = reward, potential


class AIRL:
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
        config: AIRLConfig,
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
        """Fresh networks; the same seed gives the same weights."""
        settings = self.config.discriminator
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            reward = MLP((len(self.columns), *self.config.hidden_sizes, 1), settings.activation, output_gain=1.0)
            sizes = (self.space.observation_size, *self.config.potential_hidden_sizes, 1)
            potential = MLP(sizes, settings.activation, output_gain=1.0)
        networks = RewardAndPotential(reward, potential)
        made = self.space.fresh_state(networks, settings, seed)
        return GAILState(made, Ends.of(self.demonstrations))

    def update(self, state: GAILState, rollout: Rollout, policy: Policy) -> tuple[GAILState, dict[str, float]]:
        """Learn to tell what was shown from this rollout; the state is changed in place.

        Args:
            state: from `init` or the last `update`.
            rollout: made by `policy`.
            policy: how likely it is to do what was shown counts too.
        """
        assert self.demonstrations is not None
        state.ends.learn(rollout)
        expert, learner = self.space.shown(self.demonstrations, policy), self.space.acted(rollout, policy)

        def logit(x_BX: Tensor, batch: StepBatch) -> Tensor:
            return self.value(state, x_BX, batch.terminated_B) - batch.log_prob_B

        settings = self.config.discriminator
        return state, fit_discriminator(state.discriminator, settings, logit, expert, learner)

    @torch.no_grad()
    def reward(self, state: GAILState, rollout: Rollout, policy: Policy) -> Tensor:
        """[T, N] what the steps of a rollout are paid: by the entropy in it the policy becomes the expert's."""
        batch = self.space.acted(rollout, policy)
        value_B = self.value(state, state.discriminator.scale(batch), batch.terminated_B)
        paid_B = gail_reward(value_B - batch.log_prob_B, self.config.form)
        if self.config.count_ends:
            paid_B += state.ends.worth(batch.terminated_B, self.config.form, discount=self.discount)
        return paid_B.view(rollout.terminated.shape)

    @torch.no_grad()
    def step_reward(self, state: GAILState, batch: StepBatch) -> Tensor:
        """[B]: r alone, which is what is wanted of steps, whoever makes them."""
        return _networks(state).reward(state.discriminator.scale(batch)[:, self.columns]).squeeze(-1)

    def value(self, state: GAILState, x_BX: Tensor, terminated_B: Tensor) -> Tensor:
        """[B]: f of steps as networks see them."""
        size = self.space.observation_size
        # One pass for both ends of a step.
        potential_2B = _networks(state).potential(torch.cat([x_BX[:, :size], x_BX[:, -size:]])).squeeze(-1)
        before_B, after_B = potential_2B.chunk(2)
        reward_B = _networks(state).reward(x_BX[:, self.columns]).squeeze(-1)
        return airl_value(reward_B, before_B, after_B, terminated_B, discount=self.discount)

    def tensors(self, state: GAILState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return state_tensors(state.discriminator) | state.ends.tensors()

    def load_tensors(self, state: GAILState, tensors: dict[str, Tensor]) -> GAILState:
        """Go on from what `tensors` returned, bit for bit."""
        load_state_tensors(state.discriminator, tensors)
        state.ends.load_tensors(tensors)
        return state


def _networks(state: GAILState) -> RewardAndPotential:
    assert isinstance(state.discriminator.networks, RewardAndPotential)
    return state.discriminator.networks
