"""Each monitor: quiet while a run learns, and a finding where something is planted."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.oversight.monitors import MONITOR_NAMES, MONITORS, Answer, Monitor, MonitorsConfig, Seen
from heeler.oversight.monitors.jumps import WINDOW
from heeler.oversight.monitors.seen import NUM_DRAWN, acted, drawn
from heeler.oversight.student import t_tail
from tests.unit.oversight.monitors.simulated import (
    ENVS,
    STEPS,
    UPDATES,
    changed,
    findings,
    rollout,
    seen,
    setup,
)

KINDS = {kind.name: kind for kind in MONITORS}
AT = 40


def answer(number: int, rng: np.random.Generator, person: str = "", **changes: Any) -> Answer:
    """One that an honest person gives: nine in ten are foretold."""
    fields: dict[str, Any] = {
        "annotator": person or f"p{rng.integers(4)}",
        "choice": ("left", "right")[int(rng.integers(2))],
        "left": f"a{number}",
        "right": f"b{number}",
        "time_taken_s": float(np.exp(rng.normal(1.0, 0.5))),
        "is_foretold": bool(rng.random() < 0.9),
    }
    return Answer(**(fields | changes))


def answers(update: int, rng: np.random.Generator) -> list[Answer]:
    return [answer(100 * update + n, rng) for n in range(6)]


def sound(rng: np.random.Generator, updates: int = UPDATES) -> list[Seen]:
    return [seen(n, rng, answers=answers(n, rng), num_open=2) for n in range(1, updates + 1)]


def test_every_monitor_is_named_in_the_settings_and_says_what_it_follows() -> None:
    assert {*KINDS, "stall", "breakdown"} == set(MONITOR_NAMES)
    assert len(KINDS) == len(MONITORS)
    assert list(MONITOR_NAMES) == sorted(MONITOR_NAMES)
    assert all(kind.about for kind in MONITORS)


def test_no_monitor_raises_an_alarm_on_runs_that_learn() -> None:
    alarms: list[Any] = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        monitors = [kind(setup()) for kind in MONITORS]
        alarms += [found for look in sound(rng) for monitor in monitors if (found := monitor.look(look)) is not None]
    # By the stated rates there is one in half of all such lots: 12 runs times 24 monitors times 0.002.
    assert len(alarms) <= 2, alarms


def with_row(**changes: Any) -> Any:
    return lambda n, rng: seen(n, rng, **changes)


def with_rollout(change: Any) -> Any:
    return lambda n, rng: seen(n, rng, made=change(rollout(n, rng), rng))


def stuck(made: Any, rng: np.random.Generator) -> Any:
    observation = made.observation.copy()
    observation[..., 1] = 0.25
    return changed(made, observation=observation)


def noisy(made: Any, rng: np.random.Generator) -> Any:
    observation = made.observation.copy()
    observation[..., 0] += rng.normal(0, 5, observation.shape[:2])
    return changed(made, observation=observation)


def costless(made: Any, rng: np.random.Generator) -> Any:
    return changed(made, cost=np.zeros_like(made.cost))


def given(change: Any) -> Any:
    def look(n: int, rng: np.random.Generator) -> Seen:
        made = rollout(n, rng)
        return seen(n, rng, made=made, reward=change(made.true_reward))

    return look


def said(make: Any) -> Any:
    return lambda n, rng: seen(n, rng, answers=[*answers(n, rng), *make(n, rng)], num_open=2)


PLANTED: list[tuple[str, Any]] = [
    ("return_drift", with_row(returns=[0.0, 1.0])),
    ("cost_drift", with_row(cost_speed_level=60.0)),
    ("cost_over_budget", with_row(cost_speed_level=30.0)),
    ("cost_sensor", with_rollout(costless)),
    ("observations", with_rollout(noisy)),
    ("stuck_sensor", with_rollout(stuck)),
    ("dynamics", lambda n, rng: seen(n, rng, made=rollout(n, rng, np.array([[0.9, -0.3], [0.5, 0.9]])))),
    ("reward_signal", given(lambda reward: 100 * reward)),
    ("reward_signal", given(lambda reward: -reward)),
    ("reward_signal", given(np.zeros_like)),
    ("reward_signal", with_row(reward_correlation=-1.0)),
    ("entropy_collapse", with_row(entropy=-0.6)),
    ("kl_spike", with_row(kl=0.4)),
    ("gradients", with_row(gradient_norm=30.0)),
    ("value_loss", with_row(value_loss=30.0)),
    ("value_loss", with_row(explained_variance=-0.5, value_loss=0.6)),
    ("reward_disagreement", with_row(reward_disagreement=3.0)),
    ("fast_answers", said(lambda n, rng: [answer(n, rng, "bot", time_taken_s=0.1)])),
    ("one_sided_answers", said(lambda n, rng: [answer(1000 * n + k, rng, "sided", choice="left") for k in range(3)])),
    (
        "contradictory_answers",
        said(lambda n, rng: [answer(7, rng, "waverer", choice=choice) for choice in ("left", "right")]),
    ),
    ("repeated_answers", said(lambda n, rng: [answer(7, rng, "parrot", choice="left")])),
    ("disagreeing_person", said(lambda n, rng: [answer(n, rng, "hostile", is_foretold=False)])),
    (
        "agreement_drift",
        lambda n, rng: seen(
            n, rng, answers=[answer(9000 * n + k, rng, is_foretold=bool(rng.random() < 0.3)) for k in range(6)]
        ),
    ),
    ("feedback_stops", with_row(num_open=3)),
    ("hard_questions", with_row(**{"kinds/preference/cannot_judge": 1.0, "kinds/preference/silent_share": 0.6})),
    ("slow_updates", with_row(acting_s=0.5)),
    ("resources", with_row(machine={"free_disk_mb": 100.0})),
    ("resources", with_row(machine={"memory_mb": 9000.0})),
    ("checkpoints", with_row(damaged=["step-512 is refused"])),
]


@pytest.mark.parametrize(("name", "planted"), PLANTED, ids=[f"{name}-{n}" for n, (name, _) in enumerate(PLANTED)])
def test_a_monitor_finds_what_is_planted_and_nothing_before(name: str, planted: Any) -> None:
    rng = np.random.default_rng(3)
    monitor = KINDS[name](setup())
    before = [seen(n, rng, answers=answers(n, rng), num_open=2, machine={"memory_mb": 500.0}) for n in range(1, AT)]
    assert findings(monitor, before) == []
    found = findings(monitor, (planted(n, rng) for n in range(AT, UPDATES + 1)))
    assert found, name
    assert found[0].monitor == name
    assert AT * 512 <= found[0].step <= UPDATES * 512
    assert found[0].reason
    json.dumps(dict(found[0].evidence), allow_nan=False)


def test_every_monitor_of_a_run_has_a_planted_fault() -> None:
    assert {name for name, _ in PLANTED} | {"reward_hacking"} == set(KINDS)


def test_reward_that_rises_while_returns_fall_is_hacking() -> None:
    rng = np.random.default_rng(0)
    monitor = KINDS["reward_hacking"](setup(num_updates=128))
    learning = [seen(n, rng, predicted_reward_mean=n / 10, returns=[2.0 * n + rng.normal()]) for n in range(1, 30)]
    assert findings(monitor, learning) == []
    hacking = [
        seen(n, rng, predicted_reward_mean=n / 10, returns=[60 - 2.0 * (n - 30) + rng.normal()]) for n in range(30, 128)
    ]
    (found, *_) = findings(monitor, hacking)
    assert found.evidence["first_step"] < found.evidence["last_step"] <= found.step


def test_a_share_of_next_to_nothing_that_is_not_explained_is_no_fault() -> None:
    rng = np.random.default_rng(0)
    monitor = KINDS["value_loss"](setup())
    looks = [seen(n, rng, explained_variance=-3.0 if n == AT else 0.9) for n in range(1, UPDATES)]
    assert findings(monitor, looks) == []


def test_one_failure_among_many_successes_is_not_taken_for_values_that_were_lost() -> None:
    """A loss may leap a hundredfold from nothing; only one that comes near what it once was is told of."""
    for highest, told in ((0.3, False), (0.05, True)):
        rng = np.random.default_rng(0)
        monitor = KINDS["value_loss"](setup())
        losses = [highest, *(0.0002 * np.exp(0.3 * rng.normal(size=UPDATES - 2)))]
        losses[AT] = 0.02
        looks = [seen(n, rng, value_loss=float(loss)) for n, loss in enumerate(losses, 1)]
        assert bool(findings(monitor, looks)) == told


def test_memory_that_will_not_last_is_told_of_before_it_is_gone() -> None:
    rng = np.random.default_rng(0)
    monitor = KINDS["resources"](setup(num_updates=1000))
    looks = [
        seen(n, rng, machine={"memory_mb": 500.0 + 5 * n, "free_memory_mb": 4000.0 - 5 * n}) for n in range(1, UPDATES)
    ]
    found = findings(monitor, looks)
    assert found
    assert "grows by 5.0 MB an update" in found[0].reason


def test_a_learned_reward_may_become_another_function_at_each_fit() -> None:
    rng = np.random.default_rng(0)
    monitor = KINDS["reward_signal"](setup(learns_reward=True))
    looks = []
    for n in range(1, UPDATES + 1):
        made = rollout(n, rng)
        weight = 1.0 if n // 10 % 2 else 0.2
        reward = weight * made.observation[1:, :, 0] + (1 - weight) * made.observation[1:, :, 1]
        looks.append(seen(n, rng, made=made, reward=(reward - reward.mean()) / reward.std()))
    assert findings(monitor, looks) == []


def test_before_there_is_a_reward_nothing_is_said_of_it() -> None:
    rng = np.random.default_rng(0)
    monitor = KINDS["reward_signal"](setup())
    made = rollout(1, rng)
    looks = [Seen(step=n, update=n, row={"step": n, "update": n}, acted=acted(made, None)) for n in range(1, UPDATES)]
    assert findings(monitor, looks) == []


def test_nobody_is_held_against_a_rest_that_is_not_there() -> None:
    rng = np.random.default_rng(0)
    monitor = KINDS["disagreeing_person"](setup())
    looks = [seen(n, rng, answers=[answer(n, rng, "alone", is_foretold=False)]) for n in range(1, UPDATES)]
    assert findings(monitor, looks) == []


def test_a_cost_may_rise_to_its_budget_and_a_learner_may_overshoot_it() -> None:
    rng = np.random.default_rng(0)
    monitor, over = KINDS["cost_drift"](setup()), KINDS["cost_over_budget"](setup())
    level = [2.0, *np.linspace(0, 18, 14), *np.linspace(18, 9, 20), *[9.5] * 25]
    looks = [seen(n, rng, cost_speed_level=float(one)) for n, one in enumerate(level, 1)]
    assert findings(monitor, looks) == findings(over, looks) == []


def test_a_cost_may_be_below_nothing_and_a_run_is_watched_on() -> None:
    """A function of the user's own may give such a cost."""
    rng = np.random.default_rng(0)
    monitor = KINDS["cost_drift"](setup())
    looks = [seen(n, rng, cost_speed_level=-5.0 + rng.normal()) for n in range(1, AT)]
    assert findings(monitor, looks) == []
    assert findings(monitor, (seen(n, rng, cost_speed_level=60.0) for n in range(AT, UPDATES)))


