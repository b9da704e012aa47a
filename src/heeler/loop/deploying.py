"""`heeler deploy`: acts in a run's own world by what was released, and follows it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heeler.core.errors import ConfigError
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from heeler.core.seeding import stream
from heeler.envs import World, make
from heeler.loop.config import RunConfig, from_dict
from heeler.loop.costs import OwnCosts, cost_names_of, costs_of, own_costs
from heeler.loop.deployment import Deployment
from heeler.loop.released import released_checkpoint
from heeler.oversight.harm import LiveConfig


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What came of a stretch of acting."""

    num_episodes: int
    """Under whichever release."""
    return_mean: float
    in_use: str | None
    """Id of the release in use at its end; None where the last one was taken back."""
    changes: tuple[str, ...]
    """What came into use or was taken back, in words."""
    counted: Mapping[str, int]
    """Steps in which a shield put another action in place, and in which none was safe; nothing without a shield."""


def deploy(
    run: Path | str,
    *,
    num_episodes: int,
    num_envs: int = 8,
    config: LiveConfig | None = None,
    seed: int = 0,
    on_change: Callable[[str], None] = lambda words: None,
) -> Deployed:
    """Act in the run's world until so many episodes are over, or nothing may act any more.

    Args:
        run: the run's directory.
        num_episodes: of all environments together.
        num_envs: environments side by side.
        config: how candidates and releases are followed.
        seed: of the world and of which episodes a candidate gets.
        on_change: is told at once when another release acts.

    Raises:
        RunError: nothing is released.
        CheckpointError: the release in use was altered, or the file of a cost's function is not what it was.
        RewardError: a cost's function gave no finite number for a step.
        ConfigError: the run's shield cannot be had.
        NothingSafe: no action was safe, and the shield is to halt then.
    """
    if num_episodes < 1:
        raise ConfigError(f"num_episodes must be >= 1, got {num_episodes}")
    directory = RunDirectory.open(Path(run))
    run_config = from_dict(directory.config())
    env = replace(run_config.env, num_envs=num_envs)
    world = make(env, seed)
    changes, returns = list[str](), list[float]()
    costs = _Costs(directory, run_config)
    names = cost_names_of(run_config, world)
    try:
        with Deployment(run, num_lanes=num_envs, config=config, cost_names=names, seed=seed, world=world) as deployment:
            begun = 0 if deployment.watch is None else deployment.watch.num_episodes
            observation, _ = world.reset(seed=int(stream(seed, f"deployed world {begun}").integers(2**31)))
            total_N, acts = np.zeros(num_envs), _acting(deployment)
            while len(returns) < num_episodes and deployment.in_use is not None:
                observation, reward, ended = _step(deployment, world, costs, observation)
                total_N += reward
                returns += total_N[ended].tolist()
                total_N[ended] = 0
                was, acts = acts, _acting(deployment)
                if acts != was:
                    changes.append(acts)
                    on_change(acts)
            in_use = None if deployment.in_use is None else deployment.in_use.id
            counted = dict(deployment.counted)
    finally:
        world.close()
    return Deployed(
        num_episodes=len(returns),
        return_mean=float(np.mean(returns)) if returns else 0.0,
        in_use=in_use,
        changes=tuple(changes),
        counted=counted,
    )


def _step(
    deployment: Deployment, world: World, costs: "_Costs", observation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Act once, and hand on what came of it; [N, O] what is seen then, [N] rewards, and [N] which episodes are over."""
    in_use = deployment.in_use
    assert in_use is not None
    action = deployment.act(observation)
    following, reward, terminated, truncated, infos = world.step(action)
    reached = infos["final_obs"] if "_final_obs" in infos else following
    spent = infos["cost"] if world.cost_names else np.zeros((len(reward), 0))
    ended = terminated | truncated
    deployment.observe(reward, ended, costs.beside(spent, in_use, observation, action, reached))
    return following, reward, ended


class _Costs:
    """A run's own costs, as the release in use has them, beside those of its world."""

    def __init__(self, directory: RunDirectory, config: RunConfig) -> None:
        self._releases, self._config = Releases(directory), config
        self._are_there = bool(own_costs(config))
        self._own: OwnCosts | None = None
        self._release = ""

    def beside(
        self,
        spent: np.ndarray,
        in_use: Release,
        observation: np.ndarray,
        action: np.ndarray,
        next_observation: np.ndarray,
    ) -> np.ndarray:
        """[N, C] what a step cost: [N, ...] what the world counts comes first."""
        if not self._are_there:
            return spent
        if self._own is None or in_use.id != self._release:
            checkpoint = released_checkpoint(self._releases.checkpoint_folder(in_use), in_use)
            self._own, self._release = costs_of(checkpoint, self._config), in_use.id
        assert self._own is not None
        # As a world takes them, choices have no axis of their own.
        action_BA = action.reshape(len(action), -1)
        own = self._own.of(observation, action_BA, next_observation, where=lambda row: f"environment {row}")
        return np.concatenate([spent, own], -1)


def _acting(deployment: Deployment) -> str:
    in_use, candidate = deployment.in_use, deployment.candidate
    if in_use is None:
        return "no release is in use, so that nothing acts"
    tried = "" if candidate is None else f", and that of step {candidate.step:,} in a share of the episodes"
    return f"the release of step {in_use.step:,} acts{tried}"
