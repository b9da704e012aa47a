"""From the settings of a reward's parts to the parts themselves, for prompts that hold what each of them needs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from heeler.core.errors import ConfigError, DataError
from heeler.core.functions import load_function
from heeler.core.texts import TextSample
from heeler.feedback.datasets.sources import rows_of
from heeler.feedback.transfer.files import Located
from heeler.loop.language.config import LanguageRunConfig
from heeler.loop.language.part_settings import (
    AgreementPart,
    EmbeddingPart,
    FunctionPart,
    JudgePart,
    LengthPart,
    LikelihoodPart,
    LikenessPart,
    PartEntry,
    PartWeights,
    PatternPart,
    RepetitionPart,
    SchemaPart,
    TruthfulnessPart,
)
from heeler.loop.language.worlds import TextWorld
from heeler.models.language.model import LanguageModel
from heeler.rewards.text.coherence import Likelihood, Repetition
from heeler.rewards.text.details import DetailChecker
from heeler.rewards.text.formats import MatchesPattern, MatchesSchema
from heeler.rewards.text.functions import FunctionReward
from heeler.rewards.text.helpfulness import EmbeddingSimilarity, chrf_part, token_f1_part
from heeler.rewards.text.judge import Judge
from heeler.rewards.text.length import Length
from heeler.rewards.text.part import Part, Scores
from heeler.rewards.text.similarity import chrf, token_f1
from heeler.rewards.text.toxicity import Toxicity
from heeler.rewards.text.truthfulness import Agreement, Truthfulness

_TEXT_FILES = (".txt", ".md")
_SIMILARITIES = {"token_f1": token_f1, "chrf": chrf}


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What a part may need of its run."""

    config: LanguageRunConfig
    world: TextWorld
    reference: LanguageModel


def made_parts(config: LanguageRunConfig, world: TextWorld, reference: LanguageModel) -> dict[str, Part]:
    """Every part that weighs something or is kept to a limit, by name.

    Args:
        config: of the run.
        world: of the prompts.
        reference: the model that learning began with.

    Raises:
        ConfigError: a setting cannot be, or the prompts lack what a part goes by; names the part.
        DataError: a file cannot be read, or a row of the prompts holds what it should not.
    """
    run = _Run(config=config, world=world, reference=reference)
    wanted = {limit.part for limit in config.budgets.limits}
    wanted |= set() if config.budgets.toxicity is None else {"toxicity"}
    made: dict[str, Part] = {}
    for entry in config.parts.entries:
        if entry.weight or entry.name in wanted:
            with Located(f"parts.{entry.place}"):
                made[entry.name] = _MAKERS[entry.kind](entry, run)
    return made


def sha256_of_files(weights: PartWeights) -> dict[str, str]:
    """Of the files that parts go by, by the setting that names each; a run goes on only while they stay the same."""
    named = {entry.place: _FILES[entry.kind](entry.settings) for entry in weights.entries if entry.kind in _FILES}
    return {
        f"parts.{place}": sha256(path.read_bytes()).hexdigest()
        for place, path in ((place, Path(name)) for place, name in named.items() if name)
        if path.is_file()
    }


def _settings(entry: PartEntry, kind: type) -> Any:
    """Of a part whose weight may stand alone."""
    return entry.settings if isinstance(entry.settings, kind) else kind(weight=entry.settings)


def _truthfulness(entry: PartEntry, run: _Run) -> Part:
    settings: TruthfulnessPart = _settings(entry, TruthfulnessPart)
    if run.world.tells(entry.name):
        if settings != TruthfulnessPart(weight=entry.weight):
            raise ConfigError(f"{run.config.world} itself knows what is true; give the weight alone")
        return _OfWorld(entry.name, run.world)
    facts = _facts_of(Path(settings.knowledge)) if settings.knowledge else None
    if facts is None and not run.world.has_texts("facts"):
        raise ConfigError(
            f"the prompts of {run.config.world} have no texts in a column 'facts', so that nothing is known to be "
            "true; add it, name a file in `knowledge`, or weigh `agreement`, which needs neither"
        )
    return Truthfulness(DetailChecker(), facts=facts, whole=settings.whole, no_claims=settings.no_claims)


def _facts_of(path: Path) -> str:
    """One text, which is looked through once."""
    if path.suffix not in _TEXT_FILES:
        return "\n\n".join(_fact(place, fields) for place, fields in rows_of(str(path)))
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not text.strip():
        raise DataError(f"{path}: expected what is known, got nothing")
    return text


def _fact(place: str, fields: Mapping[str, Any]) -> str:
    text = fields.get("text")
    if not isinstance(text, str):
        raise DataError(f"{place}, text: expected a text, got {text!r:.80}")
    return text


