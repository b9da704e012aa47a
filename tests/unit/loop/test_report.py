"""The report: one file that needs nothing else, with the run's own figures in it."""

import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heeler.cli import main
from heeler.core.errors import RunError
from heeler.core.nouns import Feedback, stable_id
from heeler.core.rundir import RunDirectory
from heeler.envs import EnvConfig
from heeler.feedback.stores import open_store
from heeler.loop import report_data
from heeler.loop.config import LimitsConfig, from_dict, to_dict
from heeler.loop.evaluations import evaluate_run
from heeler.loop.online import OnlineRun
from heeler.loop.reading import newest_sound_checkpoint, policy_of, preference_model
from heeler.loop.report import write_report
from heeler.loop.report_chart import MAX_POINTS, rows_with
from heeler.loop.report_data import gather
from heeler.loop.report_figures import charts, reliability_chart
from heeler.loop.running import run
from heeler.safety.costs import CostConfig
from tests.unit.loop.tiny import tiny_ppo, tiny_preferences


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def charts(self) -> dict[str, dict[str, Any]]:
        return {chart["id"]: chart for chart in json.loads(self.texts["script"][0])}

    @property
    def words(self) -> str:
        return " ".join(text for tag, texts in self.texts.items() if tag not in ("script", "style") for text in texts)


@pytest.fixture
def copied(preferences_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(preferences_run, tmp_path / "a run"))


