"""Masks, projections and fallbacks, and how they stand together."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError, NothingSafe, WorldError
from heeler.envs.world import BatchedWorld
from heeler.rollouts.collector import Collector
from heeler.safety.shields.config import CheckConfig, FallbackConfig, MaskConfig, ProjectionConfig, ShieldConfig
from heeler.safety.shields.fallback import Fallback
from heeler.safety.shields.masks import Mask
from heeler.safety.shields.shield import Shield
from tests.toy_worlds import Identity
from tests.unit.safety.shields.worlds import Doors, Rail, proposing

HERE = "tests.unit.safety.shields.test_shield"
HALT = FallbackConfig(kind="halt")


def none_at_first(observation: np.ndarray) -> np.ndarray:
    """No door for the first environment, and the last two for all others."""
    mask = np.zeros(observation.shape, bool)
    mask[1:, -2:] = True
    return mask


def last_two(observation: np.ndarray) -> np.ndarray:
    mask = np.zeros(observation.shape, bool)
    mask[:, -2:] = True
    return mask


def of_two_parts(observation: np.ndarray) -> np.ndarray:
    """Of MultiDiscrete([2, 3]): the second of the first, the first two of the second."""
    return np.tile([False, True, True, True, False], (len(observation), 1))


def below_what_is_seen(observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both numbers of an action at most what is seen of the first."""
    n = len(observation)
    return np.tile(np.eye(2), (n, 1, 1)), np.repeat(observation[:, :1], 2, 1).astype(np.float64)


