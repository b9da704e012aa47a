"""Simulated runs, sound ones and over-optimised ones, with the watch over them: when does it halt?

Every run has 300 updates. Its KL to the reference grows evenly, d = √KL. The learned reward is d(a − b log d) with a
small b; the true one d(α − β log d) (Gao et al. 2023), which peaks at d* = exp(α/β − 1). People compare 64 fresh
answers an update with the reference's, and prefer them with the probability that Bradley and Terry give for the true
reward.

- *Planted*: KL goes on until d is 1.6 to 2.6 times d*.
- *Rising*: it ends at 0.4 to 0.8 times d*, while the true reward still rises.
- *Settled*: the same, but it has got there after a third of the updates and stays.
- *Wavering*: as rising, and people's taste drifts from update to update (autocorrelation 0.5).
"""

import argparse
import json
import math
from typing import Any

import numpy as np

from heeler.oversight.over_optimisation import WatchConfig, review

NUM_UPDATES, NUM_COMPARISONS = 300, 64
SOUND = ("rising", "settled", "wavering")
Rows = list[dict[str, Any]]


def simulate(kind: str, rng: np.random.Generator) -> tuple[Rows, np.ndarray]:
    """Metrics of one run, and its true reward [U]."""
    beta = rng.uniform(0.35, 0.5)
    peak_d = math.exp(1 / beta - 1)
    final_d = peak_d * (rng.uniform(1.6, 2.6) if kind == "planted" else rng.uniform(0.4, 0.8))
    progress_U = np.linspace(1 / NUM_UPDATES, 1, NUM_UPDATES)
    if kind == "settled":
        progress_U = np.minimum(1, 3 * progress_U)
    d_U = final_d * np.sqrt(progress_U)
    true_U = d_U * (1 - beta * np.log(d_U))
    learned_U = d_U * (1 - 0.5 * beta * np.log(d_U)) / 2 + rng.normal(0, 0.05, NUM_UPDATES)
    taste_U = _drift(rng) if kind == "wavering" else 0.0
    preferred_U = rng.binomial(NUM_COMPARISONS, 1 / (1 + np.exp(-true_U - taste_U))) / NUM_COMPARISONS
    rows = [
        {"step": step, "reward": r, "held_out": h, "kl": d**2}
        for step, (r, h, d) in enumerate(zip(learned_U, preferred_U, d_U, strict=True))
    ]
    return rows, true_U


def _drift(rng: np.random.Generator) -> np.ndarray:
    """[U]: autocorrelated, with a spread of 0.2 (5 points of the share where it is near a half)."""
    drift_U = rng.normal(0, 0.2, NUM_UPDATES)
    for u in range(1, NUM_UPDATES):
        drift_U[u] = 0.5 * drift_U[u - 1] + math.sqrt(0.75) * drift_U[u]
    return drift_U


def halted_at(rows: Rows, config: WatchConfig) -> int | None:
    """The update at which the watch halts the run, looking after each."""
    for update in range(config.updates_per_point - 1, len(rows), config.updates_per_point):
        if review(config, rows[: update + 1]).decision == "halt":
            return update
    return None


def of_planted(num_runs: int, rng: np.random.Generator, config: WatchConfig) -> dict[str, list[float]]:
    """Of each planted run: whether it was halted after its peak, how many updates after, and what was lost by then."""
    found: dict[str, list[float]] = {"caught": [], "delays": [], "lost": [], "lost_without": [], "early": []}
    for _ in range(num_runs):
        rows, true_U = simulate("planted", rng)
        peak, at = int(true_U.argmax()), halted_at(rows, config)
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
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True, help="of each kind")
    options = parser.parse_args()
    rng, config = np.random.default_rng(options.seed), WatchConfig()
    alarms = {
        kind: sum(halted_at(simulate(kind, rng)[0], config) is not None for _ in range(options.runs)) for kind in SOUND
    }
    print(json.dumps({"runs": options.runs, "alarms": alarms, **of_planted(options.runs, rng, config)}))


if __name__ == "__main__":
    main()
