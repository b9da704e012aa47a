"""Small segments, queries and answers, and a store that holds some: for the tests here and in faults."""

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heeler.core.nouns import Feedback, Message, PolicyVersion, Query, Segment, TextSegment, stable_id
from heeler.feedback.store import Store


def make_segment(seed: int, *, num_steps: int = 4, discrete: bool = False, **changes: Any) -> Segment:
    """A segment of random numbers: 3 observation numbers, 2 action numbers."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    action = rng.integers(5, size=(num_steps, 2)) if discrete else normal(num_steps, 2)
    fields: dict[str, Any] = {
        "observation": normal(num_steps, 3),
        "action": action,
        "next_observation": normal(num_steps, 3),
        "true_reward": normal(num_steps),
        "env_id": "Hopper",
        "policy_version": 0,
        "trajectory_id": f"train/env-0/episode-{seed}",
        "start_step": 0,
    }
    return Segment(**(fields | changes))


def make_text(completion: str, *, prompt: str = "What is the sky?", policy_version: int = 0) -> TextSegment:
    """What an assistant answered to a chat of one message."""
    return TextSegment(
        prompt=(Message(role="user", content=prompt),), completion=completion, policy_version=policy_version
    )


def make_query(name: object, *segment_ids: str, kind: str = "preference", asked_step: int = 0) -> Query:
    """A query whose id comes from its name."""
    return Query(
        id=stable_id("query", name), kind=kind, segment_ids=segment_ids, policy_version=0, asked_step=asked_step
    )


def make_answer(query: Query, name: object = "first", choice: str = "left", **changes: Any) -> Feedback:
    """An answer whose key comes from the query and a name."""
    fields: dict[str, Any] = {
        "key": stable_id("answer", query.id, name),
        "query_id": query.id,
        "kind": query.kind,
        "value": {"choice": choice},
        "annotator": "simulated" if changes.get("answered_step") is not None else "ann",
    }
    return Feedback(**(fields | changes))


@dataclass(frozen=True)
class Home:
    """Where a store lives."""

    folder: Path
    """With the folder of its segments; on SQLite the store too."""
    target: str | Path
    """Its file or URL."""

    @property
    def segments(self) -> Path:
        return self.folder / "segments"

    @property
    def is_file(self) -> bool:
        return isinstance(self.target, Path)

    def open(self) -> Store:
        """The store, with policy version 0, the annotator `ann`, and a simulated one."""
        return open_store(self.folder, self.target)


def open_store(folder: Path, target: str | Path | None = None) -> Store:
    """The store of a folder, with policy version 0, the annotator `ann`, and a simulated one."""
    target, segments = target or folder / "heeler.db", folder / "segments"
    store = new_store(target, segments) if isinstance(target, Path) else Store.open(target, segments_dir=segments)
    store.add_policy_version(PolicyVersion(version=0, step=0))
    store.add_annotator("ann", "person")
    store.add_annotator("simulated", "simulated")
    return store


def new_store(path: Path, segments: Path) -> Store:
    """The store of a file, which is made where it is not there: with its tables, and nothing in them."""
    if not path.exists():
        path.write_bytes(_empty_file())
    return Store.open(path, segments_dir=segments)


@functools.cache
def _empty_file() -> bytes:
    """Made once for all tests: to make the tables takes longer than most of them."""
    with tempfile.TemporaryDirectory() as name:
        Store.open(f"{name}/heeler.db", segments_dir=None).close()
        return Path(name, "heeler.db").read_bytes()


def put_copy(folder: Path, fill: Callable[[Path], None]) -> None:
    """Have in a folder what a function puts into one; it is called once for all tests."""
    for name, content in _files_of(fill).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@functools.cache
def _files_of(fill: Callable[[Path], None]) -> dict[Path, bytes]:
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name))
        return {path.relative_to(name): path.read_bytes() for path in Path(name).rglob("*") if path.is_file()}


def add_comparisons(store: Store, num: int) -> list[Query]:
    """`num` comparisons of segments that are all different."""
    ids = store.add_segments([make_segment(seed) for seed in range(2 * num)])
    queries = [make_query(place, ids[2 * place], ids[2 * place + 1]) for place in range(num)]
    store.add_queries(queries)
    return queries
