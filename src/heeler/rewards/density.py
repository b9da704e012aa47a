r"""Density as a reward: a step is paid for being where steps were shown; nothing is learned from what the policy does.

A Gaussian, or a kernel density estimate $\log \frac{1}{K} \sum_k \exp(-\|x - x_k\|^2 / 2 h^2)$ over K of the steps that
were shown, each number in units of its spread there. Shapes: B steps, K kept steps, F numbers of a step.
"""

import math
from dataclasses import dataclass
from typing import Literal

import gymnasium
import torch
from torch import Tensor

from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.models.policy import Policy
from heeler.rewards.discriminator import StepBatch
from heeler.rewards.gail import check_inputs
from heeler.rewards.shown_steps import StepSpace
from heeler.rewards.step_features import StepInput

_LEAST_SPREAD = 1e-4
_FLOOR_QUANTILE = 0.05
_RIDGE = 1e-3


@dataclass(frozen=True, kw_only=True)
class DensityConfig:
    """Settings of rewards by density."""

    kind: Literal["kernel", "gaussian"] = "kernel"
    """How the density is estimated."""
    inputs: tuple[StepInput, ...] = ("observation", "action")
    """Of what: of states, of states with actions, or of transitions (`observation`, `next_observation`)."""
    bandwidth: float = 0.5
    """For the kernel: its reach, in spreads of a number times the root of how many there are."""
    max_steps: int = 2000
    """For the kernel: shown steps that are kept; more than these are thinned out evenly."""
    form: Literal["survive", "finish"] = "survive"
    """Log-densities know no nought. `survive` counts from a low one of the untrained policy, so that most steps are
    paid, and so is staying alive; `finish` counts from the highest shown, so that every step costs and ending is what
    pays: for worlds in which it is the goal that ends an episode."""

    def __post_init__(self) -> None:
        check_inputs(self.inputs)
        if self.kind not in ("kernel", "gaussian"):
            raise ConfigError(f"kind must be kernel or gaussian, got {self.kind!r}")
        if self.form not in ("survive", "finish"):
            raise ConfigError(f"form must be survive or finish, got {self.form!r}")
        if not 0 < self.bandwidth < math.inf:
            raise ConfigError(f"bandwidth must be > 0 and finite, got {self.bandwidth}")
        if self.max_steps < 1:
            raise ConfigError(f"max_steps must be >= 1, got {self.max_steps}")
        if self.kind == "gaussian":
            for name in ("bandwidth", "max_steps"):
                if getattr(self, name) != getattr(DensityConfig, name):
                    raise ConfigError(f"{name} is for the kernel and would be ignored; leave it out")


@dataclass
class DensityState:
    """The estimate, and where rewards count from."""

    mean_F: Tensor
    whiten_FF: Tensor
    """What differences to the mean are multiplied by: for the kernel one over the spread."""
    kept_KF: Tensor
    """For the kernel: whitened steps; [0, F] for the Gaussian."""
    spread: float
    """Of the log-densities of what was shown."""
    top: float
    """The highest of them."""
    floor: float | None = None
    """A low log-density of the first rollout; None before it."""


