"""Whether a completion has the form that was asked for: a pattern, or JSON by a schema. 1 or 0."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote

from heeler.core.errors import ConfigError, RewardError
from heeler.core.texts import TextSample
from heeler.rewards.text.part import Scores

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)


class MatchesPattern:
    """1 where a regular expression fits, else 0.

    Args:
        pattern: in the syntax of the package `regex`, which is that of `re` and more.
        where: `whole` text (white space around it aside), or `anywhere` in it.
        timeout_s: a text on which the pattern takes longer is an error: the pattern is one that backtracks without end.
        name: of the part.

    Raises:
        ConfigError: the pattern is none.
    """

    def __init__(
        self,
        pattern: str,
        *,
        where: Literal["whole", "anywhere"] = "whole",
        timeout_s: float = 1.0,
        name: str = "format",
    ) -> None:
        import regex

        try:
            self._pattern = regex.compile(pattern)
        except regex.error as error:
            raise ConfigError(f"pattern {pattern!r} is no regular expression: {error}") from error
        if where not in ("whole", "anywhere"):
            raise ConfigError(f"where must be 'whole' or 'anywhere', got {where!r}")
        self.name, self._where, self._timeout_s = name, where, timeout_s

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """1 or 0.

        Raises:
            RewardError: the pattern takes too long on a text.
        """
        return [self._one(row, sample.completion.strip()) for row, sample in enumerate(samples)]

    def _one(self, row: int, text: str) -> float:
        look = self._pattern.fullmatch if self._where == "whole" else self._pattern.search
        try:
            return float(look(text, timeout=self._timeout_s) is not None)
        except TimeoutError:
            raise RewardError(
                f"reward part {self.name!r}, row {row}: the pattern took longer than {self._timeout_s:g} s; "
                "write it so that it does not backtrack"
            ) from None


class MatchesSchema:
    """1 where a completion is JSON that a schema allows, else 0. One block of code around it is taken off.

    Args:
        schema: JSON Schema, of the version that its `$schema` names, or 2020-12. References to other files are refused.
        name: of the part.

    Raises:
        ConfigError: the schema is none, or jsonschema is not installed.
    """

    def __init__(self, schema: Mapping[str, Any], *, name: str = "format") -> None:
        try:
            from jsonschema import SchemaError
            from jsonschema.validators import Draft202012Validator, validator_for
        except ImportError as error:
            raise ConfigError("checking JSON by a schema needs jsonschema: pip install 'heeler[lm]'") from error
        kind = validator_for(dict(schema), default=Draft202012Validator)
        try:
            kind.check_schema(dict(schema))
        except SchemaError as error:
            raise ConfigError(f"schema at {error.json_path}: {error.message}") from error
        _refuse_references_to_nothing(schema, schema)
        self.name, self._validator = name, kind(dict(schema))

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """1 or 0."""
        return [self._one(sample.completion) for sample in samples]

    def _one(self, text: str) -> float:
        plain = text.strip()
        fenced = _FENCE.fullmatch(plain)
        try:
            value = json.loads(fenced[1] if fenced else plain, parse_constant=_refuse_constant)
            return float(self._validator.is_valid(value))
        except (ValueError, RecursionError):
            return 0.0


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _refuse_references_to_nothing(schema: Any, whole: Any) -> None:
    """Refuse references to other files, and those into the schema where nothing stands."""
    if isinstance(schema, Mapping):
        # References are into the part that last took a name of its own.
        whole = schema if isinstance(schema.get("$id"), str) else whole
        reference = schema.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise ConfigError(f"schema: $ref must point into the schema itself, got {reference!r}")
        if isinstance(reference, str) and reference.startswith("#/") and not _stands_at(whole, reference[2:]):
            raise ConfigError(f"schema: $ref points to {reference!r}, and nothing stands there")
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            _refuse_references_to_nothing(part, whole)


def _stands_at(value: Any, pointer: str) -> bool:
    for step in unquote(pointer).split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return False
    return True
