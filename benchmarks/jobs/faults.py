"""Short runs with a fault planted halfway, and the same runs without: what the monitors tell of them.

Runs of 60 updates: CartPole and Pendulum on the true reward, a swimmer under a speed limit, and Pendulum learned from
the comparisons of ten simulated persons. A fault begins at update 30, or a little later by its seed. It is caught if a
monitor that fits it finds something from then on, before the run's end. In runs without a fault every finding is a
false alarm. Prints {"faults": {name: {"caught", "by": updates until each monitor found something, "delay": the least of
those that fit}}, "clean", "false_alarms", "alarms": {run: what was found}, "monitors": all}; progress goes to standard
error.
"""

import argparse
import gc
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.jobs.planted import FAULTS, Fault, with_crowd
from heeler.core.errors import LearningError, WorldError
from heeler.core.rundir import RunDirectory
from heeler.envs import EnvConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.feedback.stores import open_store
from heeler.loop.config import LimitsConfig, RunConfig, to_dict
from heeler.loop.online import OnlineRun
from heeler.loop.report_findings import read_findings
from heeler.loop.watching import watched
from heeler.oversight.finding import Finding
from heeler.oversight.monitors import MONITOR_NAMES, MonitorsConfig
from heeler.recipes import ppo, preferences, velocity
from heeler.rewards.preference_model import PreferenceModelConfig
from heeler.safety.costs import CostConfig

UPDATES, AT = 60, 30


def cartpole(seed: int) -> RunConfig:
    """CartPole on its true reward."""
    config = ppo(env="CartPole-v1", seed=seed, num_envs=32)
    return _short(config, num_steps=64, minibatch_size=512)


def pendulum(seed: int) -> RunConfig:
    """Pendulum on its true reward."""
    config = ppo(env="Pendulum-v1", seed=seed, num_envs=16)
    return _short(config, num_steps=64, minibatch_size=256)


def limits(seed: int) -> RunConfig:
    """A swimmer under a speed limit, in short episodes."""
    settings: dict[str, Any] = {"max_episode_steps": 100, "speed_limit": 0.1}
    costs = (CostConfig(name="velocity", budget=45.0), CostConfig(name="energy", budget=0.6, per="step"))
    config = replace(
        velocity(env="SwimmerVelocity", seed=seed),
        env=EnvConfig(id="SwimmerVelocity", num_envs=8, num_threads=1, kwargs=settings),
        limits=LimitsConfig.of("ppo_lagrangian", costs),
    )
    return _short(config, num_steps=64, minibatch_size=256)


def people(seed: int) -> RunConfig:
    """Pendulum, learned from comparisons."""
    config = preferences(env="Pendulum-v1", seed=seed, budget=1200)
    assert config.preferences is not None
    asking = replace(
        config.preferences,
        schedule=LabelSchedule(budget=1200, initial_share=0.15, decay_share=10.0, finish_share=1.0),
        num_warmup_rollouts=4,
        refit_every=150,
        acquisition="random",
        segment_length=20,
        model=PreferenceModelConfig(num_members=3, hidden_sizes=(16,), max_epochs=3, learning_rate=3e-3),
    )
    config = replace(config, env=replace(config.env, num_envs=16), preferences=asking)
    return _short(config, num_steps=64, minibatch_size=256)


def _short(config: RunConfig, *, num_steps: int, minibatch_size: int) -> RunConfig:
    algorithm = replace(
        config.algorithm,
        num_epochs=4,
        minibatch_size=minibatch_size,
        policy=replace(config.algorithm.policy, hidden_sizes=(32, 32)),
    )
    return replace(
        config,
        algorithm=algorithm,
        num_steps=num_steps,
        total_steps=UPDATES * num_steps * config.env.num_envs,
        checkpoint_every=10,
        monitors=MonitorsConfig(),
    )


RUNS: Mapping[str, Callable[[int], RunConfig]] = {
    "cartpole": cartpole,
    "pendulum": pendulum,
    "limits": limits,
    "people": people,
}


def learn(config: RunConfig, path: Path, fault: Fault | None = None, at: int = AT) -> list[Finding]:
    """Make a run with a fault, or without; returns what was found."""
    directory = RunDirectory.create(path, to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        if online.preferences:
            with_crowd(online)
        online.begin()
        try:
            # A breakdown is told of as such, where anybody watches.
            with suppress(LearningError, WorldError), watched(online.watch, online):
                while not online.is_finished:
                    if fault is not None and online.update >= at:
                        fault.plant(online, online.update - at)
                    online.iterate()
        finally:
            online.world.close()
    return read_findings(path)


def monitors_of(fault: Fault, path: Path) -> MonitorsConfig:
    """Settings with the fault's own."""
    settings = dict(fault.settings)
    if settings.get("least_free_disk_mb", 0) < 0:
        settings["least_free_disk_mb"] += shutil.disk_usage(path).free / (1 << 20)
    return MonitorsConfig(**settings)


def planted(fault: Fault, seed: int, folder: Path) -> dict[str, Any]:
    """Whether a fault is caught, by what, and after how many updates."""
    at = AT + seed % 5
    config = replace(RUNS[fault.run](seed), monitors=monitors_of(fault, folder))
    findings = [one for one in learn(config, folder / "run", fault, at) if one.step >= at * config.steps_per_update]
    by: dict[str, int] = {}
    for one in findings:
        # What is told of while an update goes on, or as it ends the run, bears the step of the one before.
        by.setdefault(one.monitor, max(1, one.step // config.steps_per_update - at))
    fitting = [delay for monitor, delay in by.items() if monitor in fault.monitors]
    return {"caught": bool(fitting), "by": by, "delay": min(fitting, default=None)}


def main() -> None:
    """Run all, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clean", type=int, default=40, help="runs without a fault")
    parser.add_argument("--faults", nargs="*", help="these alone")
    arguments = parser.parse_args()
    chosen = [one for one in FAULTS if arguments.faults is None or one.name in arguments.faults]
    found: dict[str, Any] = {}
    for fault in chosen:
        found[fault.name] = _timed(fault.name, lambda folder, fault=fault: planted(fault, arguments.seed, folder))
    alarms: dict[str, list[str]] = {}
    for number in range(arguments.clean):
        kind = list(RUNS)[number % len(RUNS)]
        seed = 1000 * (arguments.seed + 1) + number
        findings = _timed(f"clean {kind} {seed}", lambda folder, k=kind, s=seed: learn(RUNS[k](s), folder / "run"))
        if findings:
            alarms[f"{kind}-{seed}"] = [f"{one.monitor} at {one.step}: {one.reason}" for one in findings]
    number = sum(len(each) for each in alarms.values())
    counted = {"clean": arguments.clean, "false_alarms": number, "alarms": alarms, "monitors": MONITOR_NAMES}
    print(json.dumps({"faults": found} | counted))


def _timed(label: str, work: Callable[[Path], Any]) -> Any:
    began, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = work(Path(folder))
    gc.collect()
    took = f"{time.perf_counter() - began:.1f} s, {time.process_time() - cpu:.1f} s of a processor"
    print(f"{label}: {result} ({took})", file=sys.stderr, flush=True)
    return result


if __name__ == "__main__":
    main()