def impossible_at_first(observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    limits = np.zeros((len(observation), 1))
    limits[0] = -5.0
    return np.tile([[1.0, 0.0]], (len(observation), 1, 1)), limits


def far_away(observation: np.ndarray) -> np.ndarray:
    return np.full((len(observation), 2), 7.0)


def over(world: BatchedWorld, config: ShieldConfig, make: Callable[[int], BatchedWorld] | None = None) -> Shield:
    return Shield(config, world, make or type(world))  # type: ignore[arg-type]


def test_a_mask_leaves_only_what_there_is():
    world = Doors(64)
    observation, _ = world.reset(seed=0)
    shield = over(world, ShieldConfig(fallback=HALT, mask=MaskConfig()))
    policy = proposing(world, [3.0, 2.0, 1.0, 0.0])
    guarded = shield.act(policy, observation, None)
    first_open = world.doors.argmax(1)
    np.testing.assert_array_equal(guarded.executed_NA[:, 0], first_open)
    np.testing.assert_array_equal(guarded.proposed_NA, guarded.executed_NA)
    np.testing.assert_array_equal(guarded.allowed_NK, world.doors)
    assert not guarded.shielded_N.any()
    noise = policy.rollout_noise(50, 64, torch.Generator().manual_seed(0))
    for step in range(50):
        sampled = shield.act(policy, observation, noise[step]).executed_NA[:, 0]
        assert world.doors[np.arange(64), sampled].all()


def test_a_mask_by_a_function_and_of_several_components():
    world = Identity("multi_discrete", 6)
    observation, _ = world.reset(seed=0)
    shield = over(world, ShieldConfig(fallback=HALT, mask=MaskConfig(source=f"{HERE}:of_two_parts")))
    guarded = shield.act(proposing(world, [5.0, 0.0, 0.0, 1.0, 9.0]), observation, None)
    assert guarded.executed_NA.tolist() == [[1, 1]] * 6


def test_masks_that_are_none_are_refused():
    with pytest.raises(ConfigError, match=r"shield.mask is for Discrete and MultiDiscrete actions"):
        over(Identity("box", 1), ShieldConfig(fallback=HALT, mask=MaskConfig()))
    world = Identity("discrete", 2)
    observation, _ = world.reset(seed=0)
    with pytest.raises(ConfigError, match="Identity-discrete gives no action mask"):
        over(world, ShieldConfig(fallback=HALT, mask=MaskConfig())).act(proposing(world, [0.0] * 3), observation, None)
    wrong = MaskConfig(source=f"{HERE}:far_away")
    with pytest.raises(WorldError, match=r"must be booleans of shape \[2, 3\], got float64 of shape \[2, 2\]"):
        over(world, ShieldConfig(fallback=HALT, mask=wrong)).act(proposing(world, [0.0] * 3), observation, None)
    with pytest.raises(ConfigError, match=r"has no function 'last_too'. Did you mean 'last_two'"):
        over(world, ShieldConfig(fallback=HALT, mask=MaskConfig(source=f"{HERE}:last_too")))


@pytest.mark.parametrize(
    ("fallback", "executed"),
    [
        (FallbackConfig(kind="action", action=(1.0,)), 1),
        (FallbackConfig(kind="brake", function="tests.unit.safety.shields.test_shield:second_door"), 2),
        (FallbackConfig(kind="least_cost"), 0),
    ],
)
def test_an_empty_safe_set_has_a_defined_fallback(fallback: FallbackConfig, executed: int):
    """Never a silent pass: the proposal, door 3, is not what is done, and it is counted."""
    world = Doors(3)
    observation, _ = world.reset(seed=0)
    check = CheckConfig(threshold=3.0) if fallback.kind == "least_cost" else None
    config = ShieldConfig(fallback=fallback, mask=MaskConfig(source=f"{HERE}:none_at_first"), check=check)
    guarded = over(world, config).act(proposing(world, [0.0, 0.0, 1.0, 9.0]), observation, None)
    assert guarded.executed_NA[:, 0].tolist() == [executed, 3, 3]
    assert guarded.nothing_safe_N.tolist() == [True, False, False]
    assert guarded.shielded_N.tolist() == [True, False, False]
    assert guarded.allowed_NK is not None
    assert guarded.allowed_NK[0].all(), "the policy's distribution stays one"


def second_door(observation: np.ndarray) -> np.ndarray:
    return np.full(len(observation), 2)


def test_a_fallback_that_is_what_was_proposed_is_counted_too():
    world = Doors(3)
    observation, _ = world.reset(seed=0)
    fallback = FallbackConfig(kind="action", action=(3.0,))
    config = ShieldConfig(fallback=fallback, mask=MaskConfig(source=f"{HERE}:none_at_first"))
    guarded = over(world, config).act(proposing(world, [0.0, 0.0, 1.0, 9.0]), observation, None)
    assert guarded.executed_NA[:, 0].tolist() == [3, 3, 3]
    assert guarded.shielded_N.tolist() == guarded.nothing_safe_N.tolist() == [True, False, False]


def test_a_review_that_names_what_there_is_not_meets_the_fallback():
    """An overseer, or what is trusted in the policy's place, knows nothing of masks."""
    world = Doors(3)
    observation, _ = world.reset(seed=0)
    fallback = FallbackConfig(kind="action", action=(2.0,))
    shield = over(world, ShieldConfig(fallback=fallback, mask=MaskConfig(source=f"{HERE}:last_two")))
    reviewed = np.array([[0], [3], [1]])
    guarded = shield.act(proposing(world, [0.0] * 4), observation, None, review=lambda seen, action: reviewed)
    assert guarded.executed_NA[:, 0].tolist() == [2, 3, 2]
    assert guarded.nothing_safe_N.tolist() == [True, False, True]


def test_components_have_places_of_their_own_in_a_mask():
    """Of MultiDiscrete([2, 3]): a component that is left nothing is a state without a safe action."""
    world = Identity("multi_discrete", 2)
    assert world.single_action_space == gymnasium.spaces.MultiDiscrete([2, 3])
    mask = Mask(MaskConfig(source=f"{HERE}:of_two_parts"), world)
    allowed = mask.of(world, np.zeros((2, 2), np.float32))
    actions = np.array([[[1, 0], [1, 1], [1, 2], [0, 0]]] * 2)
    assert mask.permits(allowed.choices_NK, actions).tolist() == [[True, True, False, False]] * 2
    assert not allowed.nothing_N.any()
    empty = Mask(MaskConfig(source=f"{HERE}:nothing_of_the_second_part"), world).of(world, np.zeros((2, 2), np.float32))
    assert empty.nothing_N.tolist() == [True, False]
    assert empty.choices_NK.tolist() == [[True] * 5, [True, False, False, False, True]]


def nothing_of_the_second_part(observation: np.ndarray) -> np.ndarray:
    return np.array([[True, True, False, False, False], [True, False, False, False, True]])


def test_a_proposal_within_its_constraints_is_left_as_it_is_bit_for_bit():
    """Also where it is nearer to one than the margin, which is kept of those that are moved."""
    world = Identity("box", 3)
    observation, _ = world.reset(seed=0)
    box = ProjectionConfig(matrix=((1.0, 1.0),), limit=(0.5,), margin=0.1)
    shield = over(world, ShieldConfig(fallback=HALT, projection=box))
    guarded = shield.act(proposing(world, [0.2, 0.25]), observation, None)
    np.testing.assert_array_equal(guarded.executed_NA, guarded.proposed_NA)
    assert not guarded.shielded_N.any()
    guarded = shield.act(proposing(world, [0.3, 0.25]), observation, None)
    np.testing.assert_allclose(guarded.executed_NA.sum(1), 0.5 - 0.1 * 2**0.5, atol=1e-6)
    assert guarded.shielded_N.all()


def test_an_empty_safe_set_may_halt():
    world = Doors(3)
    observation, _ = world.reset(seed=0)
    config = ShieldConfig(fallback=HALT, mask=MaskConfig(source=f"{HERE}:none_at_first"))
    with pytest.raises(NothingSafe, match="Doors: environment 0 is in a state in which no action is safe"):
        over(world, config).act(proposing(world, [0.0] * 4), observation, None)
    # Where the row does not matter, such as an episode that is over, nobody halts.
    over(world, config).act(proposing(world, [0.0] * 4), observation, None, np.array([False, True, True]))


def test_a_projection_does_the_nearest_action():
    world = Identity("box", 3)
    observation, _ = world.reset(seed=0)
    box = ProjectionConfig(matrix=((1.0, 1.0),), limit=(0.5,))
    shield = over(world, ShieldConfig(fallback=HALT, projection=box))
    for outputs, executed in (([2.0, 0.5], [0.5, 0.0]), ([0.2, 0.25], [0.2, 0.25]), ([9.0, -9.0], [1.0, -1.0])):
        guarded = shield.act(proposing(world, outputs), observation, None)
        np.testing.assert_allclose(guarded.executed_NA, [executed] * 3, atol=3e-6)
        np.testing.assert_array_equal(guarded.proposed_NA, np.float32([outputs] * 3))
        assert (guarded.executed_NA.astype(np.float64).sum(1) <= 0.5 + 1e-7).all()
        assert guarded.executed_NA.dtype == np.float32
        # Clipping to the bounds alone is the world's own doing, and no shield's.
        assert guarded.shielded_N.all() == (sum(np.clip(outputs, -1, 1)) > 0.5)


def test_a_projection_keeps_to_its_constraints_in_float32():
    world = Identity("box", 500)
    observation, _ = world.reset(seed=0)
    rng = np.random.default_rng(0)
    matrix, limit = rng.normal(size=(3, 2)), np.array([0.1, 0.3, 0.2])
    box = ProjectionConfig(matrix=tuple(map(tuple, matrix.tolist())), limit=tuple(limit.tolist()))
    guarded = over(world, ShieldConfig(fallback=HALT, projection=box)).act(
        proposing(world, [0.3, -0.2], slopes=rng.normal(size=(2, 2))), observation, None
    )
    assert 0.1 < guarded.shielded_N.mean() < 1.0
    assert (guarded.executed_NA.astype(np.float64) @ matrix.T <= limit + 1e-9).all()
    assert (np.abs(guarded.executed_NA) <= 1).all()


def test_constraints_may_follow_from_what_is_seen():
    world = Identity("box", 40)
    observation, _ = world.reset(seed=0)
    config = ShieldConfig(fallback=HALT, projection=ProjectionConfig(function=f"{HERE}:below_what_is_seen"))
    guarded = over(world, config).act(proposing(world, [1.0, 1.0]), observation, None)
    np.testing.assert_allclose(guarded.executed_NA, np.repeat(observation[:, :1], 2, 1), atol=3e-6)
    impossible = ShieldConfig(
        fallback=FallbackConfig(kind="action", action=(-1.0, 0.5)),
        projection=ProjectionConfig(function=f"{HERE}:impossible_at_first"),
    )
    guarded = over(world, impossible).act(proposing(world, [0.0, 0.0]), observation, None)
    assert guarded.executed_NA[0].tolist() == [-1.0, 0.5]
    assert np.flatnonzero(guarded.nothing_safe_N).tolist() == [0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs a matrix with its limit, or a function"),
        ({"matrix": ((1.0, 0.0),), "limit": (1.0, 2.0)}, r"limit must have a number for each of the 1 rows"),
        ({"matrix": ((0.0, 0.0),), "limit": (1.0,)}, r"matrix\[0\] must be as many finite numbers"),
        (
            {"matrix": ((1.0,),), "limit": (1.0,)},
            "must have rows of 2 numbers, as an action of Identity-box has; got 1",
        ),
        ({"matrix": ((1.0, 1.0),), "limit": (-2.5,)}, "no action of Identity-box satisfies shield.projection"),
        ({"matrix": ((1.0, 1.0),), "limit": (float("nan"),)}, "limit must be finite numbers"),
        ({"matrix": ((1.0, 1.0),), "limit": (1.0,), "margin": -1.0}, "margin must be >= 0"),
    ],
)
def test_bad_constraints_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        over(Identity("box", 1), ShieldConfig(fallback=HALT, projection=ProjectionConfig(**settings)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "action"}, r"fallback\.action is needed, as the kind is 'action'"),
        ({"kind": "halt", "action": (1.0,)}, r"fallback\.action would be ignored, as the kind is 'halt'"),
        ({"kind": "brake"}, r"fallback\.function is needed"),
        ({"kind": "breake"}, "must be one of action, brake, least_cost, halt, got 'breake'. Did you mean 'brake'"),
        ({"kind": "action", "action": (9.0,)}, r"must be choices of Discrete\(4\), counted from 0"),
        ({"kind": "action", "action": (1.5,)}, "must be choices of"),
        ({"kind": "action", "action": (1.0, 1.0)}, "must be 1 finite numbers for each action of Doors"),
    ],
)
def test_bad_fallbacks_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        Fallback(FallbackConfig(**settings), Doors(1))


