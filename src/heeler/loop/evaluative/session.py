"""An agent that acts at a pace that people can follow, and learns from what they say of it.

The clock is that of what is shown: step number n is on the screen from n to n + 1 steps' time, whatever the machine's
clock says meanwhile. Shapes: K steps of a signal, O observation numbers, A action numbers.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from heeler.algorithms.delay import DelayConfig
from heeler.algorithms.evaluative import Choice, EvaluativeLearner, Metrics
from heeler.core.named import under
from heeler.core.signals import CreditedSignal, Signal
from heeler.envs import World
from heeler.loop.parts import Arrays
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.models.actions import as_taken, within_bounds

LATE_S = 120.0
"""For how long steps are remembered. A press that comes in later after what it is about is not learned from."""
_COLUMNS = ("observation", "chosen", "log_prob", "begins")


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One step that was acted."""

    number: int
    """From the beginning of the run."""
    observation: np.ndarray
    """[O] float32 before it."""
    chosen: np.ndarray
    """[A] by the learner."""
    executed: np.ndarray
    """[A] within bounds."""
    log_prob: float
    probability: np.ndarray | None
    """Of each choice of a Discrete action."""
    begins: bool
    """Whether an episode begins with it."""
    next_observation: np.ndarray
    """[O] what came of it; at an episode's end the last one, not the reset's."""
    reward: float
    ended: bool
    episode: int
    """Number of the episode."""
    place: int
    """Steps of the episode before it."""
    snapshot: np.ndarray | None
    """[S] what drawing needs of the state before it."""


