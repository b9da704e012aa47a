"""What a policy in a world learned from beside answers, for its card: demonstrations, an expert, a reward of another
run, or its world's own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from heeler.loop.config import RunConfig
from heeler.loop.imitation_config import ImitationConfig
from heeler.loop.lineage import Lineage
from heeler.loop.release_card_parts import Section

_WAYS = {
    "bc": "It learned by behavioural cloning: to do what was shown. It saw no reward.",
    "dagger": "It learned by DAgger: to do what its expert would have done where it went itself. It saw no reward.",
    "sqil": "It learned by SQIL, which pays 1 for steps that were shown and nothing for its own.",
    "gail": "It learned from a reward made of demonstrations by GAIL: for steps that cannot be told from those shown.",
    "airl": "It learned from a reward made of demonstrations by AIRL: for steps that cannot be told from those shown.",
    "density": "It learned from a reward made of demonstrations by density: for being where steps were shown.",
}


def with_sources(answers: Section, config: RunConfig, state: Mapping[str, Any]) -> Section:
    """The section on answers, with what else was learned from before it.

    Args:
        answers: the section.
        config: of the run.
        state: of the release's checkpoint.
    """
    points = answers.points
    if config.imitation is not None:
        what = _WAYS[config.imitation.method]
        points = (*_shown(config.imitation, state["imitation"]), *points)
    elif config.reward_of:
        what = (
            f"It learned from the reward that another run, {config.reward_of}, made of demonstrations, as its "
            f"checkpoint with SHA-256 {state['moved_reward']['fingerprint']} had it; here it did not change."
        )
    elif config.asking is not None:
        return answers
    else:
        what = "It learned from its world's own reward."
    return replace(answers, paragraphs=(what, *answers.paragraphs), points=points)


def reward_told(told: Lineage, config: RunConfig | None) -> str:
    """Which learned reward there is, in words.

    Args:
        told: of the release.
        config: of a run in a world; None for a language model's.
    """
    if told.reward is not None:
        return f"SHA-256 of its file {told.reward.sha256}"
    if config is None or (config.imitation is None and not config.reward_of):
        return "none"
    if config.imitation is None:
        return f"that of the run {config.reward_of}"
    return f"none: {config.imitation.method} learns without one"


def _shown(imitation: ImitationConfig, kept: Mapping[str, Any]) -> tuple[str, ...]:
    points: list[str] = []
    if kept["demonstrations"] is not None:
        # Checkpoints of earlier versions do not say how many there were.
        counts = kept.get("counts")
        many = "" if counts is None else f", {counts[0]:,} episodes of {counts[1]:,} steps in all"
        points.append(f"Demonstrations: {imitation.demonstrations}{many}, SHA-256 {kept['demonstrations']}.")
    if imitation.asks_people:
        points.append("Expert: people.")
    elif imitation.expert is not None:
        points.append(
            f"Expert: the policy of the run {imitation.expert.source}, checkpoint with SHA-256 {kept['expert']}."
        )
    return tuple(points)
