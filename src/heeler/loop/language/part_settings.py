"""The parts of a language model's reward as a configuration names them: what each weighs, and its settings."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, Literal

from heeler.core.errors import ConfigError, did_you_mean
from heeler.rewards.text.judge import JudgeConfig
from heeler.rewards.text.length import LengthUnit


@dataclass(frozen=True, kw_only=True)
class TruthfulnessPart:
    """The share of an answer's details (amounts, times, dates, addresses) that are known to be right."""

    weight: float
    """In the reward."""
    knowledge: str = ""
    """File of what is known whatever the prompt: a text (.txt, .md), or rows with the column `text`; empty for the
    column `facts` of the prompts, a text or texts."""
    whole: bool = False
    """Whether one wrong detail makes the whole answer wrong."""
    no_claims: float | None = None
    """Score of an answer without details; None for none."""


@dataclass(frozen=True, kw_only=True)
class LikenessPart:
    """Likeness to a reference, the nearest one where there are several."""

    weight: float
    """In the reward."""
    column: str = "reference"
    """Of the prompts, that holds it: a text or texts."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingPart:
    """Likeness to a reference by what sentences mean."""

    weight: float
    """In the reward."""
    model: str
    """Folder or hub id of a sentence-transformers model."""
    column: str = "reference"
    """Of the prompts, that holds the reference: a text or texts."""


@dataclass(frozen=True, kw_only=True)
class RepetitionPart:
    """The share of an answer that it had already said."""

    weight: float
    """In the reward; below 0."""
    size: int = 3
    """Words that are one thing said."""


@dataclass(frozen=True, kw_only=True)
class AgreementPart:
    """How alike the answers to one prompt are."""

    weight: float
    """In the reward."""
    similarity: Literal["token_f1", "chrf"] = "token_f1"
    """By words, or by characters."""


@dataclass(frozen=True, kw_only=True)
class LikelihoodPart:
    """Mean log-probability of an answer's tokens under the model that learning began with."""

    weight: float
    """In the reward."""
    floor: float = -10.0
    """Lowest score."""


@dataclass(frozen=True, kw_only=True)
class LengthPart:
    """0 up to a length, then falling to -1; the same for what is too short."""

    weight: float
    """In the reward."""
    free: int
    """Up to so many cost nothing."""
    worst: int
    """From so many on it is -1."""
    least: int = 0
    """Below so many it falls to -1 at none."""
    unit: LengthUnit = "words"
    """What is counted: tokens, words or characters."""


@dataclass(frozen=True, kw_only=True)
class PatternPart:
    """1 where a regular expression fits an answer, else 0."""

    weight: float
    """In the reward."""
    pattern: str
    """The expression."""
    where: Literal["whole", "anywhere"] = "whole"
    """Whether it is to fit the whole answer."""
    timeout_s: float = 1.0
    """An answer on which it takes longer is an error."""
    name: str = "pattern"
    """Of the part."""


@dataclass(frozen=True, kw_only=True)
class SchemaPart:
    """1 where an answer is JSON that a schema allows, else 0."""

    weight: float
    """In the reward."""
    schema: str
    """File of the JSON Schema."""
    name: str = "schema"
    """Of the part."""


@dataclass(frozen=True, kw_only=True)
class FunctionPart:
    """A function in TRL's form: `f(prompts, completions, **columns) -> list[float | None]`."""

    weight: float
    """In the reward."""
    function: str
    """`FILE.py:NAME` or `MODULE:NAME`."""
    name: str = ""
    """Of the part; empty for the function's own."""

    @property
    def called(self) -> str:
        """What the part is called."""
        return self.name or self.function.rpartition(":")[2].rpartition(".")[2]


@dataclass(frozen=True, kw_only=True)
class JudgePart(JudgeConfig):
    """A larger model's grade, from 0 to 1. It is sent prompts and answers, those of chats too."""

    weight: float
    """In the reward."""
    name: str = "judge"
    """Of the part."""


@dataclass(frozen=True, kw_only=True)
class PartEntry:
    """One part of a configuration."""

    name: str
    """Of the part."""
    place: str
    """Where its settings stand, such as `functions[0]`."""
    kind: str
    """The field of `PartWeights`."""
    weight: float
    """In the reward."""
    settings: Any
    """As they stand in that field: a weight, or settings that hold one."""


