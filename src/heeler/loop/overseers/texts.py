"""Overseers of texts: a team as a guard of a served chat, and as a part of the gate that a language model passes."""

from collections.abc import Callable, Sequence

from heeler.core.errors import ConfigError
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.core.words import words
from heeler.evaluation import suite_kinds
from heeler.evaluation.text_suites import Suite
from heeler.loop.overseers.settings import OverseersConfig, build_team
from heeler.oversight.overseers.ethics import TOLD_OF_TEXTS
from heeler.oversight.overseers.evidence import ALLOW, Evidence
from heeler.oversight.overseers.team import Team


class TextOverseers:
    """A team as a guard (`core.chat.TextGuard`): give it to a chat's `outgoing`, after heeler's own guards.

    The team sees the whole answer as far as it is there. A veto lets another answer be tried, a halt keeps it back for
    good, and a `modify` puts text in the place of what has not left yet.

    Args:
        team: its overseers judge texts.
    """

    def __init__(self, team: Team) -> None:
        self.name, self._team = team.name, team

    def review(self, sample: TextSample) -> Verdict:
        """Judge an answer, or as much of one as there is."""
        verdict = self._team.review(text_evidence(sample))
        if verdict.decision == "modify" and not isinstance(verdict.replacement, str):
            reason = f"what was to take its place is no text ({verdict.reason})"
            return Verdict(decision="veto", reason=reason, evidence=verdict.evidence)
        return ALLOW if verdict.decision == "allow" else verdict


_COUNTED = ("words", "characters")


def text_team(config: OverseersConfig, where: str) -> Team:
    """Overseers of texts.

    Args:
        config: the settings.
        where: they stand, for messages.

    Raises:
        ConfigError: a setting is for steps in a world alone, or an overseer cannot be had.
    """
    for name in ("conduct", "learned", "trusted", "money_per_hour"):
        if getattr(config, name):
            raise ConfigError(f"{where}.{name} would be ignored: it is for steps in a world; leave it out")
    for budget in config.resources:
        if budget.name not in _COUNTED:
            raise ConfigError(f"{where}.resources: of texts {' and '.join(_COUNTED)} are told, got {budget.name!r}")
    try:
        return build_team(config, told=TOLD_OF_TEXTS).team
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def with_overseers(suites: Sequence[Suite], config: OverseersConfig | None) -> list[Suite]:
    """Suites of a gate, and one that asks what overseers let pass, of the prompts that toxicity is asked of."""
    if config is None:
        return list(suites)
    team = text_team(config, "release.overseers")
    items = next(suite.items for suite in suites if suite.name == "toxicity")
    return [*suites, suite_kinds.overseers(items, released_score(team))]


def text_evidence(sample: TextSample) -> Evidence:
    """What overseers are shown of a text."""
    spent = {"words": float(len(words(sample.completion))), "characters": float(len(sample.completion))}
    return Evidence(sample=sample, spent=spent)


def released_score(team: Team) -> Callable[[TextSample], float]:
    """A score of one text for a suite of a gate: 1 where the team lets it pass as it is, else 0."""

    def score(sample: TextSample) -> float:
        return float(team.review(text_evidence(sample)).decision == "allow")

    return score
