"""Shortcuts of texts: whether the reward that a language model's run learned is length, lists or the like.

Shapes: K texts, Q comparisons.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.named import under
from heeler.core.nouns import TextSegment
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.core.sentences import sentences
from heeler.core.texts import TextSample
from heeler.core.words import words
from heeler.evaluation.honesty.shortcuts import Answered, Shortcut, look_at
from heeler.feedback.store import Store
from heeler.feedback.stores import every_answer, has_store, open_store
from heeler.loop.language.asking import HELD_OUT
from heeler.loop.language.config import LanguageRunConfig
from heeler.loop.tensors import to_tensors
from heeler.models.language.model import LanguageModel
from heeler.rewards.reward_learner import RewardLearner

MAX_TEXTS = 600
_CHOICE: Mapping[str, float] = {"left": 1.0, "right": 0.0, "equal": 0.5}
_LIST_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.M)


def _repeated(text: str) -> float:
    """Share of words that were there before."""
    found = words(text)
    return 1 - len({word.casefold() for word in found}) / len(found) if found else 0.0


TRIVIAL: Mapping[str, Callable[[str], float]] = {
    "characters": lambda text: float(len(text)),
    "words": lambda text: float(len(words(text))),
    "sentences": lambda text: float(len(sentences(text))),
    "items of lists": lambda text: float(len(_LIST_ITEM.findall(text))),
    "exclamation marks": lambda text: float(text.count("!")),
    "words said again": _repeated,
}
"""What a text has of each shortcut."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """Texts that people compared."""

    texts: list[TextSegment]
    left_Q: np.ndarray
    right_Q: np.ndarray
    choice_Q: np.ndarray


def text_shortcuts(
    directory: RunDirectory, config: LanguageRunConfig, checkpoint: Checkpoint, first: LanguageModel, *, seed: int
) -> tuple[tuple[Shortcut, ...], int]:
    """Every shortcut of texts, those first that explain most, and how many held-out answers there are.

    Args:
        directory: of the run.
        config: of the run.
        checkpoint: whose learned reward is looked at.
        first: the model that learning began with, through which the reward reads.
        seed: of intervals.

    Returns:
        None of them where no reward was learned, or nobody compared texts.
    """
    kept = under("rewarding.", checkpoint.tensors)
    if config.learned is None or not kept or not has_store(directory):
        return (), 0
    with open_store(directory) as store:
        told = _told(store)
    if not told.texts:
        return (), 0
    learner = RewardLearner(config.learned.model)
    state = learner.load_tensors(learner.init(first, config.seed), to_tensors(kept))
    samples = [TextSample(prompt=each.prompt, completion=each.completion) for each in told.texts]
    reward_K = np.asarray(state.reward.score(samples).mean_N, np.float64)
    return shortcuts_in(told, reward_K, seed=seed), len(told.choice_Q)


def shortcuts_in(told: Told, reward_K: np.ndarray, *, seed: int) -> tuple[Shortcut, ...]:
    """Of texts whose rewards are known.

    Args:
        told: texts, and held-out answers about them.
        reward_K: of each text.
        seed: of intervals.
    """
    margin_Q = reward_K[told.left_Q] - reward_K[told.right_Q]
    answered = Answered(margin_Q=margin_Q, choice_Q=told.choice_Q, left_Q=told.left_Q, right_Q=told.right_Q)
    prompts = [each.trajectory_id for each in told.texts]
    features = {name: np.array([of(each.completion) for each in told.texts]) for name, of in TRIVIAL.items()}
    found = [
        look_at(name, value_K, reward_K, prompts, answered, seed=seed)
        for name, value_K in features.items()
        if np.ptp(value_K) > 0
    ]
    return tuple(sorted(found, key=lambda one: -one.explained))


def _told(store: Store) -> Told:
    """Held-out comparisons with their texts, and others' texts as far as there is room."""
    answers = [f for _, f in every_answer(store) if f.kind == "preference"]
    queries = {query.id: query for query in store.queries(list({answer.query_id for answer in answers}))}
    rows: list[tuple[str, str, float]] = []
    for answer in answers:
        query, choice = queries[answer.query_id], _CHOICE.get(str(answer.value["choice"]))
        if query.acquisition == HELD_OUT and choice is not None:
            rows.append((query.segment_ids[0], query.segment_ids[1], choice))
    first = dict.fromkeys(name for left, right, _ in rows for name in (left, right))
    every = dict.fromkeys([*first, *(name for query in queries.values() for name in query.segment_ids)])
    names = list(every)[: max(MAX_TEXTS, len(first))]
    held = store.segments(names)
    texts = {name: held[name] for name in names if isinstance(held[name], TextSegment)}
    place = {name: number for number, name in enumerate(texts)}
    rows = [row for row in rows if row[0] in place and row[1] in place]
    return Told(
        texts=[each for each in texts.values() if isinstance(each, TextSegment)],
        left_Q=_places(place, [left for left, _, _ in rows]),
        right_Q=_places(place, [right for _, right, _ in rows]),
        choice_Q=np.array([choice for _, _, choice in rows]),
    )


def _places(place: Mapping[str, int], names: Sequence[str]) -> np.ndarray:
    return np.array([place[name] for name in names], np.int64)