@pytest.fixture(scope="module")
def page(preferences_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = Path(shutil.copytree(preferences_run, tmp_path_factory.mktemp("report") / "from-comparisons"))
    return Page(write_report(path))


def test_it_needs_nothing_else(page: Page) -> None:
    linked = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")]
    assert linked
    assert all(value and value.startswith("data:") for value in linked)
    scripts = page.texts["script"]
    assert len(page.all("script")) == 3
    assert sum("plotly.js v" in script for script in scripts) == 1
    assert "@import" not in page.texts["style"][0]
    assert "url(" not in page.texts["style"][0]


def test_it_fits_phones_and_dark_rooms(page: Page) -> None:
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert "prefers-color-scheme: dark" in page.texts["style"][0]


def test_every_chart_has_its_place_its_words_and_finite_numbers(page: Page) -> None:
    places = [a for a in page.all("div") if a.get("role") == "img"]
    assert {f"plot-{name}" for name in page.charts} == {place["id"] for place in places}
    assert all(place["aria-label"] for place in places)
    expected = {"return", "predicted", "correlation", "accuracy", "reliability", "scatter", "asked", "choices", "time"}
    assert expected <= set(page.charts)
    assert "NaN" not in page.texts["script"][0]
    assert "Infinity" not in page.texts["script"][0]


def test_the_charts_hold_the_runs_own_figures(page: Page, preferences_run: Path) -> None:
    rows = [row for row in RunDirectory.open(preferences_run).metrics() if "true_return_mean" in row]
    lower, upper, mean = page.charts["return"]["traces"]
    assert mean["x"] == [row["step"] for row in rows]
    assert mean["y"] == [pytest.approx(row["true_return_mean"], rel=1e-5) for row in rows]
    half = [1.96 * row["true_return_standard_error"] for row in rows]
    assert [(u - low) / 2 for low, u in zip(lower["y"], upper["y"], strict=True)] == pytest.approx(half, rel=1e-2)
    counts = dict(zip(page.charts["choices"]["traces"][0]["y"], page.charts["choices"]["traces"][0]["x"], strict=True))
    with open_store(RunDirectory.open(preferences_run)) as store:
        assert {name: count for name, count in counts.items() if count} == store.counts()["by_choice"]
    assert page.charts["asked"]["traces"][0]["y"][-1] == 24
    seconds = {trace["name"]: trace["x"][0] for trace in page.charts["time"]["traces"]}
    everything = RunDirectory.open(preferences_run).metrics()
    assert seconds == {
        part: pytest.approx(sum(row[f"{part}_s"] for row in everything)) for part in ("acting", "reward", "learning")
    }


def test_clips_settings_and_summary_are_there(page: Page, preferences_run: Path) -> None:
    first, last = page.all("img")
    assert first["alt"] == "Before learning: a moving picture of the policy in Pendulum-v1"
    assert last["alt"] == "After 12,288 steps: a moving picture of the policy in Pendulum-v1"
    assert all(str(image["src"]).startswith("data:image/webp;base64,") for image in (first, last))
    assert first["src"] != last["src"]
    for words in ("from-comparisons", "Recipe preferences, world Pendulum-v1, seed 0", "finished", "of a budget of 24"):
        assert words in page.words
    assert "preferences.schedule.budget" in page.words
    assert len(page.all("details")) == 1
    evaluation = evaluate_run(preferences_run)
    assert f"−{-evaluation.episode_return.mean:,.0f}" in page.words
    assert "mean of 4 fresh episodes" in page.words


def test_it_stays_small_and_is_written_into_the_run(copied: Path) -> None:
    path = write_report(copied)
    assert path == copied / "report.html"
    assert path.stat().st_size < 8e6
    assert {p.name for p in (copied / "media").iterdir()} == {"first.webp", "last.webp"}


def test_an_evaluation_of_the_same_checkpoint_is_used_again(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(copied)
    before = (copied / "evaluation.json").read_bytes()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the episodes were played again")

    monkeypatch.setattr(report_data, "evaluate_run", never)
    write_report(copied)
    values = json.loads(before)
    (copied / "evaluation.json").write_text(json.dumps(values | {"checkpoint_sha256": "of another"}))
    with pytest.raises(AssertionError, match="played again"):
        write_report(copied)


def test_a_run_on_the_true_reward_shows_what_it_has(ppo_run: Path, tmp_path: Path) -> None:
    page = Page(write_report(shutil.copytree(ppo_run, tmp_path / "run")))
    assert set(page.charts) == {"return", "time"}
    assert "Labels used" not in page.words
    assert len(page.all("img")) == 2


def test_costs_stand_beside_their_budgets(tmp_path: Path) -> None:
    costs = (CostConfig(name="lava", budget=0.5), CostConfig(name="side_effects", budget=1e9, per="step"))
    config = replace(
        tiny_ppo(),
        env=EnvConfig(id="LavaGrid", num_envs=4),
        limits=LimitsConfig.of("ppo_lagrangian", costs),
        num_evaluation_episodes=1,
    )
    run(config, tmp_path / "run")
    page = Page(write_report(tmp_path / "run"))
    charts, row = page.charts, RunDirectory(tmp_path / "run").metrics()[-1]
    assert "Limits" in page.texts["h2"]
    within = charts["cost-lava"]
    curves = {trace["name"]: trace["y"] for trace in within["traces"]}
    assert curves["budget"] == [0.5, 0.5]
    assert curves["each update"][-1] == pytest.approx(row["cost_lava_level"], rel=1e-5)
    assert curves["latest 100 episodes"][-1] == pytest.approx(row["cost_lava_mean"], rel=1e-5)
    over = f"{row['cost_lava_episodes_over']:,.0f} of {row['episodes']:,.0f} episodes were over it"
    assert over in page.words
    assert "budget" not in {trace["name"] for trace in charts["cost-side_effects"]["traces"]}, (
        "far above what there was"
    )
    assert charts["cost-side_effects"]["traces"][0]["opacity"] == 1, "nothing else is drawn there"
    assert within["traces"][0]["opacity"] < 1
    weighed = {trace["name"]: trace["y"] for trace in charts["multipliers"]["traces"]}
    assert weighed["lava"][-1] == pytest.approx(row["multiplier_lava"], rel=1e-5, abs=1e-9)
    assert "cost_lava_mean" not in charts, "shown once"
    assert "one fresh episode" in page.words
    tiles = " ".join(page.texts["dd"])
    assert "budget 0.5 an episode; one fresh episode" in tiles
    assert "a step, budget 1,000,000,000 a step; one fresh episode" in tiles
    assert "95 % interval" not in " ".join(page.texts["dd"]), "one episode tells nothing of chance"


def test_a_run_under_way_says_how_far_it_is(tmp_path: Path) -> None:
    config = tiny_ppo()
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        with pytest.raises(RunError, match="has no metrics yet, so there is nothing to report"):
            write_report(directory.path)
        online.iterate()
        before_checkpoint = Page(write_report(directory.path))
        online.iterate()
        online.iterate()
        page = Page(write_report(directory.path))
        online.world.close()
    assert "There is no checkpoint yet" in before_checkpoint.words
    assert "fresh episodes" not in before_checkpoint.words
    assert "50% done" in page.words
    assert len(page.all("img")) == 2


def test_names_are_text_and_never_markup(preferences_run: Path, tmp_path: Path) -> None:
    path = write_report(shutil.copytree(preferences_run, tmp_path / "<script>x&y"))
    page = Page(path)
    assert "<script>x&y" in page.words
    assert len(page.all("script")) == 3


def test_annotators_cannot_end_the_script_that_names_them(copied: Path) -> None:
    directory = RunDirectory.open(copied)
    with open_store(directory) as store:
        store.add_annotator("</script><b>", "program")
        query = store.queries([store.feedback_after(0, limit=1, up_to_step=None)[0][1].query_id])[0]
        answer = {"kind": "preference", "value": {"choice": "left"}, "annotator": "</script><b>"}
        store.add_feedback([Feedback(key=stable_id("x"), query_id=query.id, **answer)])
    page = Page(write_report(copied))
    assert "</script><b> (1)" in page.words
    assert page.all("b") == []


def answer_as(directory: RunDirectory, *people: str) -> None:
    """Each of them answers what the simulated teacher had answered first."""
    with open_store(directory) as store:
        query_id = store.feedback_after(0, limit=1, up_to_step=None)[0][1].query_id
        answer = {"query_id": query_id, "kind": "preference", "value": {"choice": "left"}}
        for name in people:
            store.add_annotator(name, "person")
            store.add_feedback([Feedback(key=stable_id(name), annotator=name, **answer)])


def test_people_are_numbered_and_never_named(copied: Path) -> None:
    answer_as(RunDirectory.open(copied), "0a1b-ann", "0a1b-ben")
    path = write_report(copied)
    assert "person 1 (1), person 2 (1)" in Page(path).words
    assert "0a1b" not in path.read_text()


def test_a_stale_reward_model_is_told(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = RunDirectory.open(copied)
    answer_as(directory, "ann", "ben")
    online_state = directory.newest_checkpoint()[0]
    assert online_state is not None
    with open_store(directory) as store:
        mine = next(p for p, answer in store.feedback_after(0, limit=999, up_to_step=None) if answer.annotator == "ann")
        state = json.loads(json.dumps(online_state.state))
        state["preferences"]["taken"].append([mine, "q"])
        directory.save_checkpoint(online_state.step, online_state.tensors, state, keep=9)
        assert gather(directory).stale_reward_model is None
        store.withdrawals.forget("ann", "keep")
        assert gather(directory).stale_reward_model is None, "what was kept may be learned from"
        ben = next(p for p, answer in store.feedback_after(0, limit=999, up_to_step=None) if answer.annotator == "ben")
        state["preferences"]["taken"].append([ben, "q"])
        directory.save_checkpoint(online_state.step, online_state.tensors, state, keep=9)
        store.withdrawals.forget("ben", "remove")
    words = "reward model learned from 1 answer that was withdrawn; train again from step"
    assert f"The {words}" in Page(write_report(copied)).words
    for command in ("report", "export"):
        assert main([command, str(copied)]) == 0
        assert f"heeler: the {words}" in capsys.readouterr().err


def test_a_world_without_pictures_is_reported_without_clips(tmp_path: Path) -> None:
    config = tiny_ppo("tests.unit.loop.unseen:Unseen", total_steps=8 * 64)
    page = Page(write_report(run(config, tmp_path / "run").path))
    assert page.all("img") == []
    assert page.words.count("cannot be filmed: it has no render mode rgb_array") == 2


def test_clips_that_were_thrown_away_cost_one_chart(copied: Path) -> None:
    for path in (copied / "segments").iterdir():
        path.unlink()
    assert "scatter" not in Page(write_report(copied)).charts


def test_where_there_is_no_run_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_predicted_returns_are_sums_of_the_learned_reward(preferences_run: Path) -> None:
    directory = RunDirectory.open(preferences_run)
    config, checkpoint = from_dict(directory.config()), newest_sound_checkpoint(directory)
    with open_store(directory) as store:
        labels = gather(directory).labels
        assert labels is not None
        segments = list(store.segments(i for query in labels.queries[:5] for i in query.segment_ids).values())
    predicted = report_data.predicted_returns(config, checkpoint, segments)
    with open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        online.world.close()
    assert online.preferences is not None
    model, state = online.preferences.model, online.preferences.model_state
    for segment, value in zip(segments, predicted, strict=True):
        feature = model.features(segment.observation, segment.action, segment.next_observation)
        with torch.no_grad():
            raw_MT1 = state.network(model._normalize(state, feature))[:, :, None]
        assert value == pytest.approx(model.reward(state, raw_MT1).sum(), rel=1e-3, abs=1e-3)
    assert policy_of(checkpoint, config).observation_size == 3
    assert preference_model(config, online.ppo).num_features == model.num_features


def test_the_correlation_is_that_of_the_points(preferences_run: Path, tmp_path: Path) -> None:
    data = gather(RunDirectory.open(shutil.copytree(preferences_run, tmp_path / "run")))
    segments = data.segment_returns
    assert segments is not None
    assert segments.held_out.any()
    assert not segments.held_out.all()
    assert segments.correlation == pytest.approx(np.corrcoef(segments.true, segments.predicted)[0, 1])
    same = report_data.SegmentReturns(true=np.ones(3), predicted=np.arange(3.0), held_out=np.zeros(3, bool))
    assert np.isnan(same.correlation)


def test_a_line_shows_where_a_fresh_policy_began(preferences_run: Path, tmp_path: Path) -> None:
    data = gather(RunDirectory.open(shutil.copytree(preferences_run, tmp_path / "run")))
    assert not any("shapes" in chart.layout for chart in charts(data)["Learning"])
    assert data.config.preferences is not None
    restarting = replace(data.config, preferences=replace(data.config.preferences, restart_share=0.5))
    for chart in charts(replace(data, config=restarting))["Learning"]:
        assert [(shape["x0"], shape["x1"]) for shape in chart.layout["shapes"]] == [(6144, 6144)]
        assert [(note["x"], note["text"]) for note in chart.layout["annotations"]] == [(6144, "a fresh policy begins")]
    early = replace(data, config=restarting, rows=[row for row in data.rows if row["step"] <= 6144])
    assert not any("shapes" in chart.layout for chart in charts(early)["Learning"])


def test_answers_that_wait_are_shown_as_asked(tmp_path: Path) -> None:
    config = tiny_preferences(teacher="people", total_steps=3 * 16 * 64)
    directory = RunDirectory.create(tmp_path / "run", to_dict(config))
    with open_store(directory) as store:
        online = OnlineRun(directory, config, store)
        online.begin()
        online.iterate()
        online.save()
        online.world.close()
    data = gather(directory)
    assert data.labels is not None
    assert len(data.labels.queries) > 0
    assert data.labels.choices.total() == 0
    found = {chart.id: chart for some in charts(data).values() for chart in some}
    assert "0 answered" in found["asked"].caption
    assert found["choices"].caption == "No answer yet."
    assert "scatter" not in found


def test_a_run_that_holds_no_answer_out_says_nothing_of_calibration(tmp_path: Path) -> None:
    config = tiny_preferences(total_steps=3 * 16 * 64)
    assert config.preferences is not None
    model = replace(config.preferences.model, validation_share=0.0)
    path = run(replace(config, preferences=replace(config.preferences, model=model)), tmp_path / "run").path
    page = Page(write_report(path))
    assert "reliability" not in page.charts
    assert "only the fitted ones are shown" in page.words
    assert {trace["name"] for trace in page.charts["scatter"]["traces"]} == {"in fitting"}


def test_calibration_counts_its_answers() -> None:
    chart = reliability_chart([[0.2, 0.1, 30.0], [0.8, 1.0, 10.0]])
    assert chart is not None
    assert "Mean gap 12% over 40 answers" in chart.caption
    assert reliability_chart([]) is None


def test_long_runs_are_thinned_and_keep_their_end() -> None:
    rows = [{"step": n, "kl": 0.0} for n in range(5000)]
    thinned = rows_with(rows, "kl")
    assert len(thinned) == MAX_POINTS
    assert (thinned[0]["step"], thinned[-1]["step"]) == (0, 4999)
    assert rows_with(rows, "unknown") == []
