"""People with known faults who compare items of known worth."""

from collections.abc import Sequence

import numpy as np

from heeler.feedback.annotators.answers import Answers, Comparison, answers_of


def worth(num_items: int, seed: int = 0, spread: float = 2.0) -> np.ndarray:
    """[K] how good items truly are, in log-odds."""
    return np.random.default_rng(seed).normal(size=num_items) * spread


def ask(
    kinds: Sequence[str], worth_K: np.ndarray, num_questions: int, *, overlap: int = 1, seed: int = 0
) -> list[Comparison]:
    """Each question is answered by `overlap` people, who are named after their kind and number.

    Kinds: `honest`, `careless` (a coin, in a third of the time), `hostile`, `left` (nearly always), `fast` (a coin in a
    tenth of a second), `colluding` (all the same, by another worth), `hurried` (a coin in every second answer, which
    are the quick ones), `pusher` (honest, but never against item 0), `equal`, `lost` (can't tell).
    """
    rng = np.random.default_rng([seed, 1])
    other_K = rng.normal(size=len(worth_K)) * worth_K.std()
    given: list[Comparison] = []
    agreed: dict[tuple[int, int], bool] = {}
    for _ in range(num_questions):
        a, b = (int(item) for item in rng.choice(len(worth_K), 2, replace=False))
        low, high = sorted((a, b))
        drawn = bool(rng.random() < _sigmoid(other_K[low] - other_K[high]))
        # What they agreed on of a pair they keep to, whichever way round it is shown.
        copied = agreed.setdefault((low, high), drawn) == (a == low)
        for person in (int(p) for p in rng.choice(len(kinds), overlap, replace=False)):
            choice, time_s = _answer(str(kinds[person]), a, b, worth_K[a] - worth_K[b], copied, rng)
            given.append(
                Comparison(
                    person=f"{kinds[person]}-{person}",
                    left=f"item-{a}",
                    right=f"item-{b}",
                    choice=choice,
                    time_taken_s=time_s,
                )
            )
    return given


def _answer(kind: str, a: int, b: int, margin: float, copied: bool, rng: np.random.Generator) -> tuple[str, float]:
    time_s = float(rng.lognormal(1.4, 0.4))
    left = bool(rng.random() < _sigmoid(margin))
    coin = bool(rng.random() < 0.5)
    match kind:
        case "careless":
            left, time_s = coin, time_s / 3
        case "hostile":
            left = not left
        case "left":
            left = bool(rng.random() < 0.95)
        case "fast":
            left, time_s = coin, 0.1
        case "hurried":
            is_quick = bool(rng.random() < 0.5)
            left, time_s = (coin, 0.3) if is_quick else (left, time_s)
        case "colluding":
            left = copied
        case "pusher":
            left = True if a == 0 else False if b == 0 else left
        case "equal":
            return "equal", time_s
        case "lost":
            return "cant_tell", time_s
        case _:
            assert kind == "honest", kind
    return ("left" if left else "right"), time_s


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def crowd(
    kinds: Sequence[str], num_questions: int = 1500, num_items: int = 40, **settings: int
) -> tuple[np.ndarray, Answers]:
    """Worth of the items, in the order of the answers' items, and the answers."""
    worth_K = worth(num_items, settings.get("seed", 0))
    answers = answers_of(ask(kinds, worth_K, num_questions, **settings))
    return worth_K[[int(name.removeprefix("item-")) for name in answers.items]], answers
