"""What may leave: a guard that looks at an answer, or at the next part of one, before anybody reads it."""

import logging
from collections.abc import Sequence
from typing import Any

from heeler.core.errors import ConfigError
from heeler.core.nouns import Message
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.safety.text_guards.findings import Finding, Rule

_log = logging.getLogger("heeler.safety")
_MOST_REWRITES = 3

Found = list[tuple[Rule, Finding]]


class OutputGuard:
    """Allows an answer, replaces parts of it, or keeps it back.

    It is given the answer up to and including the part that is to be judged; `columns["cleared"]` says how many
    characters have left already. Findings count where they reach into what has not left. It looks at some of what has
    left before, so that a finding that begins there is seen.

    Where rules disagree, the stricter counts: `block` gives `halt`, `resample` gives `veto`, so that another sample may
    be tried, and `replace` gives `modify`, with text in the place of all that has not left. A rule that raises or takes
    too long has found something: the answer is kept back.

    Args:
        rules: in the order in which they look.
        context: characters before the part that is judged.
        mark: what stands in the place of a finding; `{what}` is what was found.
        name: by which its acts are logged.
    """

    def __init__(
        self, rules: Sequence[Rule], *, context: int = 400, mark: str = "[{what}]", name: str = "output"
    ) -> None:
        self.name, self._rules, self._context, self._mark = name, check_rules(rules), context, check_mark(mark)
        if context < 0:
            raise ConfigError(f"context must be >= 0, got {context}")

    def review(self, sample: TextSample) -> Verdict:
        """Judge an answer, or the next part of one."""
        cleared = sample.columns.get("cleared", 0)
        if not isinstance(cleared, int) or not 0 <= cleared <= len(sample.completion):
            return failed(self.name, "columns['cleared']", "it is no place in the answer")
        start = max(0, cleared - self._context)
        text, known = sample.completion[start:], cleared - start
        return review_text(self.name, self._rules, text, sample.prompt, known=known, offset=start, mark=self._mark)


def review_text(
    guard: str, rules: Sequence[Rule], text: str, prompt: Sequence[Message], *, known: int, offset: int, mark: str
) -> Verdict:
    """The verdict of some rules on one text.

    Args:
        guard: whose rules they are.
        rules: to look with.
        text: to look at.
        prompt: that it answers, or is a part of.
        known: characters at its beginning that are past judging.
        offset: where in the whole it begins, for the evidence.
        mark: for findings that are replaced.
    """
    evidence: list[dict[str, Any]] = []
    rewritten = text
    for _ in range(_MOST_REWRITES):
        found: Found = []
        for rule in rules:
            try:
                looked = rule.look(rewritten, prompt)
                found += [(rule, one) for one in looked if one.end > known and one.start < one.end]
            except Exception as error:
                _log.error("the rule %s of the guard %s failed", rule.name, guard, exc_info=error)
                return failed(guard, rule.name, type(error).__name__)
        if not found:
            break
        evidence += [_told(rule, one, offset) for rule, one in found]
        strictest = {rule.action for rule, _ in found}
        if strictest != {"replace"}:
            kind = "halt" if "block" in strictest else "veto"
            return Verdict(decision=kind, reason=_reason(found), evidence={"guard": guard, "findings": evidence})
        rewritten = _replaced(rewritten, found, known, mark)
    else:
        # What replaces must itself pass, or a mark could be made a part of something else.
        return failed(guard, "replace", "what was put in the place of findings is found again")
    if not evidence:
        return Verdict(decision="allow")
    reason = "replaced: " + ", ".join(dict.fromkeys(one["what"] for one in evidence))
    told = {"guard": guard, "findings": evidence}
    return Verdict(decision="modify", reason=reason, replacement=rewritten[known:], evidence=told)


def failed(guard: str, rule: str, why: str) -> Verdict:
    """The veto of a guard that cannot tell."""
    reason = f"the guard {guard} cannot judge: {rule} failed ({why})"
    return Verdict(decision="veto", reason=reason, evidence={"guard": guard, "failed": True, "rule": rule})


def check_rules(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Raise a ConfigError where there is no rule, or two have one name."""
    names = [rule.name for rule in rules]
    if not names:
        raise ConfigError("a guard needs at least one rule: without any it would let everything pass")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"the rules of a guard must have different names, got {twice[0]!r} more than once")
    return tuple(rules)


def check_mark(mark: str) -> str:
    """Raise a ConfigError unless nothing but `{what}` is to be filled in."""
    try:
        mark.format(what="")
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(f"mark may hold {{what}} and no other braces, got {mark!r}") from error
    return mark


def _told(rule: Rule, finding: Finding, offset: int) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "what": finding.what,
        "start": offset + finding.start,
        "end": offset + finding.end,
        "score": None if finding.score is None else round(finding.score, 4),
    }


def _reason(found: Found) -> str:
    return "kept back: " + ", ".join(dict.fromkeys(finding.what for _, finding in found))


def _replaced(text: str, found: Found, known: int, mark: str) -> str:
    """With a mark for each finding; of those that overlap, the first one's."""
    pieces: list[str] = []
    kept = 0
    for _, finding in sorted(found, key=lambda one: (one[1].start, -one[1].end)):
        start, end = max(finding.start, known), finding.end
        if start >= kept:
            pieces += [text[kept:start], mark.format(what=finding.what)]
        kept = max(kept, end)
    return "".join([*pieces, text[kept:]])
