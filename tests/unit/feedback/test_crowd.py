"""The crowd of simulated users: how often it is right, and who in it is not to be trusted."""

import math
from collections import Counter

import pytest

from heeler.core.errors import ConfigError
from heeler.core.nouns import Query, stable_id
from heeler.feedback.crowd import Crowd, CrowdConfig


def answers(crowd: Crowd, quality: tuple[float, float], number: int = 4000) -> list[tuple[str, str]]:
    """(kind of user, choice) of many comparisons of the same quality."""
    given: list[tuple[str, str]] = []
    for i in range(number):
        query = Query(id=stable_id("q", i), kind="preference", segment_ids=("a", "b"), policy_version=0, asked_step=0)
        answer = crowd.prefer(query, quality, 7)
        given.append((crowd.users[answer.annotator], answer.value["choice"]))
    return given


def share(given: list[tuple[str, str]], choice: str) -> float:
    return sum(c == choice for _, c in given) / len(given)


def test_honest_users_follow_bradley_terry_and_slip_now_and_then() -> None:
    given = answers(Crowd(CrowdConfig(beta=2.0, mistake=0.1), 0), (1.0, 0.5))
    right = 1 / (1 + math.exp(-1.0))
    assert share(given, "left") == pytest.approx(0.9 * right + 0.1 * (1 - right), abs=0.02)


def test_users_without_faults_are_always_right_and_call_equal_equal() -> None:
    crowd = Crowd(CrowdConfig(beta=math.inf, mistake=0), 0)
    assert share(answers(crowd, (0.0, 1.0), 100), "right") == 1
    assert share(answers(crowd, (1.0, 1.0), 100), "equal") == 1


def test_hostile_users_name_the_worse_and_careless_ones_either() -> None:
    crowd = Crowd(CrowdConfig(beta=math.inf, mistake=0, hostile_share=0.2, careless_share=0.1, num_users=20), 1)
    assert Counter(crowd.users.values()) == {"hostile": 4, "careless": 2, "honest": 14}
    given = answers(crowd, (1.0, 0.0))
    by_kind = {kind: [entry for entry in given if entry[0] == kind] for kind in ("hostile", "careless", "honest")}
    assert share(by_kind["hostile"], "right") == 1
    assert share(by_kind["honest"], "left") == 1
    assert share(by_kind["careless"], "left") == pytest.approx(0.5, abs=0.1)
    assert len(by_kind["hostile"]) / len(given) == pytest.approx(0.2, abs=0.03)


def test_the_same_question_gets_the_same_answer_under_the_same_key() -> None:
    query = Query(id="one", kind="preference", segment_ids=("a", "b"), policy_version=0, asked_step=0)
    first, again, other = (Crowd(CrowdConfig(), seed).prefer(query, (1.0, 0.0), 3) for seed in (0, 0, 1))
    assert first == again
    assert first.key != other.key


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"num_users": 0}, "num_users"),
        ({"beta": math.nan}, "beta"),
        ({"mistake": 1.1}, "mistake"),
        ({"hostile_share": -0.1}, "hostile_share"),
        ({"hostile_share": 0.6, "careless_share": 0.6}, "careless_share"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, float], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        CrowdConfig(**settings)  # type: ignore[arg-type]
