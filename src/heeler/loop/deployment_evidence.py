"""What is known of a candidate and of the release in use from acting in earnest, kept between two processes.

It lies in hidden files beside the gate's records, one for each release that is followed, until it is decided; the
decision is a record like that of the gate.
"""

import json
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np

from heeler.core.errors import RunError
from heeler.core.gate_records import GateRecord, GateRecords
from heeler.core.releases import Release
from heeler.core.rundir import RunDirectory, write_atomically
from heeler.core.verdict import Verdict
from heeler.oversight.harm import (
    LiveConfig,
    LiveEpisode,
    canary_tests,
    canary_values,
    watch_tests,
    watch_values,
)

Kind = Literal["canary", "watch"]
CANARY: Final = "canary"
WATCH: Final = "watch"
"""Who approves and withdraws by what was seen while a release was at work."""
LOCK = ".deployment.lock"
"""Held by whoever follows a run, beside the gate's records."""


class Evidence:
    """What the episodes of one release have shown so far.

    Args:
        kind: of a candidate, beside the release in use; or of the release in use by itself.
        directory: of the run.
        release: that is followed; its gate has passed it.
        config: how it is followed.
        beside: the release in use, of a candidate.
    """

    def __init__(
        self, kind: Kind, directory: RunDirectory, release: Release, config: LiveConfig, beside: Release | None = None
    ) -> None:
        assert release.gate_sha256 is not None
        self.kind, self.release, self.beside, self.config = kind, release, beside, config
        records = GateRecords(directory)
        self.record = records.get(release.gate_sha256)
        self.tests = (canary_tests if kind == "canary" else watch_tests)(self.record, config)
        name = release.id if beside is None else f"{release.id}-{beside.id}"
        self.path = records.path / f".{kind}-{name}.json"
        self._waiting: deque[LiveEpisode] = deque()
        """Of a candidate, that no episode of the release in use stands beside yet."""
        self._usual: list[float] = []
        """Returns of the release in use that no episode of the candidate was compared with yet."""
        self._sums: dict[str, float] = {"num": 0.0}
        self._load()

    def add(self, episode: LiveEpisode) -> None:
        """Take in an episode of the release, in the order in which they began."""
        came_to = {"num": 1.0, "return": episode.episode_return, "length": float(episode.length)}
        costs = {f"cost_{name}": cost for name, cost in episode.costs.items()}
        for name, value in (came_to | costs | dict(episode.figures)).items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if self.kind == "watch":
            self.tests.see(watch_values(self.record, self.config, episode))
        else:
            self._waiting.append(episode)
            self._compare()
        self._save()

    def add_usual(self, episode: LiveEpisode) -> None:
        """Take in an episode of the release in use, for a candidate to be compared with."""
        self._usual.append(episode.episode_return)
        self._compare()

    def _compare(self) -> None:
        # Each episode counts once, so that what is bet on has not been seen.
        while self._waiting and self._usual:
            num = max(1, len(self._usual) // len(self._waiting))
            beside, self._usual = self._usual[:num], self._usual[num:]
            self.tests.see(canary_values(self.record, self._waiting.popleft(), float(np.mean(beside))))
            self._save()

    @property
    def num_episodes(self) -> int:
        """That were bet on."""
        return self.tests.num_episodes

    def verdict(self) -> Verdict:
        """`halt` once harm is shown."""
        return self.tests.verdict()

    def means(self) -> dict[str, float]:
        """What the release's episodes came to: `return`, `length`, `cost_NAME`, and what a shield did in them."""
        sums = dict(self._sums)
        num = sums.pop("num")
        return {name: total / num for name, total in sums.items()}

    def decided(self, verdict: Verdict) -> GateRecord:
        """The record of a decision that was come to; nothing is written."""
        passed = verdict.decision == "allow"
        reason = verdict.reason or f"no harm shown in {self.num_episodes:,} episodes"
        return GateRecord(
            candidate_sha256=self.release.checkpoint_sha256,
            current_sha256=None if self.beside is None else self.beside.checkpoint_sha256,
            passed=passed,
            reasons=(f"{self.kind}: {reason}",),
            details={
                "kind": self.kind,
                "release": self.release.id,
                "means": self.means(),
                "share": self.config.share,
                **verdict.evidence,
            },
        )

    def forget(self) -> None:
        """Nothing is to be gone on with."""
        self.path.unlink(missing_ok=True)

    def _save(self) -> None:
        values = {"tests": self.tests.to_json(), "sums": self._sums}
        write_atomically(self.path, json.dumps(values).encode())

    def _load(self) -> None:
        if not self.path.exists():
            return
        try:
            values: Mapping[str, Any] = json.loads(self.path.read_bytes())
            self.tests.load(values["tests"])
            self._sums = dict(values["sums"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.path} cannot be read ({error}); remove it to follow this release anew") from error
