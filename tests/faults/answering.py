"""A person, played by a process of its own: answers a run's open comparisons of Pendulum clips through the store.

It sees what a person would: the clips. From them it works out the true reward, which the run's segments do not carry.
Arguments: RUN [--store URL] [--limit N] [--cant-tell N] [--annotator NAME] [--as-learner].
With `--as-learner` it is the learner instead.
"""

import argparse
import time
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np

from heeler.core.nouns import Feedback, Query, Segment
from heeler.feedback.store import Store
from heeler.feedback.stores import STORE_NAME
from heeler.loop.running import run
from tests.unit.loop.tiny import tiny_preferences

NUM_UPDATES = 12


def people_config(num_updates: int = NUM_UPDATES):
    """A small run that people answer: 24 comparisons, 6 before the first fit; its model can learn from so few."""
    config = tiny_preferences(teacher="people", total_steps=num_updates * 16 * 64, checkpoint_every=4)
    assert config.preferences is not None
    model = replace(config.preferences.model, max_epochs=40, hidden_sizes=(32, 32))
    return replace(config, preferences=replace(config.preferences, model=model))


def pendulum_reward(segment: Segment) -> float:
    """Sum of −(angle² + 0.1 speed² + 0.001 torque²), as Gymnasium defines it."""
    cosine, sine, speed = segment.observation.astype(np.float64).T
    torque = np.clip(segment.action[:, 0].astype(np.float64), -2.0, 2.0)
    return float(-(np.arctan2(sine, cosine) ** 2 + 0.1 * speed**2 + 0.001 * torque**2).sum())


def answer(store: Store, query: Query, annotator: str, choice: str | None) -> None:
    """The better clip, or what was said beforehand."""
    left, right = (store.segment(name) for name in query.segment_ids)
    assert left.true_reward is None
    assert right.true_reward is None
    better = "left" if pendulum_reward(left) > pendulum_reward(right) else "right"
    store.add_feedback(
        [
            Feedback(
                key=str(uuid.uuid4()),
                query_id=query.id,
                kind="preference",
                value={"choice": choice or better},
                annotator=annotator,
                time_taken_s=0.01,
            )
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--store")
    parser.add_argument("--limit", type=int, default=10**6)
    parser.add_argument("--cant-tell", type=int, default=0)
    parser.add_argument("--annotator", default="ann")
    parser.add_argument("--as-learner", action="store_true")
    arguments = parser.parse_args()
    if arguments.as_learner:
        run(people_config(), arguments.path)
        return
    database = arguments.path / STORE_NAME
    while not arguments.store and not database.exists():
        time.sleep(0.02)
    with Store.open(arguments.store or database, segments_dir=arguments.path / "segments") as store:
        store.add_annotator(arguments.annotator, "person")
        given = 0
        while given < arguments.limit:
            for query in store.open_queries(5)[: arguments.limit - given]:
                answer(store, query, arguments.annotator, "cant_tell" if given < arguments.cant_tell else None)
                given += 1
            time.sleep(0.02)


if __name__ == "__main__":
    main()
