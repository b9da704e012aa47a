"""`report.html` of a run that fits a reward model: agreement with held-out pairs, and how learning went."""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from heeler.core.rundir import RunDirectory
from heeler.evaluation.agreement import LengthBin, Share
from heeler.loop.report_chart import Chart, Trace, axes, curve, line, numbers
from heeler.loop.report_page import document, section_of, settings_table, tiles_of
from heeler.loop.reward_agreement import Agreement, saved_agreement
from heeler.loop.reward_config import RewardRunConfig, reward_config_from_dict
from heeler.loop.words import duration, number

Rows = list[dict[str, Any]]


def reward_page(directory: RunDirectory, rows: Rows) -> str:
    """The report of a run that fits a reward model, finished or not."""
    name, values, agreement = directory.path.resolve().name, directory.config(), saved_agreement(directory)
    config, sections = reward_config_from_dict(values), _sections(rows, agreement)
    body = [_header(name, config, agreement), _tiles(rows, agreement)]
    body += [section_of(title, charts) for title, charts in sections.items()]
    return document(name, [*body, settings_table(values)], sections)


def _header(name: str, config: RewardRunConfig, agreement: Agreement | None) -> str:
    parts = [] if config.trunk is None else [f"language model {config.trunk.model}"]
    parts += [] if config.model.ngrams is None else ["n-grams"]
    kind, state = ("going", "not finished") if agreement is None else ("finished", "finished")
    return f"""<header>
<h1>{escape(name)}</h1>
<p class="about">Recipe {escape(config.recipe)}, data {escape(Path(config.data).name)}, reward of
{escape(" and ".join(parts))}, seed {config.seed}. <span class="state {kind}">{state}</span></p>
</header>"""


def _tiles(rows: Rows, agreement: Agreement | None) -> str:
    tiles: list[tuple[str, str, str]] = []
    if agreement is not None:
        held_out = f"of {agreement.accuracy.count:,} held-out pairs"
        tiles.append(
            ("Agrees with people", f"{agreement.accuracy.mean:.1%}", f"{_between(agreement.accuracy)}, {held_out}")
        )
        tiles.append(("Shorter is better", f"{agreement.shorter.mean:.1%}", f"what that rule agrees, {held_out}"))
        error = agreement.calibration.expected_error
        tiles.append(("Calibration error", f"{error:.1%}", "mean gap between foretold and happened"))
        loss = agreement.calibration.log_loss
        tiles.append(("Log-loss", number(loss), "nats a pair; 0.693 is that of a coin"))
    tiles.append(("Updates", f"{rows[-1]['step']:,}", "of the whole run"))
    tiles.append(("Time", duration(rows[-1]["elapsed_s"]), "learning"))
    return tiles_of(tiles)


def _between(share: Share) -> str:
    return f"95 % interval {share.low:.1%} to {share.high:.1%}"


def _sections(rows: Rows, agreement: Agreement | None) -> dict[str, list[Chart]]:
    sections: dict[str, list[Chart]] = {}
    if agreement is not None:
        charts = [_calibration(agreement), _by_length(agreement)]
        charts += [_by_group(agreement)] if len(agreement.by_group.groups) > 1 else []
        sections["Held-out pairs"] = charts
    learning = [
        curve(
            rows, "pretraining_loss", "Learning what comes next", "Loss of each token of the training texts.", "nats"
        ),
        curve(rows, "loss", "Learning what is better", "Loss of each pair; 0.693 is that of a coin.", "nats"),
        curve(rows, "accuracy", "Right of what it learns from", "Share of each batch's pairs.", "share"),
    ]
    if any(learning):
        sections["Learning"] = [chart for chart in learning if chart is not None]
    return sections


def _calibration(agreement: Agreement) -> Chart:
    bins = agreement.calibration.bins
    traces = [line([0.5, 1], [0.5, 1], "as good as can be", "grey", dash="dot")]
    traces.append(_marks([each.foretold for each in bins], [each.happened for each in bins], "held-out pairs"))
    return Chart(
        id="calibration",
        title="Does it happen as often as foretold?",
        caption="Pairs sorted by how sure the model is; bars are 95 % intervals. Below the line it is too sure.",
        traces=traces,
        layout=axes("probability that the model gives to its favourite", "share of pairs in which people agree"),
    )


def _by_length(agreement: Agreement) -> Chart:
    names = [_length_name(each) for each in agreement.by_length]
    traces = [_marks(names, [each.accuracy for each in agreement.by_length], "held-out pairs")]
    return Chart(
        id="length",
        title="Does it go by length?",
        caption="Agreement by how many characters the text that people chose is longer than the other. A model that "
        "goes by length is right at one end and wrong at the other.",
        traces=traces,
        layout=axes("chosen less rejected, characters", "share of pairs in which people agree", legend=False),
    )


def _by_group(agreement: Agreement) -> Chart:
    # A name that begins with @ would be taken for a colour.
    groups = {name.replace("@", "(at)"): share for name, share in agreement.by_group.groups.items()}
    few = agreement.by_group.num_small
    left_out = f" {few} groups of too few pairs or people are not told by name." if few else ""
    return Chart(
        id="group",
        title="With whom does it agree?",
        caption=f"Agreement by group or annotator, as the data name them; bars are 95 % intervals.{left_out}",
        traces=[_marks(list(groups), list(groups.values()), "held-out pairs")],
        layout=axes("group", "share of pairs in which people agree", legend=False),
    )


def _length_name(each: LengthBin) -> str:
    return f"{number(each.shortest)} to {number(each.longest)}"


def _marks(x: list[Any], shares: list[Share], name: str) -> Trace:
    mean, low, high = (np.array([getattr(share, part) for share in shares]) for part in ("mean", "low", "high"))
    error = {"type": "data", "array": numbers(high - mean), "arrayminus": numbers(mean - low), "color": "@soft"}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": x,
        "y": numbers(mean),
        "error_y": error,
        "marker": {"color": "@blue", "size": 8},
    }
