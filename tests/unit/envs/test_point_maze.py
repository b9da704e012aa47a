"""The maze's wall: what crosses it beside the gap stops, on either side, whichever side the gap is on."""

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.envs import EnvConfig, World, make


def maze(gap: str = "left", num_envs: int = 4) -> World:
    return make(EnvConfig(id="PointMaze", num_envs=num_envs, kwargs={"gap": gap}), 0)


def after(gap: str, place: tuple[float, float], action: tuple[float, float]) -> tuple[float, float]:
    world = maze(gap, 1)
    world.reset(seed=0)
    world.set_physics(np.array([[*place, -1.0 if gap == "left" else 1.0]]))
    seen, reward, terminated, _, _ = world.step(np.array([action], np.float32))
    assert not terminated[0]
    assert reward[0] == pytest.approx(-np.hypot(seen[0, 0], seen[0, 1] - 0.7), abs=1e-6)
    return float(seen[0, 0]), float(seen[0, 1])


@pytest.mark.parametrize(
    ("gap", "place", "action", "wanted"),
    [
        ("left", (0.0, -0.5), (0.5, -0.5), (0.05, -0.55)),
        ("left", (0.0, -0.05), (0.0, 1.0), (0.0, 0.0)),
        ("left", (-0.5, -0.05), (0.0, 1.0), (-0.5, 0.05)),
        ("right", (-0.5, -0.05), (0.0, 1.0), (-0.5, 0.0)),
        ("right", (0.5, -0.05), (0.0, 1.0), (0.5, 0.05)),
        ("right", (0.5, 0.05), (0.0, -1.0), (0.5, -0.05)),
        ("left", (0.5, 0.05), (0.0, -1.0), (0.5, 0.0)),
        ("left", (0.98, -0.98), (1.0, -1.0), (1.0, -1.0)),
        ("left", (0.0, -0.5), (9.0, 0.0), (0.1, -0.5)),
        # Where the way meets the wall counts, not where it leads.
        ("left", (-0.26, -0.05), (-1.0, 1.0), (-0.36, 0.05)),
        ("left", (-0.22, -0.05), (-1.0, 1.0), (-0.32, 0.0)),
    ],
)
def test_a_step(gap, place, action, wanted):
    assert after(gap, place, action) == pytest.approx(wanted, abs=1e-5)


def test_against_a_loop_nothing_ever_passes_the_wall_beside_the_gap():
    world = maze("right", 64)
    world.reset(seed=1)
    rng = np.random.default_rng(0)
    seen = world.physics()[:, :2]
    crossed = 0
    for _ in range(200):
        following, _, _, truncated, _ = world.step(rng.uniform(-1, 1, (64, 2)).astype(np.float32))
        now = world.physics()[:, :2]
        for before, reached, cut in zip(seen, now, truncated, strict=True):
            if not cut and (before[1] < 0) != (reached[1] < 0):
                crossed += 1
                share = before[1] / (before[1] - reached[1])
                assert before[0] + share * (reached[0] - before[0]) >= 0.3 - 1e-9
        np.testing.assert_allclose(following, now, atol=1e-6)
        seen = now
    assert crossed > 5
    world.close()


def test_other_sides_are_refused():
    with pytest.raises(ConfigError, match="gap"):
        maze("middle")
