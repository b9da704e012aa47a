"""Where things lie on a course, and what the lidar sees, each against a plain loop."""

import math

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.envs.courses_layout import lidar, place_one, scatter


def naive_lidar(place, heading, things, num_bins, reach):
    """One thing after the other, by its angle from straight ahead."""
    seen = np.zeros((len(place), num_bins))
    for row in range(len(place)):
        looks = math.atan2(heading[row][1], heading[row][0])
        for x, y in things[row]:
            dx, dy = x - place[row][0], y - place[row][1]
            nearness = 1 - math.hypot(dx, dy) / reach
            if nearness <= 0:
                continue
            angle = (math.atan2(dy, dx) - looks) % (2 * math.pi)
            at = angle / (2 * math.pi) * num_bins
            low, share = int(at) % num_bins, at - int(at)
            high = (low + 1) % num_bins
            seen[row, low] = max(seen[row, low], nearness * (1 - share))
            seen[row, high] = max(seen[row, high], nearness * share)
    return seen


def test_the_lidar_is_what_a_plain_loop_sees():
    rng = np.random.default_rng(0)
    place, things = rng.uniform(-2, 2, (40, 2)), rng.uniform(-3, 3, (40, 9, 2))
    angle = rng.uniform(-4, 4, 40)
    heading = np.stack((np.cos(angle), np.sin(angle)), axis=1)
    seen = lidar(place, heading, things, 16, 3.0)
    assert (seen > 0).any(axis=0).all() and (seen == 0).any(axis=0).all()
    np.testing.assert_allclose(seen, naive_lidar(place, heading, things, 16, 3.0), atol=1e-12)


def test_the_lidar_by_hand():
    """The robot looks along y: what is ahead is in bin 0, what is to its left (at smaller x) a quarter turn on."""
    place, heading = np.array([[1.0, 1.0]]), np.array([[0.0, 1.0]])

    def seen(x, y):
        return lidar(place, heading, np.array([[[x, y]]]), 4, 4.0)[0].tolist()

    assert seen(1.0, 2.0) == pytest.approx([0.75, 0, 0, 0])
    assert seen(-1.0, 1.0) == pytest.approx([0, 0.5, 0, 0])
    assert seen(1.0, 0.0) == pytest.approx([0, 0, 0.75, 0])
    assert seen(2.0, 1.0) == pytest.approx([0, 0, 0, 0.75])
    nearness = 1 - math.sqrt(2) / 4
    assert seen(0.0, 2.0) == pytest.approx([nearness / 2, nearness / 2, 0, 0])
    assert seen(1.0, 6.0) == [0, 0, 0, 0]


def test_what_is_seen_changes_smoothly_all_around():
    angles = np.linspace(0, 2 * math.pi, 2000)
    things = np.stack((np.cos(angles), np.sin(angles)), axis=1)[:, None]
    seen = lidar(np.zeros((2000, 2)), np.tile([1.0, 0.0], (2000, 1)), things, 16, 3.0)
    assert np.abs(np.diff(seen, axis=0)).max() < 0.01
    np.testing.assert_allclose(seen.sum(axis=1), 2 / 3)


def test_no_things_are_not_seen():
    assert lidar(np.zeros((2, 2)), np.ones((2, 2)), np.zeros((2, 0, 2)), 16, 3.0).tolist() == [[0.0] * 16] * 2


def test_scattered_things_keep_clear_of_each_other():
    rooms = np.array([0.4, 0.3, *[0.2] * 6])
    places = scatter(np.random.default_rng(1), 300, 1.2, rooms)
    assert (np.abs(places) <= 1.2).all()
    for layout in places:
        for i in range(len(rooms)):
            for j in range(i):
                assert math.dist(layout[i], layout[j]) >= rooms[i] + rooms[j]
    # Not all in a corner: each thing is seen in all four quarters.
    for index in range(len(rooms)):
        assert len({(x > 0, y > 0) for x, y in places[:, index]}) == 4


def test_a_place_is_drawn_evenly_from_where_there_is_room():
    taken = np.tile([[[0.0, 0.0]]], (4000, 1, 1))
    places = place_one(np.random.default_rng(2), 1.0, 0.3, taken, np.array([0.2]))
    distance = np.linalg.norm(places, axis=1)
    assert distance.min() >= 0.5
    # Of the square less the disc, the ring from 0.5 to 1 has this share.
    share = (math.pi - math.pi * 0.25) / (4 - math.pi * 0.25)
    assert (distance <= 1).mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4000))


def test_no_room_is_said_and_not_waited_for():
    with pytest.raises(ConfigError, match=r"no room for 12 things, .* in a square of 1 m: .* set half_width larger"):
        scatter(np.random.default_rng(0), 3, 0.5, np.full(12, 0.3))


def test_a_place_that_is_nowhere_is_nan():
    places = place_one(np.random.default_rng(0), 0.1, 1.0, np.array([[[0.0, 0.0]], [[5.0, 5.0]]]), np.array([1.0]))
    assert np.isnan(places[0]).all() and np.isfinite(places[1]).all()
