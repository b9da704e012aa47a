"""Costs that a run's world does not count itself: of the user's functions, and learned from answers.

They are put beside the world's in every rollout, so that the learner and all that is reported take them alike.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from heeler.core.named import under
from heeler.core.rollout import Rollout, cost_figure
from heeler.core.rundir import Checkpoint
from heeler.envs import World, make
from heeler.feedback.store import Store
from heeler.loop.config import RunConfig
from heeler.loop.cost_answers import CostAnswers, true_column
from heeler.loop.made_up import made_up, made_up_steps
from heeler.loop.parts import Arrays, Kept, Part, Turn
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.models.actions import CategoricalHead, action_head
from heeler.rewards.cost_model import CostModel
from heeler.rewards.shaping import rollout_place, rollout_steps
from heeler.rewards.step_functions import StepFunction, Where
from heeler.safety.costs import ANSWERS, WORLD, CostConfig, all_cost_names

_PREFIX = "own_costs."


def own_costs(config: RunConfig) -> tuple[CostConfig, ...]:
    """Those of a run's costs that do not come from its world."""
    costs = () if config.limits is None else config.limits.costs
    return tuple(cost for cost in costs if cost.source != WORLD)


def cost_names_of(config: RunConfig, world: World) -> tuple[str, ...]:
    """All that a run counts, in the order of its rollouts: the world's, and after them its own."""
    return all_cost_names(() if config.limits is None else config.limits.costs, world.cost_names)


