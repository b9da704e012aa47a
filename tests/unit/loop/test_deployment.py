"""A released policy at work: by what it acts, who gets a share, and what is taken back."""

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.cli import main
from heeler.core.audit import AUDIT_NAME, entries, verify
from heeler.core.errors import CheckpointError, ConfigError, DataError, RunError
from heeler.core.gate_records import GateRecords
from heeler.core.releases import Release, Releases, state_of
from heeler.core.rundir import RunDirectory
from heeler.loop.deploying import deploy
from heeler.loop.deployment import CANARY, WATCH, Deployment
from heeler.loop.deployment_lanes import Lanes
from heeler.loop.overseers.course import EpisodeCount
from heeler.oversight.harm import LiveConfig
from tests.unit.core.test_releases import killed
from tests.unit.loop.balancing import GATE, a_policy, a_run, config, foist, observations, offer

LIVE = LiveConfig(share=0.3, num_episodes=30, error_rate=0.05)
NAMES = [str(uuid.UUID(int=number, version=4)) for number in range(1, 9)]


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """Two that balance, and one that does the opposite; the first is in use."""
    made = a_run(tmp_path / "run", {100: 5.0, 200: 6.0, 300: -5.0})
    offer(made, 100)
    return made


def states(directory: RunDirectory) -> dict[int, str]:
    releases = Releases(directory)
    in_use = releases.in_use()
    return {release.step: state_of(release, in_use) for release in releases.all()}


def at_work(directory: RunDirectory, num_lanes: int = 8, **settings: Any) -> Deployment:
    return Deployment(directory.path, num_lanes=num_lanes, **({"config": LIVE} | settings))


def chosen(strength: float, seen: np.ndarray) -> list[int]:
    return a_policy(config(), strength).act(seen, None).numpy()[:, 0].tolist()


def approve_as_is(directory: RunDirectory, step: int, name: str) -> Release:
    """Two people put a checkpoint into use that no gate was asked about."""
    releases = Releases(directory)
    releases.propose(name, step, "ann", audit_head="0" * 64)
    return releases.approve(name, "bea")


# Acting


def test_it_acts_by_what_was_released(directory: RunDirectory) -> None:
    seen = observations(8)
    with at_work(directory) as deployment:
        assert deployment.act(seen).tolist() == chosen(5.0, seen)
    assert chosen(5.0, seen) != chosen(-5.0, seen)


def test_where_nothing_is_released_nothing_acts(tmp_path: Path) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0})
    with pytest.raises(RunError, match=r"no release of .* is in use"):
        at_work(directory)
    assert not (directory.path / "gates").exists()


def test_one_deployment_at_a_time_follows_a_run(directory: RunDirectory) -> None:
    with at_work(directory), pytest.raises(RunError, match="is followed by another deployment"):
        at_work(directory)
    with at_work(directory):
        pass


