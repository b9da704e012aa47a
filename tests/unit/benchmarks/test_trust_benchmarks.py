"""What the benchmarks of people make of what their jobs print, and the worlds that the jobs ask about."""

import numpy as np
import pytest

from benchmarks import annotators, drift, groups
from benchmarks.jobs.annotators import majority
from benchmarks.jobs.drift import fit
from benchmarks.jobs.groups import mixtures, normalised
from benchmarks.jobs.groups_run import holds
from benchmarks.jobs.trust_world import Crowd, arm_world, compare
from benchmarks.jobs.two_wishes import LENGTH, WISH_GF, TwoWishes, worth_of_places


def kind(value: float, uniform: float, named: list[str], hostile: list[str]) -> dict[str, object]:
    return {"crowd_bt": value, "uniform": uniform, "majority": 0.1, "named": named, "hostile": hostile}


def test_shares_are_of_the_clean_result_and_names_are_counted_over_all_crowds() -> None:
    seed = {
        "clean": kind(0.8, 0.8, ["h9"], []) | {"majority": 0.5},
        "careless": kind(0.76, 0.4, [], []),
        "hostile": kind(0.72, 0.0, ["h1", "h2"], ["h1", "h2", "h3"]),
        "colluding": kind(0.8, 0.6, [], []),
    }
    figures = annotators.summarize([seed])
    assert figures["careless_share"] == pytest.approx(0.95) and figures["careless_share_uniform"] == pytest.approx(0.5)
    assert figures["hostile_share"] == pytest.approx(0.9) and figures["hostile_share_majority"] == pytest.approx(0.2)
    assert figures["precision"] == figures["recall"] == pytest.approx(2 / 3)


def test_drift_and_groups_are_summed_up() -> None:
    rows = [{"notice": n, "recover": 2 * n, "recover_without": 9} for n in (10, 20, 90)]
    figures = drift.summarize(rows)
    assert (figures["answers_to_notice"], figures["answers_to_notice_worst"]) == (20, 90)
    assert figures["answers_to_recover"] == 40
    rules = {"mean": True, "least_happy": True, "budgeted": False}
    arms = [{"found": True, "rules": rules}, {"found": True, "rules": rules | {"budgeted": True}}]
    run = {"found": True, "holds": True, "gets": [0.9, -0.2]}
    runs = [run | {"rule": rule} for rule in rules for _ in range(2)]
    found = groups.summarize(arms, runs)
    assert found["groups_found"] == 1 and found["rules_hold"] == found["arms_budgeted_holds"] == 0.5
    assert found["run_mean_first_gets"] == 0.9 and found["run_mean_second_gets"] == -0.2
    runs[0] |= {"holds": False, "found": False}
    worse = groups.summarize(arms, runs)
    assert worse["run_mean_holds"] == 0.5 and worse["groups_found"] == pytest.approx(5 / 6)


def test_the_world_is_worth_one_at_best_and_nothing_by_chance() -> None:
    world = arm_world(0)
    worth = world.normalised(world.goal_F)
    assert worth.max() == pytest.approx(1) and worth.mean() == pytest.approx(0)
    assert world.value(np.zeros(30), world.goal_F) == pytest.approx(0)
    assert world.value(1000 * worth, world.goal_F) == pytest.approx(1, abs=0.01)
    assert world.goal_F @ world.other_F == pytest.approx(0, abs=1e-9)


def test_people_answer_as_their_names_say_and_the_majority_is_right_of_an_honest_crowd() -> None:
    world = arm_world(1)
    worth = world.feature_KF @ world.goal_F
    given = compare(world, Crowd(hostile=4), 600, 3, 0)

    def right(name: str) -> float:
        own = [one for one in given if one.person.startswith(name)]
        return float(np.mean([(worth[int(o.left)] > worth[int(o.right)]) == (o.choice == "left") for o in own]))

    assert right("honest") > 0.75 > 0.25 > right("hostile")
    assert sum(one.person.startswith("hostile") for one in given) / len(given) > 0.4
    assert np.corrcoef(majority(compare(world, Crowd(), 600, 3, 0)), worth)[0, 1] > 0.8


def test_what_groups_get_in_the_world_of_the_runs_is_that_of_its_own_rewards() -> None:
    world, got = TwoWishes(), [0.0, 0.0]
    world.reset(seed=0)
    world._place = np.zeros(2)
    for _ in range(LENGTH):
        seen, reward, _, truncated, _ = world.step(np.array([1.0, 1.0]))
        assert reward == pytest.approx(WISH_GF[0] @ seen)
        got = [one + float(wish @ seen) / LENGTH for one, wish in zip(got, WISH_GF, strict=True)]
    worth_GK, best_G = worth_of_places()
    assert truncated and got[0] == pytest.approx(best_G[0], rel=1e-5), "straight to the right is best for the first"
    assert got[1] / best_G[1] == pytest.approx(worth_GK[1, -1], rel=1e-5)
    assert holds("mean", worth_GK[:, -1]) and not holds("least_happy", worth_GK[:, -1])
    middle = worth_GK[:, worth_GK.shape[1] // 2]
    assert holds("least_happy", middle) and not holds("mean", middle)
    assert not holds("budgeted", worth_GK[:, -1])


def test_what_is_fitted_and_mixed_by_hand() -> None:
    rng = np.random.default_rng(0)
    shown, goal = rng.normal(size=(4000, 6)), np.array([1.0, -1.0, 0.5, 0, 0, 0])
    left = (rng.random(4000) < 1 / (1 + np.exp(-shown @ goal))).astype(float)
    assert fit(shown, left, np.ones(4000)) == pytest.approx(goal, abs=0.15)
    worth = normalised(np.array([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]))
    assert worth.tolist() == [[1, -1, 0], [-1, 1, 0]]
    every = mixtures(worth)
    assert every.shape == (2, 3 * 3 * 51) and every.min(0).max() == pytest.approx(0)
