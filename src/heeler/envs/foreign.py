"""What an environment of somebody else's gives, held to what it should be."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from heeler.core.errors import WorldError

FAULTS = (Exception, SystemExit)
"""What an environment may raise, as it is anybody's code. One that exits must not end heeler as if all were done."""

Broken = Callable[[str], WorldError]
"""Makes the error of what is wrong: it names the environment and the step."""


def said(error: BaseException) -> str:
    """An error in words."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def reward_of(value: Any, broken: Broken) -> float:
    """One number, finite or not: the finite check names what is not."""
    number = _one_number(value)
    if number is None:
        raise broken(f"the reward should be one number, got {value!r}")
    return number


def check_flag(name: str, value: Any, broken: Broken) -> None:
    """Refuse as `terminated` or `truncated` what is neither true nor false."""
    if not isinstance(value, bool | np.bool_):
        raise broken(f"{name} should be True or False, got {value!r}")


def costs_of(info: Any, names: Sequence[str], broken: Broken) -> np.ndarray:
    """What a step cost, [C] in the order of `names`.

    Each is a number of `info` under its own name (such as `cost`, or `cost_hazards`), or in a mapping there under
    `cost` or `costs`. The first is taken where there are both.
    """
    if not isinstance(info, Mapping):
        raise broken(f"infos should be a mapping with the costs {', '.join(names)}, got {info!r:.80}")
    nested = [info[name] for name in ("costs", "cost") if isinstance(info.get(name), Mapping)]
    found = {name: value for part in (*nested, info) for name, value in part.items()}
    costs: list[float] = []
    for name in names:
        if name not in found:
            raise broken(f"its infos hold no cost {name!r}; they hold {', '.join(map(str, found)) or 'nothing'}")
        if isinstance(found[name], Mapping):
            raise broken(
                f"the cost {name!r} should be one finite number, got a mapping; name in env.costs what it holds: "
                f"{', '.join(map(str, found[name])) or 'nothing'}"
            )
        number = _one_number(found[name])
        with np.errstate(over="ignore"):  # costs are learned from in float32
            if number is None or not np.isfinite(np.float32(number)):
                raise broken(f"the cost {name!r} should be one finite number, got {found[name]!r}")
        costs.append(number)
    return np.array(costs)


def _one_number(value: Any) -> float | None:
    """`value` where it is one number, or an array without dimensions that holds one."""
    try:
        number = np.asarray(value)
    except ValueError:  # a list of lists of different lengths
        return None
    return float(number) if number.shape == () and number.dtype.kind in "biuf" else None
