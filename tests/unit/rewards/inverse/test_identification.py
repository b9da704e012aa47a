"""What cannot be known: counted by hand, and every direction that is named leaves what was seen as it is."""

from typing import Any

import numpy as np
import pytest

from heeler.rewards.inverse.demonstrations import Demonstrations, demonstrations_from, sampled
from heeler.rewards.inverse.forms import FormName, RewardForm, reward_form
from heeler.rewards.inverse.grids import lava_world, open_grid
from heeler.rewards.inverse.identification import Identification, combination, identify, null_space, reduced_rows
from heeler.rewards.inverse.planning import plan
from heeler.rewards.inverse.world import FiniteWorld, from_dense
from tests.unit.rewards.inverse.worlds import random_world


def found_in(
    world: FiniteWorld, name: FormName, seen: Demonstrations | None = None
) -> tuple[RewardForm, np.ndarray, Identification]:
    form = reward_form(world, name)
    parameter = np.random.default_rng(0).normal(size=form.num_parameters)
    return form, parameter, identify(world, form, plan(world, *form.tables(parameter)), seen)


@pytest.mark.parametrize("horizon", [6, None])
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("name", ["state", "state-action"])
def test_a_move_along_the_basis_leaves_every_soft_policy_as_it_is(horizon: int | None, ends: bool, name: Any) -> None:
    world = random_world(1, horizon=horizon, ends=ends, start_S=np.full(6, 1 / 6))
    form, parameter, found = found_in(world, name)
    before = plan(world, *form.tables(parameter)).policy_TSA
    for direction in found.basis_DN:
        # Far, and not only a little: where everything is seen, the space is exact.
        after = plan(world, *form.tables(parameter + 3 * direction)).policy_TSA
        np.testing.assert_allclose(after[:, world.going_on_S], before[:, world.going_on_S], atol=1e-7)
    other = parameter + np.random.default_rng(1).normal(size=form.num_parameters)
    assert np.abs(plan(world, *form.tables(other)).policy_TSA - before).max() > 1e-3


def test_a_table_of_states_and_actions_is_known_up_to_a_potential() -> None:
    """Cao, Cohen and Szpruch 2021: a potential of every state that goes on, 0 in terminal ones."""
    _, _, endless = found_in(random_world(1), "state-action")
    assert (endless.num_not_identified, endless.num_never) == (6, 6)
    assert [(reason.kind, reason.dimensions) for reason in endless.reasons] == [("constant", 1), ("shaping", 5)]
    _, _, ended = found_in(random_world(1, ends=True, start_S=np.full(6, 1 / 6)), "state-action")
    assert ended.num_not_identified == 5


def test_shaping_by_any_potential_lies_in_the_basis() -> None:
    world = random_world(2)
    form, _, found = found_in(world, "state-action")
    potential = np.random.default_rng(3).normal(size=6)
    following = np.einsum("sam,sam->sa", world.chance_SAM, potential[world.next_SAM])
    shaping = (world.discount * following - potential[:, None]).ravel()
    solved = np.linalg.lstsq(found.basis_DN.T, shaping, rcond=None)[0]
    np.testing.assert_allclose(solved @ found.basis_DN, shaping, atol=1e-8)
    assert form.num_parameters == 18


def test_of_a_reward_of_states_a_constant_alone_is_not_known() -> None:
    _, _, found = found_in(random_world(1), "state")
    assert [(reason.kind, reason.dimensions) for reason in found.reasons] == [("constant", 1)]
    assert found.basis_DN == pytest.approx(np.ones((1, 6)))
    assert not found.is_identified_N.any()


def test_where_episodes_end_a_reward_of_the_end_stands_against_steps() -> None:
    """A potential that is the same in all states that go on: 1 − γ a step is worth as much as 1 at the end."""
    world = lava_world(("S.G", "..L"), slip=0.1, discount=0.9)
    _, _, found = found_in(world, "features")
    assert found.num_not_identified == 1 and found.reasons[0].kind == "shaping"
    ratio = found.basis_DN[0] / found.basis_DN[0, 0]
    assert ratio == pytest.approx([1.0, 0.0, 0.1])
    assert found.basis_words == ("1 × goal + 0.1 × step",)
    assert found.is_identified_N.tolist() == [False, True, False]


def test_states_that_no_way_leads_to_are_named() -> None:
    world = lava_world(("S.#", "..G"), discount=0.9)
    _, _, found = found_in(world, "state")
    assert found.reasons[0].kind == "inert" and found.reasons[0].words.startswith("row 0 column 2: no behaviour")


