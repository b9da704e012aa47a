"""From answers to releases and back, and the card that is written from it."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.core.audit import AUDIT_NAME
from heeler.core.errors import CheckpointError, RunError
from heeler.core.nouns import Feedback, stable_id
from heeler.core.releases import Release, Releases
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import open_store
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.lineage import lineage, releases_with
from heeler.loop.online import OnlineRun
from heeler.loop.reading import policy_of
from heeler.loop.release_card import card_of, write_card
from heeler.loop.release_card_page import as_html, as_markdown
from heeler.loop.release_card_parts import Section, disagreement
from heeler.loop.release_saliency import policy_saliency
from heeler.loop.release_visits import visited
from heeler.loop.running import run
from heeler.oversight.control_gate_config import ControlGateConfig
from tests.unit.loop.balancing import a_run, offer
from tests.unit.loop.test_imitation_loop import answer_all, people_config
from tests.unit.loop.test_limits import tiny_limits
from tests.unit.loop.test_own_costs import learned, runner
from tests.unit.loop.test_release_card import propose
from tests.unit.loop.tiny import tiny_preferences

GATE = ControlGateConfig(margin=90.0, num_episodes=30, return_range=(0.0, 100.0), every=6, approval="gate")


def asking() -> RunConfig:
    """Twelve updates of CartPole by 24 comparisons, with candidates after the sixth and the last."""
    config = tiny_preferences("CartPole-v1", gate=GATE)
    assert config.preferences is not None
    return replace(
        config,
        num_steps=64,
        env=replace(config.env, kwargs={"max_episode_steps": 100}),
        preferences=replace(config.preferences, segment_length=8),
    )


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Who changes it works on a copy."""
    return run(asking(), tmp_path_factory.mktemp("asked") / "run").path


@pytest.fixture
def own(asked: Path, tmp_path: Path) -> RunDirectory:
    return RunDirectory.open(Path(shutil.copytree(asked, tmp_path / "run")))


def releases_of(directory: RunDirectory) -> tuple[Release, Release]:
    """The earlier and the later."""
    first, second = sorted(Releases(directory).all(), key=lambda release: release.step)
    return first, second


def all_answers(directory: RunDirectory) -> list[tuple[int, Feedback]]:
    with open_store(directory) as store:
        return store.feedback_after(0, limit=1000, up_to_step=None)


# Lineage


def test_a_release_tells_which_answers_went_into_it(asked: Path) -> None:
    directory = RunDirectory.open(asked)
    first, second = releases_of(directory)
    told = {release.step: lineage(directory, release) for release in (first, second)}
    early, late = told[first.step], told[second.step]
    assert 0 < len(early.answers) <= len(late.answers) == 24
    assert (len(early.answers), len(late.answers)) == (first.answers, second.answers), "as its manifest says"
    stored = all_answers(directory)
    assert [(one.position, one.feedback) for one in late.answers] == stored
    assert [one.position for one in early.answers] == [position for position, _ in stored][: len(early.answers)]
    assert late.reward is not None and late.reward.num_fitted == 24
    assert early.reward is not None and early.reward.sha256 != late.reward.sha256
    assert late.gate is not None and late.gate.sha256 == second.gate_sha256
    assert late.gate.candidate_sha256 == second.checkpoint_sha256
    assert [entry.act for entry in late.acts] == ["gate.decide", "release.approve", "run.finish"]
    assert (late.problems, late.num_withdrawn) == ((), 0)


def test_an_answer_tells_which_releases_it_went_into(asked: Path) -> None:
    directory = RunDirectory.open(asked)
    first, second = releases_of(directory)
    early = {one.feedback.key for one in lineage(directory, first).answers}
    for _, feedback in all_answers(directory):
        expected = [second, first] if feedback.key in early else [second]
        assert [release.id for release in releases_with(directory, feedback.key)] == [one.id for one in expected]
    with pytest.raises(RunError, match="has no answer with the key 'x'"):
        releases_with(directory, "x")


def test_an_answer_that_came_after_a_release_is_not_its_own(own: RunDirectory) -> None:
    _, second = releases_of(own)
    (_, known), *_ = all_answers(own)
    with open_store(own) as store:
        store.add_annotator("ann", "person")
        late = replace(known, key=stable_id("late"), annotator="ann", answered_step=None)
        store.add_feedback([late])
    assert releases_with(own, late.key) == []
    assert len(lineage(own, second).answers) == 24


