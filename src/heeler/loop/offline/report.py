"""`report.html` of a run that learns from stored texts: what was held out before and after, and how learning went."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from heeler.core.rundir import RunDirectory
from heeler.loop.offline.config import OfflineRunConfig, offline_config_from_dict
from heeler.loop.offline.evaluation import HeldOut, saved_held_out
from heeler.loop.report_chart import sections_of
from heeler.loop.report_page import document, section_of, settings_table, tiles_of
from heeler.loop.words import duration, number

Rows = list[dict[str, Any]]
_SECTIONS: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "Held out": (
        (
            "held_out/loss",
            "Loss",
            "Of texts that nothing is learned from; where it rises, learning goes by rote.",
            "nats",
        ),
        ("held_out/accuracies", "Right", "Share of them that the model tells right.", "share"),
        ("held_out/margins", "Lead", "By how much what is better gained more than what is worse.", "nats"),
    ),
    "Learning": (
        ("loss", "Loss", "Of each update's texts.", "nats"),
        ("rewards/accuracies", "Right", "Share of each update's texts that the model tells right.", "share"),
        ("kl", "KL to the reference", "How far the model has gone from where it began.", "nats an answer"),
        ("entropy", "Entropy", "How undecided it is; near 0 it always says the same.", "nats a token"),
        ("grad_norm", "Gradient", "Its length, before it was shortened.", "length"),
    ),
}


def offline_page(directory: RunDirectory, rows: Rows) -> str:
    """The report of a run that learns from stored texts, finished or not."""
    name, values, held_out = directory.path.resolve().name, directory.config(), saved_held_out(directory)
    config, sections = offline_config_from_dict(values), sections_of(rows, _SECTIONS)
    body = [_header(name, config, held_out), _tiles(rows, held_out)]
    body += [section_of(title, charts) for title, charts in sections.items()]
    return document(name, [*body, settings_table(values)], sections)


def _header(name: str, config: OfflineRunConfig, held_out: HeldOut | None) -> str:
    kind, state = ("going", "not finished") if held_out is None else ("finished", "finished")
    has_adapter = config.model.lora is not None or config.model.goes_on
    what = "an adapter of" if has_adapter else "all weights of"
    return f"""<header>
<h1>{escape(name)}</h1>
<p class="about">{escape(config.method.upper())} learns {what} {escape(Path(config.model.path).name)} from
{escape(Path(config.data).name)}, seed {config.seed}. <span class="state {kind}">{state}</span></p>
</header>"""


def _tiles(rows: Rows, held_out: HeldOut | None) -> str:
    tiles: list[tuple[str, str, str]] = []
    if held_out is not None:
        of = f"on {held_out.num_prompts:,} held-out texts"
        before, after = held_out.before, held_out.after
        tiles.append(("Held-out loss", number(after["loss"]), f"{number(before['loss'])} before learning, {of}"))
        if "accuracies" in after:
            tiles.append(("Right", f"{after['accuracies']:.1%}", f"what it tells right {of}"))
    tiles.append(("Updates", f"{rows[-1]['step']:,}", f"in {number(rows[-1]['epoch'])} passes over the texts"))
    tiles.append(("Time", duration(rows[-1]["elapsed_s"]), "learning"))
    return tiles_of(tiles)