def test_states_that_nobody_was_seen_near_are_named() -> None:
    """Two rooms, and demonstrations that stay in the first: a fork at which each goes its way, then loops."""
    dense = np.zeros((5, 2, 5))
    dense[0, 0, 1] = dense[0, 1, 2] = dense[1, 0, 1] = dense[1, 1, 0] = 1.0
    dense[2, 0, 3] = dense[2, 1, 4] = dense[3, :, 3] = dense[4, :, 4] = 1.0
    world = from_dense(dense, start_S=np.eye(5)[0], discount=0.5)
    seen = demonstrations_from(world, np.array([0, 1, 1, 0]), np.array([0, 0, 1]), np.array([3]))
    _, _, found = found_in(world, "state", seen)
    # Of the values of five states, three differences decide what is done, and two of them in the first room.
    assert (found.num_never, found.num_not_identified) == (2, 3)
    kinds = [("constant", 1), ("shaping", 1), ("elsewhere", 1)]
    assert [(reason.kind, reason.dimensions) for reason in found.reasons] == kinds
    # Without the fork nothing of the second room bears on what was seen.
    dense[0, 1] = np.eye(5)[0]
    start = np.array([0.5, 0.0, 0.5, 0.0, 0.0])
    _, _, apart = found_in(from_dense(dense, start_S=start, discount=0.5), "state", seen)
    told = {reason.kind: reason.words for reason in apart.reasons}
    assert told["unseen"].startswith("state 3, state 4: bears on nothing that was done")


def test_features_of_which_one_follows_from_others_are_told() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 2))
    features = np.column_stack([features, features @ [1.0, 1.0]])
    world = random_world(1, features=features, horizon=5)
    _, _, found = found_in(world, "features")
    assert found.num_not_identified == 1
    assert found.basis_DN[0] / found.basis_DN[0, 2] == pytest.approx([-1, -1, 1])


def test_information_is_none_along_what_is_not_identified() -> None:
    world = random_world(4, horizon=5)
    seen = sampled(world, np.full((1, 6, 3), 1 / 3), 50, np.random.default_rng(0))
    form, parameter, found = found_in(world, "state", seen)
    assert found.information_NN is not None
    for direction in found.basis_DN:
        assert direction @ found.information_NN @ direction == pytest.approx(0, abs=1e-8)
    # By finite differences of the log-likelihood's gradient in expectation: minus its second derivatives.
    way = np.random.default_rng(1).normal(size=6)

    def value(at: np.ndarray) -> float:
        log_policy = plan(world, *form.tables(at)).log_policy_TSA
        policy = plan(world, *form.tables(parameter)).policy_TSA
        counts = [each.sum(1, keepdims=True) for each in seen.counts_by_time()]
        return sum(float((n * p * q).sum()) for n, p, q in zip(counts, policy, log_policy, strict=True))

    step = 1e-3
    bend = (value(parameter + step * way) - 2 * value(parameter) + value(parameter - step * way)) / step**2
    assert way @ found.information_NN @ way == pytest.approx(-bend, rel=1e-3)


def test_of_too_many_parameters_it_is_said_that_nothing_was_computed() -> None:
    world = open_grid(40, 40, horizon=2)
    seen = demonstrations_from(world, np.array([0, 1, 2]), np.array([1, 1]), np.array([2]))
    _, _, found = found_in(world, "state", seen)
    assert not found.is_computed and found.to_dict()["num_identified"] is None
    assert "computed for at most 1,000" in found.reasons[0].words
    assert "1,597 of its parameters were never paid" in found.reasons[0].words
    assert not found.is_identified_N.any()


def test_null_spaces_and_their_words() -> None:
    matrix = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    basis = null_space(matrix)
    assert basis.shape == (2, 3)
    np.testing.assert_allclose(matrix @ basis.T, 0, atol=1e-12)
    assert null_space(np.eye(2)).shape == (0, 2)
    rows = reduced_rows(np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 0.0]]))
    assert sorted((rows == 1).sum(0)) and np.linalg.matrix_rank(rows) == 2
    assert combination(np.array([1.0, 0.0, -0.5]), ("a", "b", "c")) == "1 × a − 0.5 × c"
    assert combination(np.array([-2.0]), ("a",)) == "− 2 × a"
    assert combination(np.ones(6), tuple("abcdef")).endswith("and 2 more")
