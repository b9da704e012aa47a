"""How the price of a cost moves: traces by hand, bounds without wind-up, and nothing without a measure."""

import math

import pytest
import torch

from heeler.core.errors import CheckpointError, ConfigError
from heeler.safety.multipliers import MultiplierConfig, MultiplierState, Rule, first_state, moved

RULES: tuple[Rule, ...] = ("gradient", "adam", "pid")


def trace(config: MultiplierConfig, costs: list[float | None], budget: float = 1.0) -> list[float]:
    state, values = first_state(config), []
    for cost in costs:
        state = moved(config, state, cost, budget)
        values.append(state.value)
    return values


def test_the_plain_gradient_by_hand():
    config = MultiplierConfig(rule="gradient", initial=0.5, learning_rate=0.1)
    assert trace(config, [3.0, 2.0, 0.0, 1.0]) == pytest.approx([0.7, 0.8, 0.7, 0.7])


def test_the_pid_rule_by_hand():
    """I = 2, 3, 2; the third cost falls, so that nothing rises."""
    config = MultiplierConfig(rule="pid", proportional=0.5, integral=0.1, derivative=0.25)
    assert trace(config, [3.0, 2.0, 0.0]) == pytest.approx(
        [0.5 * 2 + 0.1 * 2, 0.5 * 1 + 0.1 * 3, max(0.0, 0.5 * -1 + 0.1 * 2)]
    )
    rising = trace(config, [1.0, 2.0])
    assert rising == pytest.approx([0.0, 0.5 * 1 + 0.1 * 1 + 0.25 * 1])


def test_a_first_price_is_where_each_rule_begins_and_at_the_budget_it_stays():
    """So that a run that begins with a price does not lose it in its first update."""
    for rule in RULES:
        config = MultiplierConfig(rule=rule, initial=1.5, maximum=math.inf)
        assert first_state(config).value == 1.5
        assert trace(config, [1.0, 1.0, 1.0]) == pytest.approx([1.5, 1.5, 1.5])


def test_adam_is_torchs_own():
    config = MultiplierConfig(rule="adam", initial=5.0, learning_rate=0.05)
    costs = [3.0, 1.5, 0.2, 2.0, 7.0]
    price = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([price], lr=0.05)
    expected = []
    for cost in costs:
        price.grad = torch.tensor(-(cost - 1.0), dtype=torch.float64)
        optimizer.step()
        expected.append(price.item())
    assert trace(config, costs) == pytest.approx(expected, rel=1e-6)


def test_adams_step_is_the_same_whatever_unit_the_cost_has():
    config = MultiplierConfig(rule="adam", learning_rate=0.05)
    plain = trace(config, [3.0, 4.0, 2.0])
    assert trace(config, [300.0, 400.0, 200.0], 100.0) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_it_stays_at_nothing_while_the_budget_is_kept_and_rises_at_once_when_it_is_not(rule: Rule):
    """Anti-windup: hundreds of batches below the budget do not have to be made up for."""
    config = MultiplierConfig(rule=rule, learning_rate=0.1)
    quiet = [0.0] * 300
    values = trace(config, [*quiet, 2.0])
    assert set(values[:-1]) == {0.0}
    assert values[-1] > 0
    if rule != "adam":
        assert values[-1] == pytest.approx(trace(config, [0.0, 2.0])[-1])


@pytest.mark.parametrize("rule", RULES)
def test_it_stops_at_its_maximum_and_comes_down_at_once(rule: Rule):
    config = MultiplierConfig(rule=rule, maximum=3.0, learning_rate=0.5)
    values = trace(config, [*[10.0] * 100, 0.0])
    assert max(values) == values[99] == 3.0
    assert values[100] < 3.0, "a hundred batches above the budget do not have to be unwound"


@pytest.mark.parametrize("rule", RULES)
def test_no_finished_episode_is_no_update_and_not_nan(rule: Rule):
    config = MultiplierConfig(rule=rule)
    state = moved(config, first_state(config), 3.0, 1.0)
    assert moved(config, state, None, 1.0) is state
    assert all(math.isfinite(value) for value in trace(config, [None, 2.0, None, 0.5]))


@pytest.mark.parametrize("rule", RULES)
def test_a_state_comes_back_from_numbers_and_from_json(rule: Rule):
    config = MultiplierConfig(rule=rule, learning_rate=0.3)
    state = moved(config, moved(config, first_state(config), 3.0, 1.0), 1.5, 1.0)
    assert MultiplierState.from_numbers(state.to_numbers()) == state
    assert MultiplierState.from_json(state.to_json()) == state
    assert MultiplierState.from_numbers(first_state(config).to_numbers()) == first_state(config)
    with pytest.raises(CheckpointError, match="value, integral and cost_before"):
        MultiplierState.from_json({"value": 1.0})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "newton"}, "rule must be one of gradient, adam, pid"),
        ({"initial": 5.0, "maximum": 1.0}, "initial must be 0 to maximum"),
        ({"learning_rate": 0.0}, "learning_rate must be > 0"),
        ({"integral": -1.0}, "integral must be > 0"),
        ({"derivative": -0.1}, "derivative must be >= 0"),
        ({"proportional": math.inf}, "proportional must be finite, got inf"),
        ({"rule": "gradient", "learning_rate": math.inf}, "learning_rate must be finite, got inf"),
        ({"initial": math.inf, "maximum": math.inf}, "initial must be finite, got inf"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, float], message: str):
    with pytest.raises(ConfigError, match=message):
        MultiplierConfig(**settings)  # type: ignore[arg-type]
