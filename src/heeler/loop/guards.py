"""Which guards look at a chat: what `heeler serve --guards FILE` reads, and the guards that come of it.

What comes in is looked at for orders to the model and for personal data. The latter is replaced: the store keeps none
of it, and an answer is to be judged and learned from by the prompt that the model was given, which is then the one that
is kept. The store redacts all the same, as it also takes in what no guard looks at.

What a file does not name is as it is without one, so that a rule goes off where somebody says so and not by omission.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from heeler.core.chat import TextGuard
from heeler.core.errors import ConfigError
from heeler.core.functions import load_function
from heeler.loop.overseers.settings import OverseersConfig
from heeler.loop.overseers.texts import TextOverseers, text_team
from heeler.loop.settings import refuse_unknown, validated
from heeler.safety.text_guards.findings import Action, Rule
from heeler.safety.text_guards.incoming import InputGuard
from heeler.safety.text_guards.injection import Injection
from heeler.safety.text_guards.output import OutputGuard
from heeler.safety.text_guards.rules import Custom, ListedWords, Pattern, PersonalData, PromptLeak, Toxic
from heeler.safety.toxicity.word_list import WordList, default_words
from heeler.service.chat.setup import ChatSetup

_SIDES = ("incoming", "outgoing")


@dataclass(frozen=True, kw_only=True)
class InjectionConfig:
    """Orders to the model in what comes in."""

    threshold: float = 0.6
    """From which score on."""
    action: Literal["block"] = "block"
    """There is nothing to put in the place of orders."""


@dataclass(frozen=True, kw_only=True)
class PersonalDataConfig:
    """E-mail addresses, phone numbers and the like, as far as `heeler.core.privacy` finds them."""

    action: Action = "replace"
    """What becomes of them."""


@dataclass(frozen=True, kw_only=True)
class WordsConfig:
    """Words that must not be said."""

    words: tuple[str, ...] = ()
    """Of one's own, in lower case, letters a to z; others are for patterns."""
    shipped: bool = True
    """Whether heeler's list counts too."""
    action: Action | None = None
    """What becomes of them; None to refuse what comes in, and to try another answer."""


@dataclass(frozen=True, kw_only=True)
class ToxicityConfig:
    """Sentences that the classifier calls toxic."""

    threshold: float | None = None
    """From which probability on; None for the classifier's own."""
    action: Action | None = None
    """As of words."""


@dataclass(frozen=True, kw_only=True)
class PromptLeakConfig:
    """Recited system messages."""

    num_words: int = 12
    """In a row."""
    action: Action = "resample"
    """What becomes of them."""


@dataclass(frozen=True, kw_only=True)
class PatternConfig:
    """A regular expression of one's own."""

    name: str
    """By which its findings are logged."""
    pattern: str
    """In the syntax of the package `regex`."""
    what: str = "pattern"
    """What it finds, in a word or two: what stands in its place, and in reasons."""
    action: Action | None = None
    """As of words."""


@dataclass(frozen=True, kw_only=True)
class FunctionConfig:
    """A function of one's own: takes a text, gives False where it has nothing against it, True or its reason else."""

    function: str
    """`FILE.py:NAME` or `MODULE:NAME`."""
    name: str = ""
    """By which its findings are logged; empty for the function's own."""
    timeout_s: float = 2.0
    """A text for which it takes longer is kept back."""
    action: Action | None = None
    """As of words; a whole text is found, so that there is nothing to replace in it."""


@dataclass(frozen=True, kw_only=True)
class IncomingConfig:
    """What looks at messages before the model does; None for a rule that is off."""

    injection: InjectionConfig | None = field(default_factory=InjectionConfig)
    """Orders to the model."""
    personal_data: PersonalDataConfig | None = field(default_factory=PersonalDataConfig)
    """Personal data."""
    words: WordsConfig | None = None
    """Listed words."""
    toxicity: ToxicityConfig | None = None
    """Toxic sentences."""
    patterns: tuple[PatternConfig, ...] = ()
    """Regular expressions."""
    functions: tuple[FunctionConfig, ...] = ()
    """Of one's own."""


@dataclass(frozen=True, kw_only=True)
class OutgoingConfig:
    """What looks at each sentence before it leaves; None for a rule, or overseers, that are off."""

    words: WordsConfig | None = field(default_factory=WordsConfig)
    """Listed words."""
    toxicity: ToxicityConfig | None = field(default_factory=ToxicityConfig)
    """Toxic sentences."""
    prompt_leak: PromptLeakConfig | None = field(default_factory=PromptLeakConfig)
    """Recited system messages."""
    personal_data: PersonalDataConfig | None = field(default_factory=PersonalDataConfig)
    """Personal data that the system message does not have."""
    patterns: tuple[PatternConfig, ...] = ()
    """Regular expressions."""
    functions: tuple[FunctionConfig, ...] = ()
    """Of one's own."""
    overseers: OverseersConfig | None = None
    """Overseers that decide together, after the rules."""


