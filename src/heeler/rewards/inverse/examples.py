"""Example files, so that inverse reinforcement learning can be tried at once."""

from pathlib import Path

import numpy as np

from heeler.rewards.inverse.canonical import true_tables
from heeler.rewards.inverse.choice_data import ChoiceData, choice_data, write_choices
from heeler.rewards.inverse.choices import probabilities
from heeler.rewards.inverse.demonstrations import Demonstrations, sampled, write_demonstrations
from heeler.rewards.inverse.grids import lava_world
from heeler.rewards.inverse.planning import plan
from heeler.rewards.inverse.world_files import write_world

LAYOUT = ("S....", ".LL..", ".L.#.", "...#.", ".LL.G")
WAY_WEIGHTS = {"steps": -0.4, "lava": -1.5, "turns": -0.2}
"""What the simulated walkers go by."""
RATIONALITY = 14.0
"""How much `LavaGrid`'s reward weighs against chance: little enough that walkers wander a bit, and tell more by it."""


def write_example(folder: Path | str, *, seed: int = 0) -> list[Path]:
    """Write a lava grid, demonstrations in it by a simulated walker who is often right, and choices among ways.

    Args:
        folder: `world.npz`, `demonstrations.npz` and `choices.csv` are written there; files of these names are
        replaced.
        seed: of the walkers.

    Returns:
        The files.

    Raises:
        RunError: the folder cannot be written.
    """
    folder = Path(folder)
    rng = np.random.default_rng(seed)
    demonstrations = example_demonstrations(rng)
    paths = [folder / name for name in ("world.npz", "demonstrations.npz", "choices.csv")]
    write_world(demonstrations.world, paths[0])
    write_demonstrations(demonstrations, paths[1])
    write_choices(example_choices(rng), paths[2])
    return paths


def example_demonstrations(rng: np.random.Generator, *, num: int = 100) -> Demonstrations:
    """Walks of a soft policy under `LavaGrid`'s reward, sharpened, of at most 40 steps."""
    world = lava_world(LAYOUT, slip=0.1, discount=0.95, horizon=40)
    tables = true_tables(world)
    assert tables is not None
    step_SA, end_S = tables
    return sampled(world, plan(world, RATIONALITY * step_SA, RATIONALITY * end_S).policy_TSA, num, rng)


def example_choices(rng: np.random.Generator, *, num: int = 300) -> ChoiceData:
    """Choices among two to four ways, which differ in steps, lava cells and turns."""
    sizes = rng.integers(2, 5, num)
    set_N = np.repeat(np.arange(num), sizes)
    columns = [rng.integers(4, 13, len(set_N)), rng.integers(0, 4, len(set_N)), rng.integers(0, 6, len(set_N))]
    feature_NF = np.stack(columns, axis=1).astype(float)
    first_N = np.zeros(len(set_N), bool)
    first_N[np.concatenate(([0], np.cumsum(sizes)[:-1]))] = True
    asked = choice_data(set_N, first_N, feature_NF, tuple(WAY_WEIGHTS))
    chance_N = probabilities(asked, feature_NF @ np.array(list(WAY_WEIGHTS.values())))
    taken_N = np.zeros(len(set_N), bool)
    for start, size in zip(asked.start_C, sizes, strict=True):
        taken_N[start + rng.choice(size, p=chance_N[start : start + size])] = True
    return choice_data(set_N, taken_N, feature_NF, tuple(WAY_WEIGHTS))
