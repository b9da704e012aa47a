"""The report of an inferred reward: one file, its pictures are of the grid, and it says what cannot be known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.loop.inferring import infer_from_choices, infer_from_demonstrations, write_inference
from heeler.loop.inverse_report import inverse_page
from heeler.rewards.inverse.choices import ChoiceConfig
from heeler.rewards.inverse.examples import write_example
from heeler.rewards.inverse.matching import FeatureMatchingConfig
from heeler.rewards.inverse.max_causal_entropy import MaxCausalEntropyConfig
from heeler.rewards.inverse.result import InverseResult
from tests.unit.loop.test_report import Page


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_example(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def by_state(files: list[Path]) -> InverseResult:
    return infer_from_demonstrations(files[0], files[1], MaxCausalEntropyConfig(reward="state", ridge=0.01))


def page_of(result: InverseResult, folder: Path) -> Page:
    return Page(write_inference(result, folder / "out")[-1])


def words_of(page: Page) -> str:
    return " ".join(text for tag, texts in page.texts.items() if tag not in ("script", "style") for text in texts)


def test_the_reward_is_a_picture_of_the_grid(by_state: InverseResult, tmp_path: Path) -> None:
    page = page_of(by_state, tmp_path)
    heat = page.charts["reward"]["traces"][0]
    assert heat["type"] == "heatmap" and len(heat["z"]) == 5 and len(heat["z"][0]) == 5
    # Walls are left out, lava is bad, and the goal is good.
    assert heat["z"][2][3] is None and heat["z"][1][1] < heat["z"][0][0] < heat["z"][4][4]
    assert by_state.tables is not None
    assert heat["z"][0][1] == pytest.approx(by_state.tables[1][1], rel=1e-4)
    assert {"seen", "visits", "parameters"} <= set(page.charts)
    arrows = page.charts["reward"]["traces"][1]
    assert set(arrows["text"]) <= set("↑→↓←") and len(arrows["text"]) == 25 - 1 - 2


def test_it_needs_nothing_else(by_state: InverseResult, tmp_path: Path) -> None:
    page = page_of(by_state, tmp_path)
    assert not page.all("img") and all("src" not in script for script in page.all("script"))
    assert [link["href"] for link in page.all("link")] == ["data:,"]


def test_what_cannot_be_known_is_told(by_state: InverseResult, tmp_path: Path) -> None:
    words = words_of(page_of(by_state, tmp_path))
    assert "What cannot be known" in words
    assert "row 2 column 3, row 3 column 3: no behaviour in this world depends on it" in words
    assert "2 of 25 dimensions are not identified" in words


def test_margins_of_matching_are_a_curve(files: list[Path], tmp_path: Path) -> None:
    told: list[str] = []
    config = FeatureMatchingConfig(max_rounds=4)
    result = infer_from_demonstrations(files[0], files[1], config, on_progress=told.append)
    page = page_of(result, tmp_path)
    assert page.charts["margins"]["traces"][0]["y"] == pytest.approx(result.series, rel=1e-4)
    assert told[0].startswith("round 1, margin")


def test_choices_have_bars_with_intervals_and_no_map(files: list[Path], tmp_path: Path) -> None:
    result = infer_from_choices(files[2], ChoiceConfig())
    page = page_of(result, tmp_path)
    assert set(page.charts) == {"parameters"}
    bars: dict[str, Any] = page.charts["parameters"]["traces"][0]
    assert bars["x"] == ["steps", "lava", "turns"] and len(bars["error_y"]["array"]) == 3
    assert "Every parameter is identified." in words_of(page)


def test_names_cannot_break_out_of_the_page(by_state: InverseResult) -> None:
    names = ("</script><b>x", "@blue", *by_state.parameter_names[2:])
    text = inverse_page("<i>", replace(by_state, parameter_names=names, notes=("<u>mind</u>",)))
    assert "</script><b>" not in text and "<i>" not in text and "<u>" not in text
    charts = json.loads(text.split('<script type="application/json" id="charts">')[1].split("</script>")[0])
    assert "(at)blue" in next(chart for chart in charts if chart["id"] == "parameters")["traces"][0]["x"]


def test_what_is_not_finite_is_left_out(by_state: InverseResult) -> None:
    low, high = (np.full(25, np.nan) for _ in range(2))
    assert "NaN" not in inverse_page("x", replace(by_state, low_N=low, high_N=high)).split("<script>")[0]
