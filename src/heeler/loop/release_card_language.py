"""The card's sections of a language model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heeler.core.rundir import RunDirectory
from heeler.loop.language.config import LanguageRunConfig, language_config_from_dict
from heeler.loop.lineage import Lineage
from heeler.loop.release_card_parts import Section, acts_section, answers_section, disagreement, later_section
from heeler.loop.words import number

_LEARNERS = ("grpo", "rloo", "ppo", "online_dpo")


def language_sections(directory: RunDirectory, told: Lineage) -> tuple[Section, ...]:
    """Everything but what it is."""
    config = language_config_from_dict(directory.config())
    found = [
        answers_section(directory, told),
        _learning(config),
        _gate_section(told),
        later_section(told),
        _limits(told, config),
        acts_section(told),
    ]
    return tuple(section for section in found if section is not None)


def _learning(config: LanguageRunConfig) -> Section:
    learner = next(name for name in _LEARNERS if getattr(config, name) is not None)
    rows = [("learned from people", number(config.learned.weight))] if config.learned is not None else []
    rows += [(entry.name, number(entry.weight)) for entry in config.parts.entries if entry.weight]
    budgets = [] if config.budgets.toxicity is None else [f"Toxic answers are held to {config.budgets.toxicity:.2%}."]
    budgets += [f"{limit.part} is held within a limit." for limit in config.budgets.limits]
    return Section(
        title="How it learned",
        paragraphs=(f"{learner.upper().replace('_', ' ')} from the model {Path(config.model.path).name}; its reward:",),
        heads=("part", "weight"),
        rows=tuple(rows),
        points=tuple(budgets),
    )


def _is_tested(told: Lineage) -> bool:
    return told.gate is not None and "checks" in told.gate.details


def _gate_section(told: Lineage) -> Section:
    gate = told.gate
    if gate is None or not _is_tested(told):
        return Section(title="How it was tested", paragraphs=("No gate was asked: it was released untested.",))
    passed = "passed" if gate.passed else "was kept back by"
    rate = gate.details["config"]["error_rate"]
    return Section(
        title="How it was tested",
        paragraphs=(f"It {passed} the gate at an error rate of {rate:g}, on prompts that nothing is learned from.",),
        heads=("suite", "in use", "candidate", "gain", "lower bound", "upper bound", "items"),
        rows=tuple(_check_row(check) for check in gate.details["checks"]),
        points=gate.reasons,
    )


def _check_row(check: Mapping[str, Any]) -> tuple[str, ...]:
    figures = (check[name] for name in ("current_mean", "candidate_mean", "gain", "gain_low", "gain_high"))
    cells = ["none" if figure is None else number(figure) for figure in figures]
    return (str(check["suite"]), *cells, f"{check['num_pairs']:,}")


def _limits(told: Lineage, config: LanguageRunConfig) -> Section:
    tested = f"on prompts of {Path(config.world).name} alone; nothing is known of others"
    points = [
        f"It was tested {tested}." if _is_tested(told) else "It was not tested: what it answers is not known.",
        "What of a prompt moves its answers was not looked at: saliency is for policies in worlds.",
    ]
    if told.answers:
        points.append(disagreement(told.answers))
    points.append("The watch over its learned reward: " + ("off." if config.watch is None else "on while it learned."))
    return Section(title="Known limits", points=tuple(points))
