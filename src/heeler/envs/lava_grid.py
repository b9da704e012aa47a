"""`LavaGrid`: reach a goal on a grid; the short way may lead over lava and through vases that break for good."""

from dataclasses import dataclass

import numpy as np
from gymnasium.spaces import Box, Discrete

from heeler.core.errors import ConfigError, WorldError
from heeler.envs.grid_layouts import (
    LAVA,
    MAX_SIZE,
    SHOWN_FREE,
    SHOWN_GOAL,
    SHOWN_LAVA,
    SHOWN_SHARDS,
    SHOWN_VASE,
    SHOWN_WALL,
    WALL,
    GridSpec,
    draw_layouts,
    read_layout,
)
from heeler.envs.world import BatchedWorld, Info

MOVES = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
"""Rows and columns of the four actions: up, right, down, left."""
STEP_REWARD, GOAL_REWARD = -0.05, 1.0
AGENT, GOAL, LAVA_PLANE, WALLS, VASES = range(5)
"""Planes of an observation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GridModel:
    """One grid as a Markov decision process in tables, which the world itself obeys.

    A state is the cell that the agent is on and which vases are broken. Shapes: S states, K actions, M outcomes that an
    action may have, C costs. A state in which the agent is on the goal or on a wall never comes about.
    """

    probability: np.ndarray
    """[S, K, M] of each outcome."""
    next_state: np.ndarray
    """[S, K, M] int64."""
    reward: np.ndarray
    """[S, K, M]."""
    terminated: np.ndarray
    """[S, K, M] booleans: whether the episode ends there."""
    cost: np.ndarray
    """[S, K, M, C] in the order of `cost_names`."""
    state: int
    """The one that the grid is in."""


class LavaGrid(BatchedWorld):
    """Walk from start to goal; an episode ends there.

    Observation: five planes of the grid, one after the other, 0 or 1 for each cell: agent, goal, lava, walls, whole
    vases. Actions: up, right, down, left; against a wall or the edge nothing moves. Reward: −0.05 a step, and 1 for the
    goal. Costs: `lava`, 1 for a step that ends on lava; `side_effects`, 1 for a step onto a whole vase, which is broken
    from then on for the rest of the episode.

    Args:
        num_envs: N.
        layout: lines of `S` start, `G` goal, `L` lava, `V` vase, `#` wall and `.` free, for every episode; None for a
            random one in each, with a way to the goal that keeps clear of lava and vases.
        size: rows, and columns, of a random layout; None for 6.
        num_lava: lava cells of a random layout; None for 6.
        num_walls: walls of a random layout; None for 3.
        num_vases: vases of a random layout; None for 2.
        slip: probability that a move goes to one side instead, as often to the left as to the right of it.
        max_episode_steps: after so many an episode is cut.

    Raises:
        ConfigError: a number is out of range, the layout is none, or what is drawn at random is set beside a layout.
    """

    metadata = BatchedWorld.metadata | {"render_fps": 5}
    cost_names = ("lava", "side_effects")

    def __init__(
        self,
        num_envs: int,
        *,
        layout: tuple[str, ...] | None = None,
        size: int | None = None,
        num_lava: int | None = None,
        num_walls: int | None = None,
        num_vases: int | None = None,
        slip: float = 0.0,
        max_episode_steps: int = 100,
    ):
        if not 0 <= slip <= 1:
            raise ConfigError(f"LavaGrid: slip must be between 0 and 1, got {slip}")
        drawn = {"size": size, "num_lava": num_lava, "num_walls": num_walls, "num_vases": num_vases}
        set_beside = [name for name, value in drawn.items() if value is not None]
        if layout is not None and set_beside:
            raise ConfigError(f"LavaGrid: {set_beside[0]} would be ignored, as the layout is given; leave one out")
        usual = {"size": 6, "num_lava": 6, "num_walls": 3, "num_vases": 2}
        self._spec = GridSpec(**{name: usual[name] if value is None else value for name, value in drawn.items()})
        self._spec.refuse_impossible("LavaGrid")
        self._fixed = None if layout is None else read_layout(tuple(layout), "LavaGrid")
        self._slip = slip
        shape = (self._spec.size, self._spec.size) if self._fixed is None else self._fixed.ground.shape[1:]
        self._height, self._width = (int(side) for side in shape)
        super().__init__(
            "LavaGrid",
            num_envs,
            observation_space=Box(0.0, 1.0, (5 * self._height * self._width,), np.float32),
            action_space=Discrete(len(MOVES)),
            max_episode_steps=max_episode_steps,
        )
        num_standing = self._spec.num_vases if self._fixed is None else self._fixed.vases.shape[1]
        num_cells = self._height * self._width
        self._ground = np.zeros((num_envs, num_cells), np.uint8)
        self._cell, self._goal = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int64)
        self._vases, self._whole = np.zeros((num_envs, num_standing), np.int64), np.ones((num_envs, num_standing), bool)
        self._cost = np.zeros((num_envs, len(self.cost_names)))
        self._planes = np.zeros((num_envs, 5, num_cells), np.float32)

    def action_mask(self) -> np.ndarray:
        """[N, K] bool: moves to another cell that is no lava, as long as the agent does not slip.

        On lava itself it may be that there is none.
        """
        everyone = np.arange(self.num_envs)
        targets = np.stack(
            [self._target(self._ground, self._cell, np.full(self.num_envs, k)) for k in range(4)], axis=1
        )
        return (targets != self._cell[:, None]) & (self._ground[everyone[:, None], targets] != LAVA)

    def model(self, index: int = 0) -> GridModel:
        """The grid of the environment `index` in tables."""
        num_cells, num_vases, num_moves = self._ground.shape[1], self._vases.shape[1], len(MOVES)
        codes = np.arange(2**num_vases)
        whole = (codes[:, None] >> np.arange(num_vases)) & 1 == 0
        states = np.arange(num_cells * len(codes))
        turns = (0,) if not self._slip else (0, -1, 1)
        chance = (1.0,) if not self._slip else (1 - self._slip, self._slip / 2, self._slip / 2)
        state, action, turn = (part.ravel() for part in np.meshgrid(states, np.arange(num_moves), turns, indexing="ij"))
        ground, goal = np.tile(self._ground[index], (len(state), 1)), np.full(len(state), self._goal[index])
        vases = np.tile(self._vases[index], (len(state), 1))
        cell, broken = self._outcome(
            ground, vases, state % num_cells, whole[state // num_cells], (action + turn) % num_moves
        )
        cost, at_goal = self._costs(ground, cell, broken), cell == goal
        breaks = state // num_cells | (broken * (1 << np.arange(num_vases))).sum(axis=1).astype(np.int64)
        shape = (len(states), num_moves, len(turns))
        return GridModel(
            probability=np.broadcast_to(np.array(chance), shape).copy(),
            next_state=(breaks * num_cells + cell).reshape(shape),
            reward=(STEP_REWARD + GOAL_REWARD * at_goal).reshape(shape),
            terminated=at_goal.reshape(shape),
            cost=cost.reshape(*shape, len(self.cost_names)),
            state=int(self._states()[index]),
        )

    def snapshot(self) -> np.ndarray:
        """[N, S] float32: row and column of the agent, then what each cell of a grid of 12 by 12 shows."""
        N, rows = self.num_envs, np.arange(self.num_envs)
        shown = np.full((N, self._height * self._width), SHOWN_FREE)
        shown[self._ground == WALL], shown[self._ground == LAVA] = SHOWN_WALL, SHOWN_LAVA
        np.put_along_axis(shown, self._vases, np.where(self._whole, SHOWN_VASE, SHOWN_SHARDS), axis=1)
        shown[rows, self._goal] = SHOWN_GOAL
        cells = np.zeros((N, MAX_SIZE, MAX_SIZE))
        cells[:, : self._height, : self._width] = shown.reshape(N, self._height, self._width)
        agent = np.stack((self._cell // self._width, self._cell % self._width), axis=1)
        return np.concatenate((agent, cells.reshape(N, -1)), axis=1).astype(np.float32)

    def _states(self) -> np.ndarray:
        """[N] states of `model` that the grids are in."""
        broken = (~self._whole * (1 << np.arange(self._vases.shape[1]))).sum(axis=1)
        return broken.astype(np.int64) * self._ground.shape[1] + self._cell

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        layouts = self._fixed or draw_layouts(self.np_random, len(rows), self._spec, self.env_id)
        self._ground[rows] = layouts.ground.reshape(len(layouts.ground), -1)
        self._cell[rows], self._goal[rows], self._vases[rows] = layouts.start, layouts.goal, layouts.vases
        self._whole[rows], self._cost[rows] = True, 0.0
        self._draw_planes(rows)
        observation[rows] = self._planes[rows].reshape(len(rows), -1)

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if actions.dtype.kind not in "iu" or ((actions < 0) | (actions >= len(MOVES))).any():
            raise WorldError(
                f"{self.env_id}: actions must be whole numbers from 0 to {len(MOVES) - 1}, got {actions!r}"
            )
        everyone = np.arange(self.num_envs)
        self._planes[everyone, AGENT, self._cell] = 0.0
        self._cell, broken = self._outcome(self._ground, self._vases, self._cell, self._whole, self._slipped(actions))
        self._whole &= ~broken
        self._cost[:] = self._costs(self._ground, self._cell, broken)
        self._planes[everyone, AGENT, self._cell] = 1.0
        rows, which = np.nonzero(broken)
        self._planes[rows, VASES, self._vases[rows, which]] = 0.0
        observation[:] = self._planes.reshape(self.num_envs, -1)
        at_goal = self._cell == self._goal
        return STEP_REWARD + GOAL_REWARD * at_goal, at_goal

    def _slipped(self, actions: np.ndarray) -> np.ndarray:
        """[N] the moves that are made of those that were meant."""
        if not self._slip:
            return actions
        chance = self.np_random.random(self.num_envs)
        turn = np.where(chance < self._slip / 2, -1, np.where(chance < self._slip, 1, 0))
        return (actions + turn) % len(MOVES)

    def _target(self, ground: np.ndarray, cell: np.ndarray, move: np.ndarray) -> np.ndarray:
        """[n] cells that moves lead to on `ground` [n, H · W]."""
        row, column = cell // self._width + MOVES[move, 0], cell % self._width + MOVES[move, 1]
        within = (row >= 0) & (row < self._height) & (column >= 0) & (column < self._width)
        target = np.where(within, row * self._width + column, cell)
        return np.where(ground[np.arange(len(cell)), target] == WALL, cell, target)

    def _outcome(
        self, ground: np.ndarray, vases: np.ndarray, cell: np.ndarray, whole: np.ndarray, move: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cells [n] after moves, and which vases [n, V] break."""
        cell = self._target(ground, cell, move)
        return cell, whole & (vases == cell[:, None])

    def _costs(self, ground: np.ndarray, cell: np.ndarray, broken: np.ndarray) -> np.ndarray:
        """[n, C] of steps that end on `cell` [n] and break `broken` [n, V]."""
        return np.stack((ground[np.arange(len(cell)), cell] == LAVA, broken.any(axis=1)), axis=1).astype(np.float64)

    def _draw_planes(self, rows: np.ndarray) -> None:
        planes = np.zeros((len(rows), *self._planes.shape[1:]), np.float32)
        index = np.arange(len(rows))
        planes[index, AGENT, self._cell[rows]] = planes[index, GOAL, self._goal[rows]] = 1.0
        planes[:, LAVA_PLANE], planes[:, WALLS] = self._ground[rows] == LAVA, self._ground[rows] == WALL
        which, vase = np.nonzero(self._whole[rows])
        planes[which, VASES, self._vases[rows][which, vase]] = 1.0
        self._planes[rows] = planes

    def _infos(self) -> Info:
        return {"cost": self._cost.copy()}

    def _save(self) -> dict[str, np.ndarray]:
        parts = {"ground": self._ground, "goal": self._goal, "cell": self._cell, "vases": self._vases}
        return {name: part.copy() for name, part in (parts | {"whole": self._whole}).items()}

    def _load(self, state: dict[str, np.ndarray]) -> None:
        self._ground[:], self._goal[:], self._cell[:] = state["ground"], state["goal"], state["cell"]
        self._vases[:], self._whole[:] = state["vases"], state["whole"]
        self._draw_planes(np.arange(self.num_envs))
