"""Acts in a world and records what happened.

Shapes: T steps, N environments, O observation numbers, A action numbers, C costs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from heeler.core.named import under
from heeler.core.rollout import Rollout, cost_figure
from heeler.envs import World
from heeler.models.policy import Policy
from heeler.rollouts.shielding import ShieldRecord
from heeler.safety.shields.shield import ActionFilter, Shield


class CalledOff(Exception):
    """Acting was called off in the midst of a rollout, of which nothing is kept."""


class Collector:
    """Steps a world under a policy; episodes go on from one rollout to the next.

    Args:
        world: its observations are flat float32, its autoreset is same-step.
        num_steps: T, steps of each environment in one rollout.
        record_snapshots: keep what drawing needs of every state.
        shield: stands between the policy and the world.
    """

    def __init__(self, world: World, num_steps: int, *, record_snapshots: bool, shield: Shield | None = None) -> None:
        self.shield = shield
        self.world = world
        self.num_steps = num_steps
        self.record_snapshots = record_snapshots
        self.review: ActionFilter | None = None
        """What a step passes before it is carried out; None for nothing."""
        self.is_called_off: Callable[[], bool] = lambda: False
        """Asked before every step: whether no further one is to be taken."""
        self.observation = np.zeros((world.num_envs, world.observation_size), np.float32)
        self.episode_index = np.zeros(world.num_envs, np.int64)
        self.episode_step = np.zeros(world.num_envs, np.int64)
        self.episode_cost = np.zeros((world.num_envs, len(world.cost_names)))

    @property
    def cost_names(self) -> tuple[str, ...]:
        """Of the world: C of them."""
        return self.world.cost_names

    def reset(self, seed: int, *, stagger: bool = False) -> None:
        """Begin new episodes everywhere; with `stagger`, first ones that are cut short at different times."""
        self.observation[:] = self.world.reset(seed=seed)[0]
        if stagger:
            self.world.stagger()
        self.episode_index += self.episode_step > 0
        self.episode_step[:] = 0
        self.episode_cost[:] = 0

    def collect(self, policy: Policy, generator: torch.Generator, policy_version: int) -> Rollout:
        """T steps of every environment under `policy`, its observation statistics left as they are.

        Raises:
            CalledOff: acting was called off; world and episodes stand where they do, in the midst of the rollout.
        """
        T, N, world = self.num_steps, self.world.num_envs, self.world
        observation = np.empty((T + 1, N, self.observation.shape[1]), np.float32)
        action = np.empty((T, N, policy.head.action_size), policy.head.action_dtype)
        true_reward, cost = np.empty((T, N)), np.zeros((T, N, len(world.cost_names)))
        terminated, truncated = np.zeros((T, N), bool), np.zeros((T, N), bool)
        episode_index, episode_step = np.empty((T, N), np.int64), np.empty((T, N), np.int64)
        executed = np.empty_like(action)
        snapshots: list[np.ndarray] = []
        finals: list[tuple[np.ndarray, np.ndarray]] = []
        figures: dict[str, list[np.ndarray]] = {}
        noise = policy.rollout_noise(T, N, generator)
        record = ShieldRecord(self.shield, self.review)
        observation[0] = self.observation
        for t in range(T):
            if self.is_called_off():
                raise CalledOff
            episode_index[t], episode_step[t] = self.episode_index, self.episode_step
            if self.record_snapshots and (snapshot := world.snapshot()) is not None:
                snapshots.append(snapshot)
            action[t], executed[t] = record.act(policy, observation[t], noise[t])
            observation[t + 1], true_reward[t], terminated[t], truncated[t], infos = world.step(
                policy.executable(executed[t])
            )
            self.episode_step += 1
            if world.cost_names:
                cost[t] = infos["cost"]
                self.episode_cost += cost[t]
            if "_final_obs" in infos:
                for name, values in self._figures_of_ended(infos).items():
                    figures.setdefault(name, []).append(values)
                finals.append(self._end_episodes(t, infos))
        self.observation = observation[T].copy()
        index, final_observation = _concatenate(finals, self.observation.shape[1])
        shielded = record.fields(action, executed)
        learned_action = shielded.get("credited", action)
        return Rollout(
            observation=observation,
            action=action,
            executed=executed,
            log_prob=self._log_prob(policy, observation[:T], learned_action, shielded.get("allowed")),
            true_reward=true_reward,
            cost=cost,
            terminated=terminated,
            truncated=truncated,
            final_index=index,
            final_observation=final_observation,
            snapshot=np.stack(snapshots) if snapshots else None,
            episode_index=episode_index,
            episode_step=episode_step,
            policy_version=policy_version,
            episode_figures={name: np.concatenate(values) for name, values in figures.items()},
            **shielded,
        )

    def step(self, policy: Policy) -> np.ndarray:
        """One step of every environment by the likeliest action, of which no more is kept than where episodes stand.

        Returns:
            [N] bool: whose episode ended.
        """
        _, executed = ShieldRecord(self.shield, self.review).act(policy, self.observation, None)
        observation, _, terminated, truncated, infos = self.world.step(policy.executable(executed))
        self.observation = observation.copy()
        self.episode_step += 1
        if self.world.cost_names:
            self.episode_cost += infos["cost"]
        if "_final_obs" in infos:
            self._end_episodes(0, infos)
        return terminated | truncated

    def _figures_of_ended(self, infos: dict[str, Any]) -> dict[str, np.ndarray]:
        """What the world counted in the episodes that ended, and what each of them cost."""
        ended, world = infos["_final_obs"], self.world
        costs = {cost_figure(name): self.episode_cost[ended, index] for index, name in enumerate(world.cost_names)}
        return {name: infos[name][ended] for name in world.figure_names} | costs

    def _end_episodes(self, t: int, infos: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        ended = np.flatnonzero(infos["_final_obs"])
        self.episode_index[ended] += 1
        self.episode_step[ended] = 0
        self.episode_cost[ended] = 0
        return np.stack([np.full(len(ended), t), ended], 1), infos["final_obs"][ended]

    @staticmethod
    @torch.no_grad()
    def _log_prob(
        policy: Policy, observation: np.ndarray, action: np.ndarray, allowed: np.ndarray | None = None
    ) -> np.ndarray:
        device = policy.shift.device
        choices = torch.zeros(0, dtype=torch.bool) if allowed is None else torch.from_numpy(allowed)
        output = policy.output(policy.normalize(torch.from_numpy(observation).to(device)), choices.to(device))
        log_prob, _ = policy.head.log_prob_entropy(output, policy.log_std, torch.from_numpy(action).to(device))
        return log_prob.cpu().numpy()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Where every episode stands, the world's own state included where it can be saved exactly."""
        own = {
            "observation": self.observation.copy(),
            "episode_index": self.episode_index.copy(),
            "episode_step": self.episode_step.copy(),
            "episode_cost": self.episode_cost.copy(),
        }
        world = self.world.state_dict() if self.world.exact_state else {}
        return own | {f"world.{name}": array for name, array in world.items()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state_dict` returned."""
        self.observation = state["observation"].copy()
        self.episode_index = state["episode_index"].copy()
        self.episode_step = state["episode_step"].copy()
        # Checkpoints of worlds without costs may be older than costs are.
        self.episode_cost = state.get("episode_cost", np.zeros_like(self.episode_cost)).copy()
        if self.world.exact_state:
            self.world.load_state_dict(under("world.", state))


def _concatenate(finals: list[tuple[np.ndarray, np.ndarray]], observation_size: int) -> tuple[np.ndarray, np.ndarray]:
    if not finals:
        return np.zeros((0, 2), np.int64), np.zeros((0, observation_size), np.float32)
    return np.concatenate([index for index, _ in finals]), np.concatenate([final for _, final in finals])
