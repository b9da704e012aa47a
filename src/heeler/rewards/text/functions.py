"""Any Python function as a reward, in the form that TRL's trainers take."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from heeler.core.errors import ConfigError, RewardError
from heeler.core.nouns import PLAIN
from heeler.core.texts import TextSample
from heeler.rewards.text.part import Scores, checked_scores

_OWN = ("prompts", "completions")


class FunctionReward:
    """A function `f(prompts, completions, **columns) -> list[float | None]`, plain or async.

    Prompts and completions are texts; of a chat they are lists of messages `{"role": ..., "content": ...}`, a
    completion a list of one. Columns are lists, None where a row has no such column. A function that takes no
    `**kwargs` is given the columns that it names. What TRL hands over beside these (token ids, the trainer's state) is
    not given.

    Args:
        function: called by keyword.
        name: of the part; None for the function's own.
    """

    def __init__(self, function: Callable[..., Any], *, name: str | None = None) -> None:
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self._function = function
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"reward function {self.name!r} must be callable with named arguments") from error
        self._takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        named = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        self._takes = {parameter.name for parameter in named}
        self._needs = {parameter.name for parameter in named if parameter.default is parameter.empty} - {*_OWN}
        if any(one.kind is one.POSITIONAL_ONLY and one.default is one.empty for one in parameters):
            raise ConfigError(f"reward function {self.name!r} must take its arguments by name")

    @property
    def needs(self) -> frozenset[str]:
        """Columns that it cannot do without."""
        return frozenset(self._needs)

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """What the function gives.

        Raises:
            RewardError: it needs a column that is not there, raised, gave another number of scores or one that is no
                finite number; names the row where it can be told.
        """
        there = {name for sample in samples for name in sample.columns}
        missing = sorted(self._needs - there)
        if missing and samples:
            known = ", ".join(sorted(there)) or "none"
            raise RewardError(f"reward part {self.name!r} needs the column {missing[0]!r}, and there is {known}")
        try:
            given = self._call(samples)
        except Exception as error:
            row = self._culprit(samples, 0)
            where = f"a batch of {len(samples)}" if row is None else f"row {row}"
            raise RewardError(f"reward part {self.name!r} raised {type(error).__name__} on {where}: {error}") from error
        return checked_scores(self.name, given, len(samples))

    def _call(self, samples: Sequence[TextSample]) -> Any:
        names = dict.fromkeys(name for sample in samples for name in sample.columns if name not in _OWN)
        everything: dict[str, Any] = {
            "prompts": [_prompt(sample) for sample in samples],
            "completions": [_completion(sample) for sample in samples],
            **{name: [sample.columns.get(name) for sample in samples] for name in names},
        }
        wanted = {name: value for name, value in everything.items() if self._takes_all or name in self._takes}
        given = self._function(**wanted)
        return asyncio.run(given) if inspect.iscoroutine(given) else given

    def _culprit(self, samples: Sequence[TextSample], first: int) -> int | None:
        """A row on which it raises by itself, found by halving; None where it raises on several together alone."""
        if len(samples) == 1:
            return first
        half = len(samples) // 2
        for start, part in ((0, samples[:half]), (half, samples[half:])):
            try:
                self._call(part)
            except Exception:
                return self._culprit(part, first + start)
        return None


def _is_chat(sample: TextSample) -> bool:
    return bool(sample.prompt) and sample.prompt[0].role != PLAIN


def _prompt(sample: TextSample) -> str | list[dict[str, str]]:
    if _is_chat(sample):
        return [{"role": message.role, "content": message.content} for message in sample.prompt]
    return "".join(message.content for message in sample.prompt)


def _completion(sample: TextSample) -> str | list[dict[str, str]]:
    return [{"role": "assistant", "content": sample.completion}] if _is_chat(sample) else sample.completion
