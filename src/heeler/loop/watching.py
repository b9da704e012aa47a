"""The watch over a run: hands what it shows to every monitor after each update, and keeps what they found.

A finding goes to three places: a line of the audit log (`monitor.finding`), figures of the row of metrics
(`findings`, and `findings/NAME` for each), and `Watch.findings`, which whoever decides reads. Watching changes nothing
that is learned: it draws no random number and writes to nothing that learning reads.
"""

import dataclasses
import statistics
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Protocol

import numpy as np

from heeler.core.errors import LearningError, RunError, WorldError
from heeler.core.rollout import Rollout
from heeler.core.rundir import RunDirectory
from heeler.loop.acts import Acts, HasStep
from heeler.loop.config import RunConfig
from heeler.loop.machine import WrittenCheckpoints, machine
from heeler.loop.new_answers import NewAnswers
from heeler.loop.parts import Arrays, Kept, Part
from heeler.loop.progress import EpisodeReturns
from heeler.loop.watchdog import Watchdog
from heeler.oversight.finding import Finding
from heeler.oversight.monitors import MONITORS, OF_THE_POLICY, Monitor, MonitorsConfig, Seen, Setup, acted

FINDING = "monitor.finding"
"""The act of the audit log that a finding is."""
MAY_CHANGE = ("monitors", *(f"monitors.{each.name}" for each in dataclasses.fields(MonitorsConfig)))
"""Settings that nothing learned depends on, by their dotted names."""
_MAX_WORDS = 1000
_USUAL_UPDATES = 20


class Asking(Protocol):
    """Whoever puts questions for a run."""

    teacher: Any
    """A simulated one, or None for people."""
    new_answers: NewAnswers
    """That came since the last update."""

    @property
    def num_open(self) -> int:
        """Questions that wait for an answer."""
        ...


