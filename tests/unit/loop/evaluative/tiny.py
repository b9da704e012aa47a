"""Runs of a second or two that learn from good and bad."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from heeler.core.live import say_watching
from heeler.core.nouns import Feedback, Query
from heeler.feedback.store import Store
from heeler.loop.evaluative.config import EvaluativeRunConfig
from heeler.recipes import evaluative

GRID = {"layout": ("S..", ".#.", "..G"), "max_episode_steps": 7}


def tiny_evaluative(method: str = "tamer", teacher: str = "scripted", **settings: Any) -> EvaluativeRunConfig:
    """Twelve turns of three steps in a grid, shown two a second; people's are shown faster."""
    config = evaluative(env="LavaGrid", method=method, teacher=teacher, seed=3)  # pyright: ignore[reportArgumentType]
    name = method.replace("-", "_")
    learner = getattr(config, name)
    learner = replace(learner, basis=replace(learner.basis, columns=tuple(range(9))))
    usual = {"total_steps": 36, "num_steps": 3, "checkpoint_every": 4, "num_evaluation_episodes": 2}
    usual |= {"steps_per_second": 200.0 if teacher == "people" else 2.0, name: learner}
    return replace(config, env=replace(config.env, kwargs=GRID), **(usual | settings))


def watch(path: Path) -> None:
    """Somebody looks."""
    (path / "media").mkdir(parents=True, exist_ok=True)
    say_watching(path)


def live_queries(store: Store) -> list[Query]:
    """Stretches that were shown, the oldest first."""
    return [query for _, query, _ in reversed(store.newest_queries(limit=1000))]


def press(store: Store, query: Query, marks: Sequence[tuple[float, int]], key: int, annotator: str = "ann") -> Feedback:
    """Somebody says something of a stretch; it is kept."""
    store.add_annotator(annotator, "person")
    answer = Feedback(
        key=f"00000000-0000-0000-0000-{key:012d}",
        query_id=query.id,
        kind="evaluation",
        value={"marks": [{"time_s": time_s, "sign": sign} for time_s, sign in marks]},
        annotator=annotator,
    )
    store.add_feedback([answer])
    return answer
