"""A released policy at work: it acts by the release in use, gives candidates a share, and takes back what does harm.

    candidate that its gate passed ──▶ a share of the episodes ──▶ all of them ──▶ watched for as long as it is in use
                                          │ harm shown                                │ harm shown
                                          ▼                                           ▼
                                       withdrawn                          withdrawn; the release before acts again

What people do on the operator's page or by `heeler rollback` counts from the next step on, in the middle of an episode.

Shapes: N lanes, each an episode after another; O observation numbers; C costs.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.errors import CheckpointError, ConfigError, ConflictError, RunError
from heeler.core.gate_records import GateRecords
from heeler.core.locks import held_alone
from heeler.core.releases import Release, Releases, newest_approved
from heeler.core.rundir import RunDirectory
from heeler.core.seeding import stream
from heeler.core.verdict import Verdict
from heeler.envs import World
from heeler.loop.config import from_dict
from heeler.loop.deployment_acting import acted_in
from heeler.loop.deployment_actors import DEPLOYMENT, Actors
from heeler.loop.deployment_evidence import CANARY, LOCK, WATCH, Evidence
from heeler.loop.deployment_lanes import Lanes
from heeler.loop.overseers.course import EpisodeCount
from heeler.loop.released import released_checkpoint
from heeler.oversight.control_gate_records import KIND, claims_in
from heeler.oversight.harm import LiveConfig


class Deployment:
    """Acts by what a run has released. Use it in a `with` block: one at a time follows a run.

    Args:
        run: the run's directory; a learner may be at work on it.
        num_lanes: N: environments, machines or clients that are acted for, each an episode at a time.
        config: how candidates and releases are followed.
        cost_names: of the costs that `observe` is given.
        seed: of which episodes a candidate gets.
        world: that is acted in, with N environments; a shield whose mask or check asks the world needs it. It must
            stand where the observations are from when `act` is called.

    Raises:
        RunError: nothing is released, or another deployment follows the run.
        CheckpointError: the release in use was altered.
        ConfigError: a cost with a budget is not among `cost_names`, or shield or overseers cannot be had here.
    """

    def __init__(
        self,
        run: Path | str,
        *,
        num_lanes: int,
        config: LiveConfig | None = None,
        cost_names: tuple[str, ...] = (),
        seed: int = 0,
        world: World | None = None,
    ) -> None:
        if num_lanes < 1:
            raise ConfigError(f"num_lanes must be >= 1, got {num_lanes}")
        self.directory = RunDirectory.open(Path(run))
        self.run_config, self.config = from_dict(self.directory.config()), config or LiveConfig()
        self._episodes = EpisodeCount(num_lanes, cost_names)
        stands_before = acted_in(self.directory.path, self.run_config, world, self._episodes)
        self._actors = Actors(self.run_config, stands_before, self._episodes, self._tell)
        self._releases = Releases(self.directory, needs_gate=True)
        self._log, self._records = AuditLog(self.directory.path / AUDIT_NAME), GateRecords(self.directory)
        self._cost_names = cost_names
        self._refused: dict[str, str] = {}
        self.in_use: Release | None = None
        self.candidate: Release | None = None
        """What acts in a share of the episodes."""
        self.canary: Evidence | None = None
        self.watch: Evidence | None = None
        """None where the release in use passed no gate, so that nothing says what it may come to."""
        self._seen: object = None
        self._stack = ExitStack()
        busy = f"{self.directory.path} is followed by another deployment; end it first"
        try:
            if self._releases.in_use() is None:
                raise RunError(
                    f"no release of {self.directory.path} is in use, so that nothing may act; `heeler release` gates a "
                    "checkpoint"
                )
            self._records.path.mkdir(exist_ok=True)
            self._stack.enter_context(held_alone(self._records.path / LOCK, busy=busy))
            self._stack.callback(self._actors.keep, [])
            self._settle()
            assert self.in_use is not None
            num_seen = 0 if self.watch is None else self.watch.num_episodes
            # A deployment that is begun again must not draw what it drew before.
            self._lanes = Lanes(self._episodes, stream(seed, f"canary {self.in_use.id} {num_seen}"))
            self._begin(np.arange(num_lanes))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "Deployment":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Follow the run no more."""
        self._stack.close()

    @property
    def refused(self) -> list[str]:
        """Candidates that were not given a share, and why."""
        return list(self._refused.values())

    @property
    def counted(self) -> Mapping[str, int]:
        """Steps so far that overseers and shield, where there are such, did not leave as they were proposed: by the
        names of evaluations' figures."""
        return self._actors.counted

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The likeliest actions, as a world takes them, or what is done in their place; once for every step.

        Args:
            observation: [N, O] float32, the present one of every lane.

        Raises:
            RunHalted: the overseers halt it.
            NothingSafe: no action is safe somewhere, and the shield is to halt then.
            RunError: no release is in use any more.
            CheckpointError: one came into use whose files were altered.
            DataError: an observation is not finite, or there is not one for each lane.
        """
        observation = self._lanes.checked(observation)
        if self._releases.stamp() != self._seen:
            self._settle()
        if self.in_use is None:
            raise RunError(f"no release of {self.directory.path} is in use any more, so that nothing may act")
        return self._actors.act(observation, self._lanes, self.in_use.id)

    def observe(self, reward: np.ndarray, ended: np.ndarray, cost: np.ndarray | None = None) -> None:
        """Take in what came of the actions; candidates and releases are decided on here.

        Args:
            reward: [N] of this step.
            ended: [N] bool: the lane's episode is over, and its next observation begins another.
            cost: [N, C] of this step, in the order of `cost_names`.

        Raises:
            RunError: what is to be decided cannot be written.
        """
        rows = self._lanes.add(reward, ended, cost)
        if not len(rows):
            return
        for release, episode in self._lanes.take():
            if self.in_use is not None and self.in_use.id == release:
                if self.watch is not None:
                    self.watch.add(episode)
                if self.canary is not None:
                    self.canary.add_usual(episode)
            elif self.canary is not None and self.canary.release.id == release:
                self.canary.add(episode)
        self._decide()
        self._begin(rows)

    def _begin(self, rows: np.ndarray) -> None:
        if self.in_use is not None:
            other = None if self.candidate is None else self.candidate.id
            self._lanes.begin(rows, self.in_use.id, other, self.config.share)

    def _decide(self) -> None:
        canary = self.canary
        if canary is not None:
            verdict = canary.verdict()
            if verdict.decision == "halt" or canary.num_episodes >= self.config.num_episodes:
                self._end(canary, verdict, CANARY)
        watch = self.watch
        if watch is not None and (verdict := watch.verdict()).decision == "halt":
            self._end(watch, verdict, WATCH)

    def _end(self, evidence: Evidence, verdict: Verdict, who: str) -> None:
        """Keep the decision, then do it; what a kill cuts short is decided again from the same evidence."""
        record, release = evidence.decided(verdict), evidence.release
        self._records.keep(record)
        outcome = "passed" if record.passed else "harm"
        told = {"step": release.step, "release": release.id, "outcome": outcome, "sha256": record.sha256}
        self._tell(f"{who}.decide", who=who, **told)
        act = "approve" if record.passed else "withdraw"
        change = self._releases.approve if record.passed else self._releases.withdraw

        def note() -> object:
            return self._tell(f"release.{act}", who=who, release=release.id, step=release.step)

        try:
            change(release.id, who, before_commit=note)
        except ConflictError as error:
            # Its files were altered meanwhile, or people have put another release into use.
            self._refused[release.id] = str(error)
        evidence.forget()
        self._settle()

    def _tell(self, act: str, *, who: str = DEPLOYMENT, **details: Any) -> object:
        return self._log.append(who, act, self.directory.path.absolute().name, **details)

    def _settle(self) -> None:
        """Take up what is in use and what is to be tried, as the releases are now."""
        self._seen = self._releases.stamp()
        found = self._releases.all()
        self.in_use = newest_approved(found)
        self.candidate = None if self.in_use is None else self._to_be_tried(found, self.in_use)
        wanted = [release for release in (self.in_use, self.candidate) if release is not None]
        for release in wanted:
            self._prepare(release)
        self._actors.keep([release.id for release in wanted])
        self.watch = self._followed(self.watch, WATCH, self.in_use, None)
        self.canary = self._followed(self.canary, CANARY, self.candidate, self.in_use)

    def _prepare(self, release: Release) -> None:
        """Have it act as its own files have it, with what its shield and overseers had learned by then."""
        if release.id not in self._actors:
            folder = self._releases.checkpoint_folder(release)
            self._actors.add(release.id, released_checkpoint(folder, release))

    def _to_be_tried(self, found: list[Release], in_use: Release) -> Release | None:
        """A candidate that its gate has passed against the release in use: the one on trial, or else the newest."""
        now = None if self.canary is None else self.canary.release.id
        for release in sorted(found, key=lambda one: one.id != now):
            if release.approved_by is not None or release.withdrawn_by is not None or release.id in self._refused:
                continue
            try:
                record = None if release.gate_sha256 is None else self._records.get(release.gate_sha256)
                if record is None or not record.passed or record.current_sha256 != in_use.checkpoint_sha256:
                    continue
                if record.details.get("config", {}).get("approval") != CANARY:
                    continue
                self._prepare(release)
            except CheckpointError as error:
                self._refused[release.id] = str(error)
                continue
            return release
        return None

    def _followed(
        self, now: Evidence | None, kind: str, release: Release | None, beside: Release | None
    ) -> Evidence | None:
        if release is None or release.gate_sha256 is None:
            return None
        if now is not None and (now.release.id, now.beside) == (release.id, beside):
            return now
        record = self._records.get(release.gate_sha256)
        if record.details.get("kind") != KIND:
            return None
        for claim in claims_in(record):
            if claim.name not in self._cost_names:
                raise ConfigError(
                    f"cost_names: release {release.id} has a budget of the cost {claim.name!r}, and nothing tells of "
                    "it; name it, and give it to `observe`"
                )
        return Evidence(CANARY if kind == CANARY else WATCH, self.directory, release, self.config, beside)
