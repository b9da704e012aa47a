"""Settings by dotted name, such as `algorithm.learning_rate`: listing, checking, reading and changing them."""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import docstring_parser
import yaml

from heeler.core.errors import ConfigError, did_you_mean
from heeler.core.setting_files import read_settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Config = TypeVar("Config")


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names.

    >>> dotted({"seed": 3, "env": {"id": "Backflip", "kwargs": {}}})
    {'seed': 3, 'env.id': 'Backflip'}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= dotted(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a configuration."""

    name: str
    """Dotted."""
    type: str
    """What it may be, as Python writes types."""
    default: Any
    """As YAML has it."""
    help: str
    """What it does."""


def described(config: Any, values: Mapping[str, Any], prefix: str = "") -> list[Setting]:
    """Every setting of a recipe's configuration, with what is written under it in the source.

    Args:
        config: a dataclass; its fields may be dataclasses too.
        values: the same, as YAML-ready values.
        prefix: of the names.
    """
    hints = get_type_hints(type(config))
    helps = {
        field.arg_name: field.description or "" for field in docstring_parser.parse_from_object(type(config)).params
    }
    settings: list[Setting] = []
    for name, value in values.items():
        part = getattr(config, name)
        if dataclasses.is_dataclass(part):
            settings += described(part, value, f"{prefix}{name}.")
            continue
        about = " ".join(helps.get(name, "").split())
        settings.append(Setting(name=f"{prefix}{name}", type=_in_words(hints[name]), default=value, help=about))
    return settings


def _in_words(hint: Any, *, unfold: bool = True) -> str:
    """A type as Python writes it; of a dataclass that may stand there, what it holds."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and unfold:
        fields = get_type_hints(hint).items()
        return "{" + ", ".join(f"{name}: {_in_words(own, unfold=False)}" for name, own in fields) + "}"
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(_in_words(option, unfold=unfold) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return f"tuple[{', '.join(_in_words(one, unfold=unfold) for one in get_args(hint))}]"
    if hint is types.NoneType:
        return "None"
    if hint is ...:
        return "..."
    return hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint).replace("typing.", "")


def refuse_unknown(config_class: type, values: Mapping[str, Any], prefix: str = "") -> None:
    """Refuse settings that `config_class` does not have, so that none is ignored.

    Args:
        config_class: a dataclass; its fields may be dataclasses too.
        values: nested settings.
        prefix: of the names in messages.

    Raises:
        ConfigError: names the first unknown setting, and the nearest right one or all that there are.
    """
    hints = get_type_hints(config_class)
    for name, value in values.items():
        if name not in hints:
            raise ConfigError(f"there is no setting {prefix}{name}.{_near(prefix, str(name), hints)}")
        nested = _dataclass_for(hints[name], value)
        if nested is not None and isinstance(value, Mapping):
            refuse_unknown(nested, value, f"{prefix}{name}.")
        listed = _dataclass_for(get_args(hints[name])[0], None) if get_origin(hints[name]) is tuple else None
        if listed is not None and isinstance(value, list | tuple):
            for number, one in enumerate(value):
                refuse_unknown(listed, one if isinstance(one, Mapping) else {}, f"{prefix}{name}[{number}].")


def _near(prefix: str, name: str, known: Mapping[str, Any]) -> str:
    """The nearest right setting, or where none is near all that there are."""
    near = did_you_mean(name, known).replace("Did you mean '", f"Did you mean '{prefix}")
    there = f"{prefix.rstrip('.')} takes" if prefix else "There are:"
    return near or f" {there} {', '.join(known)}"


def _dataclass_for(hint: Any, value: Any) -> type | None:
    """The dataclass that a type is, or that it may be: of several the one that has most of the value's settings."""
    found = _dataclasses_in(hint)
    given = set[str](value) if isinstance(value, Mapping) else set[str]()
    return max(found, key=lambda one: len(given & get_type_hints(one).keys()), default=None)


def _dataclasses_in(hint: Any) -> list[type]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return [hint]
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ()
    return [found for option in options for found in _dataclasses_in(option)]


def validated(config_class: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration of this class from YAML-ready values.

    Raises:
        ConfigError: a setting is unknown, missing or of the wrong type; named in the message.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    refuse_unknown(config_class, values)
    # A class that lacks a setting must not pass for the one that has it and refuses its value. Pydantic takes such a
    # wish of what holds a dataclass, not of a dataclass itself.
    holder: Any = types.GenericAlias(tuple, (config_class,))
    strict = TypeAdapter(holder, config=ConfigDict(extra="forbid"))
    try:
        return strict.validate_python((values,))[0]
    except ValidationError as error:
        # Of a setting that may be of several types, each says why it is none of its own: the nearest fits best. No
        # setting is unknown to the nearest, as that was refused before.
        meant = [one for one in error.errors() if one["type"] != "unexpected_keyword_argument"]
        first = max(meant, key=lambda one: _nearness(values, one))
        where = _place(values, first["loc"])
        if first["type"] == "missing":
            name = ".".join(filter(None, (where, str(first["loc"][-1]))))
            raise ConfigError(f"setting {name} is missing and has no default; add it") from error
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, ConfigError):
            raise ConfigError(f"{where}: {cause}" if where else str(cause)) from error
        raise ConfigError(f"setting {where}: {first['msg']}, got {first['input']!r}") from error


def _place(values: Any, loc: tuple[int | str, ...]) -> str:
    """Dotted name of a setting; Pydantic's names of a union's members, which no file has, are left out."""
    place = ""
    for part in loc:
        if isinstance(values, Mapping) and part in values:
            place += f".{part}" if place else str(part)
            values = values[part]
        elif isinstance(values, list | tuple) and isinstance(part, int) and part < len(values):
            place += f"[{part}]"
            values = values[part]
    return place


def _nearness(values: Any, error: "ErrorDetails") -> tuple[int, bool]:
    """How deep a setting lies that an error is about, and whether the setting's own class says so."""
    place = _place(values, error["loc"])
    depth = len(place.replace("[", ".").split(".")) + (error["type"] == "missing")
    return depth, isinstance(error.get("ctx", {}).get("error"), ConfigError)


def assign(values: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Nested settings with some of them changed.

    Args:
        values: the settings that there are.
        assignments: `a.b=value` each; the value is read as YAML reads it, and a list may be written with commas.

    Returns:
        New settings; the values' types are not looked at.

    Raises:
        ConfigError: no `=`, or a name that there is not, with the nearest right one.

    >>> assign({"seed": 0, "algorithm": {"clip": 0.2}}, ["algorithm.clip=1e-1"])
    {'seed': 0, 'algorithm': {'clip': 0.1}}
    """
    changed = _copied(values)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise ConfigError(f"expected NAME=VALUE, such as algorithm.learning_rate=1e-3; got {assignment!r}")
        *path, last = name.split(".")
        place = changed
        for part in path:
            place = place.get(part)
            if not isinstance(place, dict):
                raise _unknown(name, values)
        # What the world itself is given is known to the world alone, which looks at it when it is made.
        if last not in place and path != ["env", "kwargs"]:
            raise _unknown(name, values)
        place[last] = _parsed(name, text, place.get(last))
    return changed


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copied(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def _unknown(name: str, values: Mapping[str, Any]) -> ConfigError:
    known = dotted(values)
    near = did_you_mean(name, known)
    last = name.rpartition(".")[2]
    # Somebody who wrote the last part right meant a setting that ends in it.
    same_end = [known_name for known_name in known if known_name.rpartition(".")[2] == last]
    if same_end:
        near = f" Did you mean {same_end[0]!r}?"
    return ConfigError(f"this run has no setting {name!r}.{near}")


def _parsed(name: str, text: str, present: Any) -> Any:
    if isinstance(present, list) and not text.lstrip().startswith(("[", "{")):
        return [_scalar(name, part) for part in text.split(",") if part]
    if isinstance(present, str) and not text:
        # YAML takes nothing for null.
        return ""
    return _scalar(name, text)


def _scalar(name: str, text: str) -> Any:
    # YAML takes 1e-3 for a word.
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    try:
        return read_settings(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: {text!r} cannot be read as a value") from error
