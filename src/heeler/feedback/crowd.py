"""A crowd of simulated users: each has faults of its own, and some mean harm."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from heeler.core.errors import ConfigError
from heeler.core.nouns import Feedback, PreferenceChoice, Query, stable_id
from heeler.core.seeding import stream


@dataclass(frozen=True, kw_only=True)
class CrowdConfig:
    """Who answers. The defaults are a crowd of honest, somewhat noisy users."""

    num_users: int = 20
    """Users; each comparison is answered by one of them, drawn by chance."""
    beta: float = 3.0
    """Rationality of those who are honest: P(better) = sigmoid(beta * difference of quality); inf for no noise."""
    mistake: float = 0.05
    """How often an honest user names the wrong side by accident."""
    careless_share: float = 0.0
    """Share of users who answer without looking."""
    hostile_share: float = 0.0
    """Share of users who name the worse answer on purpose."""

    def __post_init__(self) -> None:
        if self.num_users < 1:
            raise ConfigError(f"num_users must be >= 1, got {self.num_users}")
        if not self.beta >= 0:
            raise ConfigError(f"beta must be >= 0 (inf for users without noise), got {self.beta}")
        for name in ("mistake", "careless_share", "hostile_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if self.careless_share + self.hostile_share > 1:
            raise ConfigError(
                f"careless_share and hostile_share must come to at most 1, got {self.careless_share} and "
                f"{self.hostile_share}"
            )


class Crowd:
    """Answers comparisons of which the true quality is known.

    An answer depends on the configuration, the seed and the query's id alone: asked again after a crash, it is the same
    answer under the same key.

    Args:
        config: who answers.
        seed: the run's seed.
    """

    def __init__(self, config: CrowdConfig, seed: int) -> None:
        self.config, self._seed = config, seed
        num_hostile = round(config.hostile_share * config.num_users)
        num_careless = round(config.careless_share * config.num_users)
        kinds = ["hostile"] * num_hostile + ["careless"] * num_careless
        kinds += ["honest"] * (config.num_users - len(kinds))
        self.users: Mapping[str, str] = {f"user-{number}": kind for number, kind in enumerate(kinds)}
        """What kind of user each is, by the id under which it answers."""

    def prefer(self, query: Query, quality: tuple[float, float], step: int) -> Feedback:
        """One user's answer to a comparison.

        Args:
            query: of the kind `preference`.
            quality: of the left and the right.
            step: the learner's step now.
        """
        user_draw, noise_draw, mistake_draw = stream(self._seed, f"crowd {query.id}").random(3)
        user = list(self.users)[int(user_draw * len(self.users))]
        choice = self._choice(self.users[user], quality[0] - quality[1], noise_draw, mistake_draw)
        return Feedback(
            key=stable_id("crowd", self._seed, query.id),
            query_id=query.id,
            kind="preference",
            value={"choice": choice},
            annotator=user,
            answered_step=step,
        )

    def _choice(self, kind: str, difference: float, noise_draw: float, mistake_draw: float) -> PreferenceChoice:
        if kind == "careless":
            return "left" if noise_draw < 0.5 else "right"
        if difference == 0:
            return "equal"
        if kind == "hostile":
            return "right" if difference > 0 else "left"
        is_left = noise_draw < _sigmoid(self.config.beta * difference)
        if mistake_draw < self.config.mistake:
            is_left = not is_left
        return "left" if is_left else "right"


def _sigmoid(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))
