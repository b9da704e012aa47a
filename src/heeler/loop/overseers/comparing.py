"""What learned overseers are worth beside none, one alone and untrained ones: figures, and a page of them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from heeler.core.rundir import write_atomically
from heeler.envs.oversight_game import CHARGES
from heeler.evaluation.oversight import FrontierPoint, OversightFigures
from heeler.loop.config import to_dict
from heeler.loop.overseers.learned import write_learned
from heeler.loop.overseers.learning import (
    OversightConfig,
    Tell,
    frontier,
    judge,
    judge_alone,
    judge_scripted,
    learn_overseers,
)
from heeler.loop.overseers.playing import GameTeam
from heeler.loop.report_chart import Chart, Trace, axes, numbers
from heeler.loop.report_page import document, section_of, settings_table, tiles_of

FIGURES_NAME, PAGE_NAME = "figures.json", "report.html"
NOBODY, UNTRAINED, TOGETHER = "nobody", "untrained", "together"
_RATES = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Teams by name, each against an attacker of its own."""

    figures: Mapping[str, OversightFigures]
    """Of `nobody`, `untrained`, each charge alone, and all `together`."""
    scripted: Mapping[str, OversightFigures]
    """Of all together against attackers that follow a plan, by its name."""
    frontier: tuple[FrontierPoint, ...]
    """Of all together."""
    team: GameTeam
    """All together."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; None for a figure that there is not."""
        figures, scripted = (
            {name: _known(own.to_dict()) for name, own in each.items()} for each in (self.figures, self.scripted)
        )
        points = [_known(asdict(point)) for point in self.frontier]
        return {"figures": figures, "scripted": scripted, "frontier": points}


def compare(config: OversightConfig, seed: int, *, tell: Tell = lambda words: None) -> Comparison:
    """Learn overseers, and have an attacker learn from nothing against each team that there is to compare.

    Args:
        config: the settings.
        seed: everything random follows from it.
        tell: is told how it goes.
    """
    overseen = learn_overseers(config, seed, tell=tell)
    # The attackers that judge are no seeds of those that the overseers learned from.
    of_judges = seed + 3_000_017
    judged = {NOBODY: judge(config, overseen.team.unwatched(), of_judges)}
    tell("attacked with nobody watching")
    judged[UNTRAINED] = judge(config, overseen.untrained, of_judges)
    tell("attacked the untrained overseers")
    for charge, name in enumerate(CHARGES):
        judged[name] = judge_alone(config, overseen.team, charge, of_judges)
        tell(f"attacked {name} alone")
    judged[TOGETHER] = judge(config, overseen.team, of_judges)
    tell("attacked all overseers together")
    scripted = judge_scripted(config, overseen.team, of_judges)
    attackers = (judged[TOGETHER].attacker, *overseen.pool)
    points = frontier(config, overseen.team, attackers, of_judges, _RATES)
    figures = {name: own.figures for name, own in judged.items()}
    return Comparison(figures=figures, scripted=scripted, frontier=tuple(points), team=overseen.team)


def write_comparison(folder: Path, config: OversightConfig, seed: int, comparison: Comparison) -> Path:
    """Write the overseers (`learned.write_learned`), `figures.json` and a self-contained page; returns the page."""
    write_learned(folder, comparison.team, config.game)
    values = {"seed": seed, **to_dict(config)}
    content = {"settings": values, **comparison.to_dict()}
    write_atomically(folder / FIGURES_NAME, json.dumps(content, indent=1, allow_nan=False).encode())
    charts = [_frontier_chart(comparison), _teams_chart(comparison), _scripted_chart(comparison)]
    sections = {"Safety and usefulness": charts}
    own = comparison.figures[TOGETHER]
    body = [_header(seed), tiles_of(_tiles(own))]
    body += [section_of(title, charts) for title, charts in sections.items()]
    page = document("Overseers", [*body, settings_table(values)], sections)
    write_atomically(folder / PAGE_NAME, page.encode())
    return folder / PAGE_NAME


def _known(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _header(seed: int) -> str:
    about = "A worker that learned to slip past overseers who had learned to find such workers, in a closed world."
    return f'<header>\n<h1>Overseers</h1>\n<p class="about">{escape(about)} Seed {seed}.</p>\n</header>'


def _tiles(own: OversightFigures) -> list[tuple[str, str, str]]:
    delay = "none found" if math.isnan(own.detection_delay) else f"{own.detection_delay:.1f}"
    return [
        ("Attacks that succeeded", _percent(own.attack_success), f"of attempts; {own.attempted:.0%} of games had one"),
        ("Honest steps spoiled", _percent(own.false_positive_rate), "vetoed though nothing was diverted"),
        ("Usefulness kept", _percent(own.usefulness), "of an honest worker's return without overseers"),
        ("Steps to the first veto", delay, f"after the first that diverted; {own.detected:.0%} of attempts had one"),
        (
            "Overseers that it is worth",
            f"{own.effective_overseers:.2f}",
            f"of {len(CHARGES)}: their errors go together",
        ),
    ]


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{share:.1%}"


def _frontier_chart(comparison: Comparison) -> Chart:
    points = comparison.frontier
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "all together",
        "x": numbers(point.usefulness for point in points),
        "y": numbers(1 - point.attack_success for point in points),
        "text": [f"{point.false_positive_rate:.1%} of honest steps vetoed" for point in points],
        "marker": {"color": "@blue", "size": 8},
        "line": {"color": "@blue", "width": 2},
    }
    return Chart(
        id="frontier",
        title="Safety against usefulness",
        caption="The overseers at several strictnesses: what of an honest worker's return is left, and which share of "
        "attempts failed of the attacker that does best there, among those that learned at the strictness set.",
        traces=[trace],
        layout=axes("usefulness kept", "attacks prevented", legend=False, x_format=".0%", y_format=".0%"),
    )


def _bars(figures: Mapping[str, OversightFigures]) -> Trace:
    shares = [own.attack_success for own in figures.values()]
    y = numbers(0.0 if math.isnan(share) else share for share in shares)
    return {"type": "bar", "x": list(figures), "y": y, "marker": {"color": "@blue"}}


def _scripted_chart(comparison: Comparison) -> Chart:
    return Chart(
        id="scripted",
        title="Attacks by a plan",
        caption="All overseers together against attackers that learned nothing: all at once, a little at a time, by "
        "all routes or around one overseer, and when the shared noise hides it.",
        traces=[_bars(comparison.scripted)],
        layout=axes("plan", "share of attempts", legend=False, y_range=[0, 1], y_format=".0%"),
    )


def _teams_chart(comparison: Comparison) -> Chart:
    return Chart(
        id="teams",
        title="Attacks that succeeded",
        caption="By who watched; the attacker learned from nothing against each. All may veto the same share of honest "
        "steps.",
        traces=[_bars(comparison.figures)],
        layout=axes("who watched", "share of attempts", legend=False, y_range=[0, 1], y_format=".0%"),
    )
