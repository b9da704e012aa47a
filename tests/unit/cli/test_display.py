"""What is shown while a run goes on."""

import io
import math
from dataclasses import replace

import pytest

from heeler.cli import display
from heeler.cli.display import RunDisplay, figures
from heeler.recipes import backflip, ppo, preferences

ROW = {
    "step": 8192,
    "true_return_mean": 123.4,
    "true_return_standard_error": 2.0,
    "episode_length_mean": 200.0,
    "landed_backflips_mean": 3.25,
    "reward_model_validation_accuracy": 0.871,
    "asked": 450.0,
    "answered": 440.0,
    "labels_used": 420.0,
}


def test_the_figures_worth_watching() -> None:
    assert figures(ROW, budget=700) == [
        "true return 123 ± 3.92",
        "landed backflips 3.25",
        "reward model right 87%",
        "labels 420 of 700",
        "10 waiting for an answer",
    ]
    assert figures({"step": 1.0}, budget=None) == []


class Clock:
    """Time that moves when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(display.time, "monotonic", lambda: self.now)


def test_off_a_terminal_a_plain_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(monkeypatch), io.StringIO()
    config = ppo(env="CartPole-v1", total_steps=40 * 4096)
    with RunDisplay(config, stream) as show:
        for update in range(1, 41):
            show({"step": update * 4096.0, "true_return_mean": float(update)})
            clock.now += 1
    lines = stream.getvalue().splitlines()
    # At once, then every five seconds, and at the end.
    assert len(lines) == 9
    assert lines[0] == "4,096 of 163,840 steps (2%), true return 1 ± 0"
    assert lines[1] == "24,576 of 163,840 steps (15%), 4,096 steps/s, 34 s left, true return 6 ± 0"
    assert lines[-1] == "163,840 of 163,840 steps (100%), 4,096 steps/s, true return 40 ± 0"


def test_a_fresh_policy_is_told_of_once_it_has_begun() -> None:
    stream, config = io.StringIO(), backflip(total_steps=40 * 4096)
    assert config.preferences is not None
    config = replace(config, preferences=replace(config.preferences, restart_share=0.5))
    with RunDisplay(config, stream) as show:
        show({"step": 20 * 4096.0})
    with RunDisplay(config, stream) as show:
        show({"step": 21 * 4096.0})
    before, after = stream.getvalue().splitlines()
    assert "fresh policy" not in before
    assert "a fresh policy since step 81,920" in after


def waiting(answered: int, step: int = 8192) -> dict[str, float]:
    return {"step": step, "update": 2, "asked": 12, "answered": answered, "labels_used": answered}


def test_while_people_are_waited_for_it_says_so_and_tells_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(monkeypatch), io.StringIO()
    config = preferences(env="CartPole-v1", budget=48, total_steps=40 * 4096, teacher="people")
    assert config.num_first_answers == 12
    with RunDisplay(config, stream) as show:
        show(waiting(0, step=4096))
        clock.now += 6
        show(waiting(0))
        # Nobody answers for an hour.
        for answered in (3, 11):
            clock.now += 1800
            show(waiting(answered))
        for update in (3, 4):
            clock.now += 6
            show(waiting(12, step=update * 4096))
    lines = stream.getvalue().splitlines()
    assert [line.partition(", labels")[0] for line in lines] == [
        "4,096 of 163,840 steps (2%), waiting for the first 12 answers: 0 so far",
        "8,192 of 163,840 steps (5%), waiting for the first 12 answers: 0 so far",
        "8,192 of 163,840 steps (5%), waiting for the first 12 answers: 3 so far",
        "8,192 of 163,840 steps (5%), waiting for the first 12 answers: 11 so far",
        "12,288 of 163,840 steps (8%), 683 steps/s, 3 min 42 s left",
        "16,384 of 163,840 steps (10%), 683 steps/s, 3 min 36 s left",
    ], "the hour in which it waited says nothing of its pace"


def test_while_only_people_who_are_held_out_have_answered_it_says_that_others_must() -> None:
    stream = io.StringIO()
    config = preferences(env="CartPole-v1", budget=48, total_steps=40 * 4096, teacher="people")
    for held_out, answered in ((0, 0), (1, 0), (1234, 0), (1234, 1)):
        with RunDisplay(config, stream, lambda: "http://here") as show:
            show(waiting(answered) | {"held_out_answers": held_out})
    nobody, one, many, others = stream.getvalue().splitlines()
    told = "by people who are held out (preferences.held_out_people) and teach nothing: others must answer"
    assert f", the one answer that came is {told}; answer at http://here" in one
    assert f", all 1,234 answers that came are {told}; answer at http://here" in many
    assert "waiting for the first 12 answers: 0 so far" in many
    assert "held out" not in nobody + others


def test_a_simulated_teacher_is_not_waited_for() -> None:
    stream = io.StringIO()
    with RunDisplay(preferences(env="CartPole-v1", budget=60, total_steps=40 * 4096), stream) as show:
        show(waiting(3))
    assert "waiting for the first" not in stream.getvalue()


def test_a_server_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(monkeypatch), io.StringIO()
    config = replace(ppo(env="CartPole-v1", total_steps=40 * 4096), store="postgresql://h/d")
    for patience_s in (60.0, math.inf):
        with RunDisplay(replace(config, store_patience_s=patience_s), stream) as show:
            show({"step": 4096.0})
            clock.now += 6
            show({"step": 4096.0, "store_away_s": 75.0})
    lines = stream.getvalue().splitlines()[1::2]
    for line, at_most in zip(lines, (" for 1 min 0 s at most", ""), strict=True):
        assert line.endswith(f"(2%), the store's server has been away for 1 min 15 s: trying again{at_most}")


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_and_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    clock, stream = Clock(monkeypatch), Terminal()
    config = replace(backflip(), total_steps=8192)
    with RunDisplay(config, stream) as show:
        show(ROW | {"step": 4096})
        clock.now += 1
        show(ROW)
    shown = stream.getvalue()
    assert "100%" in shown
    assert "4,096 steps/s" in shown
    assert "labels 420 of 700" in shown
    # While episodes are played it says so, and no longer when they have been.
    assert "playing fresh episodes" not in shown.rpartition("100%")[2].rpartition("labels")[2]