class Session:
    """Acts, and hears. One environment, one person's clock.

    Args:
        world: of one environment.
        learner: what learns.
        delay: how late signals are supposed to be.
        step_s: seconds for which each step is shown.
        seed: of the run.
        hold_steps: steps for which an action is kept that was chosen.
    """

    def __init__(
        self,
        world: World,
        learner: EvaluativeLearner,
        delay: DelayConfig,
        *,
        step_s: float,
        seed: int,
        hold_steps: int = 1,
    ) -> None:
        assert world.num_envs == 1
        self._hold_steps = hold_steps
        self._choice: Choice | None = None
        self.world, self.learner, self.delay, self.step_s = world, learner, delay, step_s
        self.state = learner.init(seed)
        self.generator = torch.Generator().manual_seed(seed + 1)
        self.observation, _ = world.reset(seed=seed)
        self.num_steps = self.episode = self.place = 0
        num_credited = delay.num_steps(step_s) + learner.num_trace_steps
        self._num_credited = num_credited
        self._window: deque[Step] = deque(maxlen=num_credited + round(LATE_S / step_s))

    # Act

    def act(self, *, snapshot: bool = False) -> Step:
        """One step.

        Args:
            snapshot: whether what drawing needs is kept.
        """
        seen = self.observation[0].copy()
        drawn = self.world.snapshot() if snapshot else None
        if self._choice is None or self.place % self._hold_steps == 0:
            self._choice = self.learner.choose(self.state, seen, self.generator)
        choice = self._choice
        executed = within_bounds(self.world.single_action_space, choice.action_A)
        taken = as_taken(self.world.single_action_space, executed[None])
        self.observation, reward, terminated, truncated, infos = self.world.step(taken)
        ended = bool(terminated[0] | truncated[0])
        step = Step(
            number=self.num_steps,
            observation=seen,
            chosen=choice.action_A,
            executed=executed,
            log_prob=choice.log_prob,
            probability=choice.probability_L,
            begins=self.place == 0,
            next_observation=np.array(infos["final_obs"][0] if ended else self.observation[0], np.float32),
            reward=float(reward[0]),
            ended=ended,
            episode=self.episode,
            place=self.place,
            snapshot=None if drawn is None else drawn[0].astype(np.float32),
        )
        self._window.append(step)
        self.num_steps += 1
        self.episode, self.place = (self.episode + 1, 0) if ended else (self.episode, self.place + 1)
        return step

    @property
    def time_s(self) -> float:
        """Of the clock: how much was shown."""
        return self.num_steps * self.step_s

    # Hear

    def credited(self, signal: Signal, *, num_shown: int | None = None) -> CreditedSignal | None:
        """A signal with the steps that it may be about; None where it is about none that is remembered.

        Args:
            signal: to be credited.
            num_shown: steps that had been on the screen when it was given, from the run's first on; None for all.
                What was shown later is not what it is about, whatever the clock says of somebody whose picture stood
                still.
        """
        steps = [step for step in self._window if num_shown is None or step.number < num_shown]
        start_s = np.array([step.number for step in steps], np.float64) * self.step_s
        credit = self.delay.credit(start_s, start_s + self.step_s, signal.time_s)
        about = np.flatnonzero(credit)
        if not len(about):
            return None
        last = int(about[-1]) + 1
        first = max(0, last - self._num_credited)
        chosen = steps[first:last]
        missing = self._num_credited - len(chosen)

        def padded(values: np.ndarray) -> np.ndarray:
            return np.concatenate([np.zeros((missing, *values.shape[1:]), values.dtype), values])

        return CreditedSignal(
            observation=padded(np.stack([step.observation for step in chosen])),
            action=padded(np.stack([step.chosen for step in chosen])),
            log_prob=padded(np.array([step.log_prob for step in chosen], np.float32)),
            begins=padded(np.array([step.begins for step in chosen])),
            known=padded(np.ones(len(chosen), bool)),
            credit=padded(credit[first:last]),
            sign=float(signal.sign),
        )

    def hear(self, signal: Signal, *, num_shown: int | None = None) -> Metrics | None:
        """Learn from a signal; None where it is about nothing that is remembered. The rest is as of `credited`."""
        credited = self.credited(signal, num_shown=num_shown)
        if credited is None:
            return None
        self.state, told = self.learner.learn(self.state, credited)
        return told

    def rehearse(self) -> Metrics:
        """Go over earlier signals again, where the learner does that."""
        self.state, told = self.learner.rehearse(self.state)
        return told

    # Keep

    def kept(self) -> tuple[Arrays, dict[str, Any]]:
        """What a checkpoint keeps."""
        arrays = {f"learner.{name}": array for name, array in to_arrays(self.learner.tensors(self.state)).items()}
        if self.world.exact_state:
            arrays |= {f"world.{name}": np.asarray(array) for name, array in self.world.state_dict().items()}
        arrays |= {f"window.{name}": array for name, array in self._window_arrays().items()}
        arrays |= {"observation": self.observation, "generator": self.generator.get_state().numpy()}
        state: dict[str, Any] = {"num_steps": self.num_steps, "episode": self.episode, "place": self.place}
        if self._choice is not None:
            arrays["held"] = self._choice.action_A
            probability_L = self._choice.probability_L
            state["held"] = [self._choice.log_prob, None if probability_L is None else probability_L.tolist()]
        return arrays, state

    def restore(self, arrays: Arrays, state: dict[str, Any]) -> None:
        """Go on from what `kept` returned; a world that cannot be saved begins a new episode."""
        self.state = self.learner.load_tensors(self.state, to_tensors(under("learner.", arrays)))
        self.generator.set_state(torch.from_numpy(arrays["generator"].copy()))
        self.num_steps, self.episode, self.place = state["num_steps"], state["episode"], state["place"]
        self._choice = None
        if "held" in arrays:
            log_prob, probability = state["held"]
            probability_L = None if probability is None else np.array(probability)
            self._choice = Choice(arrays["held"].copy(), log_prob, probability_L)
        self._load_window(under("window.", arrays))
        if self.world.exact_state:
            self.world.load_state_dict(under("world.", arrays))
            self.observation = arrays["observation"].copy()
        else:
            self.begin_anew(self.num_steps)

    def begin_anew(self, seed: int) -> None:
        """Begin a new episode now."""
        self.observation, _ = self.world.reset(seed=seed)
        if self.place:
            self.episode, self.place = self.episode + 1, 0

    def _window_arrays(self) -> Arrays:
        columns = {name: np.array([getattr(step, name) for step in self._window]) for name in _COLUMNS}
        return columns | {"number": np.array([step.number for step in self._window], np.int64)}

    def _load_window(self, arrays: Arrays) -> None:
        """Of a remembered step only what crediting needs is kept."""
        self._window.clear()
        for row, number in enumerate(arrays["number"]):
            seen, chosen = arrays["observation"][row].copy(), arrays["chosen"][row].copy()
            self._window.append(
                Step(
                    number=int(number),
                    observation=seen,
                    chosen=chosen,
                    executed=chosen,
                    log_prob=float(arrays["log_prob"][row]),
                    probability=None,
                    begins=bool(arrays["begins"][row]),
                    next_observation=seen,
                    reward=0.0,
                    ended=False,
                    episode=0,
                    place=0,
                    snapshot=None,
                )
            )
