"""Whether a policy that acts in earnest does harm: sequential tests that stay true however often one looks.

Two of them, over the episodes of one release in the order in which they *began* (short ones end first, so that the
order of their ends would tell of what went wrong before it told of the rest):

- *Canary*, while a candidate acts in a share of all episodes: that a cost is above its budget, or that the return is
  lower by more than the margin than that of the release in use, of episodes at the same time.
- *Watch*, of the release in use: that a cost is above what it was released with, or that the return is below what its
  own evaluation showed (its lower bound), by more than the margin.

Each harm is a claim "the mean of these values is at most `limit`" that is bet against (`betting`): P(harm is ever said
where there is none) ≤ error rate / number of tests for each. Values beyond `least` and `most` count as those. For costs
that is safe, as it makes them lower; returns are compared after the cut, which lies far outside what the gate saw.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heeler.core.errors import ConfigError
from heeler.core.gate_records import GateRecord
from heeler.core.verdict import Verdict
from heeler.oversight.betting import Bettor
from heeler.oversight.control_gate_config import ControlGateConfig, CostClaim
from heeler.oversight.control_gate_nouns import Episodes
from heeler.oversight.control_gate_records import claims_in, config_in

RETURN = "return"
_FARTHEST = 20.0
"""Budgets that a cost counts for at most where its range is not known."""


@dataclass(frozen=True, kw_only=True)
class LiveConfig:
    """How candidates and releases are followed while they act."""

    share: float = 0.1
    """Of episodes that a candidate acts in until it is in use or taken back."""
    num_episodes: int = 100
    """Of a candidate, after which it acts in all, unless it was shown to do harm by then."""
    error_rate: float = 0.01
    """How often a canary share, or a release, that does no harm is ever ended for it, at most."""
    tolerance: float = 0.1
    """By how much a cost may be above the upper bound of the release's own evaluation, as a share of its budget, before
    that counts as harm; above the budget it always does."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"share must be above 0 and below 1, got {self.share:g}")
        if self.num_episodes < 1:
            raise ConfigError(f"num_episodes must be >= 1, got {self.num_episodes}")
        if not 0 < self.error_rate < 0.5:
            raise ConfigError(f"error_rate must be between 0 and 0.5, got {self.error_rate:g}")
        if not 0 <= self.tolerance < math.inf:
            raise ConfigError(f"tolerance must be >= 0 and finite, got {self.tolerance}")


@dataclass(frozen=True, kw_only=True)
class LiveEpisode:
    """One episode of a policy that acts in earnest."""

    episode_return: float
    length: int
    costs: Mapping[str, float]
    """Sums by name; of every cost that has a budget."""
    figures: Mapping[str, float] = field(default_factory=dict[str, float])
    """What else was counted in it; nothing is bet on these."""


@dataclass(frozen=True, kw_only=True)
class HarmTest:
    """One claim that is bet against."""

    name: str
    """`return`, or a cost's."""
    limit: float
    """What the mean is claimed not to exceed."""
    least: float
    most: float
    """What a value counts for at least and at most."""

    def share(self, value: float) -> float:
        """Where a value, or the limit, lies between the two."""
        return (min(max(value, self.least), self.most) - self.least) / (self.most - self.least)