@dataclass(frozen=True, kw_only=True)
class PartWeights:
    """What each part weighs in the reward, after it was brought to a spread of 1; 0 leaves it out.

    A number is a weight; settings that hold a `weight` may stand in its place. A part of weight 0 may be a cost
    (`Budgets.limits`). Those that need to know what is true, right or wanted are for prompts that say so.
    """

    truthfulness: float | TruthfulnessPart = 0.0
    """Whether what is asked for is said, and nothing that is false: by the help desk's facts, by `knowledge`, or by the
    column `facts`."""
    refusals: float = 0.0
    """Whether what must be refused is; the help desk alone knows it."""
    helpfulness: float | LikenessPart = 0.0
    """How like the reference answer it is (chrF)."""
    brevity: float = 0.0
    """0 up to `max_words`, -1 at twice that."""
    repetition: float | RepetitionPart = 0.0
    """Share of what is said again; give a negative weight."""
    agreement: float | AgreementPart = 0.0
    """How alike the answers to one prompt are, for where nothing is known to be true."""
    token_f1: float | LikenessPart = 0.0
    """How many words it has in common with the reference answer."""
    likelihood: float | LikelihoodPart = 0.0
    """How likely the model that learning began with finds it, in nats a token."""
    toxicity: float = 0.0
    """1 where it is toxic, else 0; give a negative weight, or keep to `budgets.toxicity`."""
    embedding: EmbeddingPart | None = None
    """How like the reference answer it is by sentence embeddings: `{model: FOLDER, weight: 1}`."""
    length: LengthPart | None = None
    """A price on what is too long or too short: `{free: 40, worst: 80, weight: 1}`."""
    patterns: tuple[PatternPart, ...] = ()
    """Regular expressions that it is to match: `[{pattern: 'Dear .*', weight: 1}]`."""
    schemas: tuple[SchemaPart, ...] = ()
    """JSON Schemas that it is to match: `[{schema: FILE.json, weight: 1}]`."""
    functions: tuple[FunctionPart, ...] = ()
    """Functions as TRL takes them: `[{function: FILE.py:NAME, weight: 1}]`."""
    judges: tuple[JudgePart, ...] = ()
    """Models behind an OpenAI-compatible endpoint that grade it: `[{url: ..., model: ..., criterion: ..., weight: 1,
    key_variable: NAME}]`, with the API key in the environment variable NAME."""

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.entries]
        for entry in self.entries:
            if not isfinite(entry.weight):
                raise ConfigError(f"the weight of {entry.place} must be a finite number, got {entry.weight}")
            if not entry.name or "/" in entry.name or entry.name != entry.name.strip():
                raise ConfigError(f"the name of {entry.place} must be text without '/', got {entry.name!r}")
            if entry.place != entry.kind and (names.count(entry.name) > 1 or entry.name in _TAKEN):
                raise ConfigError(
                    f"{entry.place}: another part is called {entry.name!r} too; give it a name of its own"
                )

    @property
    def entries(self) -> list[PartEntry]:
        """Every part that there are settings for, weighed or not."""
        found: list[PartEntry] = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                found += [_of_list(field.name, place, settings) for place, settings in enumerate(value)]
            elif value is not None:
                kind, weight = field.name, value if isinstance(value, int | float) else value.weight
                found.append(PartEntry(name=kind, place=kind, kind=kind, weight=weight, settings=value))
        return found

    @property
    def teach(self) -> bool:
        """Whether any part has a weight."""
        return any(entry.weight for entry in self.entries)


# Of a part that `LanguageRunConfig.learned` sets.
_TAKEN = ("learned",)


def _of_list(kind: str, number: int, settings: Any) -> PartEntry:
    name = settings.called if isinstance(settings, FunctionPart) else settings.name
    return PartEntry(name=name, place=f"{kind}[{number}]", kind=kind, weight=settings.weight, settings=settings)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a part's mean over the answers of an update may be."""

    part: str
    """Name of the part."""
    at_most: float | None = None
    """For what is bad: the highest mean, in the part's own numbers."""
    at_least: float | None = None
    """For what is good: the lowest mean."""
    unit: float = 1.0
    """How much of the part counts as one, so that a multiplier means the same whatever it is measured in."""

    def __post_init__(self) -> None:
        given = [value for value in (self.at_most, self.at_least) if value is not None]
        if len(given) != 1:
            raise ConfigError(
                f"the limit of {self.part!r} must be either at_most or at_least, got {len(given)} of them"
            )
        if not isfinite(given[0]):
            raise ConfigError(f"the limit of {self.part!r} must be a finite number, got {given[0]}")
        if not 0 < self.unit < float("inf"):
            raise ConfigError(f"unit of the limit of {self.part!r} must be > 0 and finite, got {self.unit}")


def check_limits(parts: PartWeights, limits: Sequence[Limit]) -> None:
    """Refuse limits of parts that are not there, and parts that nothing would come of.

    Raises:
        ConfigError: names the limit or the part.
    """
    limited = [limit.part for limit in limits]
    known = [entry.name for entry in parts.entries if entry.name != "toxicity"]
    for name in limited:
        if name == "toxicity":
            raise ConfigError("budgets.limits: the limit of toxicity is budgets.toxicity; set that")
        if name not in known:
            near = did_you_mean(name, known)
            raise ConfigError(f"budgets.limits: there is no part {name!r}.{near} There are: {', '.join(known)}")
        if limited.count(name) > 1:
            raise ConfigError(f"budgets.limits must name each part once, got {name!r} {limited.count(name)} times")
    for entry in parts.entries:
        if not entry.weight and not isinstance(entry.settings, int | float) and entry.name not in limited:
            raise ConfigError(
                f"parts.{entry.place} would be ignored: its weight is 0 and budgets.limits does not name "
                f"{entry.name!r}; set either, or leave it out"
            )
