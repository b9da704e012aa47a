"""Random streams: one seed a run, one independent stream a purpose, all of them saved and restored exactly."""

import hashlib
from typing import Any

import numpy as np


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator for one purpose of a run; streams of different purposes are independent.

    Args:
        seed: the run's seed.
        purpose: a short name, such as `"teacher"`; the same name gives the same stream.
    """
    digest = hashlib.sha256(purpose.encode()).digest()
    return np.random.Generator(np.random.PCG64([seed, int.from_bytes(digest[:8], "little")]))


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The generator's state as JSON-ready values (integers of any size are kept exactly)."""
    return dict(generator.bit_generator.state)


def restore_generator(state: dict[str, Any]) -> np.random.Generator:
    """The generator that `generator_state` described."""
    generator = np.random.Generator(np.random.PCG64())
    generator.bit_generator.state = state
    return generator
