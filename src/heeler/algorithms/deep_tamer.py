"""Deep TAMER (Warnell et al. 2018, arXiv 1709.10163): TAMER with a network, in which signals are gone over again.

Each step that a signal may be about is told the signal itself, weighed by its credit. Left out of the paper: the
autoencoder of pictures, as observations here are numbers.
Shapes: B observations, O observation numbers, L choices, F features, M signals, K steps of each.
"""

from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch
from torch import Tensor

from heeler.algorithms.evaluative import Choice, Metrics, SignalBatch, SignalReplay, as_batch, flat_box, num_choices
from heeler.algorithms.tamer import greedy_choice
from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.core.signals import CreditedSignal
from heeler.models.bases import Basis, BasisConfig
from heeler.models.flat import FlatParameters
from heeler.models.optimizers import Adam
from heeler.models.policy import ACTIVATIONS, MLP, Activation


@dataclass(frozen=True, kw_only=True)
class DeepTAMERConfig:
    """Settings of Deep TAMER."""

    basis: BasisConfig = field(default_factory=BasisConfig)
    """What the network sees of an observation."""
    hidden_sizes: tuple[int, ...] = (32, 32)
    """Units of each hidden layer."""
    activation: Activation = "tanh"
    """Non-linearity of the hidden layers."""
    learning_rate: float = 3e-3
    """Adam's step."""
    capacity: int = 1000
    """Signals that are kept to be gone over again, the newest."""
    minibatch_size: int = 16
    """Signals in one step of going over them."""
    num_rehearsals: int = 4
    """Steps each time."""

    def __post_init__(self) -> None:
        if not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise ConfigError(f"hidden_sizes must be one or more positive numbers, got {self.hidden_sizes}")
        if self.activation not in ACTIVATIONS:
            raise ConfigError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")
        for name in ("learning_rate", "capacity", "minibatch_size"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if self.num_rehearsals < 0:
            raise ConfigError(f"num_rehearsals must be >= 0, got {self.num_rehearsals}")


@dataclass
class DeepTAMERState:
    """All that learning changes."""

    network: MLP
    parameters: FlatParameters
    optimizer: Adam
    replay: SignalReplay
    generator: torch.Generator
    """Draws what is gone over again."""


class DeepTAMER:
    """The learner; a state's network is changed in place.

    Args:
        config: settings.
        observation_space: of one environment.
        action_space: of one environment.

    Raises:
        ConfigError: actions are not Discrete, or the basis does not fit.
    """

    num_trace_steps = 0

    def __init__(
        self, config: DeepTAMERConfig, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ) -> None:
        self.config = config
        self.num_choices = num_choices(action_space, "deep-tamer")
        self.basis = Basis(config.basis, flat_box(observation_space))

    def init(self, seed: int) -> DeepTAMERState:
        """A fresh network, which expects next to nothing of anything."""
        sizes = (self.basis.size, *self.config.hidden_sizes, self.num_choices)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = MLP(sizes, self.config.activation, output_gain=0.01)
        parameters = FlatParameters(network)
        optimizer = Adam(parameters.flat, learning_rate=self.config.learning_rate)
        replay = SignalReplay(None, self.config.capacity)
        return DeepTAMERState(network, parameters, optimizer, replay, torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def human_reward(self, state: DeepTAMERState, observation_BO: np.ndarray) -> Tensor:
        """[B, L]: H, what people are expected to say of each choice."""
        return state.network(self.basis(torch.from_numpy(observation_BO)))

    def choose(self, state: DeepTAMERState, observation_O: np.ndarray, generator: torch.Generator) -> Choice:
        """The choice of which most is expected."""
        return greedy_choice(self.human_reward(state, observation_O[None])[0], generator)

    def best(self, state: DeepTAMERState, observation_BO: np.ndarray) -> np.ndarray:
        """[B, 1] the choices of which most is expected."""
        return self.human_reward(state, observation_BO).argmax(-1, keepdim=True).numpy()

    def learn(self, state: DeepTAMERState, signal: CreditedSignal) -> tuple[DeepTAMERState, Metrics]:
        """One step on the signal, which is kept."""
        state.replay.add(signal)
        return state, {"loss": self._step(state, as_batch(signal))}

    def rehearse(self, state: DeepTAMERState) -> tuple[DeepTAMERState, Metrics]:
        """Steps on signals that are drawn from those that are kept."""
        if state.replay.size == 0:
            return state, {}
        losses = [
            self._step(state, state.replay.sample(self.config.minibatch_size, state.generator))
            for _ in range(self.config.num_rehearsals)
        ]
        return state, {"loss": float(np.mean(losses))} if losses else {}

    def loss(self, state: DeepTAMERState, batch: SignalBatch) -> Tensor:
        r"""$\frac1M \sum_m \sum_k c_{mk}\,(H(s_{mk}, a_{mk}) - h_m)^2$."""
        expected_MKL = state.network(self.basis(batch.observation_MKO))
        expected_MK = expected_MKL.gather(-1, batch.action_MKA)[..., 0]
        square_MK = (expected_MK - batch.sign_M[:, None]).square()
        return (batch.credit_MK * square_MK).sum(-1).mean()

    def _step(self, state: DeepTAMERState, batch: SignalBatch) -> float:
        state.parameters.zero_grad()
        loss = self.loss(state, batch)
        loss.backward()
        state.optimizer.step()
        return float(loss.detach())

    def tensors(self, state: DeepTAMERState) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.tensors().items()}
        tensors |= {f"replay.{name}": tensor for name, tensor in state.replay.tensors().items()}
        return tensors | {"generator": state.generator.get_state()}

    def load_tensors(self, state: DeepTAMERState, tensors: dict[str, Tensor]) -> DeepTAMERState:
        """Go on from what `tensors` returned, bit for bit."""
        state.network.load_state_dict(under("network.", tensors))
        state.optimizer.load_tensors(under("optimizer.", tensors))
        state.replay.load_tensors(under("replay.", tensors))
        state.generator.set_state(tensors["generator"])
        return state