def _refusals(entry: PartEntry, run: _Run) -> Part:
    if not run.world.tells(entry.name):
        raise ConfigError(f"the prompts of {run.config.world} do not say what must be refused; leave it out")
    return _OfWorld(entry.name, run.world)


def _helpfulness(entry: PartEntry, run: _Run) -> Part:
    return chrf_part(name=entry.name, column=_column(_settings(entry, LikenessPart), run))


def _token_f1(entry: PartEntry, run: _Run) -> Part:
    return token_f1_part(name=entry.name, column=_column(_settings(entry, LikenessPart), run))


def _embedding(entry: PartEntry, run: _Run) -> Part:
    settings: EmbeddingPart = entry.settings
    part = EmbeddingSimilarity(settings.model, column=_column(settings, run))
    part.load()
    return part


def _column(settings: LikenessPart | EmbeddingPart, run: _Run) -> str:
    if not run.world.has_texts(settings.column):
        raise ConfigError(
            f"the prompts of {run.config.world} have no texts in a column {settings.column!r} to be like; add it, or "
            "leave the part out"
        )
    return settings.column


def _brevity(entry: PartEntry, run: _Run) -> Part:
    words = run.config.max_words
    return Length(free=words, worst=2 * words, name=entry.name)


def _length(entry: PartEntry, run: _Run) -> Part:
    settings: LengthPart = entry.settings
    return Length(free=settings.free, worst=settings.worst, least=settings.least, unit=settings.unit)


def _repetition(entry: PartEntry, run: _Run) -> Part:
    return Repetition(size=_settings(entry, RepetitionPart).size)


def _agreement(entry: PartEntry, run: _Run) -> Part:
    return Agreement(_SIMILARITIES[_settings(entry, AgreementPart).similarity])


def _likelihood(entry: PartEntry, run: _Run) -> Part:
    return Likelihood(run.reference, floor=_settings(entry, LikelihoodPart).floor)


def _toxicity(entry: PartEntry, run: _Run) -> Part:
    return Toxicity()


def _pattern(entry: PartEntry, run: _Run) -> Part:
    settings: PatternPart = entry.settings
    if not settings.timeout_s > 0:
        raise ConfigError(f"timeout_s must be > 0, got {settings.timeout_s}")
    return MatchesPattern(settings.pattern, where=settings.where, timeout_s=settings.timeout_s, name=entry.name)


def _schema(entry: PartEntry, run: _Run) -> Part:
    settings: SchemaPart = entry.settings
    try:
        schema = json.loads(Path(settings.schema).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{settings.schema}: cannot be read as JSON: {error}") from error
    if not isinstance(schema, dict):
        raise DataError(f"{settings.schema}: a schema must be an object, got {type(schema).__name__}")
    with Located(settings.schema):
        return MatchesSchema(schema, name=entry.name)


def _function(entry: PartEntry, run: _Run) -> Part:
    settings: FunctionPart = entry.settings
    part = FunctionReward(load_function(settings.function), name=entry.name)
    missing = sorted(part.needs - {*run.world.columns})
    if missing:
        there = ", ".join(run.world.columns) or "none"
        raise ConfigError(
            f"{settings.function} needs the column {missing[0]!r}, and the prompts of {run.config.world} have {there}"
        )
    return part


def _judge(entry: PartEntry, run: _Run) -> Part:
    settings: JudgePart = entry.settings
    return Judge(settings, name=entry.name)


_MAKERS: Mapping[str, Callable[[PartEntry, _Run], Part]] = {
    "truthfulness": _truthfulness,
    "refusals": _refusals,
    "helpfulness": _helpfulness,
    "brevity": _brevity,
    "repetition": _repetition,
    "agreement": _agreement,
    "token_f1": _token_f1,
    "likelihood": _likelihood,
    "toxicity": _toxicity,
    "embedding": _embedding,
    "length": _length,
    "patterns": _pattern,
    "schemas": _schema,
    "functions": _function,
    "judges": _judge,
}


_FILES: Mapping[str, Callable[[Any], str]] = {
    "truthfulness": lambda settings: getattr(settings, "knowledge", ""),
    "schemas": lambda settings: settings.schema,
}
"""Which file a part goes by. Functions are not among them: one that failed is mended, and the run goes on."""


class _OfWorld:
    """A metric that the world of the prompts alone can tell."""

    def __init__(self, name: str, world: TextWorld) -> None:
        self.name, self._world = name, world

    def score(self, samples: Sequence[TextSample]) -> Scores:
        return self._world.score(self.name, samples) or [None] * len(samples)
