"""A world in which everything is known: arms with features, people who compare them, and the exact policy of a reward.

Shapes: K arms, F features, P people.
"""

from dataclasses import dataclass

import numpy as np

from heeler.feedback.annotators.answers import Comparison

NUM_ARMS, NUM_FEATURES = 30, 6


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmWorld:
    """Arms, and what two goals make of them."""

    feature_KF: np.ndarray
    goal_F: np.ndarray
    other_F: np.ndarray
    """What some want instead."""

    def value(self, score_K: np.ndarray, goal_F: np.ndarray) -> float:
        """Of the policy π ∝ exp(score): 1 for the best arm by the goal, 0 for chance."""
        weight_K = np.exp(score_K - score_K.max())
        return float(self.normalised(goal_F) @ (weight_K / weight_K.sum()))

    def normalised(self, goal_F: np.ndarray) -> np.ndarray:
        """[K] worth of the arms by a goal: 1 for the best, 0 for chance."""
        worth_K = self.feature_KF @ goal_F
        return (worth_K - worth_K.mean()) / (worth_K.max() - worth_K.mean())


def arm_world(seed: int) -> ArmWorld:
    """Drawn by chance; the two goals ask for different things, neither the same nor the opposite."""
    rng = np.random.default_rng([seed, 77])
    goal, other = rng.normal(size=(2, NUM_FEATURES))
    other -= goal * (goal @ other) / (goal @ goal)
    length = 2.0
    return ArmWorld(
        feature_KF=rng.normal(size=(NUM_ARMS, NUM_FEATURES)),
        goal_F=goal / np.linalg.norm(goal) * length,
        other_F=other / np.linalg.norm(other) * length,
    )


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Who compares arms."""

    num_people: int = 20
    careless: int = 0
    hostile: int = 0
    colluding: int = 0
    activity: float = 4.0
    """How many times as often those of ill or no will answer as the others do: who wants to be heard says much."""
    mistake: float = 0.03

    @property
    def kinds(self) -> list[str]:
        """Of everybody, by number."""
        bad = ["careless"] * self.careless + ["hostile"] * self.hostile + ["colluding"] * self.colluding
        return bad + ["honest"] * (self.num_people - len(bad))


def compare(world: ArmWorld, crowd: Crowd, num_questions: int, overlap: int, seed: int) -> list[Comparison]:
    """Questions about two arms each, answered by `overlap` people who come as often as they are active."""
    rng, kinds = np.random.default_rng([seed, 78]), crowd.kinds
    often = np.array([1.0 if kind == "honest" else crowd.activity for kind in kinds])
    worth, other = world.feature_KF @ world.goal_F, world.feature_KF @ world.other_F
    agreed: dict[tuple[int, int], bool] = {}
    given: list[Comparison] = []
    for _ in range(num_questions):
        a, b = (int(arm) for arm in rng.choice(NUM_ARMS, 2, replace=False))
        low, high = min(a, b), max(a, b)
        plotted = agreed.setdefault((low, high), bool(rng.random() < _sigmoid(other[low] - other[high])))
        for person in (int(p) for p in rng.choice(len(kinds), overlap, replace=False, p=often / often.sum())):
            left = bool(rng.random() < _sigmoid(worth[a] - worth[b])) != bool(rng.random() < crowd.mistake)
            if kinds[person] == "careless":
                left = bool(rng.random() < 0.5)
            elif kinds[person] == "hostile":
                left = not left
            elif kinds[person] == "colluding":
                left = plotted == (a == low)
            name, choice = f"{kinds[person]}-{person}", "left" if left else "right"
            given.append(Comparison(person=name, left=str(a), right=str(b), choice=choice))
    return given


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))