def test_the_same_answers_have_the_same_hash_and_others_another(asked: Path, tmp_path: Path) -> None:
    directory = RunDirectory.open(asked)
    first, second = releases_of(directory)
    hashes = {lineage(directory, release).answers_sha256 for release in (first, second)}
    assert lineage(directory, second).answers_sha256 in hashes
    assert (len(hashes) == 1) == (first.answers == second.answers)
    run(asking(), tmp_path / "again")
    again = RunDirectory.open(tmp_path / "again")
    assert {lineage(again, release).answers_sha256 for release in releases_of(again)} == hashes
    other = tmp_path / "other"
    run(replace(asking(), seed=1), other)
    directory = RunDirectory.open(other)
    assert not {lineage(directory, release).answers_sha256 for release in releases_of(directory)} & hashes


def test_answers_that_were_withdrawn_since_are_counted(own: RunDirectory) -> None:
    _, second = releases_of(own)
    with open_store(own) as store:
        store.withdrawals.forget("simulated", "remove")
    told = lineage(own, second)
    assert (len(told.answers), told.num_withdrawn) == (0, 24)
    card = card_of(own, second.id)
    learned = next(section for section in card.sections if section.title == "What it learned from")
    assert "24 answers more went into it and were withdrawn since: it still goes by them." in learned.points


@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors", "manifest.json"])
def test_a_release_that_was_altered_tells_nothing(name: str, own: RunDirectory) -> None:
    _, second = releases_of(own)
    path = Releases(own).checkpoint_folder(second) / name
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b" ")
    with pytest.raises(CheckpointError):
        lineage(own, second)
    assert main(["explain", str(own.path), "--release", second.id]) == 2
    assert not (own.path / "cards").exists()


def test_a_gate_s_record_that_was_altered_is_refused(own: RunDirectory) -> None:
    _, second = releases_of(own)
    path = own.path / "gates" / f"{second.gate_sha256}.json"
    path.write_bytes(path.read_bytes().replace(b'"passed":true', b'"passed":false'))
    with pytest.raises(CheckpointError, match="was altered"):
        lineage(own, second)


def test_an_audit_log_that_was_altered_is_told(own: RunDirectory) -> None:
    _, second = releases_of(own)
    path = own.path / AUDIT_NAME
    path.write_bytes(path.read_bytes().replace(b"release.approve", b"release.withdrawn", 1))
    told = lineage(own, second)
    assert any("does not match its SHA-256" in problem for problem in told.problems)
    assert "Something is wrong with the audit logs:" in as_markdown("x", card_of(own, second.id).sections)
    # One that was begun anew is sound, and lacks what there was.
    path.unlink()
    (own.path / "audit.head").unlink()
    from heeler.core.audit import AuditLog

    AuditLog(path).append("p", "x")
    assert any("is not in it" in problem for problem in lineage(own, second).problems)


def test_answers_on_what_was_unsafe_are_among_those_that_a_release_learned_from(tmp_path: Path) -> None:
    directory, release = propose(run(runner(learned()), tmp_path / "run").path)
    told = lineage(directory, release)
    stored = all_answers(directory)
    assert len(stored) > 60
    assert [(one.position, one.feedback) for one in told.answers] == stored
    assert releases_with(directory, stored[0][1].key) == [release]
    with open_store(directory) as store:
        store.withdrawals.forget("simulated-watcher", "remove")
    told = lineage(directory, release)
    assert (len(told.answers), told.num_withdrawn) == (0, len(stored))