def with_acted(n: int, **changes: Any) -> Seen:
    """A look at which nothing but what was acted is told, some of it as given."""
    rng = np.random.default_rng(n)
    made = rollout(n, rng)
    return Seen(step=n, update=n, row={}, acted=replace(acted(made, made.true_reward), **changes))


def test_a_cost_is_missed_once_a_tenth_of_the_steps_would_have_shown_it() -> None:
    """By hand: of n steps a share p cost anything; e^(−n p / 10) must come to a rate of .002 over 60 updates."""
    needed = 10 * np.log(UPDATES / 0.002) / 0.4
    for num_steps, is_missed in ((int(needed), False), (int(needed) + 1, True)):
        monitor = KINDS["cost_sensor"](setup())
        looks = [with_acted(n, costly_C=np.array([0.4]), num_steps=num_steps) for n in range(1, 7)]
        assert findings(monitor, looks) == []
        found = monitor.look(with_acted(7, costly_C=np.zeros(1), num_steps=num_steps))
        assert (found is not None) == is_missed


def test_a_number_is_stuck_once_an_eighth_of_the_steps_would_have_shown_it() -> None:
    """By hand: two lags of three numbers in 60 updates; half of the steps leave a sound one as it is at most."""
    needed = 8 * np.log2(UPDATES * 6 / 0.002)
    free, stuck = np.zeros((2, 3)), np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    for num_compared, is_told in ((int(needed), False), (int(needed) + 1, True)):
        monitor = KINDS["stuck_sensor"](setup())
        looks = [with_acted(n, same_LO=free, num_compared=num_compared) for n in range(1, 6)]
        assert findings(monitor, looks) == []
        found = monitor.look(with_acted(6, same_LO=stuck, num_compared=num_compared))
        assert (found is not None) == is_told


