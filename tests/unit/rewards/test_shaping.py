"""Shaping leaves the best policy as it is: terminal states, cut episodes, discounts, and where potentials come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.core.errors import CheckpointError, ConfigError, DataError, RewardError
from heeler.models.policy import Policy, PolicyConfig
from heeler.rewards.potentials import DemonstrationPotential, FunctionPotential, ValuePotential
from heeler.rewards.shaping import Bonus, PotentialShaping, ShapingConfig, shaping_term
from heeler.rewards.step_functions import StepFunction
from tests.unit.rewards.comparisons import OBSERVATION_SIZE, rollout
from tests.unit.rewards.tables import action_values, random_table, shaped

T, N = 6, 2


def row(index: int) -> str:
    return f"row {index}"


class Sum:
    """Phi is the sum of an observation's numbers."""

    fingerprint = "sum"

    def __call__(self, observation: np.ndarray, *, where: Any) -> np.ndarray:
        return observation.astype(np.float64).sum(1)


def ending(*, terminated: bool) -> Any:
    """A rollout whose environment 0 ends at step 2, with an observation of its own."""
    ends = np.zeros((T, N), bool)
    ends[2, 0] = True
    nothing = np.zeros((T, N), bool)
    return rollout(
        num_steps=T,
        num_envs=N,
        terminated=ends if terminated else nothing,
        truncated=nothing if terminated else ends,
        final_index=np.array([[2, 0]]),
        final_observation=np.full((1, OBSERVATION_SIZE), 100.0, np.float32),
    )


@pytest.mark.parametrize("terminated", [True, False])
def test_the_term_against_a_loop(terminated: bool):
    """A terminal state has no potential; where an episode is cut it is that of the real last observation."""
    made = ending(terminated=terminated)
    got = PotentialShaping(Sum(), weight=2.0, discount=0.9).term(made, 0)
    for t in range(T):
        for n in range(N):
            before, after = made.observation[t, n].sum(), made.observation[t + 1, n].sum()
            if (t, n) == (2, 0):
                after = 0.0 if terminated else 100.0 * OBSERVATION_SIZE
            assert got[t, n] == pytest.approx(2.0 * (0.9 * after - before), rel=1e-5, abs=1e-5)


def test_a_whole_episode_earns_what_its_first_state_was_worth():
    """Discounted, and whatever happens on the way: that is why the best policy stays."""
    for seed in range(5):
        value = np.random.default_rng(seed).normal(size=8)
        ends = np.zeros((7, 1), bool)
        ends[-1] = True
        term = shaping_term(value[:-1, None], value[1:, None], ends, discount=0.8)[:, 0]
        assert 0.8 ** np.arange(7) @ term == pytest.approx(-value[0])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    discount=st.floats(0.3, 0.97),
    scale=st.floats(0.1, 50.0),
    has_end=st.booleans(),
)
def test_the_best_policy_of_a_random_world_does_not_change(seed: int, discount: float, scale: float, has_end: bool):
    """By value iteration: action values sink by the state's potential, so that the same actions are best."""
    table = random_table(seed, has_end=has_end)
    potential = scale * np.random.default_rng(seed + 1).normal(size=len(table.terminal))
    potential[table.terminal] = 0.0
    plain = action_values(table, np.zeros(table.chance.shape), discount)
    with_shaping = action_values(table, shaped(table, potential, discount), discount)
    np.testing.assert_allclose(with_shaping, plain - potential[:, None], atol=1e-6 * scale)
    assert (with_shaping.argmax(1) == plain.argmax(1))[~table.terminal].all()


def test_a_falling_weight_against_a_loop():
    """Two environments, a weight of 3 that is gone after 10 steps of the run; this rollout ends at step 12."""
    made = ending(terminated=True)
    shaping = PotentialShaping(Sum(), weight=3.0, discount=0.9, decay_steps=10)
    got = shaping.term(made, 12)
    for t in range(T):
        for n in range(N):
            now, later = (3.0 * max(0.0, 1 - at / 10) for at in (12 - (T - t) * N, 12 - (T - t - 1) * N))
            before, after = made.observation[t, n].sum(), made.observation[t + 1, n].sum()
            after = 0.0 if (t, n) == (2, 0) else after
            assert got[t, n] == pytest.approx(0.9 * later * after - now * before, rel=1e-5, abs=1e-5)


