"""Harm while a policy acts: found early where it is, and said where it is not no more often than stated."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.oversight.betting import Bettor, log_capital
from heeler.oversight.control_gate_config import ControlGateConfig
from heeler.oversight.control_gate_nouns import Episodes
from heeler.oversight.harm import (
    HarmTest,
    HarmTests,
    LiveConfig,
    LiveEpisode,
    canary_tests,
    canary_values,
    watch_tests,
    watch_values,
)
from heeler.safety.costs import CostConfig
from tests.unit.oversight.episodes import SPEED, episodes, made_record

GATE = ControlGateConfig(margin=10.0, max_costs={"speed": 1000.0})
LIVE = LiveConfig(error_rate=0.05)


def a_record(gate: ControlGateConfig = GATE, per: Any = "episode"):
    """Released at a return of about 100 and a speed of about 5 an episode, or .05 a step."""
    rng = np.random.default_rng(0)
    cost = SPEED if per == "episode" else CostConfig(name="speed", budget=0.25, per="step")
    candidate = episodes(rng.normal(100, 5, 400), speed=rng.uniform(0, 10, 400))
    return made_record(gate, candidate, episodes(rng.normal(100, 5, 400)), costs=(cost,))


def episode(episode_return: float, speed: float, length: int = 100) -> LiveEpisode:
    return LiveEpisode(episode_return=episode_return, length=length, costs={"speed": speed})


def test_a_bettor_has_the_capital_of_all_at_once() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(50)
    for mean in (0.01, 0.3, 1.0):
        bettor = Bettor(mean)
        one_by_one = [bettor.see(float(value)) for value in values]
        assert one_by_one == pytest.approx(log_capital(values, mean).tolist())
        half = Bettor(mean)
        for value in values[:20]:
            half.see(float(value))
        rest = Bettor(mean, half.log_share_G.tolist())
        assert [rest.see(float(value)) for value in values[20:]] == pytest.approx(one_by_one[20:])


def test_shares_and_verdicts_by_hand() -> None:
    test = HarmTest(name="x", limit=1.0, least=0.0, most=4.0)
    assert [test.share(value) for value in (-3.0, 0.0, 1.0, 4.0, 9.0)] == [0.0, 0.0, 0.25, 1.0, 1.0]
    tests = HarmTests([test], 0.05)
    assert tests.needed == pytest.approx(math.log(20))
    for _ in range(30):
        tests.see({"x": 4.0})
    # Each of the bets pays up to fourfold.
    assert tests.highest["x"] == pytest.approx(float(log_capital(np.ones(30), 0.25)[-1]))
    verdict = tests.verdict()
    assert verdict.decision == "halt"
    assert verdict.reason == "x shown to be worse than allowed after 30 episodes"
    # What was once shown stays shown.
    for _ in range(300):
        tests.see({"x": 0.0})
    assert tests.verdict().decision == "halt"
    again = HarmTests([test], 0.05)
    again.load(json.loads(json.dumps(tests.to_json())))
    assert again.verdict() == tests.verdict()


def test_several_claims_share_the_error_rate() -> None:
    """To the very episode at which it is enough."""
    test = HarmTest(name="x", limit=1.0, least=0.0, most=4.0)
    log_N = log_capital(np.ones(30), 0.25)
    for num in (1, 3):
        tests = HarmTests([replace(test, name=f"x{n}") for n in range(num)], 0.05)
        values = {one.name: 4.0 if one.name == "x0" else 0.0 for one in tests.tests}
        expected = int(np.argmax(log_N >= math.log(num / 0.05))) + 1
        assert first_alarm(tests, [values] * 30) == expected
    assert log_N[0] < math.log(20) < log_N[-1]


def first_alarm(tests: HarmTests, values: list[dict[str, float]]) -> int | None:
    for number, value in enumerate(values, 1):
        tests.see(value)
        if tests.verdict().decision == "halt":
            return number
    return None


@pytest.mark.parametrize(
    ("loss", "speed", "name"), [(80.0, 5.0, "return"), (0.0, 60.0, "speed")], ids=["earns less", "costs more"]
)
def test_a_harmful_candidate_is_stopped_early(loss: float, speed: float, name: str) -> None:
    record, rng = a_record(), np.random.default_rng(1)
    values = [
        canary_values(
            record, episode(100 - loss + rng.normal(0, 5), speed + rng.uniform(-5, 5)), 100 + rng.normal(0, 2)
        )
        for _ in range(100)
    ]
    tests = canary_tests(record, LIVE)
    alarm = first_alarm(tests, values)
    assert alarm is not None and alarm < 40
    assert name in tests.verdict().reason


def test_a_harmless_candidate_is_stopped_no_more_often_than_stated() -> None:
    """At the very limits: lower by exactly the margin, and at exactly the budget."""
    record, rng = a_record(), np.random.default_rng(2)
    num = 150
    alarms = 0
    for _ in range(num):
        values = [
            canary_values(record, episode(float(r), float(c)), 110.0)
            for r, c in zip(rng.normal(100, 5, 60), rng.exponential(25, 60), strict=True)
        ]
        alarms += first_alarm(canary_tests(record, LIVE), values) is not None
    assert alarms / num <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / num)


def test_the_watch_sees_a_return_that_falls_and_a_cost_that_rises() -> None:
    record, rng = a_record(), np.random.default_rng(3)

    def alarm(mean: float, speed: float, num: int = 300) -> int | None:
        luck = rng.normal(0, 5, num)
        values = [watch_values(record, LIVE, episode(mean + float(x), speed)) for x in luck]
        return first_alarm(watch_tests(record, LIVE), values)

    assert alarm(100, 5) is None, "as it was evaluated"
    assert alarm(92, 5) is None, "lower, and by less than the margin"
    fallen = alarm(60, 5)
    assert fallen is not None and fallen < 60
    costly = alarm(100, 40)
    assert costly is not None and costly < 60, "above the budget"


def test_the_watch_holds_a_cost_to_what_it_was_released_with() -> None:
    record = a_record()
    high = next(each["high"] for each in record.details["shown"] if each["name"] == "speed")
    limits = {test.name: test.limit for test in watch_tests(record, LIVE).tests}
    assert limits["speed"] == pytest.approx(min(25.0, high + 0.1 * 25.0))
    wide = {test.name: test.limit for test in watch_tests(record, replace(LIVE, tolerance=9.0)).tests}
    assert wide["speed"] == 25.0, "never above the budget"


def test_a_budget_for_a_step_is_followed_by_the_length_of_episodes() -> None:
    record = a_record(per="step")
    # Twice as long an episode may cost twice as much.
    values = canary_values(record, episode(100, 20.0, length=100), 100.0)
    assert values["speed"] == pytest.approx(20.0 - 0.25 * 100)
    assert canary_values(record, episode(100, 20.0, length=200), 100.0)["speed"] == pytest.approx(-30.0)
    within = [canary_values(record, episode(100, 20.0), 100.0)] * 200
    beyond = [canary_values(record, episode(100, 60.0), 100.0)] * 200
    assert first_alarm(canary_tests(record, LIVE), within) is None
    assert first_alarm(canary_tests(record, LIVE), beyond) is not None
    assert first_alarm(watch_tests(record, LIVE), [watch_values(record, LIVE, episode(100, 60.0))] * 200) is not None


def test_a_release_is_held_to_its_cost_of_a_step_however_long_its_episodes_are() -> None:
    """It was released with .05 a step, of a budget of .25, in episodes of 100 steps."""
    record = a_record(replace(GATE, max_costs={"speed": 60.0}), per="step")

    def alarm(length: int, speed: float) -> int | None:
        values = [watch_values(record, LIVE, episode(100, speed, length=length))] * 400
        return first_alarm(watch_tests(record, LIVE), values)

    assert [alarm(length, 0.05 * length) for length in (10, 50, 100, 200)] == [None] * 4
    assert all(alarm(length, 0.2 * length) is not None for length in (50, 100, 150)), "within the budget, and not so"


def test_costs_without_a_range_and_returns_with_one() -> None:
    rng = np.random.default_rng(4)
    gate = ControlGateConfig(margin=10.0, max_costs={"speed": math.inf}, return_range=(0.0, 200.0))
    own = Episodes(
        returns=rng.normal(100, 5, 400).clip(0, 200),
        lengths=np.full(400, 50.0),
        costs={"speed": rng.normal(5, 1, 400)},
    )
    record = made_record(gate, own, episodes(rng.normal(100, 5, 400).clip(0, 200)), costs=(SPEED,))
    assert record.passed
    back, speed = canary_tests(record, LIVE).tests
    assert (back.least, back.most) == (-200.0, 200.0)
    assert speed.most == 20 * 25.0
    huge = [canary_values(record, episode(100, 1e9), 100.0)] * 20
    assert first_alarm(canary_tests(record, LIVE), huge) is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 0.0}, "share must be"),
        ({"share": 1.0}, "share must be"),
        ({"num_episodes": 0}, "num_episodes"),
        ({"error_rate": 0.5}, "error_rate"),
        ({"tolerance": -0.1}, "tolerance"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(LIVE, **change)  # type: ignore[arg-type]
