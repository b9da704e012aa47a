"""Credit and traces against closed forms and naive loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heeler.algorithms.delay import DelayConfig
from heeler.core.errors import ConfigError
from heeler.ops.credit import gamma_cdf, trace_weights, uniform_cdf


def naive_credit(density, start_s, end_s, signal_s, num_slices=4000):
    """By its definition: the density of delays, summed over thin slices of the time of the step."""
    edges = np.linspace(start_s, end_s, num_slices + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    return sum(density(signal_s - moment) for moment in middle) * (end_s - start_s) / num_slices


def uniform_density(low, high):
    return lambda delay: 1 / (high - low) if low <= delay <= high else 0.0


def gamma_density(shape, scale, shift):
    def density(delay):
        late = delay - shift
        if late <= 0:
            return 0.0
        return late ** (shape - 1) * math.exp(-late / scale) / (math.gamma(shape) * scale**shape)

    return density


@pytest.mark.parametrize(
    ("config", "density"),
    [
        (DelayConfig(low_s=0.2, high_s=0.6), uniform_density(0.2, 0.6)),
        (DelayConfig(low_s=0.2, high_s=2.0), uniform_density(0.2, 2.0)),
        (DelayConfig(density="gamma", shape=2.0, scale_s=0.28), gamma_density(2.0, 0.28, 0.0)),
        (DelayConfig(density="gamma", shape=3.5, scale_s=0.1, shift_s=0.25), gamma_density(3.5, 0.1, 0.25)),
    ],
)
def test_feedback_on_delay_is_credited_to_the_right_step(config, density):
    """The trap: a signal is about what was on the screen while the reaction to it took its time, not about the last
    step. Steps of .15 s, a loop over all steps and signals."""
    start_s = np.arange(20) * 0.15
    for signal_s in (0.31, 1.0, 1.72, 2.9):
        got = config.credit(start_s, start_s + 0.15, signal_s)
        wanted = [naive_credit(density, start, start + 0.15, signal_s) for start in start_s]
        np.testing.assert_allclose(got, wanted, atol=2e-3)
        assert got.sum() <= 1 + 1e-9


def test_uniform_credit_in_closed_form():
    """Pressed at 1.0 s, reactions of .2 to .6 s: it is about .4 to .8 s; steps of .2 s take half each."""
    start_s = np.arange(5) * 0.2
    credit = DelayConfig(low_s=0.2, high_s=0.6).credit(start_s, start_s + 0.2, 1.0)
    np.testing.assert_allclose(credit, [0, 0, 0.5, 0.5, 0], atol=1e-12)


def test_a_signal_about_time_before_the_first_step_is_not_shared_out_among_the_rest():
    start_s = np.array([0.0, 0.2])
    credit = DelayConfig(low_s=0.2, high_s=0.6).credit(start_s, start_s + 0.2, 0.5)
    np.testing.assert_allclose(credit, [0.5, 0.25])


@given(seed=st.integers(0, 10_000), shape=st.floats(0.5, 6), scale=st.floats(0.05, 1), shift=st.floats(0, 1))
def test_distribution_functions_rise_from_none_to_all(seed, shape, scale, shift):
    delay = torch.from_numpy(np.sort(np.random.default_rng(seed).uniform(-1, 100, 30)))
    for cdf in (
        gamma_cdf(delay, shape=shape, scale=scale, shift=shift),
        uniform_cdf(delay, low=shift, high=shift + scale),
    ):
        assert (cdf.diff() >= -1e-12).all()
        assert cdf[delay < 0].abs().sum() == 0
        assert float(cdf[-1]) <= 1


def test_all_but_one_in_a_thousand_have_reacted_within_the_longest_time():
    for config in (DelayConfig(), DelayConfig(density="gamma"), DelayConfig(density="gamma", shape=9.0, shift_s=0.5)):
        assert float(config.reacted(torch.tensor(config.longest_s, dtype=torch.float64))) >= 0.999
        assert config.num_steps(0.1) * 0.1 >= config.longest_s


def naive_traces(credit, begins, decay):
    """A double loop: each step is given what each later one of its episode is credited, faded by the steps between."""
    weights = np.zeros(len(credit))
    for k in range(len(credit)):
        for j in range(k, len(credit)):
            if any(begins[k + 1 : j + 1]):
                break
            weights[k] += credit[j] * decay ** (j - k)
    return weights


@given(seed=st.integers(0, 10_000), num_steps=st.integers(1, 12), decay=st.floats(0, 0.99))
def test_traces_equal_a_double_loop(seed, num_steps, decay):
    rng = np.random.default_rng(seed)
    credit, begins = rng.random((3, num_steps)), rng.random((3, num_steps)) < 0.2
    got = trace_weights(torch.from_numpy(credit), torch.from_numpy(begins), decay=decay)
    wanted = [naive_traces(*row, decay) for row in zip(credit, begins, strict=True)]
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-12)


def test_without_a_trace_only_the_credit_is_left():
    credit = torch.tensor([0.25, 0.75, 0.0])
    assert torch.equal(trace_weights(credit, torch.zeros(3, dtype=torch.bool), decay=0.0), credit)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"density": "normal"}, "delay.density"),
        ({"low_s": 0.6, "high_s": 0.2}, "delay.low_s"),
        ({"low_s": -0.1}, "delay.low_s"),
        ({"high_s": math.nan}, "delay.low_s"),
        ({"density": "gamma", "shape": 0.0}, "delay.shape"),
        ({"shape": 3.0}, "would be ignored"),
        ({"density": "gamma", "low_s": 0.1}, "would be ignored"),
    ],
)
def test_bad_delays_are_refused(bad, words):
    with pytest.raises(ConfigError, match=words):
        DelayConfig(**bad)
