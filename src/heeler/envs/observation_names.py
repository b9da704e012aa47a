"""What the numbers of an observation are, of worlds where that is known."""

from collections.abc import Mapping

from heeler.envs.config import EnvConfig

_LEGS = ("thigh angle", "leg angle", "foot angle")
_LEFT = tuple(f"left {name}" for name in _LEGS)
_SIDES = tuple(f"{side} {part} angle" for side in ("back", "front") for part in ("thigh", "shin", "foot"))


def _with_speeds(*places: str, first: tuple[str, ...] = ("speed along x",)) -> tuple[str, ...]:
    """Places, then the speeds of what was left out before them, then their own."""
    return (*places, *first, *(f"speed of {place}" for place in places))


_HOPPER = _with_speeds("height", "torso angle", *_LEGS)
_WALKER = _with_speeds("height", "torso angle", *_LEGS, *_LEFT)
_CHEETAH = _with_speeds("height", "torso angle", *_SIDES)
_SWIMMER = _with_speeds(
    "front angle", "first joint angle", "second joint angle", first=("speed along x", "speed along y")
)
_CAR = ("position", "velocity")

_NAMES: Mapping[str, tuple[str, ...]] = {
    "Acrobot-v1": (
        "cosine of the first angle",
        "sine of the first angle",
        "cosine of the second angle",
        "sine of the second angle",
        "speed of the first angle",
        "speed of the second angle",
    ),
    "CartPole-v1": ("cart position", "cart velocity", "pole angle", "pole angular velocity"),
    "HalfCheetah-v5": _CHEETAH,
    "HalfCheetahVelocity": _CHEETAH,
    "Hopper-v5": _HOPPER,
    "HopperVelocity": _HOPPER,
    "MountainCar-v0": _CAR,
    "MountainCarContinuous-v0": _CAR,
    "PointMaze": ("x", "y"),
    "Pendulum-v1": ("cosine of the angle", "sine of the angle", "angular velocity"),
    "Swimmer-v5": _SWIMMER,
    "SwimmerVelocity": _SWIMMER,
    "Walker2d-v5": _WALKER,
    "Walker2dVelocity": _WALKER,
}


def observation_names(config: EnvConfig, size: int) -> tuple[str, ...]:
    """A name for each of `size` numbers: what it is where that is known, else its place.

    >>> observation_names(EnvConfig(id="Pendulum-v1"), 3)
    ('cosine of the angle', 'sine of the angle', 'angular velocity')
    >>> observation_names(EnvConfig(id="my:World"), 2)
    ('number 0', 'number 1')
    """
    known = _NAMES.get(config.id, ())
    # A world's own settings may leave numbers out or add some.
    return known if len(known) == size else tuple(f"number {index}" for index in range(size))