def test_a_cost_above_its_budget_has_a_quarter_of_the_run_to_come_down() -> None:
    rng = np.random.default_rng(0)
    monitor = KINDS["cost_over_budget"](setup())
    looks = [seen(n, rng, cost_speed_level=100.0 if n <= UPDATES // 4 else 9.0) for n in range(1, UPDATES + 1)]
    assert findings(monitor, looks) == []
    late = [seen(n, rng, cost_speed_level=100.0) for n in range(1, UPDATES + 1)]
    assert findings(KINDS["cost_over_budget"](setup()), late)[0].step > UPDATES // 4 * 512


def test_who_answers_most_is_not_measured_by_their_own_answers() -> None:
    rng = np.random.default_rng(0)
    monitor = KINDS["disagreeing_person"](setup())
    looks = [
        seen(
            n,
            rng,
            answers=[
                *(answer(100 * n + k, rng, "hostile", is_foretold=False) for k in range(9)),
                answer(100 * n + 9, rng, "honest", is_foretold=n % 10 != 0),
            ],
        )
        for n in range(1, UPDATES + 1)
    ]
    found = findings(monitor, looks)
    assert {one.evidence["annotator"] for one in found} == {"hostile"}
    assert all(0.85 <= one.evidence["foretold_of_others"] <= 0.95 for one in found)


@pytest.mark.parametrize("kind", MONITORS, ids=lambda kind: kind.name)
def test_a_monitor_goes_on_from_its_state_bit_for_bit(kind: type[Monitor]) -> None:
    rng = np.random.default_rng(5)
    looks = [
        *sound(rng, AT),
        *(planted(n, rng) for n in range(AT, UPDATES) for name, planted in PLANTED if name == kind.name),
    ]
    whole, first = kind(setup()), kind(setup())
    cut = AT + 2
    told = [whole.look(look) for look in looks]
    before = [first.look(look) for look in looks[:cut]]
    state = json.loads(json.dumps(first.state_dict(), allow_nan=False))
    second = kind(setup())
    second.load_state_dict(state)
    assert before + [second.look(look) for look in looks[cut:]] == told
    assert second.state_dict() == whole.state_dict()


# What they see


def test_drawn_steps_are_spread_over_all_environments_and_steps() -> None:
    t, n = np.divmod(drawn(64, 16), 16)
    assert NUM_DRAWN * 0.9 < len(t) <= NUM_DRAWN
    assert set(n) == set(range(16))
    assert np.histogram(t, bins=8, range=(0, 64))[0].min() >= 0.8 * len(t) / 8
    assert drawn(3, 2).tolist() == [0, 1, 2, 3, 4, 5]


def test_steps_that_end_an_episode_are_not_drawn_and_do_not_count_as_stuck() -> None:
    rng = np.random.default_rng(0)
    made = rollout(1, rng)
    ended = np.zeros((STEPS, ENVS), bool)
    ended[31] = True
    episode = np.zeros((STEPS, ENVS), np.int64)
    episode[32:] = 1
    observation = made.observation.copy()
    observation[32] = observation[31]
    cut = acted(changed(made, terminated=ended, episode_index=episode, observation=observation), made.true_reward)
    assert len(cut.observation_KO) < len(acted(made, made.true_reward).observation_KO)
    assert cut.same_LO[0].tolist() == [0, 0, 1]
    assert cut.num_compared == 4 * (STEPS - 4)
    np.testing.assert_array_equal(cut.costly_C, [(made.cost[..., 0] > 0).mean()])


def test_the_next_observation_and_the_reward_belong_to_the_step() -> None:
    rng = np.random.default_rng(0)
    made = rollout(1, rng)
    t, n = np.divmod(drawn(STEPS, ENVS), ENVS)
    cut = acted(made, made.true_reward)
    np.testing.assert_array_equal(cut.next_KO, made.observation[t + 1, n])
    np.testing.assert_array_equal(cut.reward_K, made.true_reward[t, n])
    assert not cut.is_discrete


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"off": ("kl_spikes",)}, "no monitor 'kl_spikes'.*kl_spike"),
        ({"rates": {"kl": 0.1}}, "no monitor 'kl'"),
        ({"rates": {"kl_spike": 0.1}, "off": ("kl_spike",)}, "would be ignored"),
        ({"false_alarms": 0.0}, "monitors.false_alarms must be above 0"),
        ({"rates": {"kl_spike": 2.0}}, "monitors.rates.kl_spike"),
        ({"quiet_updates": -1}, "quiet_updates"),
        ({"slower": 0.5}, "slower must be >= 1"),
        ({"agreement_gap": 1.0}, "agreement_gap"),
        ({"stall_s": 0.0}, "stall_s must be > 0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MonitorsConfig(**settings)


def test_what_makes_up_a_monitor_shares_its_rate() -> None:
    """Each of several tests within it is at a part of the rate, and the parts come to no more than all of it."""
    rate = 0.01
    given = setup(config=MonitorsConfig(false_alarms=rate), budgets={"speed": 1.0, "heat": 1.0})
    made: dict[str, Any] = {name: kind(given) for name, kind in KINDS.items()}
    assert sum(bets.error_rate for bets in made["one_sided_answers"].bets.values()) == pytest.approx(rate)
    looks, answered = UPDATES, 400
    courses = made["cost_drift"].courses.values()
    walks = sum(looks * np.exp(-2 * one.page.allowance * one.page.threshold) for one in courses)
    windows = sum(one.adwin.delta * looks for one in courses)
    jumps = sum(t_tail(one.jump.threshold, WINDOW - 2) * looks for one in courses)
    assert walks + windows + jumps == pytest.approx(rate)
    over = made["cost_over_budget"].detectors.values()
    assert sum(looks * np.exp(-one.log_needed) for one in over) == pytest.approx(rate)
    drift = made["agreement_drift"]
    assert answered * (np.exp(-drift.detector.log_needed) + drift.adwin.delta) == pytest.approx(rate)
    back = made["return_drift"]
    walk = looks * np.exp(-2 * back.page.allowance * back.page.threshold)
    assert walk + looks * back.adwin.delta == pytest.approx(rate)
    value = made["value_loss"]
    leaps = sum(t_tail(one.jump.threshold, WINDOW - 2) * looks for one in (value.loss, value.explained))
    assert leaps == pytest.approx(rate)


def test_a_monitor_s_own_rate_goes_before_the_common_one() -> None:
    config = MonitorsConfig(false_alarms=0.01, rates={"kl_spike": 0.1})
    loose, strict = (KINDS["kl_spike"](setup(config=each)) for each in (config, MonitorsConfig()))
    assert (config.rate("kl_spike"), config.rate("gradients")) == (0.1, 0.01)
    assert loose.spike.jump.threshold < strict.spike.jump.threshold  # type: ignore[attr-defined]
    assert WINDOW < AT