def test_a_brake_out_of_bounds_is_named():
    world = Identity("box", 2)
    observation, _ = world.reset(seed=0)
    brake = Fallback(FallbackConfig(kind="brake", function=f"{HERE}:far_away"), world)
    with pytest.raises(WorldError, match=f"what {HERE}:far_away gives must be within the bounds"):
        brake.actions(observation)


def test_settings_that_say_nothing_are_refused():
    with pytest.raises(ConfigError, match="needs at least one of mask, projection, critic and check"):
        ShieldConfig(fallback=HALT)
    with pytest.raises(ConfigError, match="least_cost needs a critic or a check"):
        ShieldConfig(fallback=FallbackConfig(kind="least_cost"), mask=MaskConfig())
    with pytest.raises(ConfigError, match="continuation fallback needs a fallback that acts"):
        ShieldConfig(fallback=HALT, check=CheckConfig(steps=2))
    with pytest.raises(ConfigError, match="learn_from must be one of proposed, executed"):
        ShieldConfig(fallback=HALT, mask=MaskConfig(), learn_from="both")  # type: ignore[arg-type]


def test_mask_then_check():
    """A check chooses among what the mask leaves: doors 2 and 3; door 3 costs too much, and doors 0 and 1 are not."""
    world = Doors(5)
    observation, _ = world.reset(seed=0)
    config = ShieldConfig(
        fallback=FallbackConfig(kind="least_cost"),
        mask=MaskConfig(source=f"{HERE}:last_two"),
        check=CheckConfig(threshold=2.0),
    )
    policy = proposing(world, [5.0, 4.0, 1.0, 3.0])
    guarded = over(world, config).act(policy, observation, None)
    assert guarded.proposed_NA[:, 0].tolist() == [3] * 5
    assert guarded.executed_NA[:, 0].tolist() == [2] * 5
    assert not guarded.nothing_safe_N.any()
    strict = replace(config, check=CheckConfig(threshold=1.0))
    guarded = over(world, strict).act(policy, observation, None)
    assert guarded.nothing_safe_N.all(), "doors 0 and 1 are cheap enough, and there are none"
    assert guarded.executed_NA[:, 0].tolist() == [2] * 5, "of what there is the cheaper"


