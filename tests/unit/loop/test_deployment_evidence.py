"""What a candidate is compared with while it acts in a share of the episodes."""

from dataclasses import replace
from pathlib import Path

import pytest

from heeler.core.gate_records import GateRecord
from heeler.loop import deployment_evidence
from heeler.loop.deployment_evidence import Evidence
from heeler.oversight.harm import LiveConfig, LiveEpisode, canary_values
from tests.unit.loop.balancing import GATE, a_run, config, offer


def episode(episode_return: float) -> LiveEpisode:
    return LiveEpisode(episode_return=episode_return, length=10, costs={})


def test_each_episode_of_the_release_in_use_is_compared_with_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were one compared with again, what is bet on had been seen."""
    own = config(replace(GATE, approval="canary"))
    directory = a_run(tmp_path / "run", {100: 5.0, 200: 6.0}, own)
    in_use, candidate = (offer(directory, step, own)[0] for step in (100, 200))
    compared: list[tuple[float, float]] = []

    def values(record: GateRecord, one: LiveEpisode, usual: float) -> dict[str, float]:
        compared.append((one.episode_return, usual))
        return canary_values(record, one, usual)

    monkeypatch.setattr(deployment_evidence, "canary_values", values)
    evidence = Evidence("canary", directory, candidate, LiveConfig(), in_use)
    evidence.add_usual(episode(10.0))
    evidence.add(episode(1.0))
    evidence.add(episode(2.0))
    for usual in (30.0, 50.0, 70.0):
        evidence.add_usual(episode(usual))
    evidence.add(episode(3.0))
    assert compared == [(1.0, 10.0), (2.0, 30.0), (3.0, 60.0)]
    assert evidence.num_episodes == 3
