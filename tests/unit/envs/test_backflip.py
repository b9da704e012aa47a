"""`Backflip`: which way is backward, what touches the ground, what is observed, paid and counted."""

import mujoco
import numpy as np
import pytest

from heeler.envs import EnvConfig, make
from heeler.envs.backflip import Backflip, backflip_reward

GEOMS = ("foot_geom", "torso_geom", "thigh_geom")


def build(num_envs: int = 4, **kwargs: object) -> Backflip:
    world = make(EnvConfig(id="Backflip", num_envs=num_envs, num_threads=1, kwargs=kwargs), seed=3)
    assert isinstance(world, Backflip)
    world.reset()
    world.action_space.seed(4)
    return world


def test_lower_pitch_leans_the_torso_away_from_the_toes():
    """The foot points along +x and the hopper faces there, so a backflip takes the head towards −x: pitch falls."""
    world = build()
    data = mujoco.MjData(world.model)
    data.qpos[:] = world.model.qpos0
    data.qpos[2] = -0.5
    mujoco.mj_kinematics(world.model, data)
    torso, foot = world.model.geom("torso_geom").id, world.model.geom("foot_geom").id
    head = data.geom_xpos[torso] + data.geom_xmat[torso].reshape(3, 3) @ [0, 0, 0.2]
    assert head[0] < data.geom_xpos[torso][0] - 0.05
    upright = mujoco.MjData(world.model)
    mujoco.mj_kinematics(world.model, upright)
    assert upright.geom_xpos[foot][0] > upright.geom_xpos[torso][0] + 0.05


def test_touches_are_those_of_mujocos_own_contact_list():
    world = build()
    model = world.model
    data = [mujoco.MjData(model) for _ in range(world.num_envs)]
    for single, qpos, qvel in zip(data, *world.physics(), strict=True):
        single.qpos[:], single.qvel[:] = qpos, qvel
        mujoco.mj_forward(model, single)
    ids = [model.geom(name).id for name in GEOMS]
    seen = np.zeros((2, 3), int)
    for _ in range(600):
        actions = world.action_space.sample()
        world.step(actions)
        touches = world.touches()
        for single, action, mine in zip(data, actions, touches, strict=True):
            single.ctrl[:] = action
            mujoco.mj_step(model, single, world.frame_skip)
            floor_pairs = [contact.geom for contact in single.contact if 0 in contact.geom]
            listed = [any(geom in pair for pair in floor_pairs) for geom in ids]
            np.testing.assert_array_equal(mine, listed)
            seen[0] += mine
            seen[1] += ~mine
    assert (seen > 20).all(), "each part must have been seen on the ground and off it"


def test_observation():
    world = build(3)
    qpos = np.tile(world.model.qpos0, (3, 1))
    qpos[0] = [5.0, 2.1, -7.0, -0.1, -0.2, 0.3]
    qpos[1, 1] = 1.2  # the foot 1 cm into the ground
    qpos[2, 1:3] = 0.03, np.pi / 2  # torso and thigh too
    qvel = np.zeros((3, 6))
    qvel[0] = [12.0, -1.0, -14.0, 1.0, 2.0, 30.0]
    world.set_physics(qpos, qvel)
    observation = np.zeros(world.observation_space.shape, np.float32)
    world._observe(slice(None), observation)
    in_flight = [2.1, np.sin(-7.0), np.cos(-7.0), -0.1, -0.2, 0.3, 10.0, -1.0, -10.0, 1.0, 2.0, 10.0]
    np.testing.assert_array_equal(observation[0], np.array([*in_flight, 0, 0, 0], np.float32))
    np.testing.assert_array_equal(observation[1], np.array([1.2, 0, 1, *[0] * 9, 1, 0, 0], np.float32))
    np.testing.assert_array_equal(observation[2, 12:], [1, 1, 1])
    rows = np.array([0, 2])
    some = np.zeros_like(observation)
    world._observe(rows, some)
    np.testing.assert_array_equal(some[rows], observation[rows])
    np.testing.assert_array_equal(some[1], 0)


def test_nothing_but_time_ends_an_episode():
    world = build(8)
    touched = np.zeros(8, bool)
    for step in range(1, 1001):
        _, _, terminated, truncated, infos = world.step(world.action_space.sample())
        touched |= world.touches()[:, 1]
        assert not terminated.any()
        assert (truncated == (step == 1000)).all()
    assert touched.all(), "random play falls down, and goes on"
    assert infos["_final_obs"].all()


