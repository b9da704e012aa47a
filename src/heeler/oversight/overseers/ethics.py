"""The charge *ethics*: a written list of rules, each with the test that tells whether it is broken.

A file of rules, in YAML:

    rules:
      - name: gentle near people
        because: a fast arm hurts
        when: observation[3] < 0.5 and max(abs(action)) > 0.8
      - name: no threats
        test: toxicity
      - name: no discounts beyond what a clerk may give
        function: rules.py:too_generous
        decision: halt
      - name: no manipulation
        judge: rules.py:manipulation
        at_least: 0.8

`when` is a condition (`expressions`), `test` one of `TESTS`, `function` one of the user's own that is given the
`Evidence` and says True, or what it objects to in words, where the rule is broken, and `judge` one that gives how
likely it is to be broken, 0 to 1. A test that fails has found the rule broken: the overseer raises, and so vetoes.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import yaml

from heeler.core.errors import ConfigError, DataError, did_you_mean
from heeler.core.functions import load_function
from heeler.core.verdict import Verdict
from heeler.oversight.overseers.evidence import ALLOW, Evidence, Proposals
from heeler.oversight.overseers.expressions import Condition
from heeler.safety.text_guards.findings import Rule as TextRule
from heeler.safety.text_guards.rules import ListedWords, PersonalData, Toxic

TESTS: Mapping[str, Callable[[], TextRule]] = {
    "toxicity": Toxic,
    "listed words": ListedWords,
    "personal data": PersonalData,
}
"""Named tests: those of texts that heeler brings."""
TOLD_OF_STEPS = ("observation", "action", "spent", "step")
TOLD_OF_TEXTS = ("text", "prompt", "spent")
"""What a condition may read of each."""
_KINDS = ("when", "test", "function", "judge")
_KEYS = ("name", "because", "decision", "at_least", *_KINDS)


@dataclass(frozen=True, kw_only=True)
class EthicsRule:
    """One rule."""

    name: str
    decision: Literal["veto", "halt"] = "veto"
    """What becomes of a step or text that breaks it."""
    because: str = ""
    """Why there is the rule; told with the verdict."""
    is_broken: Callable[[Evidence], bool | str]
    """By one step or text; may say by what, in words."""
    condition: Condition | None = None
    """The same of many steps at once, where it is a condition."""
    reads: frozenset[str] = frozenset()
    """What it cannot do without, of `expressions.NAMES`."""

    def verdict(self, said: bool | str = True) -> Verdict:
        """Of what breaks it."""
        parts = [f"breaks the rule {self.name!r}", *([said] if isinstance(said, str) else [])]
        parts += [f"because {self.because}"] if self.because else []
        return Verdict(decision=self.decision, reason=", ".join(parts), evidence={"rule": self.name})


class Ethics:
    """Objects to what breaks a rule; of several that are broken the strictest, then the first in the list.

    Args:
        rules: at least one.
        name: of the overseer.

    Raises:
        ConfigError: there is no rule, or two have one name.
    """

    def __init__(self, rules: Sequence[EthicsRule], *, name: str = "ethics") -> None:
        names = [rule.name for rule in rules]
        if not names:
            raise ConfigError("ethics needs at least one rule: without any it would let everything pass")
        twice = sorted({one for one in names if names.count(one) > 1})
        if twice:
            raise ConfigError(f"rules must have different names, got {twice[0]!r} more than once")
        self.name = name
        # Those that halt are looked at first, and the first that is broken counts.
        self.rules = tuple(sorted(rules, key=lambda rule: rule.decision != "halt"))
        # Conditions only compute; a function, a judge or a test of texts may do anything.
        self.is_bounded = all(rule.condition is not None for rule in rules)
        # What no condition reads is not laid out at every step.
        self._reads = frozenset[str]().union(*(rule.reads for rule in rules if rule.condition)) & _OF_ALL.keys()

    def review(self, evidence: Evidence) -> Verdict:
        """Judge a step or a text by every rule."""
        for rule in self.rules:
            said = rule.is_broken(evidence)
            if said:
                return rule.verdict(said)
        return ALLOW

    def review_all(self, proposals: Proposals) -> list[Verdict]:
        """Judge N steps; conditions look at all of them at once."""
        verdicts = [ALLOW] * len(proposals)
        values = {name: _OF_ALL[name](proposals) for name in self._reads}
        for rule in self.rules:
            broken: dict[int, bool | str]
            if rule.condition is not None:
                holds = rule.condition.holds(values, len(proposals))
                broken = dict.fromkeys(np.flatnonzero(holds).tolist(), True) if holds.any() else {}
            else:
                broken = {number: rule.is_broken(proposals.row(number)) for number in range(len(proposals))}
            for number, said in broken.items():
                if said and verdicts[number] is ALLOW:
                    verdicts[number] = rule.verdict(said)
        return verdicts


def read_rules(path: Path | str) -> tuple[list[EthicsRule], str]:
    """The rules of a file, and the SHA-256 of its content.

    Raises:
        ConfigError: the file cannot be read, or a rule in it is none; names file and rule.
    """
    try:
        content = Path(path).read_bytes()
        found: Any = yaml.safe_load(content.decode("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; give a YAML file in UTF-8") from error
    if not isinstance(found, dict) or list(cast(dict[str, Any], found)) != ["rules"]:
        raise ConfigError(f"{path}: expected `rules:` and a list, got {found!r:.80}")
    listed: Any = cast(dict[str, Any], found)["rules"]
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"{path}: rules must be a list of at least one rule, got {listed!r:.80}")
    rules = [_rule(f"{path}: rules[{place}]", one) for place, one in enumerate(cast(list[Any], listed))]
    try:
        Ethics(rules)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return rules, hashlib.sha256(content).hexdigest()


def check_told(rules: Sequence[EthicsRule], told: Sequence[str], path: str) -> None:
    """Refuse rules that read what is not told where they are to judge: they would find themselves broken each time.

    Args:
        rules: of a file.
        told: `TOLD_OF_STEPS` or `TOLD_OF_TEXTS`.
        path: of the file, for the message.

    Raises:
        ConfigError: names the first.
    """
    for rule in rules:
        missing = sorted(rule.reads - set(told))
        if missing:
            raise ConfigError(
                f"{path}: the rule {rule.name!r} reads {missing[0]}, and what it is to judge here has only "
                f"{', '.join(told)}"
            )


def check_parts(rules: Sequence[EthicsRule], sizes: Mapping[str, int], spent: Sequence[str], path: str) -> None:
    """Refuse conditions that read a number that there is not: they would find themselves broken each time.

    Args:
        rules: of a file.
        sizes: how many numbers `observation` and `action` have.
        spent: what is counted of what is used up.
        path: of the file, for the message.

    Raises:
        ConfigError: names the first.
    """
    reads = [(rule, *part) for rule in rules if rule.condition for part in sorted(rule.condition.parts, key=str)]
    for rule, name, part in reads:
        size = sizes.get(name, 0)
        is_there = part in spent if name == "spent" else isinstance(part, int) and -size <= part < size
        if (name == "spent" or name in sizes) and not is_there:
            there = f"told are {', '.join(spent)}" if name == "spent" else f"it has {size} numbers, counted from 0"
            raise ConfigError(f"{path}: the rule {rule.name!r} reads {name}[{part!r}], which there is not: {there}")


def _rule(where: str, given: Any) -> EthicsRule:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: expected a name and a test, got {given!r:.80}")
    values = cast(dict[str, Any], given)
    for key in values:
        if key not in _KEYS:
            raise ConfigError(f"{where}: there is no {key!r} in a rule.{did_you_mean(str(key), _KEYS)}")
    for key in ("name", "because", *_KINDS):
        if key in values and (not isinstance(values[key], str) or not values[key].strip()):
            raise ConfigError(f"{where}.{key}: expected some text, got {values[key]!r:.80}")
    if "name" not in values:
        raise ConfigError(f"{where}: name is missing")
    kinds = [kind for kind in _KINDS if kind in values]
    if len(kinds) != 1:
        raise ConfigError(f"{where}: expected exactly one of {', '.join(_KINDS)}, got {' and '.join(kinds) or 'none'}")
    decision = values.get("decision", "veto")
    if decision not in ("veto", "halt"):
        raise ConfigError(f"{where}.decision: expected veto or halt, got {decision!r}")
    is_broken, condition = _test(where, kinds[0], values)
    reads = {"text"} if kinds[0] == "test" else set[str]() if condition is None else condition.reads
    return EthicsRule(
        name=values["name"],
        decision=decision,
        because=values.get("because", ""),
        is_broken=is_broken,
        condition=condition,
        reads=frozenset(reads),
    )


def _test(
    where: str, kind: str, values: Mapping[str, Any]
) -> tuple[Callable[[Evidence], bool | str], Condition | None]:
    text: str = values[kind]
    if ("at_least" in values) != (kind == "judge"):
        raise ConfigError(f"{where}.at_least is for judge, which needs it: from which probability on a rule is broken")
    match kind:
        case "when":
            condition = Condition(text, f"{where}.when")
            return lambda evidence: bool(condition.holds(_values_of(evidence), 1)[0]), condition
        case "test":
            if text not in TESTS:
                raise ConfigError(f"{where}.test: expected one of {', '.join(TESTS)}, got {text!r}")
            return _of_text(TESTS[text](), f"{where}.test"), None
        case "function":
            return _of_function(_loaded(where, kind, text), where), None
        case _:
            least: Any = values["at_least"]
            if isinstance(least, bool) or not isinstance(least, int | float) or not 0 < least <= 1:
                raise ConfigError(f"{where}.at_least: expected a number above 0 and at most 1, got {least!r}")
            return _of_judge(_loaded(where, kind, text), float(least), where), None


def _loaded(where: str, kind: str, target: str) -> Callable[..., Any]:
    try:
        return load_function(target)
    except ConfigError as error:
        raise ConfigError(f"{where}.{kind}: {error}") from error


def _of_text(rule: TextRule, where: str) -> Callable[[Evidence], bool | str]:
    def is_broken(evidence: Evidence) -> bool | str:
        if evidence.sample is None:
            raise DataError(f"{where} is for texts, and this is a step")
        findings = rule.look(evidence.sample.completion, evidence.sample.prompt)
        return f"found {findings[0].what}" if findings else False

    return is_broken


def _of_function(function: Callable[..., Any], where: str) -> Callable[[Evidence], bool | str]:
    def is_broken(evidence: Evidence) -> bool | str:
        said = function(evidence)
        if said is None:
            return False
        if isinstance(said, str | bool):
            return said
        if isinstance(said, np.bool_):
            return bool(cast(Any, said))
        raise DataError(f"{where}.function must give True, False or words, got {type(said).__name__}")

    return is_broken


def _of_judge(judge: Callable[..., Any], least: float, where: str) -> Callable[[Evidence], bool | str]:
    def is_broken(evidence: Evidence) -> bool | str:
        probability = float(judge(evidence))
        if not 0 <= probability <= 1:
            raise DataError(f"{where}.judge must give a probability, got {probability}")
        return f"judged {probability:.2f} likely" if probability >= least else False

    return is_broken


def _values_of(evidence: Evidence) -> dict[str, Any]:
    """What a condition reads of one step or text."""
    values: dict[str, Any] = {
        "step": np.array([evidence.step]),
        "spent": {name: np.array([value]) for name, value in evidence.spent.items()},
    }
    if evidence.observation is not None and evidence.action is not None:
        values |= {"observation": evidence.observation[:, None], "action": evidence.action[:, None]}
    if evidence.sample is not None:
        prompt = evidence.sample.prompt
        values |= {"text": evidence.sample.completion, "prompt": prompt[-1].content if prompt else ""}
    return values


_OF_ALL: Mapping[str, Callable[[Proposals], Any]] = {
    "step": lambda proposals: np.array(proposals.step),
    "spent": lambda proposals: proposals.spent,
    "observation": lambda proposals: proposals.observation.T,
    "action": lambda proposals: proposals.action.T,
}
"""What a condition reads of N steps."""