def test_projection_then_check():
    """What the check does in the place of a refused push is within the constraints too."""
    world = Rail(20, discrete=False)
    world.reset(seed=0)
    seen = world.put(np.full(20, 5.4), np.zeros(20))
    config = ShieldConfig(
        fallback=FallbackConfig(kind="action", action=(-0.3,)),
        projection=ProjectionConfig(matrix=((1.0,), (-1.0,)), limit=(0.8, 0.4)),
        check=CheckConfig(),
        num_candidates=64,
    )
    shield = over(world, config, lambda n: Rail(n, discrete=False))
    guarded = shield.act(proposing(world, [1.0]), seen, None)
    assert guarded.shielded_N.all()
    assert ((guarded.executed_NA >= -0.4) & (guarded.executed_NA < 0.6)).all()
    assert not guarded.nothing_safe_N.any()
    # At 5.4 with speed 2 the strongest brake that is allowed, -0.4, does not keep it out.
    seen = world.put(np.full(20, 5.4), np.full(20, 2.0))
    guarded = shield.act(proposing(world, [1.0]), seen, None)
    assert guarded.nothing_safe_N.all()
    np.testing.assert_allclose(guarded.executed_NA, -0.3)


def test_proposed_and_executed_actions_are_both_logged():
    """A shield logs what was proposed and what was executed, and which of them the learner takes for its own."""
    for learn_from in ("proposed", "executed"):
        world = Identity("box", 8)
        box = ProjectionConfig(matrix=((1.0, 1.0),), limit=(0.0,))
        shield = over(world, ShieldConfig(fallback=HALT, projection=box, learn_from=learn_from))  # type: ignore[arg-type]
        collector = Collector(world, 30, record_snapshots=False, shield=shield)
        collector.reset(0)
        policy = proposing(world, [0.4, 0.1])
        rollout = collector.collect(policy, torch.Generator().manual_seed(0), 0)
        clipped = np.clip(rollout.action, -1, 1)
        assert (clipped.sum(-1) > 0).any() and (clipped.sum(-1) < 0).any()
        assert (rollout.executed.sum(-1) <= 1e-6).all()
        assert rollout.shielded is not None and rollout.nothing_safe is not None
        np.testing.assert_array_equal(rollout.shielded, (rollout.executed != clipped).any(-1))
        assert not rollout.nothing_safe.any()
        learned = rollout.executed if learn_from == "executed" else rollout.action
        np.testing.assert_array_equal(rollout.learned_action, learned)
        want = torch.distributions.Normal(torch.tensor([0.4, 0.1]), 1.0).log_prob(torch.from_numpy(learned)).sum(-1)
        np.testing.assert_allclose(rollout.log_prob, want.numpy(), atol=1e-5)
        shares = shield.learn(rollout, policy)
        assert shares == {"shielded_share": rollout.shielded.mean(), "nothing_safe_share": 0.0}
        # The world was given what was executed: it pays for nearness to what it shows.
        paid = -np.square(rollout.executed - rollout.observation[:-1]).sum(-1)
        np.testing.assert_allclose(rollout.true_reward, paid, atol=1e-5)


