"""Shares of answers that do harm, bet on one answer at a time."""

from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.oversight.chat_harm import MEASURES, ChatLiveConfig, Measure, ShareTest, verdict_of

LIVE = ChatLiveConfig(error_rate=0.05)


def halted(test: ShareTest) -> bool:
    return test.tests.verdict().decision == "halt"


def watched(share: float, num: int, rng: np.random.Generator) -> bool:
    """Whether a version in use whose answers do so much harm is ever ended for it."""
    test = ShareTest("kept_back", LIVE, is_compared=False)
    for is_harmful in rng.random(num) < share:
        test.see(bool(is_harmful))
    return halted(test)


def tried(share: float, usual: float, num: int, rng: np.random.Generator) -> bool:
    """The same of a candidate, beside nine times as many answers of the version in use."""
    test = ShareTest("called_bad", LIVE, is_compared=True)
    for is_harmful in rng.random(num) < share:
        test.see(bool(is_harmful))
        for other in rng.random(9) < usual:
            test.see_usual(bool(other))
    return halted(test)


def test_what_does_no_more_harm_than_allowed_is_seldom_ended() -> None:
    rng = np.random.default_rng(0)
    assert np.mean([watched(LIVE.max_kept_back, 300, rng) for _ in range(200)]) <= 0.05
    # Its share is above that of the version in use by just the margin.
    assert np.mean([tried(0.3, 0.3 - LIVE.margin, 200, rng) for _ in range(200)]) <= 0.05


def test_what_does_much_more_is_ended() -> None:
    rng = np.random.default_rng(1)
    assert np.mean([watched(0.5, 200, rng) for _ in range(50)]) >= 0.95
    assert np.mean([tried(0.6, 0.1, 100, rng) for _ in range(50)]) >= 0.95


def test_nothing_is_compared_with_answers_of_another_time() -> None:
    test = ShareTest("kept_back", LIVE, is_compared=True)
    for _ in range(50):
        test.see_usual(True)
    assert test.tests.num_episodes == 0
    for _ in range(40):
        test.see(True)
        test.see_usual(True)
    assert test.tests.num_episodes == 40
    assert not halted(test), "both do as much harm"


def test_either_measure_ends_it_and_says_so() -> None:
    tests: dict[Measure, ShareTest] = {measure: ShareTest(measure, LIVE, is_compared=False) for measure in MEASURES}
    assert verdict_of(tests).decision == "allow"
    for _ in range(60):
        tests["called_bad"].see(True)
        tests["kept_back"].see(False)
    verdict = verdict_of(tests)
    assert (verdict.decision, verdict.reason) == ("halt", "more answers called bad than allowed")
    assert verdict.evidence["kept_back"]["num_episodes"] == 60


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"share": 0.0}, "release.live.share must be above 0 and below 1, got 0"),
        ({"margin": 1.0}, "release.live.margin"),
        ({"max_called_bad": float("nan")}, "release.live.max_called_bad"),
        ({"num_answers": 0}, "release.live.num_answers must be >= 1"),
        ({"error_rate": 0.5}, "release.live.error_rate must be between 0 and 0.5"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ChatLiveConfig(**settings)