def test_a_rollback_counts_from_the_next_step_on(directory: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    bad = foist(directory, 300, NAMES[0], current_sha256=Releases(directory).all()[0].checkpoint_sha256)
    Releases(directory, needs_gate=True).approve(bad.id, "gate")
    seen = observations(8)
    with at_work(directory) as deployment:
        assert deployment.act(seen).tolist() == chosen(-5.0, seen)
        deployment.observe(np.ones(8), np.zeros(8, bool))
        assert deployment.act(seen).tolist() == chosen(-5.0, seen)
        # In the middle of every episode.
        assert main(["rollback", str(directory.path)]) == 0
        assert deployment.act(seen).tolist() == chosen(5.0, seen)
        deployment.observe(np.ones(8), np.ones(8, bool))
        assert deployment.watch is not None and deployment.watch.num_episodes == 0, "these tell of neither of the two"
        assert main(["rollback", str(directory.path)]) == 0
        with pytest.raises(RunError, match="in use any more, so that nothing may act"):
            deployment.act(seen)
        # Until something is released again.
        approve_as_is(directory, 200, NAMES[1])
        assert deployment.act(seen).tolist() == chosen(6.0, seen)
        assert deployment.watch is None, "nothing says what it may come to"
    assert "no release is in use now" in capsys.readouterr().out


def test_a_release_in_use_that_was_altered_does_not_act(directory: RunDirectory) -> None:
    (release,) = Releases(directory).all()
    path = Releases(directory).checkpoint_folder(release) / "tensors.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(CheckpointError, match="does not match its manifest"):
        at_work(directory)
    # And the run can be followed once that is mended.
    path.write_bytes(content)
    with at_work(directory):
        pass


# Canary


def test_a_candidate_gets_a_share_and_then_all(directory: RunDirectory) -> None:
    second, _ = offer(directory, 200)
    done = deploy(directory.path, num_episodes=120, config=LIVE, seed=1)
    assert states(directory) == {100: "approved", 200: "in use"}
    assert done.in_use == second.id
    assert done.changes == ("the release of step 200 acts",)
    assert done.return_mean == 100.0
    release = next(one for one in Releases(directory).all() if one.id == second.id)
    assert release.approved_by == CANARY
    record = next(one for one in GateRecords(directory).all() if one.details["kind"] == "canary")
    assert record.passed and record.details["num_episodes"] == LIVE.num_episodes
    assert record.details["means"]["return"] == 100.0
    acts = [(entry.person, entry.act) for entry in entries(directory.path / AUDIT_NAME, after=0, limit=99)]
    assert acts[-2:] == [("canary", "canary.decide"), ("canary", "release.approve")]
    assert verify(directory.path / AUDIT_NAME).is_sound
    assert not list((directory.path / "gates").glob(".canary-*")), "nothing is left to go on with"


def test_a_harmful_candidate_is_taken_back_early(directory: RunDirectory) -> None:
    (good,) = Releases(directory).all()
    bad = foist(directory, 300, NAMES[0], current_sha256=good.checkpoint_sha256)
    told: list[str] = []
    done = deploy(directory.path, num_episodes=200, config=LIVE, seed=1, on_change=told.append)
    assert states(directory) == {100: "in use", 300: "withdrawn"}
    assert (done.in_use, told) == (good.id, ["the release of step 100 acts"])
    record = next(one for one in GateRecords(directory).all() if one.details["kind"] == "canary")
    assert not record.passed
    assert "return shown to be worse than allowed" in record.reasons[0]
    assert record.details["num_episodes"] < 20, "long before its thirty episodes are over"
    assert record.details["means"]["return"] < 20
    taken = next(one for one in Releases(directory).all() if one.id == bad.id)
    assert taken.withdrawn_by == CANARY
    # It stays away.
    with at_work(directory) as deployment:
        assert deployment.candidate is None


def test_about_the_share_of_all_episodes_is_the_candidate_s(directory: RunDirectory) -> None:
    second, _ = offer(directory, 200)
    with at_work(directory, num_lanes=400) as deployment:
        lanes = dict(deployment._lanes.by_release("?", {second.id, Releases(directory).all()[-1].id}))
    assert lanes[second.id].mean() == pytest.approx(0.3, abs=0.07)


def test_evidence_is_gone_on_with_after_a_stop(directory: RunDirectory) -> None:
    offer(directory, 200)
    patient = replace(LIVE, num_episodes=60)
    deploy(directory.path, num_episodes=60, config=patient, seed=1)
    with at_work(directory, config=patient) as deployment:
        assert deployment.canary is not None and deployment.watch is not None
        first = deployment.canary.num_episodes
        assert 5 < first < 60
        assert deployment.canary.means()["return"] == 100.0
        assert deployment.watch.num_episodes > first
    deploy(directory.path, num_episodes=300, config=patient, seed=1)
    assert states(directory)[200] == "in use"
    record = next(one for one in GateRecords(directory).all() if one.details["kind"] == "canary")
    assert record.details["num_episodes"] == 60


def test_a_candidate_that_was_altered_after_its_gate_gets_no_share(directory: RunDirectory) -> None:
    second, _ = offer(directory, 200)
    path = Releases(directory).checkpoint_folder(second) / "tensors.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b"x")
    with at_work(directory) as deployment:
        assert deployment.candidate is None
        assert "does not match its manifest" in deployment.refused[0]
    assert states(directory)[200] == "proposed"


def test_a_candidate_that_was_altered_during_its_share_is_not_approved(directory: RunDirectory) -> None:
    second, _ = offer(directory, 200)
    with at_work(directory, num_lanes=8) as deployment:
        path = Releases(directory).checkpoint_folder(second) / "state.json"
        path.unlink()
        path.write_bytes(b"{}")
        for _ in range(40):
            deployment.act(observations(8))
            deployment.observe(np.full(8, 100.0), np.ones(8, bool))
        assert states(directory)[200] == "proposed"
        assert deployment.candidate is None
        assert "damaged" in deployment.refused[0]


def test_a_candidate_that_was_kept_back_or_is_for_people_gets_no_share(directory: RunDirectory) -> None:
    kept, _ = offer(directory, 300)
    by_people = config(replace(GATE, approval="people"))
    offer(directory, 200, by_people)
    assert states(directory) == {100: "in use", 200: "proposed", 300: "proposed"}
    with at_work(directory) as deployment:
        assert deployment.candidate is None
    assert kept.gate_sha256 is not None


def test_a_candidate_on_trial_is_not_put_aside_for_a_newer_one(directory: RunDirectory) -> None:
    second, _ = offer(directory, 200)
    with at_work(directory) as deployment:
        assert deployment.candidate is not None and deployment.candidate.id == second.id
        (good, _) = sorted(Releases(directory).all(), key=lambda one: one.step)
        foist(directory, 300, NAMES[0], current_sha256=good.checkpoint_sha256)
        deployment.act(observations(8))
        assert deployment.candidate.id == second.id


def test_a_candidate_that_people_take_back_acts_no_more(directory: RunDirectory) -> None:
    second, _ = offer(directory, 200)
    with at_work(directory, num_lanes=40) as deployment:
        deployment.act(observations(40))
        assert main(["rollback", str(directory.path), "--release", second.id]) == 0
        seen = observations(40)
        assert deployment.act(seen).tolist() == chosen(5.0, seen)
        assert deployment.candidate is None


# Watch


def test_a_release_that_does_harm_is_rolled_back_by_itself(directory: RunDirectory) -> None:
    (good,) = Releases(directory).all()
    bad = foist(directory, 300, NAMES[0], current_sha256=good.checkpoint_sha256)
    Releases(directory, needs_gate=True).approve(bad.id, "gate")
    done = deploy(directory.path, num_episodes=300, config=LIVE, seed=2)
    assert states(directory) == {100: "in use", 300: "withdrawn"}
    assert done.in_use == good.id
    taken = next(one for one in Releases(directory).all() if one.id == bad.id)
    assert taken.withdrawn_by == WATCH
    record = next(one for one in GateRecords(directory).all() if one.details["kind"] == "watch")
    assert not record.passed and record.details["num_episodes"] < 40
    acts = [(entry.person, entry.act) for entry in entries(directory.path / AUDIT_NAME, after=0, limit=99)]
    assert acts[-2:] == [("watch", "watch.decide"), ("watch", "release.withdraw")]


def test_where_the_only_release_does_harm_nothing_acts_any_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0, 300: -5.0})
    bad = foist(directory, 300, NAMES[0])
    Releases(directory, needs_gate=True).approve(bad.id, "gate")
    assert main(["deploy", str(directory.path), "--episodes", "300", "--seed", "2"]) == 0
    said = capsys.readouterr().out
    assert "no release is in use, so that nothing acts" in said
    assert "in use: nothing" in said
    assert states(directory) == {300: "withdrawn"}


