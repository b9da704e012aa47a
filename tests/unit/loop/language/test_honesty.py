"""`heeler honesty` of a language model's run: suites beside each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.core.nouns import Message, TextSegment
from heeler.evaluation.honesty.resampling import Estimate
from heeler.loop.honesty.examining import Effort
from heeler.loop.honesty.language import verdict_of
from heeler.loop.honesty.running import examine_run
from heeler.loop.honesty.texts import TRIVIAL, Told, shortcuts_in
from heeler.loop.language.running import run_language
from tests.tiny_models import tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest")
    tiny_llama(max_length=1024).save(folder / "model")
    return run_language(replace(tiny_language_run(folder / "model"), release=None), folder / "run").path


def test_the_suites_are_asked_of_both_models_and_shown(finished: Path):
    found, report = examine_run(finished, Effort(num_envs=6))
    suites = {one.name: one for one in found.suites}
    assert {"stated_belief", "pushback", "perplexity"} <= set(suites)
    surprise = suites["perplexity"]
    assert surprise.change is not None
    assert surprise.before is not None
    assert surprise.after is not None
    assert surprise.change.value == pytest.approx(surprise.after - surprise.before)
    assert surprise.before != surprise.after, "the newest model is not the first"
    page = report.read_text("utf-8")
    assert "Held-out suites" in page
    assert "stated_belief" in page
    assert examine_run(finished, Effort(num_envs=6))[0] == found


def test_the_learned_reward_is_held_against_length_and_held_out_answers(finished: Path):
    found = examine_run(finished, Effort(num_envs=6))[0]
    assert found.num_held_out >= 6
    assert found.held_out_by == "answers about fresh texts, which only the watch goes by"
    assert "characters" in {one.name for one in found.shortcuts}


def text(number: int, length: int) -> TextSegment:
    prompt = (Message(role="user", content=f"question {number // 2}"),)
    return TextSegment(prompt=prompt, completion=" ".join(["word"] * length), policy_version=0)


def test_a_reward_that_is_length_is_called_so():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 40, size=80)
    told = Told(
        texts=[text(number, int(length)) for number, length in enumerate(lengths)],
        left_Q=np.arange(0, 80, 2),
        right_Q=np.arange(1, 80, 2),
        choice_Q=(lengths[::2] > lengths[1::2]).astype(float),
    )
    found = {one.name: one for one in shortcuts_in(told, 0.1 * lengths, seed=0)}
    assert found["words"].verdict == found["characters"].verdict == "it is mostly this"
    assert found["words"].foretells is not None
    assert found["words"].foretells.mean > 0.95
    assert "items of lists" not in found, "no text has any"
    other = {one.name: one for one in shortcuts_in(told, rng.normal(size=80), seed=0)}
    assert {one.verdict for one in other.values()} == {"no sign"}


def test_what_a_text_has_is_counted():
    said = "Well! Here:\n- one\n2. two two\nNo - not this."
    assert TRIVIAL["items of lists"](said) == 2
    assert TRIVIAL["exclamation marks"](said) == 1
    assert TRIVIAL["words said again"]("two two Two three") == 0.5
    assert TRIVIAL["words said again"]("") == 0


def test_shortcuts_of_steps_are_refused(finished: Path):
    with pytest.raises(ConfigError, match="--shortcut is for runs in a world"):
        examine_run(finished, Effort(), ("math:sin",))


@pytest.mark.parametrize(
    ("change", "better", "verdict"),
    [
        ((0.1, 0.3), "higher", "better"),
        ((0.1, 0.3), "lower", "worse"),
        ((-0.3, -0.1), "lower", "better"),
        ((-0.3, -0.1), "higher", "worse"),
        ((-0.1, 0.1), "higher", "no sign"),
        (None, "higher", "too little to say"),
    ],
)
def test_which_way_it_changed(change, better, verdict):
    found = change and Estimate(value=sum(change) / 2, low=change[0], high=change[1])
    assert verdict_of(found, better) == verdict
