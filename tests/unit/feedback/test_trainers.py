"""Scripted trainers: what they press, when, and how often; and the judges that they go by."""

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.envs import EnvConfig, make
from heeler.feedback.judges import CartPoleJudge, GridJudge, MountainCarJudge, judge_of, optimal_values
from heeler.feedback.trainers import ScriptedTrainer, TrainerConfig

EXACT = {"miss": 0.0, "mistake": 0.0, "fatigue": 0.0, "notice": 0.0}
VALUES = np.array([1.0, 0.95, 0.0])
GRID = EnvConfig(id="LavaGrid", num_envs=1, kwargs={"layout": ("S.#", "..G")})


def trainer(seed=0, **settings):
    return ScriptedTrainer(TrainerConfig(**(EXACT | settings)), seed, "tom")


def watched(one, num_steps, step_s, choose=lambda n: n % 3):
    """(step, signal) in the order of the signals."""
    found = []
    for number in range(num_steps):
        one.watch(number * step_s, (number + 1) * step_s, VALUES, choose(number), None)
        found += one.ready((number + 1) * step_s)
    return found


@pytest.mark.parametrize(("by", "wanted"), [("action", [1, -1, -1]), ("values", [1, 1, -1]), ("policy", [1, 1, -1])])
def test_what_they_go_by(by, wanted):
    one = trainer(by=by)
    assert [one.verdict(VALUES, action, np.full(3, 1 / 3)) for action in range(3)] == wanted


def test_by_the_policy_the_same_action_is_praised_and_then_no_more():
    """Feedback is about the policy: what beats it is good, until it is what the policy does."""
    one = trainer(by="policy")
    assert one.verdict(VALUES, 1, np.array([0.0, 0.0, 1.0])) == 1
    assert one.verdict(VALUES, 1, np.array([0.0, 1.0, 0.0])) == 0
    assert one.verdict(VALUES, 1, np.array([1.0, 0.0, 0.0])) == 0
    assert one.verdict(VALUES, 2, np.array([0.5, 0.5, 0.0])) == -1


def test_who_always_does_what_is_bad_is_told_so():
    one = trainer(by="policy")
    assert one.verdict(VALUES, 2, np.array([0.0, 0.0, 1.0])) == -1
    assert trainer(by="policy", doubt=0.0).verdict(VALUES, 2, np.array([0.0, 0.0, 1.0])) == 0


def test_nothing_is_said_where_actions_do_not_differ():
    for by in ("action", "values", "policy"):
        assert trainer(by=by).verdict(np.zeros(3), 1, np.full(3, 1 / 3)) == 0


def test_reactions_take_as_long_as_they_are_said_to():
    """Every step is the same action, so that each signal is about the moment that was looked at."""
    one = trainer(low_delay_s=0.5, high_delay_s=0.5, signals_per_minute=600)
    signals = watched(one, 100, 1.0, choose=lambda n: 0 if n % 2 else 2)
    for signal in signals:
        about = int(signal.time_s - 0.5)
        assert signal.sign == (1 if about % 2 else -1)


def test_delays_are_spread_between_their_bounds():
    delays = []
    for seed in range(200):
        one = trainer(seed, low_delay_s=0.2, high_delay_s=2.0)
        one.watch(0.0, 1e-6, VALUES, 0, None)
        delays += [signal.time_s for signal in one.ready(10.0)]
    assert len(delays) == 200
    assert 0.2 <= min(delays) < 0.3 and 1.9 < max(delays) <= 2.0001
    assert abs(np.mean(delays) - 1.1) < 0.1


@pytest.mark.parametrize("per_minute", [10, 30, 50])
def test_they_press_no_more_often_than_they_can(per_minute):
    minutes = 20
    signals = watched(trainer(signals_per_minute=per_minute), minutes * 600, 0.1)
    assert 0.85 * per_minute < len(signals) / minutes < 1.1 * per_minute


def test_misses_and_mistakes():
    def of(**settings):
        return watched(trainer(**settings), 6000, 0.5, choose=lambda n: 0)

    assert len(of(miss=0.5)) == pytest.approx(0.5 * len(of()), rel=0.15)
    assert np.mean([signal.sign < 0 for signal in of(mistake=0.2)]) == pytest.approx(0.2, abs=0.03)
    assert {signal.sign for signal in of()} == {1}


def test_tired_people_press_more_seldom_and_err_more():
    signals = watched(trainer(fatigue=0.2), 6000, 0.2, choose=lambda n: 0)
    early = [signal for signal in signals if signal.time_s < 300]
    late = [signal for signal in signals if signal.time_s > 900]
    assert len(late) < 0.3 * len(early)
    assert np.mean([s.sign < 0 for s in late]) > np.mean([s.sign < 0 for s in early]) + 0.15


def test_what_hardly_matters_is_passed_over():
    one = ScriptedTrainer(TrainerConfig(**(EXACT | {"notice": 0.5})), 0, "tom")
    for number in range(200):
        value = 0.01 * VALUES if number % 2 else VALUES
        one.watch(float(number), number + 1.0, value, 2 if number % 2 else 0, None)
    assert {signal.sign for signal in one.ready(300.0)} == {1}


