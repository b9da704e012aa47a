"""The report of a language run: charts of its metrics, the gate's decisions, answers as text and never as HTML."""

import json
from html.parser import HTMLParser

import pytest

from heeler.core.gate_records import GateRecord
from heeler.core.nouns import Message
from heeler.core.texts import TextSample
from heeler.loop.report_gates import BeforeAfter, gates_section, samples_section
from heeler.loop.report_language import language_charts
from heeler.oversight.gate_records import record_of
from heeler.oversight.text_gate import judge
from tests.unit.oversight.test_text_gate import ONE, pairs

ROWS = [
    {
        "step": step,
        "reward": 0.1 * step,
        "reward_std": 0.5,
        "rewards/truth/mean": 0.01 * step,
        "rewards/polite/mean": 0.5,
        "costs/toxicity/mean": 0.04,
        "multipliers/toxicity": 0.3 * step,
        "kl": 0.2 * step,
        "entropy": 2.0,
        "completions/mean_length": 40.0,
        "watch/nearness": 0.1,
        **({"held_out": 0.5 + 0.01 * step} if step % 2 == 0 else {}),
    }
    for step in range(9)
]


def test_charts_show_every_part_and_cost_by_name() -> None:
    sections = language_charts(ROWS)
    charts = {chart.id: chart for some in sections.values() for chart in some}
    assert list(sections) == ["Rewards", "Held out", "The model"]
    assert [trace["name"] for trace in charts["parts"].traces] == ["truth", "polite"]
    assert charts["parts"].caption == "Before weights; at the end: truth 0.08, polite 0.5."
    assert [trace["y"][-1] for trace in charts["multipliers"].traces] == [2.4]
    assert charts["held-out"].traces[0]["x"] == [0, 2, 4, 6, 8], "where it was measured"
    assert charts["reward"].traces[0]["y"][0] == -0.5
    assert "The highest was 0.1" in charts["nearness"].caption
    assert {"kl", "entropy", "completions-mean_length"} <= set(charts)
    assert "repetition" not in charts
    json.dumps([chart.traces for chart in charts.values()], allow_nan=False)


def test_what_a_run_knows_nothing_of_is_left_out() -> None:
    assert language_charts([]) == {}
    assert list(language_charts([{"step": 1, "kl": 0.5}])) == ["The model"]


def test_many_parts_have_curves_that_can_be_told_apart() -> None:
    row = {"step": 0} | {f"rewards/part {i}/mean": 1.0 for i in range(12)}
    (chart,) = language_charts([row])["Rewards"]
    assert len({(trace["line"]["color"], trace["line"]["dash"]) for trace in chart.traces}) == 12


class Words(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def record(gain: float) -> GateRecord:
    evidence = {"s": pairs([gain] * 30)}
    result = judge(ONE, evidence, {"s": 30})
    return record_of(
        ONE, result, evidence, {"s": 30}, candidate_sha256="ab" * 32, current_sha256=None, suites={"s": "0"}, seed=4
    )


def test_gates_are_told_with_figures_and_reasons_the_newest_first() -> None:
    page = Words(gates_section([record(1.0), record(-1.0)]))
    first, second = page.words.split("Candidate 1")
    assert "Candidate 2 kept back" in first
    assert "worse by more than 0.2" in first
    assert "passed" in second
    for figure in ("+1", "30", "better", "abababababab"):
        assert figure in second
    assert gates_section([]) == ""


def test_a_gate_that_could_compare_nothing_is_told() -> None:
    evidence = {"s": pairs([None])}
    result = judge(ONE, evidence, {"s": 1})
    kept = record_of(ONE, result, evidence, {"s": 1}, candidate_sha256="c", current_sha256=None, suites={}, seed=1)
    assert "nonenonenone" in Words(gates_section([kept])).words.replace("\n", "")


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</div></section>"])
def test_what_models_and_prompts_say_is_text(evil: str) -> None:
    sample = TextSample(prompt=(Message(role=evil, content=evil),), completion=evil)
    page = Words(samples_section([BeforeAfter(before=sample, after=sample, note=evil)]))
    assert page.words.count(evil) == 5
    assert not {"script", "img"} & set(page.tags)


def test_long_and_empty_answers() -> None:
    sample = TextSample(prompt=(), completion="")
    long = TextSample(prompt=(), completion="x" * 5000)
    words = Words(samples_section([BeforeAfter(before=sample, after=long)])).words
    assert "(nothing)" in words
    assert words.count("x") == 1200
    assert samples_section([]) == ""