class Density:
    """The reward. `init` estimates, `update` only notes where the first rollout stands.

    Args:
        config: settings.
        observation_size: O.
        action_space: of one environment.
        demonstrations: checked against this world; None for a reward that only is read.
    """

    def __init__(
        self,
        config: DensityConfig,
        observation_size: int,
        action_space: gymnasium.Space,
        demonstrations: Demonstrations | None,
    ) -> None:
        self.config, self.space = config, StepSpace(observation_size, action_space)
        self.demonstrations = demonstrations
        self.columns = self.space.columns(config.inputs)

    def init(self, seed: int) -> DensityState:
        """Estimate; there is nothing random in it."""
        num = len(self.columns)
        if self.demonstrations is None:
            num_kept = 1 if self.config.kind == "kernel" else 0
            empty = torch.zeros(num, dtype=torch.float64)
            return DensityState(empty, torch.eye(num, dtype=torch.float64), torch.zeros(num_kept, num), 1.0, 0.0)
        x_BF = self._seen(self.space.shown(self.demonstrations, None))
        mean_F = x_BF.mean(0)
        if self.config.kind == "kernel":
            spread_F = x_BF.std(0, unbiased=False)
            # A number that never changed is compared as it is.
            whiten_FF = torch.diag(1 / torch.where(spread_F > _LEAST_SPREAD, spread_F, torch.ones(()).double()))
            every = max(1, math.ceil(len(x_BF) / self.config.max_steps))
            kept_KF = ((x_BF[::every] - mean_F) @ whiten_FF).float()
        else:
            covariance_FF = torch.cov(x_BF.T, correction=0).reshape(num, num) + _RIDGE * torch.eye(num).double()
            whiten_FF, kept_KF = torch.linalg.inv(torch.linalg.cholesky(covariance_FF)).T, torch.zeros(0, num)
        state = DensityState(mean_F, whiten_FF, kept_KF, 1.0, 0.0)
        log_B = self._log_density(state, x_BF)
        state.spread, state.top = max(float(log_B.std(unbiased=False)), 1e-6), float(log_B.max())
        return state

    def update(self, state: DensityState, rollout: Rollout, policy: Policy) -> tuple[DensityState, dict[str, float]]:
        """Note where the first rollout stands; the state is changed in place."""
        log_B = self._log_density(state, self._seen(self.space.acted(rollout, None)))
        if state.floor is None:
            state.floor = float(torch.quantile(log_B, _FLOOR_QUANTILE))
        return state, {"log_density_mean": float(log_B.mean())}

    @torch.no_grad()
    def reward(self, state: DensityState, rollout: Rollout, policy: Policy) -> Tensor:
        """[T, N] what the steps of a rollout are paid."""
        return self.step_reward(state, self.space.acted(rollout, None)).view(rollout.terminated.shape)

    @torch.no_grad()
    def step_reward(self, state: DensityState, batch: StepBatch) -> Tensor:
        """[B]: log-density in spreads of what was shown, from where it counts."""
        log_B = self._log_density(state, self._seen(batch))
        nought = state.top if self.config.form == "finish" else (state.floor or 0.0)
        value_B = (log_B - nought) / state.spread
        return value_B.clamp(max=0.0) if self.config.form == "finish" else value_B

    def _seen(self, batch: StepBatch) -> Tensor:
        whole = torch.cat([batch.observation_BO, batch.action_BK, batch.next_observation_BO], -1)
        return whole[:, self.columns].double()

    def _log_density(self, state: DensityState, x_BF: Tensor) -> Tensor:
        """[B] float32, up to a constant."""
        white_BF = ((x_BF - state.mean_F) @ state.whiten_FF).float()
        if not len(state.kept_KF):
            return -0.5 * white_BF.square().sum(-1)
        reach = 2 * self.config.bandwidth**2 * white_BF.shape[1]
        parts = [
            torch.logsumexp(-torch.cdist(some, state.kept_KF).square() / reach, -1) for some in white_BF.split(1024)
        ]
        return torch.cat(parts) - math.log(len(state.kept_KF))

    def tensors(self, state: DensityState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        numbers = [state.spread, state.top, math.nan if state.floor is None else state.floor]
        own = {"mean": state.mean_F, "whiten": state.whiten_FF, "kept": state.kept_KF}
        return own | {"numbers": torch.tensor(numbers, dtype=torch.float64)}

    def load_tensors(self, state: DensityState, tensors: dict[str, Tensor]) -> DensityState:
        """Go on from what `tensors` returned, bit for bit."""
        state.mean_F, state.whiten_FF, state.kept_KF = tensors["mean"], tensors["whiten"], tensors["kept"]
        state.spread, state.top, floor = tensors["numbers"].tolist()
        state.floor = None if math.isnan(floor) else floor
        return state