def test_restored_trainers_go_on_as_if_nothing_had_happened():
    settings = {"miss": 0.2, "mistake": 0.2, "fatigue": 0.1, "notice": 0.3}
    one, other = trainer(**settings), trainer(seed=5, **settings)
    watched(one, 50, 0.5)
    other.load_state_dict(one.state_dict())
    for each in (one, other):
        each.watch(25.0, 26.0, VALUES, 0, None)
        each.watch(40.0, 41.0, VALUES, 2, None)
    assert one.ready(60.0) == other.ready(60.0)
    assert one.state_dict() == other.state_dict()


def test_time_runs_on():
    one = trainer()
    one.watch(1.0, 2.0, VALUES, 0, None)
    with pytest.raises(DataError, match="time runs on"):
        one.watch(0.0, 1.0, VALUES, 0, None)
    with pytest.raises(DataError, match="time runs on"):
        one.watch(2.0, 2.0, VALUES, 0, None)


def test_a_policy_is_needed_where_they_go_by_it():
    with pytest.raises(DataError, match=r"set teacher\.by to action"):
        trainer(by="policy").verdict(VALUES, 0, None)


@pytest.mark.parametrize(
    "bad",
    [
        {"by": "mood"},
        {"tolerance": 1.5},
        {"doubt": 1.1},
        {"notice": -1.0},
        {"low_delay_s": 3.0},
        {"high_delay_s": float("inf")},
        {"signals_per_minute": 0.0},
        {"miss": 1.0},
        {"mistake": -0.1},
        {"fatigue": float("nan")},
    ],
)
def test_bad_settings_are_refused(bad):
    (name,) = bad
    with pytest.raises(ConfigError, match=f"teacher.{name}"):
        TrainerConfig(**bad)


# Judges


def test_grid_values_against_a_loop_over_its_ways():
    """Two rows of three cells: from S it is down and then right twice, or right, down, right."""
    judge = GridJudge(GRID, discount=0.9)
    at_start = np.zeros((1, 30), np.float32)
    at_start[0, 0] = 1
    after = [-0.05 + 0.9 * (-0.05 + 0.9 * 0.95), -0.05 + 0.9 * (-0.05 + 0.9 * 0.95)]
    stays = -0.05 + 0.9 * after[0]
    np.testing.assert_allclose(judge.values(at_start)[0], [stays, after[0], after[1], stays])


def test_value_iteration_of_a_chance():
    """One state, two actions: a coin that ends it well or goes on, against a small sure end."""
    probability = np.array([[[0.5, 0.5], [1.0, 0.0]]])
    reward = np.array([[[1.0, 0.0], [0.6, 0.0]]])
    terminated = np.array([[[True, False], [True, True]]])
    values = optimal_values(probability, np.zeros((1, 2, 2), np.int64), reward, terminated, discount=0.8)
    # v = .5 + .5 * .8 * v = .8333
    np.testing.assert_allclose(values, [[0.5 / 0.6, 0.6]])


@pytest.mark.parametrize(("env", "threshold"), [("MountainCar-v0", -110.0), ("CartPole-v1", 475.0), ("LavaGrid", 0.8)])
def test_judges_solve_their_worlds(env, threshold):
    """By Gymnasium's own thresholds; what a trainer holds for best is that."""
    config = GRID if env == "LavaGrid" else EnvConfig(id=env, num_envs=1)
    judge = judge_of(config)
    world = make(EnvConfig(id=env, num_envs=20, kwargs=config.kwargs), 3)
    observation, _ = world.reset(seed=3)
    running, total = np.ones(20, bool), np.zeros(20)
    while running.any():
        observation, reward, terminated, truncated, _ = world.step(judge.values(observation).argmax(1))
        total += reward * running
        running &= ~(terminated | truncated)
    assert total.mean() >= threshold


def test_a_mountain_car_judge_knows_the_end():
    assert MountainCarJudge().values(np.array([[0.49, 0.069]], np.float32)).tolist() == [[-1.0, -1.0, -1.0]]


def test_a_cart_pole_judge_pushes_under_a_pole_that_falls():
    values = CartPoleJudge().values(np.array([[0, 0, 0.1, 0.5], [0, 0, -0.1, -0.5], [0, 0, 0.2094, 3]], np.float32))
    assert values.argmax(1)[:2].tolist() == [1, 0]
    assert values[2].tolist() == [-1000.0, -1000.0]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (EnvConfig(id="Pendulum-v1"), "no scripted trainer knows"),
        (EnvConfig(id="LavaGrid"), "set env.kwargs.layout"),
        (EnvConfig(id="LavaGrid", kwargs={"layout": ("SV", ".G")}), "without vases"),
        (EnvConfig(id="MountainCar-v0", kwargs={"goal_velocity": 0.1}), "not with goal_velocity"),
    ],
)
def test_worlds_of_which_nobody_knows_what_is_good(config, words):
    with pytest.raises(ConfigError, match=words):
        judge_of(config)
