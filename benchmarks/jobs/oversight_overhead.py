"""How much longer training takes with monitors, audit log and an overseer's review after each update.

One process, the same recipe twice at a time: with and without, in turns that are swapped, so that neither is always
the warmer. What an overseer would look at after each update, a cheap one reviews: the newest rows of metrics, by rules.
Prints {"slowdown"}, the larger of two worlds, and of each "slowdown_WORLD" and "update_s_WORLD"; medians over the
turns, of the mean update after the first few.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from heeler.core.rundir import RunDirectory
from heeler.core.verdict import Verdict
from heeler.feedback.stores import open_store
from heeler.loop.acts import Acts
from heeler.loop.config import RunConfig, to_dict
from heeler.loop.online import OnlineRun
from heeler.loop.watching import watched
from heeler.oversight.monitors import MonitorsConfig
from heeler.recipes import ppo

SKIPPED = 3
WORLDS = ("CartPole-v1", "HalfCheetah-v5")


def review(rows: Sequence[Mapping[str, float]]) -> Verdict:
    """An overseer that goes by rules: learning may go on while the newest figures are finite and steps are small."""
    newest = rows[-10:]
    evidence = {"kl": statistics.fmean(row.get("kl", 0.0) for row in newest)}
    if evidence["kl"] > 1.0:
        return Verdict(decision="halt", reason="the policy moves too far", evidence=evidence)
    return Verdict(decision="allow", evidence=evidence)


def update_s(config: RunConfig, path: Path, *, reviewed: bool) -> float:
    """Mean wall seconds of an update, its checkpoint and lines of the audit log among them."""
    directory = RunDirectory.create(path, to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online, acts, took = OnlineRun(directory, config, store), Acts(directory), []
        online.begin()
        rows: list[Mapping[str, float]] = []
        with watched(online.watch, online):
            while not online.is_finished:
                began = time.perf_counter()
                row = online.iterate()
                if reviewed and row is not None:
                    rows.append(row)
                    verdict = review(rows)
                    if verdict.decision != "allow":
                        acts.note("overseer.halt", step=online.step, reason=verdict.reason)
                took.append(time.perf_counter() - began)
        online.world.close()
    return statistics.fmean(took[SKIPPED:])


def measure(env: str, seed: int, updates: int, turns: int) -> tuple[list[float], float]:
    """Ratios of each turn, and seconds of an update without."""
    config = ppo(env=env, seed=seed)
    config = replace(config, total_steps=updates * config.steps_per_update)
    ratios, alone = [], []
    for turn in range(turns):
        order = (True, False) if turn % 2 else (False, True)
        times: dict[bool, float] = {}
        for is_on in order:
            with tempfile.TemporaryDirectory() as folder:
                chosen = replace(config, monitors=MonitorsConfig() if is_on else None)
                times[is_on] = update_s(chosen, Path(folder) / "run", reviewed=is_on)
        ratios.append(times[True] / times[False])
        alone.append(times[False])
    return ratios, statistics.median(alone)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--turns", type=int, default=6)
    arguments = parser.parse_args()
    printed: dict[str, float] = {}
    for env in WORLDS:
        ratios, alone = measure(env, arguments.seed, arguments.updates, arguments.turns)
        short = env.partition("-")[0].lower()
        printed |= {f"slowdown_{short}": statistics.median(ratios) - 1, f"update_s_{short}": alone}
    printed["slowdown"] = max(value for name, value in printed.items() if name.startswith("slowdown_"))
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