@dataclass(frozen=True, kw_only=True)
class GuardsConfig:
    """What guards a chat, and what is said where they keep an answer back."""

    incoming: IncomingConfig = field(default_factory=IncomingConfig)
    """Of messages."""
    outgoing: OutgoingConfig = field(default_factory=OutgoingConfig)
    """Of answers."""
    num_tries: int = ChatSetup.num_tries
    """Answers that are tried where one is kept back by `resample` and nothing of it has left."""
    refusal: str = ChatSetup.refusal
    """What is said in the place of an answer that was kept back whole."""

    def __post_init__(self) -> None:
        if self.num_tries < 1:
            raise ConfigError(f"num_tries must be > 0, got {self.num_tries}")
        if not self.refusal.strip():
            raise ConfigError("refusal must be some text, or an answer that is kept back would look like silence")


_LISTS: Mapping[str, type] = {"patterns": PatternConfig, "functions": FunctionConfig}
"""Rules of one's own, of which there may be any number."""
_OTHERS = (*_LISTS, "overseers")
_Part = (
    FunctionConfig
    | InjectionConfig
    | PersonalDataConfig
    | WordsConfig
    | ToxicityConfig
    | PromptLeakConfig
    | PatternConfig
)


def incoming_guards(config: IncomingConfig) -> tuple[TextGuard, ...]:
    """What looks at messages; nothing where all rules are off.

    Raises:
        ConfigError: a setting is out of range; named in the message.
    """
    rules = _rules("incoming", config, "block")
    return (InputGuard(rules),) if rules else ()


def outgoing_guards(config: OutgoingConfig) -> tuple[TextGuard, ...]:
    """What looks at answers; nothing where all rules are off.

    Raises:
        ConfigError: a setting is out of range; named in the message.
    """
    rules = _rules("outgoing", config, "resample")
    overseers = () if config.overseers is None else (TextOverseers(text_team(config.overseers, "outgoing.overseers")),)
    return (OutputGuard(rules), *overseers) if rules else overseers


def _rules(side: str, config: IncomingConfig | OutgoingConfig, default: Action) -> list[Rule]:
    """Those that are on, in the order in which they look."""
    named = [(f"{side}.{one.name}", getattr(config, one.name)) for one in fields(config) if one.name not in _OTHERS]
    for listed in _LISTS:
        named += [(f"{side}.{listed}[{place}]", one) for place, one in enumerate(getattr(config, listed))]
    rules: list[Rule] = []
    for where, part in named:
        if part is None:
            continue
        if side == "incoming" and part.action == "resample":
            raise ConfigError(f"{where}.action: of what comes in no other sample can be tried; give block or replace")
        try:
            rules.append(_rule(part, default))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        if [rule.name for rule in rules].count(rules[-1].name) > 1:
            raise ConfigError(f"{where}.name: there is another rule {rules[-1].name!r}; give another name")
    return rules


def _rule(part: _Part, default: Action) -> Rule:
    match part:
        case InjectionConfig():
            return Injection(threshold=part.threshold, action=part.action)
        case PersonalDataConfig():
            return PersonalData(action=part.action)
        case WordsConfig():
            listed = (*part.words, *(default_words().words if part.shipped else ()))
            return ListedWords(WordList(listed), action=part.action or default)
        case ToxicityConfig():
            return Toxic(threshold=part.threshold, action=part.action or default)
        case PromptLeakConfig():
            return PromptLeak(num_words=part.num_words, action=part.action)
        case PatternConfig():
            return Pattern(part.pattern, what=part.what, action=part.action or default, name=part.name)
        case FunctionConfig():
            function, action = load_function(part.function), part.action or default
            return Custom(function, action=action, timeout_s=part.timeout_s, name=part.name or None)


def read_guards(path: Path) -> GuardsConfig:
    """The configuration in a YAML file.

    A rule is `on`, `off`, or its settings, by which it is on; `patterns` and `functions` are lists.

    Raises:
        ConfigError: the file cannot be read, or holds a rule, a setting, an action or a value that there is not; the
            message names file and place.
    """
    try:
        config = validated(GuardsConfig, _switched(_loaded(path)))
        # What only a rule itself can tell is told before anything is served.
        incoming_guards(config.incoming)
        outgoing_guards(config.outgoing)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read: {error}; give a YAML file in UTF-8") from error
    if not isinstance(found, Mapping) or not found:
        raise ConfigError(f"expected incoming and outgoing with their rules, got {found!r:.80}")
    return cast(Mapping[str, Any], found)


def _switched(values: Mapping[str, Any]) -> dict[str, Any]:
    """With the settings of rules that were said to be on, and nothing of those that are off."""
    switched = dict(values)
    for side in _SIDES:
        rules = switched.get(side)
        if isinstance(rules, Mapping):
            named = cast(Mapping[str, Any], rules)
            switched[side] = {name: _switch(f"{side}.{name}", name, rule) for name, rule in named.items()}
    return switched


def _switch(where: str, name: str, rule: Any) -> Any:
    if name in _LISTS:
        for place, one in enumerate(cast(list[Any], rule) if isinstance(rule, list) else ()):
            if isinstance(one, Mapping):
                refuse_unknown(_LISTS[name], cast(Mapping[str, Any], one), f"{where}[{place}].")
        return rule
    if isinstance(rule, bool):
        return {} if rule else None
    if not isinstance(rule, Mapping):
        raise ConfigError(f"{where}: expected on, off or settings such as action, got {rule!r:.80}")
    return cast(Mapping[str, Any], rule)
