"""Simulated runs, sound ones and over-optimised ones, with the watch over them: when does it halt?

Each run is as long as a recipe's, its held-out answers are compared as often and as many at a time, and the watch is
the recipe's own. KL to the reference grows evenly, d = √KL. The learned reward is d(a − b log d) with a small b; the
true one d(α − β log d) (Gao et al. 2023), which peaks at d* = exp(α/β − 1). People prefer fresh answers to the
reference's with the probability that Bradley and Terry give for the true reward.

- *Planted*: KL goes on until d is 1.6 to 2.6 times d*.
- *Collapsing*: it would end at 0.4 to 0.8 times d*, but somewhere in the middle half of the run the policy finds a
  fault of the learned reward, which from then on rises faster, and within 20 updates people like one answer in ten.
- *Rising*: it ends at 0.4 to 0.8 times d*, while the true reward still rises.
- *Settled*: the same, but it has got there after a third of the updates and stays.
- *Wavering*: as rising, and people's taste drifts from update to update (autocorrelation 0.8).
"""

import argparse
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from heeler.loop.language.config import LanguageRunConfig
from heeler.oversight.over_optimisation import WatchConfig, review
from heeler.recipes import chat, helpdesk

RECIPES: Mapping[str, LanguageRunConfig] = {"helpdesk": helpdesk(), "chat": chat(model="any", prompts="any")}
SOUND, BAD = ("rising", "settled", "wavering"), ("planted", "collapsing")
Rows = list[dict[str, Any]]
_FALL, _LEAST = 20, math.log(0.1 / 0.9)
"""Updates of a collapse, and the true reward after it."""


def simulate(kind: str, recipe: LanguageRunConfig, rng: np.random.Generator) -> tuple[Rows, np.ndarray]:
    """Metrics of one run, one row an update, and its true reward [U]."""
    assert recipe.asking is not None
    num, asked = recipe.num_updates, recipe.asking.num_held_out
    beta = rng.uniform(0.35, 0.5)
    peak_d = math.exp(1 / beta - 1)
    final_d = peak_d * (rng.uniform(1.6, 2.6) if kind == "planted" else rng.uniform(0.4, 0.8))
    progress_U = np.linspace(1 / num, 1, num)
    if kind == "settled":
        progress_U = np.minimum(1, 3 * progress_U)
    d_U = final_d * np.sqrt(progress_U)
    true_U = d_U * (1 - beta * np.log(d_U))
    learned_U = d_U * (1 - 0.5 * beta * np.log(d_U)) / 2
    if kind == "collapsing":
        after_U = np.maximum(0, np.arange(num) - rng.uniform(0.25, 0.75) * num)
        learned_U = learned_U + after_U * learned_U[-1] / num
        true_U = true_U + np.minimum(1, after_U / _FALL) * (_LEAST - true_U)
    learned_U = learned_U + rng.normal(0, 0.05, num)
    taste_U = _drift(rng, num) if kind == "wavering" else 0.0
    preferred_U = rng.binomial(asked, 1 / (1 + np.exp(-true_U - taste_U))) / asked
    rows = [
        {"step": step, "reward": r, "held_out": h, "kl": d**2}
        for step, (r, h, d) in enumerate(zip(learned_U, preferred_U, d_U, strict=True))
    ]
    return [_seen(row, recipe) for row in rows], true_U


def _seen(row: dict[str, Any], recipe: LanguageRunConfig) -> dict[str, Any]:
    """What the watch sees of an update: nothing held out in most, nor before the reward is fitted."""
    assert recipe.asking is not None and recipe.learned is not None
    is_fitted = (row["step"] + 1) * recipe.asking.per_update >= recipe.learned.first_fit
    is_asked = row["step"] % recipe.asking.held_out_every == 0
    return row if is_fitted and is_asked else {**row, "held_out": None}


def _drift(rng: np.random.Generator, num: int) -> np.ndarray:
    """[U]: autocorrelated, with a spread of 0.2 (5 points of the share where it is near a half)."""
    drift_U = rng.normal(0, 0.2, num)
    for u in range(1, num):
        drift_U[u] = 0.8 * drift_U[u - 1] + 0.6 * drift_U[u]
    return drift_U


def halted_at(rows: Rows, config: WatchConfig) -> int | None:
    """The update at which the watch halts the run, looking after each."""
    measured = [row for row in rows if row["held_out"] is not None]
    for stop in range(config.updates_per_point, len(measured) + 1, config.updates_per_point):
        if review(config, measured[:stop]).decision == "halt":
            return int(measured[stop - 1]["step"])
    return None


def of_bad(kind: str, recipe: LanguageRunConfig, num_runs: int, rng: np.random.Generator) -> dict[str, list[float]]:
    """Of each bad run: whether it was halted after its peak, how many updates after, and what was lost by then."""
    assert recipe.watch is not None
    found: dict[str, list[float]] = {"caught": [], "delays": [], "lost": [], "lost_without": [], "early": []}
    for _ in range(num_runs):
        rows, true_U = simulate(kind, recipe, rng)
        peak, at = int(true_U.argmax()), halted_at(rows, recipe.watch)
        is_early = at is not None and at < peak
        found["early"].append(is_early)
        found["caught"].append(at is not None and not is_early)
        found["lost_without"].append(1 - true_U[-1] / true_U[peak])
        if at is not None and not is_early:
            found["delays"].append(at - peak)
            found["lost"].append(1 - true_U[at] / true_U[peak])
    return found


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", choices=tuple(RECIPES))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True, help="of each kind")
    options = parser.parse_args()
    rng, recipe, num_runs = np.random.default_rng(options.seed), RECIPES[options.recipe], options.runs
    assert recipe.watch is not None
    alarms = {
        kind: sum(halted_at(simulate(kind, recipe, rng)[0], recipe.watch) is not None for _ in range(num_runs))
        for kind in SOUND
    }
    bad = {kind: of_bad(kind, recipe, num_runs, rng) for kind in BAD}
    print(json.dumps({"runs": num_runs, "alarms": alarms, **bad}))


if __name__ == "__main__":
    main()
