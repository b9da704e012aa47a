"""What every batched world of heeler shares: time limits, same-step autoreset, the finite check and exact saving."""

import json
import math
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from heeler.core.errors import CheckpointError, ConfigError, WorldError
from heeler.core.seeding import generator_state, restore_generator
from heeler.envs.drawing import draw

Info = dict[str, Any]


def check_finite(
    observation: np.ndarray, reward: np.ndarray, *, env_id: str, step: int, episode_steps: np.ndarray | None = None
) -> None:
    """Refuse NaN and infinite numbers, and rewards that are infinite in float32, in which policies learn.

    One sum over each array while all is well.

    Args:
        observation: [N, O] observations, before any autoreset.
        reward: [N] rewards.
        env_id: the world's name, for the message.
        step: the world's step since its last full reset, for the message; 0 is the reset itself.
        episode_steps: [N] steps within each episode, for the message.

    Raises:
        WorldError: names the first environment that broke, the step and what came.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        learned = reward.astype(np.float32)
        total = float(observation.sum()) + float(learned.sum())
    if math.isfinite(total):
        return
    bad_observation = np.logical_not(np.isfinite(observation).all(axis=1))
    bad = bad_observation | ~np.isfinite(learned)
    if not bad.any():
        return  # all finite, and only their sum is too large for the type
    index = int(np.flatnonzero(bad)[0])
    if bad_observation[index]:
        what = f"a non-finite observation {observation[index]}"
    elif np.isfinite(reward[index]):
        what = f"the reward {reward[index]}, too large for float32,"
    else:
        what = f"a non-finite reward {reward[index]}"
    within = f" (step {int(episode_steps[index])} of its episode)" if episode_steps is not None else ""
    raise WorldError(
        f"{env_id}: environment {index} gave {what} at step {step}{within}; "
        "expected finite numbers. Mend the environment, or bound its actions, observations and rewards"
    )


def pack_generator(generator: np.random.Generator) -> np.ndarray:
    """A generator's state as the bytes of its JSON, uint8."""
    return np.frombuffer(json.dumps(generator_state(generator)).encode(), dtype=np.uint8).copy()


def unpack_generator(packed: np.ndarray) -> np.random.Generator:
    """The generator that `pack_generator` saved."""
    return restore_generator(json.loads(packed.tobytes()))


