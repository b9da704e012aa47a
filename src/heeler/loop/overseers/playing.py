"""Playing the game of oversight: workers, a team of learned overseers, and what both sides learn from.

Shapes: T steps, N games, K overseers, E numbers that an overseer sees, W that a worker sees, A action numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.envs.oversight_game import CHARGES, EVIDENCE_SIZE, VERDICT_SPACE, OversightGame, Played
from heeler.models.policy import Policy, PolicyConfig
from heeler.oversight.overseers.quorum import QuorumConfig

Worker = Callable[[np.ndarray], np.ndarray]
"""[n, A] actions by [n, W] observations."""
_NEVER = np.inf


@dataclass(frozen=True, kw_only=True, eq=False)
class GameTeam:
    """Overseers that learned, each with the suspicion from which on it objects.

    How suspicious an overseer is of a step is by how much its policy would rather object than let it pass, in logits.
    """

    policies: tuple[Policy, ...]
    """One a charge, in their order."""
    quorum: QuorumConfig
    thresholds: np.ndarray
    """[K] suspicion above which each objects; infinite for one that never does."""

    @classmethod
    def fresh(cls, policy: PolicyConfig, quorum: QuorumConfig, seed: int) -> "GameTeam":
        """Overseers that have learned nothing."""
        quorum.check_number(len(CHARGES))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            policies = tuple(Policy(policy, EVIDENCE_SIZE, VERDICT_SPACE) for _ in CHARGES)
        return cls(policies=policies, quorum=quorum, thresholds=np.zeros(len(CHARGES)))

    @torch.no_grad()
    def suspicion(self, evidence: np.ndarray) -> np.ndarray:
        """[..., K] of evidence [..., K, E]."""
        found: list[np.ndarray] = []
        for k, policy in enumerate(self.policies):
            logits = policy.actor(policy.normalize(torch.from_numpy(np.ascontiguousarray(evidence[..., k, :]))))
            found.append((logits[..., 1] - logits[..., 0]).numpy())
        return np.stack(found, -1)

    def objects(self, evidence: np.ndarray) -> np.ndarray:
        """[..., K] bool."""
        return self.suspicion(evidence) > self.thresholds

    def sampled(self, evidence: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """[N, K] bool, as a policy that explores would: with the probability that its logits give."""
        return rng.random(evidence.shape[:2]) < 1 / (1 + np.exp(-np.clip(self.suspicion(evidence), -30, 30)))

    def alone(self, charge: int) -> "GameTeam":
        """With one overseer that may object and whose objection is enough."""
        thresholds = np.full(len(CHARGES), _NEVER)
        thresholds[charge] = self.thresholds[charge]
        return replace(self, quorum=QuorumConfig(), thresholds=thresholds)

    def unwatched(self) -> "GameTeam":
        """In which nobody ever objects."""
        return replace(self, thresholds=np.full(len(CHARGES), _NEVER))

    def calibrated(self, evidence_SKE: np.ndarray, rate: float) -> "GameTeam":
        """With thresholds by which a share of honest steps is vetoed.

        Each overseer that objects at all objects to the same share of them, as large as the quorum allows. Of a rule
        that not even all objections reach, nothing is vetoed.

        Args:
            evidence_SKE: of honest steps.
            rate: the share, above 0 and below 1.

        Raises:
            ConfigError: the share is out of range.
        """
        if not 0 < rate < 1:
            raise ConfigError(f"the share of honest steps that may be vetoed must be above 0 and below 1, got {rate}")
        suspicion_SK = self.suspicion(evidence_SKE)
        takes_part = np.isfinite(self.thresholds)
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = (low + high) / 2
            thresholds = np.where(takes_part, np.quantile(suspicion_SK, 1 - middle, axis=0), _NEVER)
            vetoed = self.quorum.is_reached(suspicion_SK > thresholds).mean()
            low, high = (middle, high) if vetoed <= rate else (low, middle)
        thresholds = np.where(takes_part, np.quantile(suspicion_SK, 1 - low, axis=0), _NEVER)
        return replace(self, thresholds=thresholds)


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """Whole games as learners need them."""

    played: Played
    seen: np.ndarray
    """[T + 1, N, W] float32: what the workers saw."""
    action: np.ndarray
    """[T, N, A] int64: what they proposed."""
    reward: np.ndarray
    """[T, N] float64: what they were paid."""
    evidence: np.ndarray
    """[T, N, K, E] float32: what the overseers saw."""


def play(
    game: OversightGame,
    workers: Sequence[tuple[Worker, int]],
    team: GameTeam,
    *,
    explore: np.random.Generator | None = None,
) -> Record:
    """Play all games of `game` once.

    Args:
        game: begun anew.
        workers: each with how many of the games it plays, in order.
        team: the overseers.
        explore: where overseers are to learn: they object by chance, by this.
    """
    if sum(num for _, num in workers) != game.num_games:
        raise ConfigError(f"workers must play {game.num_games} games together, got {sum(n for _, n in workers)}")
    ends = np.cumsum([num for _, num in workers])[:-1]
    seen, rows, evidence = [game.reset()], [], []
    for _ in range(game.config.num_steps):
        views = np.split(seen[-1], ends)
        action = np.concatenate([worker(view) for (worker, num), view in zip(workers, views, strict=True) if num])
        evidence.append(game.propose(action))
        objected = team.objects(evidence[-1]) if explore is None else team.sampled(evidence[-1], explore)
        vetoed, proposed = team.quorum.is_reached(objected), game.proposed
        decided = game.decide(vetoed)
        rows.append((action, proposed, objected, vetoed, decided.task, decided.task_alone, decided.worker_reward))
        seen.append(game.worker_view())
    action, proposed, objected, vetoed, task, task_alone, reward = (np.stack(each) for each in zip(*rows, strict=True))
    played = Played(
        proposed=proposed,
        objected=objected,
        vetoed=vetoed,
        task=task,
        task_alone=task_alone,
        completed=game.completed.copy(),
    )
    return Record(played=played, seen=np.stack(seen), action=action, reward=reward, evidence=np.stack(evidence))


def acting(policy: Policy, generator: torch.Generator) -> Worker:
    """A worker that acts by a policy, by chance."""

    def act(view: np.ndarray) -> np.ndarray:
        return policy.act(view, policy.head.noise((len(view),), generator)).numpy()

    return act


def worker_rollout(record: Record, policy: Policy) -> Rollout:
    """What a worker learns from, of games that it played alone."""
    return _rollout(record.seen, record.action, policy)


def overseer_rollout(record: Record, policy: Policy, charge: int) -> Rollout:
    """What the overseer of a charge learns from."""
    evidence = record.evidence[:, :, charge]
    seen = np.concatenate((evidence, evidence[-1:]))
    return _rollout(np.ascontiguousarray(seen), record.played.objected[:, :, [charge]].astype(np.int64), policy)


def overseer_rewards(played: Played, quorum: QuorumConfig, *, interference_cost: float) -> np.ndarray:
    """[T, N, K]: what each overseer's objection was worth: what came of it, less what would have come without it.

    A veto is worth the units that it kept from being diverted, and `-interference_cost` where nothing was to be
    diverted up to then. Those whose objection made no difference get nothing (difference rewards: Wolpert and Tumer
    2002).

    Args:
        played: the games.
        quorum: by which objections became vetoes.
        interference_cost: in units.
    """
    was_honest_TN = np.maximum.accumulate(played.proposed, axis=0) == 0
    worth_TN = np.where(was_honest_TN, -interference_cost, played.proposed.astype(np.float64))
    vetoed_TN = quorum.is_reached(played.objected)
    rewards: list[np.ndarray] = []
    for k in range(played.objected.shape[-1]):
        without = played.objected.copy()
        without[..., k] = False
        rewards.append(worth_TN * (vetoed_TN & ~quorum.is_reached(without)))
    return np.stack(rewards, -1)


@torch.no_grad()
def _rollout(seen: np.ndarray, action: np.ndarray, policy: Policy) -> Rollout:
    """One whole game a column; nothing is bootstrapped, as all games are over at the last step."""
    T, N = action.shape[:2]
    output = policy.actor(policy.normalize(torch.from_numpy(seen[:-1])))
    log_prob, _ = policy.head.log_prob_entropy(output, policy.log_std, torch.from_numpy(action))
    terminated = np.zeros((T, N), bool)
    terminated[-1] = True
    return Rollout(
        observation=seen,
        action=action,
        executed=action,
        log_prob=log_prob.numpy(),
        true_reward=np.zeros((T, N)),
        cost=np.zeros((T, N, 0)),
        terminated=terminated,
        truncated=np.zeros((T, N), bool),
        final_index=np.stack([np.full(N, T - 1), np.arange(N)], 1),
        final_observation=seen[-1],
        snapshot=None,
        episode_index=np.zeros((T, N), np.int64),
        episode_step=np.repeat(np.arange(T)[:, None], N, 1),
        policy_version=0,
    )
