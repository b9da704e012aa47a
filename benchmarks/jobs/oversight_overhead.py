"""How much longer training takes with monitors, the audit log, and overseers that review every step before it is done.

One process, the same run several times side by side: bare, with monitors, and with monitors and overseers of all three
charges (conduct, which learns what is usual; a budget; a written rule). They take turns update by update, each time in
another order, so that whatever else the machine does meets all of them. Prints, of each world, "slowdown_WORLD",
"slowdown_monitors_WORLD" and "update_s_WORLD": medians over blocks of updates, as conduct learns anew only every five.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig, to_dict
from heeler.loop.online import OnlineRun
from heeler.loop.overseers.settings import OverseersConfig
from heeler.loop.watching import watched
from heeler.oversight.monitors import MonitorsConfig
from heeler.oversight.overseers.conduct import ConductConfig
from heeler.oversight.overseers.resources import ResourceBudget
from heeler.recipes import ppo

SKIPPED, BLOCK = 6, 15
"""Updates: in the first memory is laid out, and conduct has not yet learned anything to go by."""
WORLDS = {"HalfCheetah-v5": 10, "CartPole-v1": 10, "Ant-v5": 2}
"""With the blocks of updates that are measured: Ant's take long."""
RULES = """rules:
  - name: no more than the motors can
    when: max(abs(action)) > 100
"""
_CLEAR = 1e12
"""A budget that nothing comes near: what is measured is the looking."""


def overseers(folder: Path) -> OverseersConfig:
    """One of each charge."""
    rules = folder / "rules.yaml"
    rules.write_text(RULES)
    budget = ResourceBudget(name="energy", limit=_CLEAR)
    return OverseersConfig(conduct=ConductConfig(), resources=(budget,), rules=str(rules))


@contextmanager
def running(config: RunConfig, path: Path) -> Iterator[OnlineRun]:
    """A run that is ready for its first update."""
    directory = RunDirectory.create(path, to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        with watched(online.watch, online):
            yield online
        online.world.close()


def update_s(online: OnlineRun) -> float:
    """Wall seconds of an update; its checkpoint and lines of the audit log are among them where such are due."""
    began = time.perf_counter()
    online.iterate()
    return time.perf_counter() - began


def measure(env: str, seed: int, num_blocks: int) -> Mapping[str, float]:
    """Figures of one world."""
    updates = SKIPPED + num_blocks * BLOCK
    config = ppo(env=env, seed=seed)
    config = replace(config, total_steps=updates * config.steps_per_update)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        configs = {
            "bare": replace(config, monitors=None),
            "monitors": replace(config, monitors=MonitorsConfig()),
            "all": replace(config, monitors=MonitorsConfig(), overseers=overseers(folder)),
        }
        runs = {kind: stack.enter_context(running(one, folder / kind)) for kind, one in configs.items()}
        rounds: list[dict[str, float]] = []
        for turn in range(updates):
            order = list(runs)[turn % 3 :] + list(runs)[: turn % 3]
            rounds.append({kind: update_s(runs[kind]) for kind in order})
    starts = range(SKIPPED, updates - BLOCK + 1, BLOCK)
    blocks = [{kind: sum(one[kind] for one in rounds[at : at + BLOCK]) for kind in runs} for at in starts]
    short = env.partition("-")[0].lower()
    return {
        f"slowdown_{short}": statistics.median(one["all"] / one["bare"] for one in blocks) - 1,
        f"slowdown_monitors_{short}": statistics.median(one["monitors"] / one["bare"] for one in blocks) - 1,
        f"update_s_{short}": statistics.median(one["bare"] for one in blocks) / BLOCK,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blocks", type=int, default=None, help="of updates in each world; as WORLDS says by default")
    arguments = parser.parse_args()
    printed: dict[str, float] = {}
    for env, num_blocks in WORLDS.items():
        printed |= measure(env, arguments.seed, arguments.blocks or num_blocks)
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
