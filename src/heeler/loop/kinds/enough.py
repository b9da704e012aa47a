"""Whether to go on asking: whether answers still change what is learned."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heeler.loop.kinds.config import EnoughConfig

_BEGIN_AGAIN = 2.0


@dataclass(kw_only=True)
class Enough:
    """Stops the asking, and begins it again where there is something new to learn.

    A policy that goes where none was before meets questions that say more: at twice the rate below which it stopped,
    asking begins again. Between the two nothing changes, so that it does not begin and stop by turns.
    """

    config: EnoughConfig
    best_rate: float | None = None
    """Bits a second that the best question said at the last asking; None before one was scored."""
    ranks: list[float] = field(default_factory=list[float])
    """Of the latest fits, how alike they rank the latest clips to the fit before."""
    rates: list[float] = field(default_factory=list[float])
    """The best rate at each of them."""
    is_over: bool = False
    """Whether nobody is asked any more."""

    def asked(self, best_rate: float) -> str | None:
        """Questions were scored: the best says so many bits a second. Returns why asking begins again, if it does."""
        self.best_rate = best_rate
        if self.is_over and best_rate >= _BEGIN_AGAIN * self.config.bits_per_s:
            self.begin_again()
            return (
                f"the best question is expected to say {best_rate:.3g} bits a second again, twice what it stopped at: "
                "there is something new to learn"
            )
        return None

    def fitted(self, before_K: np.ndarray, after_K: np.ndarray) -> str | None:
        """The reward was fitted again: how it judged the latest clips before and after. Returns why asking stops, where
        it does."""
        if self.best_rate is None or self.is_over or len(after_K) < 2:
            return None
        self.ranks = [*self.ranks, rank_correlation(before_K, after_K)][-self.config.num_fits :]
        self.rates = [*self.rates, self.best_rate][-self.config.num_fits :]
        is_full = len(self.ranks) == self.config.num_fits
        if not is_full or min(self.ranks) < self.config.rank or max(self.rates) >= self.config.bits_per_s:
            return None
        self.is_over = True
        return (
            f"in {self.config.num_fits} fits in a row the latest clips were ranked as before (correlation at least "
            f"{min(self.ranks):.3f}), and the best question was expected to say {max(self.rates):.2g} bits a second at "
            f"most, less than {self.config.bits_per_s:g}: answers no longer change what is learned"
        )

    def begin_again(self) -> None:
        """Forget what spoke for stopping."""
        self.ranks, self.rates, self.is_over = [], [], False

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"best_rate": self.best_rate, "ranks": self.ranks, "rates": self.rates, "is_over": self.is_over}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.best_rate, self.ranks = state["best_rate"], list(state["ranks"])
        self.rates, self.is_over = list(state["rates"]), state["is_over"]


def rank_correlation(one_K: np.ndarray, other_K: np.ndarray) -> float:
    """Spearman's, ties by their mean rank; 0 where one says the same of all.

    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 15.0]))
    0.5
    """
    ranks = [_ranks(values) for values in (one_K, other_K)]
    if any(each.std() == 0 for each in ranks):
        return 0.0
    return round(float(np.corrcoef(ranks[0], ranks[1])[0, 1]), 12)


def _ranks(value_K: np.ndarray) -> np.ndarray:
    _, inverse, count = np.unique(value_K, return_inverse=True, return_counts=True)
    last = count.cumsum()
    return ((last - count + last - 1) / 2)[inverse]