def test_a_falling_weight_leaves_the_best_policy_as_it_is():
    """Whatever is done, an episode earns the same through the shaping: minus what its first state was worth when it
    began. All ways of four steps through three states, the last of which ends it, over the edge of a rollout: the
    first two steps are of one rollout, the others of the next."""
    worth, discount = np.array([2.0, -1.0, 5.0]), 0.8
    weight = PotentialShaping(Sum(), weight=1.5, discount=discount, decay_steps=3).weights
    totals = set()
    for way in np.ndindex(3, 3, 3):
        states = (0, *way, 2)
        total = 0.0
        for t in range(4):
            first, end = (0, 2) if t < 2 else (2, 4)
            now, later = weight((end - first, 1), end)[t - first : t - first + 2, 0]
            term = shaping_term(
                np.array([[now * worth[states[t]]]]),
                np.array([[later * worth[states[t + 1]]]]),
                np.array([[t == 3]]),
                discount=discount,
            )
            total += discount**t * float(term[0, 0])
        totals.add(round(total, 9))
    assert totals == {-1.5 * 2.0}


def test_another_discount_or_a_terminal_potential_can_change_the_best_policy():
    """What is refused, and what is set to nothing, would do harm: found in random worlds."""
    changed = {"discount": 0, "terminal": 0}
    for seed in range(40):
        table = random_table(seed)
        potential = 5 * np.random.default_rng(seed + 1).normal(size=len(table.terminal))
        plain = action_values(table, np.zeros(table.chance.shape), 0.9).argmax(1)
        wrong = {
            "discount": shaped(table, potential, 0.6),
            "terminal": 0.9 * potential[None, None, :] - potential[:, None, None],
        }
        for name, extra in wrong.items():
            changed[name] += bool((action_values(table, extra, 0.9).argmax(1) != plain)[:-1].any())
    assert min(changed.values()) > 5, changed


def test_progress_of_demonstrations_against_a_loop():
    rng = np.random.default_rng(0)
    shown = [rng.normal(size=(5, 3)), rng.normal(size=(3, 3))]
    potential = DemonstrationPotential(shown, bandwidth=0.5)
    states, spread = np.concatenate(shown), np.concatenate(shown).std(0)
    progress = [0, 0.25, 0.5, 0.75, 1, 0, 0.5, 1]
    asked = rng.normal(size=(7, 3)).astype(np.float32)
    expected = [
        max(
            p * np.exp(-0.5 * np.mean(((state - known) / spread) ** 2) / 0.5**2)
            for p, known in zip(progress, states, strict=True)
        )
        for state in asked
    ]
    np.testing.assert_allclose(potential(asked, where=row), expected, rtol=1e-5)


def test_a_demonstrations_end_is_worth_one_and_what_is_far_away_nothing():
    shown = np.linspace([0.0, 7.0], [1.0, 7.0], 11)
    potential = DemonstrationPotential([shown], bandwidth=0.05)
    got = potential(np.array([[1.0, 7.0], [0.5, 7.0], [100.0, 7.0]], np.float32), where=row)
    np.testing.assert_allclose(got, [1.0, 0.5, 0.0], atol=0.02)


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ([], "there is no demonstration"),
        ([np.zeros((1, 2))], r"demonstrations\[0\]: expected two or more"),
        ([np.zeros((3, 2)), np.zeros((3, 4))], r"demonstrations\[1\]: expected two or more observations of one size"),
        ([np.array([[0.0], [np.nan]])], r"demonstrations\[0\], row 1: expected finite"),
    ],
)
def test_demonstrations_that_cannot_be_are_refused(shown: list[np.ndarray], message: str):
    with pytest.raises(DataError, match=message):
        DemonstrationPotential(shown, bandwidth=0.3)


def test_what_another_critic_expects_in_units_of_reward():
    torch.manual_seed(0)
    policy = Policy(PolicyConfig(hidden_sizes=(4,)), 3, Discrete(2))
    policy.learn_observations(torch.randn(50, 3))
    seen = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    got = ValuePotential(policy, scale=3.0, fingerprint="x", observation_size=3)(seen, where=row)
    with torch.no_grad():
        expected = 3.0 * policy.value(policy.normalize(torch.from_numpy(seen)))
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-6)
    with pytest.raises(ConfigError, match="observations of 3 numbers, and this world has 4"):
        ValuePotential(policy, scale=1.0, fingerprint="x", observation_size=4)