def test_landings_are_counted_from_the_physics_and_reported_with_the_episodes_last_step():
    """Put by hand: on the foot (1.2 m), in the air half a turn on, and on the foot again a full turn on."""
    world = build(3, max_episode_steps=4)
    nothing = np.zeros((3, 3), np.float32)
    stand = world.model.qpos0

    def place(pitches: list[float], height: float) -> dict[str, np.ndarray]:
        qpos = np.tile(stand, (3, 1))
        qpos[:, 1], qpos[:, 2] = height, pitches
        world._qpos[:], world._qvel[:] = qpos, 0.0  # unlike set_physics, this leaves the counter as it is
        return world.step(nothing)[4]

    turn = 2 * np.pi
    assert place([0.0, 0.0, 0.0], 1.2)["landed_backflips"].tolist() == [0, 0, 0]
    assert place([-turn / 2, turn / 2, -turn / 2], 3.0)["landed_backflips"].tolist() == [0, 0, 0]
    assert place([-turn - 0.01, turn, -0.7 * turn], 1.2)["landed_backflips"].tolist() == [1, 0, 0]
    infos = place([-turn - 0.02, turn, -0.7 * turn], 3.0)
    assert infos["landed_backflips"].tolist() == [1, 0, 0], "the count of the episode that just ended"
    assert infos["_final_obs"].all()
    assert world.step(nothing)[4]["landed_backflips"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("half_way", "touches", "landed"),
    [
        ([3.0, -np.pi, 0.0, 0.0, 0.0], [False, False, False], 1),
        ([0.44, -np.pi / 2, -2.0, -2.0, 0.0], [False, False, True], 0),
        ([0.22, -np.pi, 0.0, 0.0, 0.0], [False, True, False], 0),
    ],
    ids=["in the air", "on the thigh", "on the head"],
)
def test_thigh_or_torso_alone_on_the_ground_spoils_a_landing(
    half_way: list[float], touches: list[bool], landed: int
) -> None:
    """A full turn from foot to foot; `half_way` is height, pitch and the angles of thigh, leg and foot in between."""
    world = build(1)
    upright = world.model.qpos0[3:].tolist()
    for qpos in ([1.2, 0.0, *upright], half_way, [1.2, -2 * np.pi - 0.01, *upright]):
        world._qpos[:], world._qvel[:] = [0.0, *qpos], 0.0  # unlike set_physics, this leaves the counter as it is
        infos = world.step(np.zeros((1, 3), np.float32))[4]
        if qpos == half_way:
            assert world.touches()[0].tolist() == touches
    assert infos["landed_backflips"].tolist() == [landed]


def test_reward_by_hand():
    reward = backflip_reward(
        pitch=np.array([0.0, 3.0, 0.0, -np.pi / 2, -np.pi, 0.0, 0.0]),
        pitch_rate=np.array([-5.0, -20.0, 5.0, 0.0, 0.0, -5.0, 5.0]),
        height=np.array([1.0, 2.0, 1.0, 0.5, 0.2, 0.5, 0.5]),
        airborne=np.array([False, True, False, False, False, False, False]),
        torso_touches=np.array([False, False, False, True, True, False, False]),
        thigh_touches=np.array([False, False, False, True, False, True, True]),
    )
    turning, turning_forward = 0.5 * 2.0 - 1.0 - 0.5 * 3.0, -0.5 * 2.0 - 1.0
    want = [0.5 * 2.5, 3.5 + 1.0, -0.5 * 2.5, -1.0, -5.0, turning, turning_forward]
    np.testing.assert_allclose(reward, want, atol=1e-12)


@pytest.mark.parametrize("height", [0.3, 1.0, 2.0])
def test_turning_backward_never_pays_less_than_turning_forward(height: float):
    for airborne in (False, True):
        reward = backflip_reward(
            np.zeros(25),
            np.linspace(-12, 12, 25),
            np.full(25, height),
            np.full(25, airborne),
            np.zeros(25, bool),
            np.zeros(25, bool),
        )
        assert (np.diff(reward) <= 0).all()
