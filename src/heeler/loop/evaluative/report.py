"""`report.html` of a run that learns from good and bad: what it came to, and how learning went."""

from collections.abc import Mapping
from html import escape
from typing import Any

from heeler.core.rundir import RunDirectory
from heeler.loop.evaluative.config import EvaluativeRunConfig, evaluative_config_from_dict
from heeler.loop.evaluative.outcome import Outcome, saved_outcome
from heeler.loop.report_chart import sections_of
from heeler.loop.report_page import document, section_of, settings_table, tiles_of
from heeler.loop.words import number

Rows = list[dict[str, Any]]
_SECTIONS: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "What people saw": (
        (
            "episode_return",
            "Return",
            "True return of the episodes that were shown; nothing is learned from it.",
            "return",
        ),
        ("signals", "Signals", "Presses so far.", "signals"),
        ("good_signals", "Good", "Of those, the good ones.", "signals"),
        (
            "unheard_signals",
            "Unheard",
            "Of those, the ones that came too late, or were about nothing shown.",
            "signals",
        ),
    ),
    "Learning": (
        ("learning/error", "Error", "What was said, less what was expected of it.", "signal"),
        ("learning/loss", "Loss", "Of the signals that were gone over.", "loss"),
        ("learning/entropy", "Entropy", "How undecided the policy is; near 0 it always does the same.", "nats"),
    ),
}


def evaluative_page(directory: RunDirectory, rows: Rows) -> str:
    """The report of a run that learns from good and bad, finished or not."""
    name, values, outcome = directory.path.resolve().name, directory.config(), saved_outcome(directory)
    config, sections = evaluative_config_from_dict(values), sections_of(rows, _SECTIONS)
    body = [_header(name, config, outcome), tiles_of(_tiles(rows, outcome))]
    body += [section_of(title, charts) for title, charts in sections.items()]
    return document(name, [*body, settings_table(values)], sections)


def _header(name: str, config: EvaluativeRunConfig, outcome: Outcome | None) -> str:
    kind, state = ("going", "not finished") if outcome is None else ("finished", "finished")
    who = "people" if config.asks_people else "a scripted trainer"
    return f"""<header>
<h1>{escape(name)}</h1>
<p class="about">{escape(config.method)} learns {escape(config.env.id)} from good and bad by {who}, shown at
{config.steps_per_second:g} steps a second, seed {config.seed}. <span class="state {kind}">{state}</span></p>
</header>"""


def _tiles(rows: Rows, outcome: Outcome | None) -> list[tuple[str, str, str]]:
    last = rows[-1]
    tiles = [
        ("Shown", f"{last['minutes']:.1f} min", "of people's time, as the clock of what was shown counts it"),
        ("Signals", f"{last['signals']:,.0f}", f"{last['good_signals']:,.0f} of them good"),
    ]
    if outcome is not None:
        mean = outcome.episode_return
        interval = f"95 % interval {number(mean.low)} to {number(mean.high)}"
        tiles.insert(0, ("Return", number(mean.mean), f"{interval}, {outcome.num_episodes} fresh episodes"))
    return tiles
