"""Segments in the store: what goes in comes out, and an altered file is refused by name."""

import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save_file

from heeler.core.errors import ConflictError, DataError, StoreError
from heeler.core.nouns import PolicyVersion, Segment
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import Home, make_segment

ARRAYS = ("observation", "action", "next_observation", "true_reward", "snapshot")


def assert_same(left: Segment, right: Segment) -> None:
    for name in ARRAYS:
        one, other = getattr(left, name), getattr(right, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    for name in ("env_id", "policy_version", "trajectory_id", "start_step", "id"):
        assert getattr(left, name) == getattr(right, name)


@pytest.mark.parametrize(
    "segment",
    [
        make_segment(0),
        make_segment(1, discrete=True, true_reward=None),
        make_segment(2, snapshot=np.ones((4, 7), np.float32), start_step=123_456_789_012),
        make_segment(3, trajectory_id="évaluation/env-3/episode-0", env_id="module:Class"),
        make_segment(4, observation=np.asfortranarray(np.arange(12, dtype=np.float32).reshape(4, 3))),
    ],
)
def test_comes_back_bit_for_bit(store: Store, segment: Segment) -> None:
    assert store.add_segments([segment]) == [segment.id]
    assert_same(store.segment(segment.id), segment)


def test_outlives_the_store(store: Store, home: Home) -> None:
    segments = [make_segment(seed) for seed in range(600)]  # more than one chunk of files and of ids
    ids = store.add_segments(segments)
    store.close()
    with Store.open(home.target, segments_dir=home.segments) as again:
        found = again.segments(reversed(ids))
        assert list(found) == ids[::-1]
        for segment in segments:
            assert_same(found[segment.id], segment)


def test_the_same_again_changes_nothing(store: Store, home: Home) -> None:
    one, other = make_segment(0), make_segment(1)
    ids = store.add_segments([one, other, one])
    assert ids == [one.id, other.id, one.id]
    assert store.add_segments([other, one]) == [other.id, one.id]
    assert store.counts()["segments"] == 2
    assert len(list(home.segments.iterdir())) == 2


def test_a_file_that_was_lost_is_written_again(store: Store, home: Home) -> None:
    segment = make_segment(0)
    store.add_segments([segment])
    file = home.segments / f"{segment.id}.safetensors"
    file.unlink()
    with pytest.raises(DataError, match=f"{segment.id}.safetensors: the file is missing"):
        store.segment(segment.id)
    store.add_segments([segment])
    assert_same(store.segment(segment.id), segment)


@pytest.mark.parametrize("place", [0, 7, 40, -1, -30])
def test_an_altered_byte_is_refused_by_name(store: Store, home: Home, place: int) -> None:
    segment = make_segment(0)
    store.add_segments([segment])
    file = home.segments / f"{segment.id}.safetensors"
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=f"segments/{segment.id}.safetensors"):
        store.segment(segment.id)


@pytest.mark.parametrize("length", [0, 7, 100, 300])
def test_a_torn_file_is_refused_by_name(store: Store, home: Home, length: int) -> None:
    segment = make_segment(0)
    store.add_segments([segment])
    file = home.segments / f"{segment.id}.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DataError, match=f"segments/{segment.id}.safetensors: not a readable segment"):
        store.segment(segment.id)


def _rewrite(file: Path, segment: Segment, shape: tuple[int, int], **header: str) -> None:
    arrays = load(file.read_bytes())
    arrays["observation"] = arrays["observation"].reshape(shape)
    arrays["next_observation"] = arrays["next_observation"].reshape(shape)
    names = ("env_id", "policy_version", "trajectory_id", "start_step")
    save_file(arrays, file, metadata={name: str(getattr(segment, name)) for name in names} | header)


def test_an_altered_header_or_shape_is_refused(store: Store, home: Home) -> None:
    segment = make_segment(0, num_steps=4, true_reward=None, action=np.zeros((4, 0), np.float32))
    store.add_segments([segment])
    file = home.segments / f"{segment.id}.safetensors"
    _rewrite(file, segment, (4, 3))
    assert_same(store.segment(segment.id), segment)
    _rewrite(file, segment, (4, 3), policy_version="1")
    with pytest.raises(DataError, match=f"{segment.id}.safetensors: altered"):
        store.segment(segment.id)
    _rewrite(file, segment, (6, 2))
    with pytest.raises(DataError, match=f"{segment.id}.safetensors: not a readable segment"):
        store.segment(segment.id)


