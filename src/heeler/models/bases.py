"""Features in which a model can learn fast: tiles, radial bases, numbers brought to one scale, or as they are.

Shapes: ... any batch, O observation numbers, F features.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from heeler.core.errors import ConfigError

BasisKind = Literal["plain", "scaled", "tiles", "radial"]
_MAX_FEATURES = 100_000


@dataclass(frozen=True, kw_only=True)
class BasisConfig:
    """Which features."""

    kind: BasisKind = "plain"
    """`plain`: the numbers themselves; in a grid world, whose numbers are 0 and 1, a weight for each cell. `scaled`:
    the numbers from -1 to 1 between their bounds, and 1. `tiles`: overlapping grids, each of which says in which of its
    cells a state lies (Sutton and Barto 2018, 9.5.4). `radial`: how near a state is to each point of a grid (the same,
    9.5.5)."""
    constant: bool = True
    """Whether a 1 stands beside `scaled` numbers. Without it nothing is done alike on both sides of the middle, which
    is what is right where left and right are mirror images."""
    columns: tuple[int, ...] | None = None
    """Which numbers of an observation are seen, by their places; None for all."""
    num_cells: int = 8
    """Cells of a grid of tiles, or points of one of radial bases, along each number."""
    num_tilings: int = 8
    """Grids of tiles, each a little beside the one before."""
    low: tuple[float, ...] | None = None
    """The lower bound of each number; None for the world's. What lies beyond is seen as if it stood at the bound."""
    high: tuple[float, ...] | None = None
    """The upper bounds."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(BasisKind):
            raise ConfigError(f"basis.kind must be one of {', '.join(get_args(BasisKind))}, got {self.kind!r}")
        for name in ("num_cells", "num_tilings"):
            if getattr(self, name) < 1:
                raise ConfigError(f"basis.{name} must be >= 1, got {getattr(self, name)}")
        if not self.constant and self.kind != "scaled":
            raise ConfigError(
                f"basis.constant is for scaled numbers and would be ignored with {self.kind}; leave it out"
            )
        if self.columns is not None and (not self.columns or len(set(self.columns)) != len(self.columns)):
            raise ConfigError(f"basis.columns must be places, each once, or None for all, got {self.columns}")
        if (self.low is None) != (self.high is None):
            raise ConfigError("basis.low and basis.high go together; give both or none")


class Basis:
    """Makes features of observations. Squares of tiles and radial bases sum to 1, so that a step size of 1 learns a
    state whole.

    Args:
        config: which.
        space: of one environment's observations, flat.

    Raises:
        ConfigError: bounds are missing or the wrong way round, or there would be too many features.
    """

    def __init__(self, config: BasisConfig, space: Box) -> None:
        self.config = config
        self._columns = _columns(config, space)
        num_seen = len(self._columns)
        self.low, self.high = _bounds(config, space) if _needs_bounds(config) else (torch.zeros(0), torch.ones(0))
        if config.kind in ("plain", "scaled"):
            self.size = num_seen + (config.kind == "scaled" and config.constant)
            return
        side = config.num_cells + 1 if config.kind == "tiles" else config.num_cells
        cells = side**num_seen
        self.size = cells * (config.num_tilings if config.kind == "tiles" else 1)
        if self.size > _MAX_FEATURES:
            raise ConfigError(
                f"basis: {config.kind} of {num_seen} numbers with num_cells {config.num_cells} would be "
                f"{self.size:,} features, more than {_MAX_FEATURES:,}; set kind to 'plain', or num_cells lower"
            )
        self._strides = torch.tensor([side**place for place in range(num_seen)])
        points = torch.linspace(0, 1, config.num_cells) if config.num_cells > 1 else torch.tensor([0.5])
        self._centres_FO = torch.tensor(list(product(points.tolist(), repeat=num_seen)))

    def __call__(self, observation: Tensor) -> Tensor:
        """[..., F] float32 of [..., O]."""
        seen = observation if self.config.columns is None else observation[..., self._columns]
        if self.config.kind == "plain":
            return seen
        place = ((seen - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
        if self.config.kind == "scaled":
            from_middle = 2 * place - 1
            if not self.config.constant:
                return from_middle
            return torch.cat([from_middle, torch.ones_like(place[..., :1])], -1)
        return self._tiles(place) if self.config.kind == "tiles" else self._radial(place)

    def _tiles(self, place: Tensor) -> Tensor:
        num_tilings, cells = self.config.num_tilings, self.size // self.config.num_tilings
        # Asymmetric shifts, by the first odd numbers (Miller and Glanz 1996), leave no diagonal bands.
        odd = 2 * torch.arange(place.shape[-1]) + 1
        shift_GO = (torch.arange(num_tilings)[:, None] * odd % num_tilings) / num_tilings
        # At the upper bound itself stands the last cell.
        scaled = place[..., None, :] * self.config.num_cells * (1 - 1e-6) + shift_GO
        index = (scaled.floor().long() * self._strides).sum(-1) + torch.arange(num_tilings) * cells
        feature = torch.zeros(*place.shape[:-1], self.size)
        return feature.scatter_(-1, index, 1 / math.sqrt(num_tilings))

    def _radial(self, place: Tensor) -> Tensor:
        spacing = 1 / max(1, self.config.num_cells - 1)
        square = (place[..., None, :] - self._centres_FO).square().sum(-1) / spacing**2
        feature = torch.exp(-0.5 * square)
        return feature / feature.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def _needs_bounds(config: BasisConfig) -> bool:
    if config.kind == "plain" and config.low is not None:
        raise ConfigError("basis.low and basis.high would be ignored, as plain numbers have no bounds; leave them out")
    return config.kind != "plain"


def _columns(config: BasisConfig, space: Box) -> list[int]:
    size = int(np.prod(space.shape))
    columns = list(range(size)) if config.columns is None else list(config.columns)
    if not set(columns) <= set(range(size)):
        raise ConfigError(f"basis.columns must be places among an observation's {size} numbers, got {config.columns}")
    return columns


def _bounds(config: BasisConfig, space: Box) -> tuple[Tensor, Tensor]:
    columns = _columns(config, space)
    low = config.low or tuple(float(space.low.ravel()[place]) for place in columns)
    high = config.high or tuple(float(space.high.ravel()[place]) for place in columns)
    if len(low) != len(columns) or len(high) != len(columns):
        raise ConfigError(
            f"basis.low and basis.high must have {len(columns)} numbers each, got {len(low)} and {len(high)}"
        )
    for place, least, most in zip(columns, low, high, strict=True):
        if not (math.isfinite(least) and math.isfinite(most) and least < most):
            raise ConfigError(
                f"basis: number {place} of an observation goes from {least:g} to {most:g}, and {config.kind} needs "
                "finite bounds, the lower first; set basis.low and basis.high"
            )
    return torch.tensor(low, dtype=torch.float32), torch.tensor(high, dtype=torch.float32)
