"""Answers where a model's view was offered: counted, held against it, and left out where that is set."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heeler.core.errors import ConfigError
from heeler.core.nouns import Feedback, Query, stable_id
from heeler.core.rundir import RunDirectory
from heeler.feedback.kinds_teacher import KindsTeacher
from heeler.feedback.schedule import LabelSchedule
from heeler.loop.config import from_dict, to_dict
from heeler.loop.honesty.answers import read_answers
from heeler.loop.honesty.examining import VIEWS_CHOSEN, Effort, examine
from heeler.loop.kinds.views import agrees_with_view
from heeler.loop.reading import newest_sound_checkpoint
from heeler.loop.report import write_report
from heeler.loop.report_views import ViewsShown, views_section, views_shown
from heeler.loop.running import run
from tests.unit.loop.kinds_stage import KindsStage, stage_config
from tests.unit.loop.tiny import tiny_kinds

LEFT: dict[str, Any] = {"first_better": 0.8, "best": [[0, 2], [4, 6]], "worst": [[4, 6], [0, 2]]}
ONE: dict[str, Any] = {"first_better": None, "best": [[0, 2]], "worst": [[4, 6]]}


def people_stage(folder: Path, **kinds: Any) -> KindsStage:
    settings = {"schedule": LabelSchedule(budget=600, initial_share=0.6), "kinds": ("preference",)}
    return KindsStage(stage_config(teacher="people", **(settings | kinds)), folder)


def answers_to(queries: Sequence[Query], choice: str, *, opened: bool | None, annotator: str = "ann") -> list[Feedback]:
    """Comparisons, each of which came with a view that expects the first to be preferred; None for no view."""
    return [
        Feedback(
            key=stable_id("answer", annotator, query.id),
            query_id=query.id,
            kind="preference",
            value={"choice": choice},
            annotator=annotator,
            time_taken_s=4.0,
            view=None if opened is None else {**LEFT, "opened": opened},
        )
        for query in queries
    ]


@pytest.mark.parametrize(
    ("kind", "value", "view", "expected"),
    [
        ("preference", {"choice": "left"}, LEFT, True),
        ("preference", {"choice": "right"}, LEFT, False),
        ("preference", {"choice": "right"}, {**LEFT, "first_better": 0.1}, True),
        ("preference", {"choice": "left"}, {**LEFT, "first_better": 0.5}, None),
        ("preference", {"choice": "equal"}, LEFT, None),
        ("preference", {"choice": "cant_tell"}, LEFT, None),
        ("preference", {"choice": "left"}, None, None),
        ("critique", {"text": "", "start": 0, "end": 3, "sign": 1}, ONE, True),
        ("critique", {"text": "", "start": 0, "end": 3, "sign": -1}, ONE, False),
        ("critique", {"text": "", "start": 3, "end": 5, "sign": -1}, ONE, True),
        ("critique", {"text": "", "start": 0, "end": 6, "sign": 1}, ONE, None),
        ("critique", {"text": "", "start": 2, "end": 4, "sign": 1}, ONE, None),
        ("critique", {"text": "it falls", "start": 0, "end": 2}, ONE, None),
        ("rating", {"score": 1.0, "low": 0.0, "high": 1.0}, ONE, None),
        ("evaluation", {"marks": []}, ONE, None),
    ],
)
def test_what_says_the_same_by_hand(kind: Any, value: dict[str, Any], view: dict[str, Any] | None, expected: object):
    view = view if view is None else {**view, "opened": False}
    answer = Feedback(key="k", query_id="q", kind=kind, value=value, annotator="ann", view=view)
    assert agrees_with_view(answer) is expected


def test_a_run_counts_views_and_what_agrees_and_goes_on_with_that(tmp_path: Path):
    stage = people_stage(tmp_path)
    stage.turns(2)
    queries = stage.store.open_queries(1000)
    assert len(queries) >= 9
    parts = [("left", True), ("left", True), ("right", True), ("cant_tell", True), ("left", False), ("right", False)]
    for query, (choice, opened) in zip(queries, parts, strict=False):
        stage.store.add_feedback(answers_to([query], choice, opened=opened))
    stage.store.add_feedback(answers_to(queries[6:9], "left", opened=None))
    stage.loop.listen(stage.step)
    figures = {name: value for name, value in stage.loop.metrics().items() if "_held" in name or "_agree" in name}
    assert figures == {
        "kinds/preference/opened_held": 3,
        "kinds/preference/opened_agree": 2,
        "kinds/preference/folded_held": 2,
        "kinds/preference/folded_agree": 1,
    }
    assert stage.loop.metrics()["kinds/preference/views_offered"] == 6
    assert stage.loop.metrics()["kinds/preference/views_opened"] == 4
    state = json.loads(json.dumps(stage.loop.ledger.state()))
    again = stage.new_loop()
    again.ledger.load(state)
    assert again.ledger.taken == stage.loop.ledger.taken
    # As checkpoints of before there were views hold it.
    again.ledger.load(state | {"answers": [row[:-3] for row in state["answers"]]})
    assert again.ledger.figures(("preference",)) == {
        name: value
        for name, value in stage.loop.ledger.figures(("preference",)).items()
        if not any(part in name for part in ("views", "held", "agree"))
    }


def test_nothing_is_said_where_no_view_was_offered(tmp_path: Path):
    stage = people_stage(tmp_path)
    stage.turn()
    stage.store.add_feedback(answers_to(stage.store.open_queries(1000), "left", opened=None))
    stage.loop.listen(stage.step)
    assert stage.loop.num_answered
    assert not [name for name in stage.loop.metrics() if "views" in name or "opened" in name]


def test_answers_after_a_look_are_learned_from_unless_they_are_not_to_count(tmp_path: Path):
    learned: dict[bool, list[int]] = {}
    for counts in (True, False):
        stage = people_stage(tmp_path / str(counts), counts_opened=counts)
        stage.turns(4)
        queries = stage.store.open_queries(1000)
        opened, folded = queries[:25], queries[25:30]
        assert len(folded) == 5
        for some, was_opened in ((opened, True), (folded, False)):
            stage.store.add_feedback(answers_to(some, "left", opened=was_opened))
        stage.loop.listen(stage.step)
        learned[counts] = [len(stage.loop.learned.state.answers), stage.loop.ledger.num_useful]
        assert stage.loop.ledger.used_s == 30 * 4.0, "they cost people's time all the same"
        assert not stage.loop.ledger.silent("preference"), "they say something, whatever becomes of it"
        assert (stage.loop.ledger.says(("preference",))["preference"] < 0.5) is not counts
    assert learned == {True: [30, 30], False: [5, 5]}


def test_who_cannot_tell_after_a_look_cannot_judge_all_the_same(tmp_path: Path):
    stage = people_stage(tmp_path, counts_opened=False)
    stage.turns(4)
    stage.store.add_feedback(answers_to(stage.store.open_queries(1000)[:25], "cant_tell", opened=True))
    stage.loop.listen(stage.step)
    assert stage.loop.ledger.silent("preference") == 1.0


def test_a_setting_that_would_be_ignored_is_refused():
    with pytest.raises(ConfigError, match=r"kinds.counts_opened .* and simulated people open none: set it to true"):
        stage_config(counts_opened=False)
    with pytest.raises(ConfigError, match=r"kinds.counts_opened .* and kinds.shows_view is false: set it to true"):
        stage_config(teacher="people", counts_opened=False, shows_view=False)
    config = stage_config(teacher="people", counts_opened=False)
    assert from_dict(to_dict(config)) == config


def test_the_table_by_hand():
    row = {"views_offered": 40, "views_opened": 20, "opened_held": 20, "opened_agree": 18, "folded_held": 20}
    row |= {"folded_agree": 10}
    (found,) = views_shown(("rating", "preference"), {f"kinds/preference/{name}": n for name, n in row.items()})
    assert (found.kind, found.offered, found.opened) == ("preference", 40, 20)
    assert found.opened_agrees is not None and found.opened_agrees.mean == 0.9
    assert found.folded_agrees is not None and found.folded_agrees.count == 20
    assert found.excess is not None
    assert found.excess[0] == pytest.approx(0.4)
    section = views_section([found], counts_opened=True)
    assert "<td>90% (70% to 97%) of 20</td><td>50% (30% to 70%) of 20</td><td>+40 points (+12 to +61)</td>" in section
    assert "The reward learns from both." in section
    nobody = ViewsShown(kind="rating", offered=3, opened=0, opened_agrees=None, folded_agrees=None)
    assert "<td>3</td><td>0</td><td>–</td><td>–</td><td>–</td>" in views_section([nobody], counts_opened=False)
    assert "does not learn from the opened ones" in views_section([nobody], counts_opened=False)
    assert views_section([], counts_opened=True) == ""


def test_a_runs_report_and_its_honesty_say_who_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Simulated people answer as if each of their comparisons had come with a view that they opened."""
    usual = KindsTeacher.ready

    def ready(self: KindsTeacher, step: int) -> list[Feedback]:
        view = {"opened": True, "first_better": 0.8, "best": [[0, 1]] * 2, "worst": [[1, 2]] * 2}
        found = usual(self, step)
        return [replace(one, view=view) if one.kind == "preference" else one for one in found]

    config = tiny_kinds(of="preference,rating")
    assert config.kinds is not None
    model = config.kinds.model
    model = replace(model, reward=replace(model.reward, validation_share=0.45))
    config = replace(config, kinds=replace(config.kinds, model=model))
    without = run(config, tmp_path / "without").path
    assert "view was offered" not in write_report(without).read_text("utf-8")
    monkeypatch.setattr(KindsTeacher, "ready", ready)
    path = run(config, tmp_path / "run").path
    section = write_report(path).read_text("utf-8").split("Where a model's view was offered</h2>")[1]
    answered = int(RunDirectory.open(path).metrics()[-1]["kinds/preference/answered"])
    assert f"<td>preference</td><td>{answered}</td><td>{answered}</td><td>" in section
    assert "<td>rating</td>" not in section.split("</section>")[0]

    directory = RunDirectory.open(path)
    held_out = [read_answers(one, config, newest_sound_checkpoint(one)) for one in (directory, RunDirectory(without))]
    assert len(held_out[0].held_out.choice_Q) == 0, "what may only repeat the reward is not held against it"
    assert held_out[1].num_opened == 0 < held_out[0].num_opened
    found = examine(path, Effort(num_envs=4, num_steps=40))
    assert VIEWS_CHOSEN in found.missing
    assert any(f"{held_out[0].num_opened} that were given after somebody had opened" in why for why in found.missing)
