"""Runs that ask about real behaviour: stretches of a world that can be drawn, and texts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heeler.core.live import LIVE
from heeler.core.nouns import AnySegment, FeedbackKind, Message, Query, Segment, TextSegment, stable_id
from heeler.envs import EnvConfig, make
from tests.unit.feedback.helpers import open_store


def stretches(env_id: str, number: int, num_steps: int = 25) -> list[Segment]:
    """Stretches of episodes in which nothing but chance acts."""
    world = make(EnvConfig(id=env_id, num_envs=number, num_threads=1), seed=0)
    world.action_space.seed(0)
    observation, _ = world.reset()
    rows: dict[str, list[np.ndarray]] = {"observation": [], "action": [], "next_observation": [], "snapshot": []}
    for _ in range(num_steps):
        snapshot = world.snapshot()
        assert snapshot is not None
        action = world.action_space.sample()
        after = world.step(action)[0]
        for name, value in zip(rows, (observation, action, after, snapshot), strict=True):
            rows[name].append(value.reshape(number, -1).copy())
        observation = after
    world.close()
    return [
        Segment(
            **{name: np.stack([row[place] for row in found]) for name, found in rows.items()},
            true_reward=np.full(num_steps, 123.25, np.float32),
            env_id=env_id,
            policy_version=0,
            trajectory_id=f"train/env-{place}/episode-0",
            start_step=0,
        )
        for place in range(number)
    ]


def texts(*completions: str, prompt: str = "What is the sky?") -> list[TextSegment]:
    """What an assistant answered, several times."""
    said = (Message(role="user", content=prompt),)
    return [TextSegment(prompt=said, completion=completion, policy_version=0) for completion in completions]


def make_asking_run(
    folder: Path, name: str, kinds: Sequence[FeedbackKind], segments: Sequence[AnySegment], env_id: str = "Hopper-v5"
) -> list[Query]:
    """A run that asks one query of each kind, about the segments in turn."""
    path = folder / name
    path.mkdir()
    (path / "config.yaml").write_text(f"recipe: preferences\nseed: 7\nenv:\n  id: {env_id}\n  num_envs: 8\n")
    with open_store(path) as store:
        ids = iter(store.add_segments(segments))
        queries: list[Query] = []
        for place, kind in enumerate(kinds):
            asked = tuple(next(ids) for _ in range(2 if kind == "preference" else 1))
            query_id = stable_id(name, place)
            queries.append(Query(id=query_id, kind=kind, segment_ids=asked, policy_version=0, asked_step=0))
        store.add_queries(queries)
    return queries


def make_watched_run(folder: Path, name: str, *, num_stretches: int = 2, num_steps: int = 3) -> list[Query]:
    """A run that is watched while it acts, two steps a second, and what it has shown so far."""
    path = folder / name
    path.mkdir()
    config = "recipe: evaluative\nseed: 7\nteacher: people\nsteps_per_second: 2.0\ntotal_steps: 360\nnum_steps: 3\n"
    (path / "config.yaml").write_text(f"{config}env:\n  id: LavaGrid\n  num_envs: 1\n")
    with open_store(path) as store:
        queries: list[Query] = []
        for place, segment in enumerate(stretches("LavaGrid", num_stretches, num_steps)):
            store.add_segments([segment])
            query_id, asked = stable_id(name, place), (place + 1) * num_steps
            query = Query(
                id=query_id,
                kind="evaluation",
                segment_ids=(segment.id,),
                policy_version=0,
                asked_step=asked,
                acquisition=LIVE,
            )
            queries.append(query)
        store.add_queries(queries)
    return queries
