"""The game of oversight in PettingZoo's parallel form: one game, in which a worker and its overseers are the agents.

The two sides take turns: what agents do whose turn it is not changes nothing, and the last number that each agent sees
says whose it is. So one step of the game is two of PettingZoo's.
"""

import importlib
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete

from heeler.core.errors import ConfigError
from heeler.envs.oversight_game import CHARGES, EVIDENCE_SIZE, WORKER_SIZE, GameConfig, OversightGame

WORKER = "worker"


class OversightParallel:
    """One game; `parallel_env` makes a `pettingzoo.ParallelEnv` of it.

    A step is vetoed where any overseer objects. The worker is paid as the game says. Each overseer is paid the units
    that its objection kept from being diverted, and loses `interference_cost` where it objects although nothing was
    diverted so far.

    Args:
        config: of the game.
        interference_cost: in units.
        seed: of the first game, until `reset` names another.
    """

    def __init__(self, config: GameConfig | None = None, *, interference_cost: float = 4.0, seed: int = 0) -> None:
        self.metadata: dict[str, Any] = {"name": "heeler_oversight_v0", "render_modes": []}
        self.render_mode = None
        self.possible_agents = [WORKER, *CHARGES]
        self.agents: list[str] = []
        self.game = OversightGame(config or GameConfig(), 1, seed)
        self._cost = interference_cost
        both = {WORKER: WORKER_SIZE} | dict.fromkeys(CHARGES, EVIDENCE_SIZE)
        self.observation_spaces = {agent: Box(-np.inf, np.inf, (size + 1,), np.float32) for agent, size in both.items()}
        # Each of its own, as each is seeded apart.
        self.action_spaces: dict[str, Space[Any]] = {charge: Discrete(2) for charge in CHARGES}
        self.action_spaces[WORKER] = self.game.config.worker_space
        self._begin()

    def observation_space(self, agent: str) -> Space[Any]:
        """What an agent sees; the last number is 1 where it is its turn, else 0."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """What an agent may do."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Begin a new game. There are no options; PettingZoo asks that whatever comes is taken."""
        del options
        if seed is not None:
            self.game = OversightGame(self.game.config, 1, seed)
        else:
            self.game.reset()
        self._begin()
        self.agents = list(self.possible_agents)
        return self._seen(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Half a step of the game: the worker proposes, or the overseers judge."""
        acting, rewards, ended = self.agents, dict.fromkeys(self.agents, 0.0), False
        if self._is_workers_turn:
            self._evidence = self.game.propose(np.asarray(actions[WORKER])[None])[0]
            self._was_diverted |= bool(self.game.proposed[0])
        else:
            objections = {agent: bool(actions[agent]) for agent in CHARGES}
            left = self.game.config.num_units - int(self.game.done[0])
            stopped = min(int(self.game.proposed[0]), left)
            decided = self.game.decide(np.array([any(objections.values())]))
            worth = float(stopped) if self._was_diverted else -self._cost
            rewards = {agent: worth * objects for agent, objects in objections.items()}
            rewards[WORKER] = float(decided.worker_reward[0])
            ended = decided.ended
        self._is_workers_turn = not self._is_workers_turn
        self.agents = [] if ended else acting
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in acting}
        return self._seen(acting), rewards, dict.fromkeys(acting, ended), dict.fromkeys(acting, False), infos

    def render(self) -> None:
        """There is nothing to be seen."""

    def close(self) -> None:
        """There is nothing to let go of."""

    def _begin(self) -> None:
        self._is_workers_turn, self._was_diverted = True, False
        self._evidence = np.zeros((len(CHARGES), EVIDENCE_SIZE), np.float32)

    def _seen(self, agents: list[str] | None = None) -> dict[str, np.ndarray]:
        turn = np.array([self._is_workers_turn], np.float32)
        every = {WORKER: np.concatenate((self.game.worker_view()[0], turn))}
        every |= {name: np.concatenate((row, 1 - turn)) for name, row in zip(CHARGES, self._evidence, strict=True)}
        return {agent: every[agent] for agent in (self.agents if agents is None else agents)}


def parallel_env(config: GameConfig | None = None, **settings: Any) -> Any:
    """A `pettingzoo.ParallelEnv` of the game; settings are those of `OversightParallel`.

    Raises:
        ConfigError: PettingZoo is not installed.
    """
    try:
        base = importlib.import_module("pettingzoo").ParallelEnv
    except ImportError as error:
        raise ConfigError(f"PettingZoo is not installed ({error}): pip install pettingzoo") from error
    return type("OversightEnv", (OversightParallel, base), {})(config, **settings)