def test_a_forbidden_executed_action_is_not_learned_from():
    """Its probability is 0: the fallback's door 0 is forbidden wherever doors 2 and 3 alone are there."""
    world = Doors(6)
    config = ShieldConfig(
        fallback=FallbackConfig(kind="action", action=(0.0,)),
        mask=MaskConfig(source=f"{HERE}:last_two"),
        check=CheckConfig(threshold=1.0),
        learn_from="executed",
    )
    collector = Collector(world, 5, record_snapshots=False, shield=over(world, config))
    collector.reset(0)
    rollout = collector.collect(proposing(world, [0.0] * 4), torch.Generator().manual_seed(0), 0)
    assert (rollout.executed == 0).all()
    assert (rollout.action >= 2).all()
    np.testing.assert_array_equal(rollout.learned_action, rollout.action)
    np.testing.assert_allclose(rollout.log_prob, np.log(0.5), atol=1e-6)


def test_a_collector_without_a_shield_gives_what_it_gave():
    world = Identity("box", 4)
    collector = Collector(world, 6, record_snapshots=False)
    collector.reset(0)
    rollout = collector.collect(proposing(world, [0.0, 2.0]), torch.Generator().manual_seed(0), 0)
    assert rollout.allowed is rollout.credited is rollout.shielded is rollout.nothing_safe is None
    np.testing.assert_array_equal(rollout.executed, np.clip(rollout.action, -1, 1))
    assert isinstance(world.single_action_space, gymnasium.spaces.Box)
