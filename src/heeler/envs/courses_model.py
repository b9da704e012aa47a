"""The models of the courses: a robot between four walls, and vases that it can push.

Everything but the car's wheels moves in the plane. Hazards and goals are no bodies, so layouts that differ from
environment to environment share one model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heeler.envs.mujoco_model import compile_model

VASE_HALF_SIZE = 0.08
"""Half the edge of a vase's cube, in metres."""
WALL_DISTANCE = 0.4
"""Metres from the square in which things are placed to the walls: room to go round what lies at its edge."""


@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot's part of the model; its body and the site at its centre are named `robot`."""

    body: str
    """MJCF of the body, which comes first in the model."""
    actuators: str
    """MJCF of the actuators: each takes an action from -1 to 1."""
    num_positions: int
    """Joint positions that are the robot's."""
    num_velocities: int
    """Joint velocities that are the robot's."""


# Full force against the drag gives 1.5 m/s, full torque 3 rad/s; let go, the first is lost in half a second.
_POINT = Robot(
    body="""
    <body name="robot" pos="0 0 0.1">
      <joint name="robot_x" type="slide" axis="1 0 0" damping="2"/>
      <joint name="robot_y" type="slide" axis="0 1 0" damping="2"/>
      <joint name="robot_turn" type="hinge" axis="0 0 1" damping="0.04"/>
      <geom name="robot" type="sphere" size="0.1" mass="1"/>
      <site name="robot"/>
    </body>""",
    actuators="""
    <motor name="forward" site="robot" gear="3 0 0 0 0 0"/>
    <motor name="turn" joint="robot_turn" gear="0.12"/>""",
    num_positions=3,
    num_velocities=3,
)
# Wheels are spheres, which touch the floor in one point; behind them the car glides on a ball without friction, and a
# second one before them, just above the floor, keeps it from falling on its nose.
_CAR = Robot(
    body="""
    <body name="robot" pos="0 0 0.06">
      <freejoint name="robot"/>
      <geom name="chassis" type="box" size="0.12 0.08 0.03" pos="-0.03 0 0.02" mass="1"/>
      <geom name="behind" class="rolling" type="sphere" size="0.03" pos="-0.12 0 -0.03" mass="0.05" condim="1"
        priority="1"/>
      <geom name="before" class="rolling" type="sphere" size="0.026" pos="0.07 0 -0.03" mass="0.05" condim="1"
        priority="1"/>
      <site name="robot"/>
      <body name="left_wheel" pos="0 0.13 0">
        <joint name="left_wheel" type="hinge" axis="0 1 0" damping="0.005"/>
        <geom name="left_wheel" class="rolling" type="sphere" size="0.06" mass="0.1" condim="3"/>
      </body>
      <body name="right_wheel" pos="0 -0.13 0">
        <joint name="right_wheel" type="hinge" axis="0 1 0" damping="0.005"/>
        <geom name="right_wheel" class="rolling" type="sphere" size="0.06" mass="0.1" condim="3"/>
      </body>
    </body>""",
    actuators="""
    <motor name="left_wheel" joint="left_wheel" gear="0.1"/>
    <motor name="right_wheel" joint="right_wheel" gear="0.1"/>""",
    num_positions=9,
    num_velocities=8,
)
ROBOTS: Mapping[str, Robot] = {"point": _POINT, "car": _CAR}

# What slides has a drag in place of dry friction: no contact with the floor has to be solved for it.
_VASE = """
    <body name="vase_{index}" pos="0 0 {half_size}">
      <joint name="vase_{index}_x" type="slide" axis="1 0 0" damping="0.5"/>
      <joint name="vase_{index}_y" type="slide" axis="0 1 0" damping="0.5"/>
      <joint name="vase_{index}_turn" type="hinge" axis="0 0 1" damping="0.002"/>
      <geom name="vase_{index}" type="box" size="{half_size} {half_size} {half_size}" mass="0.1"/>
    </body>"""
_TOUCH = """
    <contact name="touch_{index}" subtree1="robot" body2="vase_{index}" data="found" num="1"/>"""
_MODEL = """
<mujoco model="course">
  <option timestep="0.01"/>
  <default>
    <geom condim="1" contype="1" conaffinity="1"/>
    <motor ctrllimited="true" ctrlrange="-1 1"/>
    <default class="rolling">
      <geom conaffinity="3"/>
    </default>
  </default>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 1" condim="3" contype="2" conaffinity="0"/>
    <geom name="east" type="plane" size="1 1 1" pos="{wall} 0 0" zaxis="-1 0 0"/>
    <geom name="west" type="plane" size="1 1 1" pos="-{wall} 0 0" zaxis="1 0 0"/>
    <geom name="north" type="plane" size="1 1 1" pos="0 {wall} 0" zaxis="0 -1 0"/>
    <geom name="south" type="plane" size="1 1 1" pos="0 -{wall} 0" zaxis="0 1 0"/>{robot}{vases}
  </worldbody>
  <actuator>{actuators}
  </actuator>
  <sensor>{touches}
  </sensor>
</mujoco>
"""


def course_model(robot: str, num_vases: int, half_width: float) -> Any:
    """The compiled `MjModel` of a course.

    Joint positions are the robot's, then x, y and angle of each vase; the sensors tell of each vase whether the robot
    touches it.

    Args:
        robot: one of `ROBOTS`.
        num_vases: V.
        half_width: metres from the middle to the edge of the square in which things are placed.
    """
    part, indices = ROBOTS[robot], range(num_vases)
    return compile_model(
        _MODEL.format(
            wall=half_width + WALL_DISTANCE,
            robot=part.body,
            actuators=part.actuators,
            vases="".join(_VASE.format(index=index, half_size=VASE_HALF_SIZE) for index in indices),
            touches="".join(_TOUCH.format(index=index) for index in indices),
        )
    )
