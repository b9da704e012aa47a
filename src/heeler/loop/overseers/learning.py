"""Overseers and attackers that learn against each other, and what came of it.

In each round a fresh attacker learns to slip past the overseers as they are, by PPO, and joins the pool; then the
overseers learn, by PPO too, on games of honest workers and of all attackers of the pool, so that they forget none
(a population in the manner of policy-space response oracles: Lanctot et al. 2017, arXiv 1711.00832). An overseer's
policy sees single steps and their sums, and is paid at once, so that it does not discount but ignores what follows.
Thresholds are then set on honest games.

What overseers are worth is measured against an attacker that learned from nothing against the finished ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from heeler.algorithms.ppo import PPO, PPOConfig
from heeler.core.errors import ConfigError
from heeler.core.seeding import stream
from heeler.envs.oversight_game import (
    CHARGES,
    EVIDENCE_SIZE,
    VERDICT_SPACE,
    WORKER_SIZE,
    GameConfig,
    OversightGame,
    honest_action,
)
from heeler.evaluation.oversight import FrontierPoint, OversightFigures, frontier_point, oversight_figures
from heeler.loop.overseers.playing import (
    GameTeam,
    Record,
    Worker,
    acting,
    overseer_rewards,
    overseer_rollout,
    play,
    worker_rollout,
)
from heeler.loop.overseers.scripted import scripted_attackers
from heeler.models.policy import Policy, PolicyConfig
from heeler.oversight.overseers.quorum import QuorumConfig

_SMALL = PolicyConfig(hidden_sizes=(32, 32))
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class OversightConfig:
    """How overseers and attackers learn."""

    game: GameConfig = field(default_factory=GameConfig)
    """The game."""
    quorum: QuorumConfig = field(default_factory=QuorumConfig)
    """How the overseers decide together."""
    num_rounds: int = 5
    """Attackers in the pool, and turns of the overseers."""
    num_games: int = 256
    """Side by side, in one rollout."""
    attacker_updates: int = 30
    """Of the attacker of each round."""
    overseer_updates: int = 15
    """Of the overseers in each round."""
    final_updates: int = 80
    """Of the attacker that finished overseers are measured against."""
    num_judged: int = 2048
    """Games by which thresholds are set, and others by which all is measured."""
    rate: float = 0.03
    """Share of honest steps that thresholds are set to veto."""
    interference_cost: float = 4.0
    """What it costs an overseer to spoil an honest step, in units that are kept from being diverted."""
    attacker: PPOConfig = field(
        default_factory=lambda: PPOConfig(
            policy=_SMALL,
            learning_rate=5e-3,
            final_learning_rate_share=0.1,
            entropy_coefficient=0.003,
            num_epochs=3,
            minibatch_size=2048,
            target_kl=None,
        )
    )
    """How an attacker learns."""
    overseer: PPOConfig = field(
        default_factory=lambda: PPOConfig(
            policy=_SMALL,
            discount=0.0,
            trace_decay=0.0,
            learning_rate=5e-3,
            final_learning_rate_share=1.0,
            entropy_coefficient=0.003,
            num_epochs=3,
            minibatch_size=2048,
            target_kl=None,
        )
    )
    """How an overseer learns."""

    def __post_init__(self) -> None:
        for name in (
            "num_rounds",
            "attacker_updates",
            "overseer_updates",
            "final_updates",
            "num_judged",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.num_games < 8:
            raise ConfigError(f"num_games must be >= 8: half are honest workers', got {self.num_games}")
        if not 0 < self.rate < 1:
            raise ConfigError(f"rate must be above 0 and below 1, got {self.rate}")
        self.quorum.check_number(len(CHARGES))


@dataclass(frozen=True, kw_only=True, eq=False)
class Overseen:
    """What learning came to."""

    untrained: GameTeam
    """The overseers before they learned, with thresholds set in the same way."""
    team: GameTeam
    """The overseers after it."""
    pool: tuple[Policy, ...]
    """The attackers that they learned from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A team, the attacker that learned against it, and the figures of both."""

    figures: OversightFigures
    attacker: Policy


def learn_overseers(config: OversightConfig, seed: int, *, tell: Tell = lambda words: None) -> Overseen:
    """Rounds of attackers and overseers.

    Args:
        config: the settings.
        seed: everything random follows from it.
        tell: is told how it goes.
    """
    honest = _honest_record(config, seed)
    evidence_SKE = _steps(honest)
    team = GameTeam.fresh(config.overseer.policy, config.quorum, seed).calibrated(evidence_SKE, config.rate)
    untrained = team
    learners = [PPO(config.overseer, EVIDENCE_SIZE, VERDICT_SPACE) for _ in CHARGES]
    states = [learner.init(seed + 1 + k, config.num_games) for k, learner in enumerate(learners)]
    for policy, state in zip(team.policies, states, strict=True):
        state.policy.load_tensors(policy.tensors())
    team = GameTeam(policies=tuple(state.policy for state in states), quorum=team.quorum, thresholds=team.thresholds)
    pool: list[Policy] = []
    for number in range(config.num_rounds):
        of_round = seed + 1009 * (number + 1)
        pool.append(learn_attacker(config, team, of_round, num_updates=config.attacker_updates))
        game = OversightGame(config.game, config.num_games, of_round)
        rng, generator = stream(of_round, "overseers explore"), torch.Generator().manual_seed(of_round)
        for _ in range(config.overseer_updates):
            record = play(game, _mixture(config.num_games, pool, generator), team, explore=rng)
            rewards = overseer_rewards(record.played, team.quorum, interference_cost=config.interference_cost)
            for k, (learner, state) in enumerate(zip(learners, states, strict=True)):
                rollout = overseer_rollout(record, state.policy, k)
                learner.update(state, rollout, rewards[..., k], progress=0.0)
        team = team.calibrated(evidence_SKE, config.rate)
        tell(f"round {number + 1} of {config.num_rounds}")
    return Overseen(untrained=untrained, team=team, pool=tuple(pool))


def learn_attacker(config: OversightConfig, team: GameTeam, seed: int, *, num_updates: int) -> Policy:
    """An attacker that learns from nothing to slip past overseers who stay as they are."""
    ppo = PPO(config.attacker, WORKER_SIZE, config.game.worker_space)
    state = ppo.init(seed, config.num_games)
    game, generator = OversightGame(config.game, config.num_games, seed), torch.Generator().manual_seed(seed)
    for update in range(num_updates):
        record = play(game, [(acting(state.policy, generator), config.num_games)], team)
        rollout = worker_rollout(record, state.policy)
        state, _ = ppo.update(state, rollout, record.reward, progress=update / num_updates)
    return state.policy


def judge(config: OversightConfig, team: GameTeam, seed: int) -> Judged:
    """Figures of a finished team, whose thresholds are set, against an attacker that learned for this alone."""
    attacker = learn_attacker(config, team, seed, num_updates=config.final_updates)
    honest, attacked = (_judged(config, worker, team, seed) for worker in (honest_action, attacker))
    return Judged(figures=oversight_figures(honest.played, attacked.played), attacker=attacker)


def judge_scripted(config: OversightConfig, team: GameTeam, seed: int) -> dict[str, OversightFigures]:
    """Figures of a finished team against attackers that follow a plan."""
    honest = _judged(config, honest_action, team, seed).played
    return {
        name: oversight_figures(honest, _judged(config, worker, team, seed).played)
        for name, worker in scripted_attackers(config.game).items()
    }


def judge_alone(config: OversightConfig, team: GameTeam, charge: int, seed: int) -> Judged:
    """The same of one overseer alone, which may veto as large a share of honest steps as the team may."""
    alone = team.alone(charge).calibrated(_steps(_honest_record(config, seed)), config.rate)
    return judge(config, alone, seed)


def frontier(
    config: OversightConfig, team: GameTeam, attackers: tuple[Policy, ...], seed: int, rates: tuple[float, ...]
) -> list[FrontierPoint]:
    """Safety against usefulness: the team at several strictnesses, each against the best of some attackers.

    The attackers did not learn anew at each strictness, so that away from the one that they learned at the figure is of
    attackers that are not the best there could be.
    """
    evidence_SKE = _steps(_honest_record(config, seed))
    points: list[FrontierPoint] = []
    for rate in rates:
        strict = team.calibrated(evidence_SKE, rate)
        honest = _judged(config, honest_action, strict, seed).played
        attacks = [_judged(config, attacker, strict, seed).played for attacker in attackers]
        points.append(frontier_point(rate, honest, attacks))
    return points


def _honest_record(config: OversightConfig, seed: int) -> Record:
    """Honest games for setting thresholds; which they are changes nothing that is seen."""
    team = GameTeam.fresh(config.overseer.policy, QuorumConfig(), seed).unwatched()
    game = OversightGame(config.game, config.num_judged, seed + 500_009)
    return play(game, [(honest_action, config.num_judged)], team)


def _steps(record: Record) -> np.ndarray:
    """[S, K, E]."""
    return record.evidence.reshape(-1, *record.evidence.shape[2:])


def _judged(config: OversightConfig, worker: Worker | Policy, team: GameTeam, seed: int) -> Record:
    """Games that nothing was learned from and no threshold set by."""
    generator = torch.Generator().manual_seed(seed + 2)
    act = acting(worker, generator) if isinstance(worker, Policy) else worker
    game = OversightGame(config.game, config.num_judged, seed + 700_001)
    return play(game, [(act, config.num_judged)], team)


def _mixture(num_games: int, pool: list[Policy], generator: torch.Generator) -> list[tuple[Worker, int]]:
    """Half honest workers; of the rest half the newest attacker's, and half dealt out among all."""
    num_newest = num_games // 4
    num_rest = num_games // 4
    shares = [num_rest // len(pool) + (place < num_rest % len(pool)) for place in range(len(pool))]
    shares[-1] += num_newest
    attackers: list[tuple[Worker, int]] = [
        (acting(policy, generator), num) for policy, num in zip(pool, shares, strict=True)
    ]
    return [(honest_action, num_games - sum(shares)), *attackers]
