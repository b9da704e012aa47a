"""Learning from what people answered in another run, which may go on meanwhile."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from heeler.core.errors import ConfigError, DataError, RunError
from heeler.core.nouns import Feedback, Message, PolicyVersion, Query, TextSegment, stable_id
from heeler.core.rundir import RunDirectory
from heeler.feedback.datasets import DataConfig
from heeler.feedback.stores import open_store
from heeler.loop.language.asking import HELD_OUT
from heeler.loop.offline.config import offline_config_from_dict
from heeler.loop.offline.running import resume_offline, run_offline
from tests.tiny_models import tiny_llama
from tests.unit.loop.offline.tiny import METHODS, tiny_offline_run


def say(path: Path, numbers: range, *, acquisition: str = "random") -> None:
    """For each number somebody compares two texts, corrects one, likes one and dislikes the other."""
    with open_store(RunDirectory.open(path)) as store:
        store.add_policy_version(PolicyVersion(version=0, step=0))
        store.add_annotator("ann", "person")
        for number in numbers:
            prompt = (Message(role="user", content=f"{number}?"),)
            good, bad = (
                TextSegment(prompt=prompt, completion=text, policy_version=0) for text in (f"{number}!", f"no {number}")
            )
            store.add_segments([good, bad])
            for kind, value, texts in (
                ("preference", {"choice": "left"}, (good, bad)),
                ("correction", {"text": f"so {number}!"}, (bad,)),
                ("evaluation", {"marks": [{"time_s": 0.0, "sign": 1}]}, (good,)),
                ("evaluation", {"marks": [{"time_s": 0.0, "sign": -1}]}, (bad,)),
            ):
                name = stable_id(kind, number, str(value), acquisition)
                query = Query(
                    id=name,
                    kind=kind,
                    segment_ids=tuple(text.id for text in texts),
                    policy_version=0,
                    asked_step=0,
                    acquisition=acquisition,
                )
                store.add_queries([query])
                store.add_feedback([Feedback(key=name, query_id=name, kind=kind, value=value, annotator="ann")])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    tiny_llama().save(folder)
    return folder


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    RunDirectory.create(tmp_path / "talk", {"recipe": "chat"})
    say(tmp_path / "talk", range(16))
    return tmp_path / "talk"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_from_a_run(method: str, base: Path, talk: Path, tmp_path: Path) -> None:
    result = run_offline(tiny_offline_run(method, base, talk, batch_size=4), tmp_path / "run")
    # A pair and a correction of each prompt; a corrected text; all that was said of a prompt.
    assert result.num_texts + result.held_out.num_prompts == {"sft": 16, "kto": 16}.get(method, 32)
    assert result.held_out.after["loss"] < result.held_out.before["loss"]
    saved = offline_config_from_dict(RunDirectory.open(tmp_path / "run").config())
    assert saved.answers_up_to == 64


def test_what_is_said_after_it_began_is_not_learned_from(base: Path, talk: Path, tmp_path: Path) -> None:
    config = tiny_offline_run("dpo", base, talk, batch_size=4)
    whole = run_offline(config, tmp_path / "whole")

    def stop(row: Mapping[str, float], total: int) -> None:
        say(talk, range(16, 20))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_offline(config, tmp_path / "run", on_metrics=stop)
    assert resume_offline(tmp_path / "run").held_out.after == whole.held_out.after
    assert run_offline(config, tmp_path / "run").held_out.after == whole.held_out.after, "the same command goes on"
    assert run_offline(config, tmp_path / "later").num_texts > whole.num_texts


def test_answers_that_were_withdrawn_end_what_learned_from_them(base: Path, talk: Path, tmp_path: Path) -> None:
    run_offline(tiny_offline_run("dpo", base, talk, batch_size=4), tmp_path / "run")
    with open_store(RunDirectory.open(talk)) as store:
        store.add_annotator("bob", "person")
        store.withdrawals.forget("ann", "remove")
    with pytest.raises(DataError, match="its 0 answers about texts hold no pairs"):
        resume_offline(tmp_path / "run")


def test_what_a_watch_goes_by_is_learned_from_nowhere(base: Path, talk: Path, tmp_path: Path) -> None:
    config = tiny_offline_run("dpo", base, talk, batch_size=4)
    before = run_offline(config, tmp_path / "before").num_texts
    say(talk, range(16, 30), acquisition=HELD_OUT)
    assert run_offline(config, tmp_path / "after").num_texts == before


def test_how_a_file_would_be_read_is_not_for_a_run(base: Path, talk: Path, tmp_path: Path) -> None:
    config = tiny_offline_run("dpo", base, talk, reading=DataConfig(unusable_rows="refuse"))
    with pytest.raises(ConfigError, match=r"reading would be ignored: .*talk is a run"):
        run_offline(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_without_answers_and_one_that_is_gone_are_named(base: Path, talk: Path, tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "silent", {"recipe": "chat"})
    with pytest.raises(DataError, match=r"silent: nobody has answered anything in this run"):
        run_offline(tiny_offline_run("dpo", base, tmp_path / "silent"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    config = tiny_offline_run("dpo", base, talk, batch_size=4)
    run_offline(config, tmp_path / "run")
    talk.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="there is no run, and answers_up_to is of one"):
        resume_offline(tmp_path / "run")
    with pytest.raises(RunError, match="belongs to another configuration"):
        run_offline(dataclasses.replace(config, data=str(tmp_path / "elsewhere")), tmp_path / "run")
