"""The card of a language model's release: suites, learner and parts; what moves its answers is said to be left out."""

import shutil
from pathlib import Path

import pytest

from heeler.cli import main
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.feedback.stores import open_store
from heeler.loop.language.running import run_language
from heeler.loop.lineage import lineage, releases_with
from heeler.loop.release_card import card_of
from heeler.loop.release_card_page import as_markdown
from tests.tiny_models import tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("card")
    tiny_llama(max_length=1024).save(folder / "model")
    run_language(tiny_language_run(folder / "model"), folder / "run")
    return RunDirectory.open(folder / "run")


def test_a_release_tells_its_answers_and_an_answer_its_releases(finished: RunDirectory) -> None:
    first, second = sorted(Releases(finished).all(), key=lambda release: release.step)
    early, late = lineage(finished, first), lineage(finished, second)
    assert (len(early.answers), len(late.answers)) == (first.answers, second.answers)
    with open_store(finished) as store:
        asked = {query.id: query.acquisition for _, query, _ in store.newest_queries(limit=1000)}
    assert {asked[one.feedback.query_id] for one in late.answers} <= {"random", "disagreement"}
    newest = late.answers[-1].feedback.key
    assert [release.id for release in releases_with(finished, newest)] == [second.id]
    assert len(releases_with(finished, early.answers[0].feedback.key)) == 2
    assert late.reward is not None and late.gate is not None


def test_the_card_tells_suites_learner_and_parts(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    second = max(Releases(finished).all(), key=lambda release: release.step)
    card = card_of(finished, second.id)
    text = as_markdown(card.title, card.sections)
    for words in ("| truthfulness |", "| toxicity |", "RLOO from the model", "saliency is for policies in worlds"):
        assert words in text, words
    assert f"It learned from {second.answers} answers" in text
    assert "of user-" in text, "simulated users by their names"
    assert main(["explain", str(finished.path), "--release", second.id]) == 0
    assert (finished.path / "cards" / f"{second.id}.html").is_file()
    assert f"{second.id}.md" in capsys.readouterr().out


def test_a_release_that_no_gate_was_asked_about_is_not_said_to_have_been_tested(
    finished: RunDirectory, tmp_path: Path
) -> None:
    own = RunDirectory.open(Path(shutil.copytree(finished.path, tmp_path / "run")))
    tested = max(Releases(finished).all(), key=lambda release: release.step)
    name = "00000000-0000-4000-8000-000000000001"
    untested = Releases(own).propose(name, own.checkpoint_steps()[-1], "ann-7", audit_head="0" * 64)
    limits = [card_of(own, one.id).sections for one in (tested, untested)]
    points = [next(s for s in sections if s.title == "Known limits").points[0] for sections in limits]
    assert [point.split(" ", 3)[:3] for point in points] == [["It", "was", "tested"], ["It", "was", "not"]]
