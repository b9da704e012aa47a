"""What may be read: a guard that looks at a prompt before the model does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from heeler.core.errors import ConfigError
from heeler.core.nouns import PLAIN
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.safety.text_guards.findings import Rule
from heeler.safety.text_guards.output import check_mark, check_rules, review_text


class InputGuard:
    """Allows a prompt, replaces parts of its messages, or keeps it from the model.

    Messages of the roles `user` and `tool` and plain text are looked at, all of them: what a client sends again may be
    altered. The `replacement` of a `modify` is the prompt's messages.

    Args:
        rules: in the order in which they look.
        roles: of messages that are looked at.
        mark: what stands in the place of a finding; `{what}` is what was found.
        name: by which its acts are logged.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        roles: Sequence[str] = ("user", "tool", PLAIN),
        mark: str = "[{what}]",
        name: str = "input",
    ) -> None:
        self.name, self._rules, self._roles, self._mark = name, check_rules(rules), frozenset(roles), check_mark(mark)
        if not self._roles:
            raise ConfigError("roles must name at least one role: without any nothing would be looked at")

    def review(self, sample: TextSample) -> Verdict:
        """Judge a prompt; the completion is not looked at."""
        messages = list(sample.prompt)
        findings: list[dict[str, Any]] = []
        reasons: list[str] = []
        for number, message in enumerate(messages):
            if message.role not in self._roles:
                continue
            verdict = review_text(
                self.name, self._rules, message.content, sample.prompt, known=0, offset=0, mark=self._mark
            )
            told = [{"message": number, **one} for one in verdict.evidence.get("findings", ())]
            if verdict.decision in ("veto", "halt"):
                return replace(verdict, evidence={**verdict.evidence, "message": number, "findings": told})
            if verdict.decision == "modify":
                messages[number] = replace(message, content=verdict.replacement)
                findings += told
                reasons.append(verdict.reason)
        if not findings:
            return Verdict(decision="allow")
        return Verdict(
            decision="modify",
            reason="; ".join(dict.fromkeys(reasons)),
            replacement=tuple(messages),
            evidence={"guard": self.name, "findings": findings},
        )
