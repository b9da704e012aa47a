"""What the benchmarks on imitation make of what their jobs print, and which jobs they plan."""

from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks import imitation, peers
from benchmarks.airl_transfer import figures_of as transfer_figures
from benchmarks.harness import BenchmarkError, Job
from benchmarks.imitation import METHODS, TASKS, normalized, speed_ratio

EXPERT = {"demonstrations": "demos.npz", "expert": "run", "sha256": "ab", "expert_return": 110.0, "random_return": 10.0}


def job(value: float, *, steps: int = 1000, wall_s: float = 10.0) -> Job:
    return Job(printed={"return_mean": value, "steps": steps}, wall_s=wall_s, peak_mb=1.0)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(peers, "python", lambda name: f"python-of-{name}")
    return imitation._plan(TASKS, dict.fromkeys(TASKS, EXPERT), [0, 1], False)


def test_every_way_is_measured_on_every_task_and_the_peer_where_it_is_asked(planned: Any) -> None:
    plan, keys = planned
    assert len(plan) == len(keys) == len(set(keys)) == 2 * (5 * 4 + 2 * 3 + 2 * 2)
    commands = [tuple(one.command) for one in plan]
    assert len(set(commands)) == len(commands)
    by_key = dict(zip(keys, commands, strict=True))
    peer = by_key["peer", "Hopper-v5", "airl", 1]
    assert peer[0] == "python-of-imitation" and "Hopper-v4" in peer
    assert peer[peer.index("--steps") + 1] == "500000"
    mine = by_key["compared", "Hopper-v5", "airl", 1]
    assert mine[mine.index("--steps") + 1] == "500000"
    asked = by_key["ours", "Ant-v5", "dagger", 0]
    assert asked[asked.index("--expert") + 1] == "run"
    # The same file for both, by its hash: a kept result is of these demonstrations alone.
    for command in commands:
        assert command[command.index("--demonstrations") + 1] == "demos.npz"
        assert command[command.index("--sha256") + 1] == "ab"


def jobs_of(values: Mapping[tuple[str, str], float]) -> dict[Any, Job]:
    jobs: dict[Any, Job] = {}
    for task in TASKS:
        for method in METHODS:
            jobs["ours", task, method, 0] = job(values.get(("ours", method), 100.0), wall_s=5.0)
    for task in imitation.COMPARED_TASKS:
        for method in imitation.COMPARED_METHODS:
            jobs["peer", task, method, 0] = job(values.get(("peer", method), 60.0), wall_s=60.0)
            jobs["compared", task, method, 0] = job(values.get(("compared", method), 90.0), wall_s=5.0)
    return jobs


def test_figures_of_one_seed() -> None:
    experts = dict.fromkeys(TASKS, EXPERT)
    figures = imitation.figures_of(0, TASKS, experts, jobs_of({("compared", "airl"): 70.0}))
    assert figures["airl_normalised"] == pytest.approx(0.9)
    assert figures["hopper_bc"] == pytest.approx(0.9)
    assert figures["compared_hopper_airl"] == pytest.approx(0.6)
    assert figures["return_ratio_min"] == pytest.approx(0.6 / 0.5)
    assert figures["speed_ratio_min"] == pytest.approx(12.0)
    assert set(imitation.BENCHMARK.targets) <= set(figures)


def test_a_peer_that_learned_nothing_does_not_turn_the_ratio_round() -> None:
    experts = dict.fromkeys(TASKS, EXPERT)
    figures = imitation.figures_of(0, TASKS, experts, jobs_of({("peer", "gail"): -500.0, ("compared", "gail"): 5.0}))
    assert figures["return_ratio_min"] == pytest.approx(-0.05 / 0.01)


def test_speed_is_of_steps_where_they_teach_and_of_the_whole_process_where_not() -> None:
    ours, peer = job(0.0, steps=2000, wall_s=10.0), job(0.0, steps=1000, wall_s=30.0)
    assert speed_ratio(ours, peer, makes_steps=True) == pytest.approx(6.0)
    assert speed_ratio(ours, peer, makes_steps=False) == pytest.approx(3.0)


def test_nought_is_chance_and_one_is_the_expert() -> None:
    assert [normalized(value, EXPERT) for value in (10.0, 110.0, 60.0)] == [0.0, 1.0, 0.5]


def test_shares_of_a_moved_reward() -> None:
    printed = {
        "random_return": -120.0,
        "true_return": -20.0,
        "state_only_return": -30.0,
        "state_action_return": -90.0,
        "expert_return": -19.0,
    }
    figures = transfer_figures(printed)
    assert figures["transfer_share"] == pytest.approx(0.9)
    assert figures["state_action_share"] == pytest.approx(0.3)
    assert figures["expert_return"] == -19.0
    with pytest.raises(BenchmarkError, match="it lacks true_return"):
        transfer_figures({name: value for name, value in printed.items() if name != "true_return"})