@dataclass
class HarmTests:
    """Several claims, and what has been bet against each."""

    tests: Sequence[HarmTest]
    error_rate: float
    capital: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Log capital of each bettor, by test."""
    highest: dict[str, float] = field(default_factory=dict[str, float])
    """Log capital that each test ever had."""
    num_episodes: int = 0

    @property
    def needed(self) -> float:
        """Log capital that shows harm."""
        return math.log(len(self.tests) / self.error_rate)

    def see(self, values: Mapping[str, float]) -> None:
        """Take in what one episode came to, by test."""
        self.num_episodes += 1
        for test in self.tests:
            bettor = Bettor(test.share(test.limit), self.capital.get(test.name))
            capital = bettor.see(test.share(values[test.name]))
            self.capital[test.name] = bettor.log_share_G.tolist()
            self.highest[test.name] = max(self.highest.get(test.name, 0.0), capital)

    def verdict(self) -> Verdict:
        """`halt` once harm is shown."""
        shown = [test.name for test in self.tests if self.highest.get(test.name, 0.0) >= self.needed]
        evidence = {
            "num_episodes": self.num_episodes,
            "error_rate": self.error_rate,
            "needed": self.needed,
            "highest": dict(self.highest),
            "limits": {test.name: test.limit for test in self.tests},
        }
        if not shown:
            return Verdict(decision="allow", evidence=evidence)
        return Verdict(
            decision="halt",
            reason=f"{' and '.join(shown)} shown to be worse than allowed after {self.num_episodes:,} episodes",
            evidence=evidence,
        )

    def to_json(self) -> dict[str, Any]:
        """What is kept between two processes."""
        return {"capital": self.capital, "highest": self.highest, "num_episodes": self.num_episodes}

    def load(self, values: Mapping[str, Any]) -> None:
        """Go on from what `to_json` returned."""
        self.capital, self.highest = dict(values["capital"]), dict(values["highest"])
        self.num_episodes = int(values["num_episodes"])


def canary_tests(record: GateRecord, config: LiveConfig) -> HarmTests:
    """What a candidate must not be shown to do while it acts in a share of the episodes.

    Args:
        record: of the gate that it passed.
        config: how it is followed.
    """
    gate, claims = config_in(record), claims_in(record)
    width = _width(gate, record)
    # By how much the release in use earns more; 2 widths are the farthest that two returns lie apart.
    lower = HarmTest(name=RETURN, limit=gate.margin, least=-width, most=width)
    costs = [_cost_test(claim, claim.budget, record) for claim in claims]
    return HarmTests([lower, *costs], config.error_rate)


def watch_tests(record: GateRecord, config: LiveConfig) -> HarmTests:
    """What a release must not be shown to do while it is in use.

    Args:
        record: of the gate that it passed.
        config: how it is followed.
    """
    gate, claims = config_in(record), claims_in(record)
    width, expected = _width(gate, record), record.details["means"]["candidate_low"]
    # By how much an episode earns less than the least that the evaluation has shown.
    lower = HarmTest(name=RETURN, limit=gate.margin, least=-width, most=width)
    limits = _watched_limits(record, config)
    assert math.isfinite(expected)
    return HarmTests([lower, *(_cost_test(claim, limits[claim.name], record) for claim in claims)], config.error_rate)


def canary_values(record: GateRecord, episode: LiveEpisode, usual: float) -> dict[str, float]:
    """What a candidate's episode counts for, beside the mean return of episodes of the release in use."""
    limits = {claim.name: claim.budget for claim in claims_in(record)}
    return {RETURN: usual - episode.episode_return} | _cost_values(record, limits, episode)


def watch_values(record: GateRecord, config: LiveConfig, episode: LiveEpisode) -> dict[str, float]:
    """What an episode of the release in use counts for."""
    lower = record.details["means"]["candidate_low"] - episode.episode_return
    return {RETURN: lower} | _cost_values(record, _watched_limits(record, config), episode)


def _cost_values(record: GateRecord, limits: Mapping[str, float], episode: LiveEpisode) -> dict[str, float]:
    """An episode's cost; where the limit is of a step, its cost less what so long an episode may come to."""
    return {
        claim.name: episode.costs[claim.name] - (limits[claim.name] * episode.length if claim.per == "step" else 0.0)
        for claim in claims_in(record)
    }


def _watched_limits(record: GateRecord, config: LiveConfig) -> dict[str, float]:
    """What each cost may come to while the release is in use, an episode or a step."""
    high = {each["name"]: each["high"] for each in record.details["shown"]}
    return {claim.name: _limit(claim, high[claim.name], config.tolerance) for claim in claims_in(record)}


def _limit(claim: CostClaim, high: float | None, tolerance: float) -> float:
    return min(claim.budget, math.inf if high is None else max(high, 0.0) + max(tolerance, 1e-3) * claim.budget)


def _cost_test(claim: CostClaim, limit: float, record: GateRecord) -> HarmTest:
    if claim.per == "episode":
        most = claim.most if math.isfinite(claim.most) else _FARTHEST * claim.budget
        return HarmTest(name=claim.name, limit=limit, least=0.0, most=most)
    # Values are what an episode cost beyond its limit: what a longer one than any seen leaves unspent does not count.
    longest = float(np.max(_candidate(record).lengths))
    most = claim.most if math.isfinite(claim.most) else _FARTHEST * claim.budget * longest
    return HarmTest(name=claim.name, limit=0.0, least=-2 * limit * longest, most=most)


def _width(gate: ControlGateConfig, record: GateRecord) -> float:
    """How far apart two returns may be and still count for what they are."""
    if gate.return_range is not None:
        return max(gate.return_range[1] - gate.return_range[0], 2 * gate.margin)
    current = Episodes.from_json(record.details["episodes"]["current"])
    seen = np.concatenate([_candidate(record).returns, current.returns])
    return 2 * max(float(seen.max() - seen.min()), gate.margin, 1e-9)


def _candidate(record: GateRecord) -> Episodes:
    return Episodes.from_json(record.details["episodes"]["candidate"])