@pytest.mark.parametrize("version", ["now", "before it said which"])
def test_corrections_are_among_the_answers_that_a_release_learned_from(version: str, tmp_path: Path) -> None:
    config = people_config()
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        assert online.corrections is not None
        online.iterate()
        answer_all(store)
        online.iterate()
        if version != "now":
            kept = online.corrections.kept
            online.corrections.kept = lambda: ({}, {k: v for k, v in kept()[1].items() if k != "taken"})  # type: ignore[method-assign]
        online.save()
        online.close()
    directory, release = propose(directory.path)
    stored = all_answers(directory)
    assert [one.position for one in lineage(directory, release).answers] == [position for position, _ in stored]
    assert releases_with(directory, stored[2][1].key) == [release]
    with directory.locked(), open_store(directory) as store:
        again = OnlineRun(directory, config, store)
        again.begin()
        # The second question's answers come after the release.
        answer_all(store)
        again.iterate()
        again.save()
        again.close()
    assert len(lineage(directory, release).answers) == 3
    _, later = propose(directory.path)
    assert len(lineage(directory, later).answers) == 6
    with open_store(directory) as store:
        store.withdrawals.forget("bob", "remove")
    told = lineage(directory, later)
    assert (len(told.answers), told.num_withdrawn) == (0, 6)


def test_corrections_that_were_withdrawn_are_held_no_more(tmp_path: Path) -> None:
    config = people_config()
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with directory.locked(), open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        online.iterate()
        answer_all(store)
        online.iterate()
        assert online.corrections is not None and len(online.corrections.taken) == 3
        store.withdrawals.forget("bob", "remove")
        online.corrections.hand_over(online.ppo, online.learner)
        assert online.corrections.taken == set()
        online.close()


# The card


def rows_of(card, title: str) -> dict[str, tuple[str, ...]]:
    section = next(section for section in card.sections if section.title == title)
    return {row[0]: row[1:] for row in section.rows}


def test_the_card_names_the_right_numbers(asked: Path) -> None:
    directory = RunDirectory.open(asked)
    _, second = releases_of(directory)
    card = card_of(directory, second.id)
    stored = [feedback for _, feedback in all_answers(directory)]
    choices = Counter(f"preference: {str(answer.value['choice']).replace('_', ' ')}" for answer in stored)
    learned = rows_of(card, "What it learned from")
    assert {name: int(cells[0]) for name, cells in learned.items() if name.startswith("preference")} == choices
    assert learned["of simulated"] == ("24",)
    tested = rows_of(card, "How it was tested")
    told = lineage(directory, second)
    assert told.gate is not None
    shown = told.gate.details["shown"][0]
    assert tested["difference of returns"][0] == f"{shown['estimate']:.3g}".replace("-", "−")
    assert tested["difference of returns"][-2:] == ("betting", "yes")
    assert rows_of(card, "What it is")["State"] == ("in use",)
    moved = rows_of(card, "What moves its choices")
    assert set(moved) == {"cart position", "cart velocity", "pole angle", "pole angular velocity"}
    shares = [float(cells[0].removesuffix("%")) for cells in moved.values()]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert shares == sorted(shares, reverse=True)
    assert "What its learned reward goes by" in {section.title for section in card.sections}
    limits = next(section for section in card.sections if section.title == "Known limits").points
    assert any("it is not known how far people agree" in point for point in limits)
    assert "Shield: off while it learned." in limits
    assert "Its world counts no costs, and it has none of its own, so that none was tested." in limits


