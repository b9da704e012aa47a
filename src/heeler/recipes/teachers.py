"""How a recipe's `teacher` argument names who answers."""

from typing import Literal

from heeler.core.errors import ConfigError, did_you_mean
from heeler.feedback.teachers import TEACHERS, TeacherConfig


def teacher_named(name: str) -> TeacherConfig | Literal["people"]:
    """A ready-made simulated teacher, or `people` for whoever answers through the store.

    Raises:
        ConfigError: there is none of that name.
    """
    if name == "people":
        return "people"
    if name not in TEACHERS:
        known = (*TEACHERS, "people")
        raise ConfigError(f"teacher must be one of {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}")
    return TEACHERS[name]
