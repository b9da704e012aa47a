"""How a recipe's `teacher` argument names who answers."""

from typing import Literal

from heeler.core.errors import ConfigError, did_you_mean
from heeler.feedback.control_crowd import CROWDS, ControlCrowdConfig
from heeler.feedback.teachers import TEACHERS, TeacherConfig
from heeler.rewards.answerers import PeopleConfig


def teacher_named(name: str) -> TeacherConfig | ControlCrowdConfig | Literal["people"]:
    """A ready-made simulated teacher or crowd, or `people` for whoever answers through the store.

    Raises:
        ConfigError: there is none of that name.
    """
    if name == "people":
        return "people"
    if name in CROWDS:
        return CROWDS[name]
    if name not in TEACHERS:
        known = (*TEACHERS, *CROWDS, "people")
        raise ConfigError(f"teacher must be one of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}")
    return TEACHERS[name]


def people_of(name: str) -> PeopleConfig | None:
    """How it is taken into account who answers: where more than one may."""
    return None if name in TEACHERS else PeopleConfig()
