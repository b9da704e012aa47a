"""Deep COACH (Arumugam et al. 2019, arXiv 1902.04257): COACH with a network, an entropy bonus and replayed signals.

Signals are kept with the steps before them, as the paper's windows are. Left out of the paper: the autoencoder of
pictures, as observations here are numbers; and Adam stands in the place of RMSProp.
Shapes: B observations, O observation numbers, A action numbers, L policy outputs, M signals, K steps of each.
"""

import math
from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch
from torch import Tensor

from heeler.algorithms.coach import aims, check_policy_settings, drawn, head_of, num_trace_steps
from heeler.algorithms.evaluative import Choice, Metrics, SignalBatch, SignalReplay, as_batch, flat_box
from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.core.signals import CreditedSignal
from heeler.models.bases import Basis, BasisConfig
from heeler.models.flat import FlatParameters
from heeler.models.optimizers import Adam
from heeler.models.policy import ACTIVATIONS, MLP, Activation


@dataclass(frozen=True, kw_only=True)
class DeepCOACHConfig:
    """Settings of Deep COACH."""

    basis: BasisConfig = field(default_factory=BasisConfig)
    """What the network sees of an observation."""
    hidden_sizes: tuple[int, ...] = (32, 32)
    """Units of each hidden layer."""
    activation: Activation = "tanh"
    """Non-linearity of the hidden layers."""
    learning_rate: float = 3e-3
    """Adam's step."""
    trace_decay: float = 0.95
    """Lambda: what a signal about a step gives the step before it. 0 for people who judge single steps."""
    ratio_limit: float = 2.0
    """The most that a step counts which the policy would take more often now than when it took it."""
    entropy_coefficient: float = 0.1
    """Weight of the entropy bonus, without which the first few signals decide everything."""
    log_std: float = -0.5
    """Logarithm of the spread of Box actions, which stays as it is."""
    capacity: int = 60
    """Signals that are kept to be gone over again, the newest: older ones are about another policy."""
    minibatch_size: int = 16
    """Signals in one step of going over them."""
    num_rehearsals: int = 1
    """Steps each time."""

    def __post_init__(self) -> None:
        if not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise ConfigError(f"hidden_sizes must be one or more positive numbers, got {self.hidden_sizes}")
        if self.activation not in ACTIVATIONS:
            raise ConfigError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")
        check_policy_settings(self.trace_decay, self.ratio_limit, self.log_std)
        for name in ("learning_rate", "capacity", "minibatch_size"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if not 0 <= self.entropy_coefficient < math.inf:
            raise ConfigError(f"entropy_coefficient must be >= 0 and finite, got {self.entropy_coefficient}")
        if self.num_rehearsals < 0:
            raise ConfigError(f"num_rehearsals must be >= 0, got {self.num_rehearsals}")


@dataclass
class DeepCOACHState:
    """All that learning changes."""

    network: MLP
    parameters: FlatParameters
    optimizer: Adam
    replay: SignalReplay
    generator: torch.Generator
    """Draws what is gone over again."""


class DeepCOACH:
    """The learner; a state's network is changed in place.

    Args:
        config: settings.
        observation_space: of one environment.
        action_space: of one environment.

    Raises:
        ConfigError: the basis does not fit, or a spread is set for actions that have none.
        WorldError: no policy can take such actions.
    """

    def __init__(
        self, config: DeepCOACHConfig, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ) -> None:
        self.config = config
        self.head = head_of(action_space, config.log_std, DeepCOACHConfig.log_std)
        self.log_std_A = torch.full((self.head.num_log_std,), config.log_std)
        self.basis = Basis(config.basis, flat_box(observation_space))
        self.num_trace_steps = num_trace_steps(config.trace_decay)

    def init(self, seed: int) -> DeepCOACHState:
        """A fresh network, which takes every choice about alike."""
        sizes = (self.basis.size, *self.config.hidden_sizes, self.head.num_outputs)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = MLP(sizes, self.config.activation, output_gain=0.01)
        parameters = FlatParameters(network)
        optimizer = Adam(parameters.flat, learning_rate=self.config.learning_rate)
        replay = SignalReplay(None, self.config.capacity)
        return DeepCOACHState(network, parameters, optimizer, replay, torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def choose(self, state: DeepCOACHState, observation_O: np.ndarray, generator: torch.Generator) -> Choice:
        """An action drawn from the policy."""
        output_1L = state.network(self.basis(torch.from_numpy(observation_O[None])))
        return drawn(self.head, output_1L, self.log_std_A, generator)

    @torch.no_grad()
    def best(self, state: DeepCOACHState, observation_BO: np.ndarray) -> np.ndarray:
        """[B, A] the likeliest actions."""
        return self.head.mode(state.network(self.basis(torch.from_numpy(observation_BO)))).numpy()

    def learn(self, state: DeepCOACHState, signal: CreditedSignal) -> tuple[DeepCOACHState, Metrics]:
        """One step on the signal, which is kept."""
        state.replay.add(signal)
        return state, self._step(state, as_batch(signal))

    def rehearse(self, state: DeepCOACHState) -> tuple[DeepCOACHState, Metrics]:
        """Steps on signals that are drawn from those that are kept."""
        told: Metrics = {}
        for _ in range(self.config.num_rehearsals if state.replay.size else 0):
            told = self._step(state, state.replay.sample(self.config.minibatch_size, state.generator))
        return state, told

    def loss(self, state: DeepCOACHState, batch: SignalBatch) -> tuple[Tensor, Tensor]:
        r"""$-\frac1M \sum_m f_m \sum_k w_{mk}\,\rho_{mk}\,\log \pi(a_{mk} \mid s_{mk}) - \beta H$; the entropy H."""
        config, output_MKL = self.config, state.network(self.basis(batch.observation_MKO))
        aim_M, entropy = aims(self.head, output_MKL, self.log_std_A, batch, config.trace_decay, config.ratio_limit)
        return -aim_M.mean() - config.entropy_coefficient * entropy, entropy

    def _step(self, state: DeepCOACHState, batch: SignalBatch) -> Metrics:
        state.parameters.zero_grad()
        loss, entropy = self.loss(state, batch)
        loss.backward()
        state.optimizer.step()
        return {"loss": float(loss.detach()), "entropy": float(entropy.detach())}

    def tensors(self, state: DeepCOACHState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.tensors().items()}
        tensors |= {f"replay.{name}": tensor for name, tensor in state.replay.tensors().items()}
        return tensors | {"generator": state.generator.get_state()}

    def load_tensors(self, state: DeepCOACHState, tensors: dict[str, Tensor]) -> DeepCOACHState:
        """Go on from what `tensors` returned, bit for bit."""
        state.network.load_state_dict(under("network.", tensors))
        state.optimizer.load_tensors(under("optimizer.", tensors))
        state.replay.load_tensors(under("replay.", tensors))
        state.generator.set_state(tensors["generator"])
        return state