class OwnCosts(Part):
    """The costs of a run that do not come from its world. Shapes: B steps, E costs of their own.

    Args:
        config: of the run, with at least one such cost.
        world: that it acts in.
        store: of the run; None where nobody is to be asked, as of a run that is only looked at.

    Raises:
        ConfigError: a function cannot be found, or the simulated teacher goes by a cost that there is not.
    """

    name = "costs"

    def __init__(self, config: RunConfig, world: World, store: Store | None) -> None:
        self.config = config
        self.costs = own_costs(config)
        self.names = tuple(cost.name for cost in self.costs)
        self.functions = {
            cost.name: StepFunction(cost.source, what=f"cost {cost.name!r}")
            for cost in self.costs
            if cost.source != ANSWERS
        }
        self.answers: CostAnswers | None = None
        self.model: CostModel | None = None
        if config.limits is not None and config.limits.answers is not None:
            self.model = _cost_model(config, world)
            self._model_state = self.model.init(config.seed)
            true_column(config, world.cost_names)
            if store is not None:
                self.answers = CostAnswers(config, store, self.model, world.cost_names)
        self.running = np.zeros((world.num_envs, len(self.names)))
        """[N, E] what the present episodes have cost so far."""

    def try_out(self, world: World) -> None:
        """Call the user's functions on two steps that nobody made, before anything is learned or written.

        Args:
            world: of one environment; its state is lost.

        Raises:
            RewardError: one does not give a finite number for each.
        """
        observation, action = made_up_steps(world, self.config.seed)
        for function in self.functions.values():
            function(observation, action, observation, where=made_up)

    @property
    def prefix(self) -> str:
        """Of their arrays in a checkpoint."""
        return _PREFIX

    def wants_snapshots(self) -> bool:
        """Clips of it may be asked about."""
        return self.answers is not None

    @property
    def is_ready(self) -> bool:
        """Whether all are known, so that a policy may learn within their budgets."""
        return self.answers is None or self.answers.is_ready

    def of(
        self, observation: np.ndarray, action: np.ndarray, next_observation: np.ndarray, *, where: Where
    ) -> np.ndarray:
        """[B, E] what steps cost.

        Args:
            observation: [B, O] before each.
            action: [B, A] as it was executed.
            next_observation: [B, O] what came of it, at an episode's end what ended it.
            where: names a step, for messages.

        Raises:
            RewardError: a function gave no finite number for a step; names cost and step.
        """
        columns = [self._column(cost, observation, action, next_observation, where) for cost in self.costs]
        return np.stack(columns, -1)

    def _column(
        self,
        cost: CostConfig,
        observation: np.ndarray,
        action: np.ndarray,
        next_observation: np.ndarray,
        where: Where,
    ) -> np.ndarray:
        if cost.name in self.functions:
            return self.functions[cost.name](observation, action, next_observation, where=where)
        assert self.model is not None
        state = self._model_state if self.answers is None else self.answers.model_state
        return self.model.cost(state, observation, action, next_observation)

    def after_rollout(self, turn: Turn) -> Turn:
        """With these costs beside the world's in the rollout; asks, listens and fits before, where they are learned.

        Raises:
            HeelerError: a function gave no finite number for a step, or a fit has diverged.
        """
        rollout, step = turn.rollout, turn.step
        if self.answers is not None:
            self.answers.ask(rollout, step)
            self.answers.listen(step)
            self.answers.fit_if_due()
        own_BE = self.of(*rollout_steps(rollout), where=rollout_place(rollout, step))
        own_TNE = own_BE.reshape(*rollout.terminated.shape, -1)
        sums = self._ended(rollout, own_TNE)
        figures = {cost_figure(name): sums[:, index] for index, name in enumerate(self.names)}
        rollout = replace(
            rollout,
            cost=np.concatenate([rollout.cost, own_TNE], -1),
            episode_figures={**rollout.episode_figures, **figures},
        )
        return replace(turn, rollout=rollout)

    def _ended(self, rollout: Rollout, own_TNE: np.ndarray) -> np.ndarray:
        """[number of ended episodes, E] what each has cost, in the order of the rollout's `final_index`."""
        sums: list[np.ndarray] = []
        for t in range(rollout.num_steps):
            self.running += own_TNE[t]
            ended = np.flatnonzero(rollout.ended[t])
            sums.append(self.running[ended])
            self.running[ended] = 0
        return np.concatenate(sums)

    def restart(self) -> None:
        """Every environment has begun a new episode."""
        self.running[:] = 0

    def metrics(self) -> dict[str, float]:
        """Where the answers stand."""
        return {} if self.answers is None else self.answers.metrics()

    def kept(self) -> Kept:
        """What a checkpoint keeps of them."""
        learned = {} if self.answers is None else to_arrays(self.answers.tensors())
        arrays = {"running": self.running.copy()} | {f"model.{name}": array for name, array in learned.items()}
        return arrays, {
            "functions": {name: function.fingerprint for name, function in self.functions.items()},
            "answers": None if self.answers is None else self.answers.state(),
        }

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Go on from what `kept` returned.

        Raises:
            CheckpointError: a function's file is not what it was.
        """
        for name, function in self.functions.items():
            function.refuse_changed(state["functions"][name])
        self.running = arrays["running"].copy()
        learned = to_tensors(under("model.", arrays))
        if self.answers is not None:
            self.answers.load(learned, state["answers"])
        elif self.model is not None:
            self._model_state = self.model.load_tensors(self._model_state, learned, state["answers"]["fits"])


def _cost_model(config: RunConfig, world: World) -> CostModel:
    assert config.limits is not None and config.limits.answers is not None
    asking, head = config.limits.answers, action_head(world.single_action_space)
    choices = head.num_choices if isinstance(head, CategoricalHead) else ()
    return CostModel(asking.model, asking.segment_length, world.observation_size, head.action_size, choices)


def costs_of(checkpoint: Checkpoint, config: RunConfig) -> OwnCosts | None:
    """The costs of a run's own as one of its checkpoints has them, to look at; None where it has none.

    Raises:
        CheckpointError: a function's file is not what it was.
    """
    if not own_costs(config):
        return None
    world = make(config.env.single(), config.seed)
    try:
        costs = OwnCosts(config, world, None)
    finally:
        world.close()
    costs.restore(under(_PREFIX, checkpoint.tensors), checkpoint.state["costs"])
    return costs