def test_a_release_that_does_as_it_did_stays(directory: RunDirectory) -> None:
    deploy(directory.path, num_episodes=150, config=LIVE, seed=3)
    assert states(directory) == {100: "in use"}
    with at_work(directory) as deployment:
        assert deployment.watch is not None
        assert deployment.watch.num_episodes >= 140
        assert deployment.watch.verdict().decision == "allow"


# What it is given


def test_a_cost_with_a_budget_has_to_be_told(tmp_path: Path) -> None:
    from tests.unit.oversight.episodes import SPEED, episodes, made_record

    directory = a_run(tmp_path / "run", {100: 5.0})
    sha256 = directory.load_checkpoint(100).sha256
    gate = replace(GATE, num_episodes=400, max_costs={"speed": 1000.0})
    ones = np.linspace(90, 100, 400)
    record = made_record(
        gate,
        episodes(ones, speed=np.zeros(400)),
        episodes(ones),
        costs=(SPEED,),
        hashes={"candidate_sha256": sha256, "current_sha256": None},
    )
    releases = Releases(directory, needs_gate=True)
    releases.propose(NAMES[0], 100, "learner", audit_head="0" * 64, gate=record)
    releases.approve(NAMES[0], "gate")
    with pytest.raises(ConfigError, match="has a budget of the cost 'speed'"):
        at_work(directory)
    with at_work(directory, num_lanes=2, cost_names=("speed",)) as deployment:
        for _ in range(40):
            if deployment.in_use is None:
                break
            deployment.act(observations(2))
            deployment.observe(np.full(2, 95.0), np.ones(2, bool), np.full((2, 1), 400.0))
    assert states(directory) == {100: "withdrawn"}, "it costs far more than it was released with"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.ones(3), np.zeros(2, bool), None), r"reward: expected the shape \[2\], got \[3\]"),
        ((np.ones(2), np.zeros(3, bool), None), "ended: expected the shape"),
        ((np.ones(2), np.zeros(2, bool), np.ones((2, 1))), "cost: expected the shape"),
        ((np.array([1.0, np.nan]), np.zeros(2, bool), None), "reward, row 1: expected a finite number, got nan"),
    ],
)
def test_what_does_not_fit_is_named(given: tuple[Any, ...], message: str, directory: RunDirectory) -> None:
    with at_work(directory, num_lanes=2) as deployment, pytest.raises(DataError, match=message):
        deployment.observe(*given)