def test_a_card_is_written_as_text_and_as_a_page(own: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = releases_of(own)
    assert main(["explain", str(own.path)]) == 0
    files = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in files] == [f"{second.id}.md", f"{second.id}.html"]
    text, page = (path.read_text() for path in files)
    assert text.startswith(f"# Release of step {second.step:,} of run\n")
    assert "| answers | number |" in text
    for words in ("What it learned from", "How it was tested", "Known limits", "What moves its choices"):
        assert f"## {words}" in text and f"<h2>{words}</h2>" in page
    assert "<script" not in page and "http" not in page, "it needs nothing else"
    assert main(["explain", str(own.path), "--release", str(first.step), "--json", "--out", str(own.path / "x")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["release"] == first.id
    assert all(Path(path).is_file() for path in told["files"])


def test_a_release_s_answers_are_listed_by_the_command_line(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = RunDirectory.open(asked)
    _, second = releases_of(directory)
    _, newest = all_answers(directory)[-1]
    assert main(["releases", str(asked), "--answer", newest.key, "--json"]) == 0
    found = [one["id"] for one in json.loads(capsys.readouterr().out)["releases"]]
    assert second.id in found


def test_the_card_of_a_run_on_the_true_reward_with_costs(tmp_path: Path) -> None:
    gate = ControlGateConfig(
        margin=1e3, num_episodes=40, budgets={"velocity": 39.0, "energy": 0.9}, approval="gate", every=9
    )
    gate = replace(gate, max_costs={"velocity": 40.0, "energy": 40.0})
    path = run(tiny_limits(gate=gate), tmp_path / "run").path
    directory = RunDirectory.open(path)
    (release,) = Releases(directory).all()
    card = card_of(directory, release.id)
    tested = rows_of(card, "How it was tested")
    assert set(tested) == {"difference of returns", "cost velocity per episode", "cost energy per step"}
    assert tested["cost velocity per episode"][3] == "at most 39"
    assert next(s for s in card.sections if s.title == "What it learned from").paragraphs == (
        "It learned from its world's own reward.",
        "It learned from no answers: nobody was asked.",
    )
    limits = next(section for section in card.sections if section.title == "Known limits").points
    assert not [point for point in limits if "was never tested" in point]
    assert "torso angle" in rows_of(card, "What moves its choices")


def test_a_release_that_no_gate_was_asked_about_says_so(tmp_path: Path) -> None:
    directory = a_run(tmp_path / "run", {100: 5.0})
    name = "00000000-0000-4000-8000-000000000001"
    Releases(directory).propose(name, 100, "ann-7", audit_head="0" * 64)
    Releases(directory).approve(name, "bea-8")
    card = card_of(directory, name)
    assert "No gate was asked: it was released untested." in as_markdown(card.title, card.sections)
    with pytest.raises(KeyError):
        card_of(directory, "00000000-0000-4000-8000-000000000002")


def test_people_are_told_by_number(own: RunDirectory) -> None:
    _, second = releases_of(own)
    releases = Releases(own)
    from heeler.core.audit import AuditLog

    AuditLog(own.path / AUDIT_NAME).append("p-77f", "release.withdraw", own.path.name, release=second.id)
    releases.withdraw(second.id, "p-77f")
    card, files = write_card(own, second.id, own.path / "cards")
    text = files[0].read_text()
    assert "p-77f" not in text
    assert "person 1 | release.withdraw" in text
    assert rows_of(card, "What it is")["State"] == ("withdrawn",)


def test_the_policy_that_balances_goes_by_the_pole(tmp_path: Path) -> None:
    """Its weights are .05 and .1 for the cart, and 1 for angle and speed of the pole."""
    directory = a_run(tmp_path / "run", {100: 5.0})
    config = from_dict(directory.config())
    checkpoint = directory.load_checkpoint(100)
    policy = policy_of(checkpoint, config)
    states = visited(policy, config, checkpoint, seed=3)
    found = policy_saliency(policy, states, config)
    assert {one.name for one in found.inputs[:2]} <= {"pole angle", "pole angular velocity", "cart velocity"}
    assert found.inputs[-1].name == "cart position"
    assert found.largest_gap < 0.05
    release, _ = offer(directory, 100)
    assert "pole angular velocity" in rows_of(card_of(directory, release.id), "What moves its choices")


# Parts


def answered(query: str, choice: str, who: str):
    from heeler.loop.lineage import LearnedAnswer

    feedback = Feedback(
        key=stable_id(query, who), query_id=query, kind="preference", value={"choice": choice}, annotator=who
    )
    return LearnedAnswer(position=1, feedback=feedback)


def test_disagreement_is_counted_by_question() -> None:
    alone = [answered("a", "left", "ann")]
    assert "not known how far people agree" in disagreement(alone)
    several = [
        *alone,
        answered("a", "right", "bob"),
        answered("b", "left", "ann"),
        answered("b", "left", "bob"),
        answered("c", "left", "ann"),
    ]
    assert disagreement(several) == "2 questions have several answers; all of them agree in 1 of those."


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", "a | b\n| c", "</div>"])
def test_what_a_card_is_made_of_is_text(evil: str) -> None:
    section = Section(title=evil, paragraphs=(evil,), heads=(evil,), rows=((evil,),), points=(evil,))
    page = as_html(evil, [section])
    assert "<script" not in page
    assert page.count("</div>") == 2
    text = as_markdown(evil, [section])
    assert "<script" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 3, "no cell opens another row"