class World(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A `gymnasium.vector.VectorEnv` with same-step autoreset, flat float32 observations, and saving.

    Shapes: N environments, O observation numbers, A action numbers, S numbers that drawing needs.
    """

    env_id: str
    single_action_space: Space[Any]
    """Of one environment."""
    exact_state: bool
    """Whether `state_dict` holds everything: a world that loads it goes on bit for bit."""
    figure_names: tuple[str, ...] = ()
    """Infos [N] that count something in the episode so far, such as `landed_backflips`; evaluations report them."""

    cost_names: tuple[str, ...] = ()
    """What a step costs beside its reward: a world that names any gives infos `cost`, [N, C] float64 in this order."""

    def seed(self, seed: int) -> None:
        """Begin the random streams that the next `reset()` goes on with."""
        raise NotImplementedError

    @property
    def observation_size(self) -> int:
        """O: numbers in one environment's observation."""
        shape = self.single_observation_space.shape
        assert shape is not None
        return shape[0]

    def stagger(self) -> None:
        """Let the present episodes end at different times. A foreign world's own time limit is left as it is."""

    def snapshot(self) -> np.ndarray | None:
        """[N, S] float32: what `heeler.envs.draw` needs to show the present states; None where only `render` can."""
        raise NotImplementedError

    def action_mask(self) -> np.ndarray | None:
        """[N, K] bool: which of the K choices there are in the present states; None where the world says nothing.

        Of MultiDiscrete actions the choices of all components, one after the other.
        """
        return None

    def state_dict(self) -> dict[str, np.ndarray]:
        """What is needed to go on from here, as plain arrays; only of worlds with `exact_state`."""
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on where the world that made `state` stood."""
        raise NotImplementedError


class BatchedWorld(World):
    """A batch of environments that heeler steps itself.

    A subclass says how all environments advance one step (`_advance`), how some of them begin anew (`_begin`), what
    drawing needs (`snapshot`) and what its physics must save (`_save`, `_load`).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (declared so by VectorEnv)
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": ["rgb_array"],
    }
    render_mode = "rgb_array"
    exact_state = True

    def __init__(
        self, env_id: str, num_envs: int, *, observation_space: Box, action_space: Space[Any], max_episode_steps: int
    ):
        if type(max_episode_steps) is not int or max_episode_steps < 1:
            raise ConfigError(f"{env_id}: max_episode_steps must be a whole number above 0, got {max_episode_steps!r}")
        self.env_id = env_id
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self._observation_shape = (num_envs, *observation_space.shape)
        self._episode_steps = np.zeros(num_envs, np.int64)
        self._num_steps = 0

    def seed(self, seed: int) -> None:
        """Begin the random stream that the next `reset()` goes on with."""
        VectorEnv.reset(self, seed=seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, Info]:
        """Begin a new episode in every environment.

        Args:
            seed: makes what follows repeatable; None goes on with the present random stream.
            options: none are known.

        Returns:
            observations [N, O] float32 and an info dictionary.
        """
        if options:
            raise ConfigError(f"{self.env_id} takes no reset options, got {sorted(options)}")
        if seed is not None:
            self.seed(seed)
        observation = np.empty(self._observation_shape, np.float32)
        everyone = np.arange(self.num_envs)
        self._begin(everyone, observation)
        self._episode_steps[:] = 0
        self._num_steps = 0
        check_finite(observation, np.zeros(self.num_envs), env_id=self.env_id, step=0)
        return observation, self._infos()

    def stagger(self) -> None:
        """Let the environments' present episodes end at different times, uniformly over the time limit.

        Copies that all began together would otherwise stay in step for ever where only time ends an episode, and each
        rollout would show one part of the episode alone.
        """
        self._episode_steps[:] = self.np_random.integers(self.max_episode_steps, size=self.num_envs)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Info]:
        """Advance every environment; those whose episode ends begin a new one in the same step.

        Args:
            actions: [N, A] float32 for Box actions, [N] integers for Discrete ones.

        Returns:
            observations [N, O] float32 (of the new episode where one ended), rewards [N] float64, terminated [N] and
            truncated [N] booleans, and infos: where any episode ended, `final_obs` [N, O] with the terminal
            observations and `_final_obs` [N], the mask of the rows that hold one.

        Raises:
            WorldError: an observation or a reward is NaN or infinite.
        """
        self._check_actions(actions)
        observation = np.empty(self._observation_shape, np.float32)
        reward, terminated = self._advance(actions, observation)
        self._num_steps += 1
        self._episode_steps += 1
        truncated = self._episode_steps >= self.max_episode_steps
        check_finite(observation, reward, env_id=self.env_id, step=self._num_steps, episode_steps=self._episode_steps)
        ended = terminated | truncated
        rows = ended.nonzero()[0]
        infos = self._infos()
        if len(rows):
            infos["final_obs"] = observation.copy()
            infos["_final_obs"] = ended
            self._begin(rows, observation)
            self._episode_steps[rows] = 0
        return observation, reward, terminated, truncated, infos

    def action_mask(self) -> np.ndarray | None:
        """[N, K] bool: the info `action_mask` of the present states; None where the world has none."""
        return self._infos().get("action_mask")

    def render(self) -> tuple[np.ndarray, ...]:
        """One picture [240, 240, 3] uint8 of each environment's present state."""
        snapshots = self.snapshot()
        assert snapshots is not None
        return tuple(draw(self.env_id, snapshots))

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that the future depends on, as plain arrays: physics, episode steps, random stream."""
        return {
            "episode_steps": self._episode_steps.copy(),
            "num_steps": np.array(self._num_steps),
            "rng": pack_generator(self.np_random),
            **self._save(),
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on exactly where the world that made `state` stood.

        Raises:
            CheckpointError: `state` is of another world or of another number of environments.
        """
        mine = {name: array.shape for name, array in self.state_dict().items() if name != "rng"}
        theirs = {name: np.shape(array) for name, array in state.items() if name != "rng"}
        if mine != theirs or "rng" not in state:
            raise CheckpointError(f"{self.env_id}: expected a saved state with {mine} and rng, got {theirs}")
        self._episode_steps[:] = state["episode_steps"]
        self._num_steps = int(state["num_steps"])
        self.np_random = unpack_generator(state["rng"])
        self._load(state)

    def _check_actions(self, actions: np.ndarray) -> None:
        if np.shape(actions) != self.action_space.shape:
            raise ValueError(
                f"{self.env_id}: actions must have shape {self.action_space.shape}, got {np.shape(actions)}"
            )
        if actions.dtype.kind == "f" and not math.isfinite(float(actions.sum())):
            bad = ~np.isfinite(actions.reshape(self.num_envs, -1)).all(axis=1)
            if bad.any():
                index = int(bad.argmax())
                raise WorldError(
                    f"{self.env_id}: environment {index} was given the non-finite action {actions[index]} at step "
                    f"{self._num_steps + 1}; the policy that chose it has broken down"
                )

    def _advance(self, actions: np.ndarray, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Step the physics, fill `observation` [N, O], return rewards [N] float64 and terminated [N]."""
        raise NotImplementedError

    def _begin(self, rows: np.ndarray, observation: np.ndarray) -> None:
        """Draw first states for the environments `rows` (sorted) and write their rows of `observation` [N, O]."""
        raise NotImplementedError

    def _infos(self) -> Info:
        return {}

    def _save(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _load(self, state: dict[str, np.ndarray]) -> None:
        raise NotImplementedError