def test_an_observation_that_is_none_moves_nothing(directory: RunDirectory) -> None:
    seen = observations(2)
    with at_work(directory, num_lanes=2) as deployment:
        assert deployment.act(seen.astype(np.float64)).tolist() == chosen(5.0, seen)
        for bad in (seen[:1], seen[0], np.zeros((3, 4))):
            with pytest.raises(DataError, match=r"observation: expected \[2, O\] numbers"):
                deployment.act(bad)
        seen[1, 2] = np.nan
        with pytest.raises(DataError, match="observation, row 1: expected finite numbers"):
            deployment.act(seen)


@pytest.mark.parametrize(("settings", "message"), [({"num_lanes": 0}, "num_lanes must be >= 1")])
def test_settings_that_cannot_be_are_refused(settings: dict[str, int], message: str, directory: RunDirectory) -> None:
    with pytest.raises(ConfigError, match=message):
        at_work(directory, **settings)
    with pytest.raises(ConfigError, match="num_episodes must be >= 1"):
        deploy(directory.path, num_episodes=0)


# Lanes


def lanes_of(num: int, release: str = "a") -> Lanes:
    lanes = Lanes(EpisodeCount(num, ("x",)), np.random.default_rng(0))
    lanes.begin(np.arange(num), release, None, 0.5)
    return lanes


def step(lanes: Lanes, ended: list[int], reward: float = 1.0) -> list[tuple[str, float, int]]:
    mask = np.zeros(3, bool)
    mask[ended] = True
    lanes.add(np.full(3, reward), mask, np.full((3, 1), 2.0))
    return [(release, episode.episode_return, episode.length) for release, episode in lanes.take()]


def test_episodes_are_told_in_the_order_in_which_they_began() -> None:
    """Short ones end first: in the order of their ends they would tell of failures before anything else."""
    lanes = lanes_of(3)
    assert step(lanes, [1, 2]) == [], "the first is not over yet"
    lanes.begin(np.array([1, 2]), "a", None, 0.5)
    assert step(lanes, [1]) == []
    lanes.begin(np.array([1]), "a", None, 0.5)
    assert step(lanes, [0]) == [("a", 3.0, 3), ("a", 1.0, 1), ("a", 1.0, 1), ("a", 1.0, 1)]
    # Those that began with the second and the third step are still going on.
    assert step(lanes, [1]) == []


def test_an_episode_in_which_another_release_took_over_tells_of_neither() -> None:
    lanes = lanes_of(3)
    lanes.begin(np.array([0]), "b", None, 0.5)
    step(lanes, [])
    assert {name: rows.tolist() for name, rows in lanes.by_release("a", {"a"})} == {"a": [True] * 3}
    told = step(lanes, [0, 1, 2])
    assert told == [("a", 2.0, 2)] * 2


@pytest.mark.parametrize("at", [2, 9, 25, 60, 75, 80, 85, 90, 95])
def test_a_deployment_that_was_killed_at_any_write_comes_to_the_same(at: int, directory: RunDirectory) -> None:
    (good,) = Releases(directory).all()
    foist(directory, 300, NAMES[0], current_sha256=good.checkpoint_sha256)
    killed(at, lambda: deploy(directory.path, num_episodes=200, config=LIVE, seed=1))
    deploy(directory.path, num_episodes=200, config=LIVE, seed=1)
    assert states(directory) == {100: "in use", 300: "withdrawn"}
    assert verify(directory.path / AUDIT_NAME).is_sound