def test_a_folded_segment_is_refused_although_its_numbers_are_the_same(store: Store, home: Home) -> None:
    segment = make_segment(0, num_steps=4, true_reward=None)
    store.add_segments([segment])
    file = home.segments / f"{segment.id}.safetensors"
    arrays = {name: array.reshape(2, -1) for name, array in load(file.read_bytes()).items()}
    names = ("env_id", "policy_version", "trajectory_id", "start_step")
    save_file(arrays, file, metadata={name: str(getattr(segment, name)) for name in names})
    with pytest.raises(DataError, match=f"{segment.id}.safetensors: its shape was altered"):
        store.segment(segment.id)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation": np.zeros((4, 3))}, r"segments\[1\].observation: expected float32, got float64"),
        ({"action": np.zeros((4, 2), np.int32)}, r"segments\[1\].action: expected float32 or int64, got int32"),
        ({"action": np.zeros(4, np.int64)}, r"segments\[1\].action: expected shape \[4, any\], got \[4\]"),
        ({"true_reward": np.zeros((4, 1), np.float32)}, r"true_reward: expected shape \[4\], got \[4, 1\]"),
        ({"true_reward": np.full(4, np.nan, np.float32)}, "true_reward: a number is not finite"),
        ({"next_observation": np.full((4, 3), np.inf, np.float32)}, "next_observation: a number is not finite"),
        ({"next_observation": np.zeros((4, 2), np.float32)}, "next_observation: expected the observation's shape"),
        ({"observation": np.zeros((0, 3), np.float32)}, "observation: expected at least one step"),
        ({"env_id": "e" * 201}, r"segments\[1\].env_id: expected at most 200 characters, got 201"),
        ({"trajectory_id": "a\0b"}, r"segments\[1\].trajectory_id: expected text without NUL"),
        ({"policy_version": 7}, r"segments\[1\].policy_version: 7 is unknown"),
    ],
)
def test_a_bad_segment_refuses_the_batch(store: Store, home: Home, changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        store.add_segments([make_segment(0), make_segment(1, **changes)])
    assert store.counts()["segments"] == 0
    assert list(home.segments.iterdir()) == []


def test_an_unknown_segment_is_refused_and_its_id_never_becomes_a_path(store: Store, home: Home) -> None:
    (home.folder / "secret.safetensors").write_bytes(b"")
    for segment_id in ("0" * 64, "../secret", ""):
        with pytest.raises(DataError, match="no segment"):
            store.segment(segment_id)


def test_without_a_folder_segments_are_out_of_reach(home: Home) -> None:
    with Store.open(home.target, segments_dir=None) as store:
        with pytest.raises(StoreError, match="without a segments folder"):
            store.add_segments([])
        with pytest.raises(StoreError, match="without a segments folder"):
            store.segment("0" * 64)


def test_leftovers_of_a_killed_process_go_when_they_are_old(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    old, young = folder / "a.1.tmp", folder / "b.2.tmp"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    Store.open(tmp_path / "heeler.db", segments_dir=folder).close()
    assert not old.exists()
    assert young.exists()


def test_policy_versions(store: Store) -> None:
    store.add_policy_version(PolicyVersion(version=2, step=20, checkpoint_sha256="a" * 64))
    store.add_policy_version(PolicyVersion(version=1, step=10))
    store.add_policy_version(PolicyVersion(version=1, step=10))
    assert store.policy_versions() == [
        PolicyVersion(version=0, step=0),
        PolicyVersion(version=1, step=10),
        PolicyVersion(version=2, step=20, checkpoint_sha256="a" * 64),
    ]
    store.add_policy_version(PolicyVersion(version=1, step=10, checkpoint_sha256="b" * 64))
    store.add_policy_version(PolicyVersion(version=1, step=10))
    assert store.policy_versions()[1].checkpoint_sha256 == "b" * 64
    with pytest.raises(ConflictError, match="policy version 1 was made at step 10, not 11"):
        store.add_policy_version(PolicyVersion(version=1, step=11))


def test_annotators(store: Store) -> None:
    store.add_annotator("oracle", "simulated", "knows it all")
    store.add_annotator("oracle", "simulated", "another note")
    with pytest.raises(ConflictError, match="'oracle' is a simulated, not a person"):
        store.add_annotator("oracle", "person")
    with pytest.raises(DataError, match="id: expected at most 200 characters, got 201"):
        store.add_annotator("a" * 201, "person")
    with pytest.raises(DataError, match="note: expected text without NUL"):
        store.add_annotator("bea", "person", "a\0")