class Watch(Part):
    """Every monitor of one run.

    Args:
        setup: of the run.
        directory: of the run.
    """

    name = "watch"

    def __init__(self, setup: Setup, directory: RunDirectory) -> None:
        self.setup, self.config = setup, setup.config
        self._acts, self._checkpoints = Acts(directory), WrittenCheckpoints(directory)
        self._path = directory.path
        self.monitors: dict[str, Monitor] = {
            kind.name: kind(setup) for kind in MONITORS if kind.name not in self.config.off
        }
        self.findings: list[Finding] = []
        """Of the last update."""
        self._quiet_until: dict[str, int] = {}
        self._num_episodes = 0
        self._took_s: list[float] = []
        self._stalls: list[Finding] = []
        """That the watchdog told of since the last update."""
        self.dog = Watchdog(self._patience_s, self._silent)
        self._step = 0

    def look(
        self,
        row: Mapping[str, float],
        *,
        rollout: Rollout | None = None,
        reward: np.ndarray | None = None,
        returns: EpisodeReturns | None = None,
        people: Asking | None = None,
    ) -> dict[str, float]:
        """Hand an update to all monitors; returns figures of what they found for its row.

        Args:
            row: of metrics.
            rollout: what was acted.
            reward: [T, N] as the learner got it.
            returns: of the run's episodes.
            people: whom it asks.
        """
        self._step = int(row["step"])
        seen = Seen(
            step=self._step,
            update=int(row["update"]),
            row=row,
            acted=None if rollout is None else acted(rollout, reward),
            # What the world pays is not what people want of it.
            returns=() if people and people.teacher is None else self._ended(returns),
            answers=people.new_answers.take() if people else (),
            num_open=people.num_open if people else 0,
            machine=machine(self._path) if "resources" in self.monitors else {},
            damaged=self._checkpoints.damaged() if "checkpoints" in self.monitors else (),
        )
        found = [finding for monitor in self.monitors.values() if (finding := monitor.look(seen)) is not None]
        new = [one for one in found if seen.update >= self._quiet_until.get(one.monitor, 0)]
        for finding in new:
            self._quiet_until[finding.monitor] = seen.update + 1 + self.config.quiet_updates
            self._write(finding)
        stalls, self._stalls = self._stalls, []
        self.findings = stalls + new
        self._took_s = [*self._took_s, sum(row.get(name, 0.0) for name in ("acting_s", "reward_s", "learning_s"))]
        self._took_s = self._took_s[-_USUAL_UPDATES:]
        self.dog.beat()
        if not self.findings:
            return {}
        return {"findings": float(len(self.findings))} | {f"findings/{one.monitor}": 1.0 for one in self.findings}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that watch, those that only the loop can tell of among them."""
        others = (name for name in ("stall", "breakdown") if name not in self.config.off)
        return (*self.monitors, *others)

    def begin_anew(self) -> None:
        """A fresh policy takes over: nothing of the one before tells what is usual of it."""
        for kind in OF_THE_POLICY:
            if kind.name in self.monitors:
                self.monitors[kind.name] = kind(self.setup)

    def wrote_checkpoint(self, step: int) -> None:
        """The run wrote this checkpoint itself."""
        self._checkpoints.written(step)

    @contextmanager
    def over(self, run: HasStep, *, for_stalls: bool = True) -> Generator[None]:
        """Watch from outside as well while the block runs: that it goes on (`for_stalls`), and how it ends."""
        watches_stalls = for_stalls and "stall" not in self.config.off
        self._step = run.step
        if watches_stalls:
            self.dog.start()
        try:
            yield
        except (LearningError, WorldError) as error:
            if "breakdown" not in self.config.off:
                self.findings = [Finding(monitor="breakdown", step=run.step, reason=str(error)[:_MAX_WORDS])]
                # The log may be what cannot be written; that must not hide what happened.
                with suppress(RunError):
                    self._write(self.findings[0])
            raise
        finally:
            if watches_stalls:
                self.dog.stop()

    def _patience_s(self) -> float:
        usual_s = statistics.median(self._took_s) if self._took_s else 0.0
        return max(self.config.stall_s, _USUAL_UPDATES * usual_s)

    def _silent(self, silent_s: float) -> None:
        reason = f"No update ended for {silent_s:.3g} s: a world may hang, or the machine or its disk"
        stall = Finding(monitor="stall", step=self._step, reason=reason, evidence={"silent_s": round(silent_s, 3)})
        self._stalls.append(stall)
        with suppress(RunError):
            self._write(stall)

    def _write(self, finding: Finding) -> None:
        reason, evidence = finding.reason[:_MAX_WORDS], dict(finding.evidence)
        self._acts.note(FINDING, monitor=finding.monitor, step=finding.step, reason=reason, evidence=evidence)

    def _ended(self, returns: EpisodeReturns | None) -> list[float]:
        """Returns of the episodes that ended since the last look."""
        if returns is None:
            return []
        number, self._num_episodes = returns.num_episodes - self._num_episodes, returns.num_episodes
        latest = [one for one, _ in returns.latest]
        return latest[max(0, len(latest) - number) :] if number > 0 else []

    def state(self) -> dict[str, Any]:
        """JSON-ready values that a checkpoint keeps."""
        return {
            "monitors": {name: monitor.state_dict() for name, monitor in self.monitors.items()},
            "quiet_until": self._quiet_until,
            "num_episodes": self._num_episodes,
        }

    def kept(self) -> Kept:
        """What a checkpoint keeps."""
        return {}, self.state()

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Go on from what `kept` returned; checkpoints of runs that nobody watched do not hold it."""
        if state:
            self.load(state)

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned; monitors that were off then begin now."""
        self.findings = []
        for name, monitor in self.monitors.items():
            if name in state["monitors"]:
                monitor.load_state_dict(state["monitors"][name])
        self._quiet_until = dict(state["quiet_until"])
        self._num_episodes = int(state["num_episodes"])


def watch_over(config: RunConfig, directory: RunDirectory, cost_names: Sequence[str]) -> Watch | None:
    """The watch of a run; None where it has none."""
    if config.monitors is None:
        return None
    costs = config.limits.costs if config.limits else ()
    return Watch(setup_of(config, config.monitors, cost_names, {cost.name: cost.budget for cost in costs}), directory)


def setup_of(
    config: RunConfig, monitors: MonitorsConfig, cost_names: Sequence[str], budgets: Mapping[str, float]
) -> Setup:
    """What monitors have to know of a run."""
    return Setup(
        config=monitors,
        num_updates=config.num_updates,
        cost_names=tuple(cost_names),
        budgets=budgets,
        learns_reward=config.learns_reward,
        num_answers=_num_answers(config),
    )


def _num_answers(config: RunConfig) -> int:
    """That the run may ask for: of all kinds about as many as there is time for."""
    if config.kinds:
        return config.kinds.expected_answers(config.kinds.schedule.budget)
    return config.preferences.schedule.budget if config.preferences else 0


def watched(watch: Watch | None, run: HasStep, *, for_stalls: bool = True) -> AbstractContextManager[None]:
    """`Watch.over` the run, where there is a watch."""
    return nullcontext() if watch is None else watch.over(run, for_stalls=for_stalls)