def functions(folder: Path) -> Path:
    path = folder / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "def height(observation):\n    return observation[:, 0]\n"
        "def bonus(observation, action, next_observation):\n    return action[:, 0] + next_observation[:, 1]\n"
        "def broken(observation):\n    return np.where(np.arange(len(observation)) == 7, np.nan, 0.0)\n"
        "def folded(observation):\n    return observation[:, :1]\n"
        "def words(observation):\n    return 'high'\n"
        "def raises(observation):\n    raise ZeroDivisionError('no height')\n"
        "def writes(observation):\n    observation[:] = 0\n    return observation[:, 0]\n"
    )
    return path


def test_a_potential_and_a_bonus_by_file_and_name(tmp_path: Path):
    path, made = functions(tmp_path), ending(terminated=True)
    potential = FunctionPotential(StepFunction(f"{path}:height", what="shaping.function"))
    got = PotentialShaping(potential, weight=1.0, discount=1.0).term(made, 0)
    assert got[0, 1] == pytest.approx(made.observation[1, 1, 0] - made.observation[0, 1, 0], rel=1e-5)
    added = Bonus(StepFunction(f"{path}:bonus", what="shaping.bonus"), weight=0.5).term(made, 0)
    expected = 0.5 * (made.executed[..., 0] + made.next_observation[..., 1])
    np.testing.assert_allclose(added, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        # Row 7 of 6 steps of 2 environments: the fourth step of environment 1.
        ("broken", r"broken gave nan for step 4 of an episode in environment 1 \(before step 480\)"),
        ("folded", r"one number for each of 12 steps, shape \(12,\); got shape \(12, 1\) .* step 1 of an episode"),
        ("words", "must give numbers, got str for the steps from step 1"),
        ("raises", "raised ZeroDivisionError on the 12 steps from step 1 .*: no height"),
        ("writes", "raised ValueError.*read-only"),
    ],
)
def test_a_function_that_breaks_its_word_is_named_with_the_step(tmp_path: Path, name: str, message: str):
    function = StepFunction(f"{functions(tmp_path)}:{name}", what="shaping.function")
    shaping = PotentialShaping(FunctionPotential(function), weight=1.0, discount=0.9)
    with pytest.raises(RewardError, match=f"shaping.function: .*{message}"):
        shaping.term(rollout(num_steps=T, num_envs=N), 480)


def test_a_function_whose_file_was_changed_is_another(tmp_path: Path):
    path = functions(tmp_path)
    was = StepFunction(f"{path}:height", what="cost 'heat'").fingerprint
    path.write_text(path.read_text().replace("[:, 0]", "[:, 1]"))
    again = StepFunction(f"{path}:height", what="cost 'heat'")
    again.refuse_changed(again.fingerprint)
    with pytest.raises(CheckpointError, match=r"cost 'heat': .*is not what it was"):
        again.refuse_changed(was)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "exactly one source of function, demonstrations, run, feedback, bonus; got none"),
        ({"function": "a.py:f", "run": "runs/x"}, "got function and run"),
        ({"function": "a.py:f", "weight": 0.0}, "weight must be a finite number other than 0"),
        ({"demonstrations": "a.npz", "bandwidth": 0.0}, "bandwidth must be > 0"),
        ({"feedback": "runs/x", "decay_steps": 0}, "decay_steps must be >= 1"),
        ({"bonus": "a.py:f", "decay_steps": 9}, "decay_steps is for potentials and would be ignored"),
        ({"function": "a.py:f", "bandwidth": 1.0}, "bandwidth is for demonstrations and would be ignored"),
    ],
)
def test_settings_that_cannot_be_are_refused(chosen: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        ShapingConfig(**chosen)


def test_the_learners_discount_and_no_other():
    ShapingConfig(function="a.py:f", discount=0.99).check_discount(0.99)
    with pytest.raises(ConfigError, match=r"shaping.discount must be the algorithm's, 0.99, got 0.9"):
        ShapingConfig(function="a.py:f", discount=0.9).check_discount(0.99)
