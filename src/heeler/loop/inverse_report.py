"""`report.html` of a reward that was inferred: reward and visits as pictures, the fit, and what cannot be known.

Shapes: N parameters, S states, A actions, H rows and W columns of a grid.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from heeler.loop.report_chart import Chart, Trace, axes, line, numbers
from heeler.loop.report_page import document, section_of, settings_table, tiles_of
from heeler.loop.words import number
from heeler.rewards.inverse.canonical import reachable
from heeler.rewards.inverse.result import InverseResult
from heeler.rewards.inverse.world import FiniteWorld

METHODS: Mapping[str, str] = {
    "mce": "maximum causal entropy",
    "matching": "apprenticeship by feature matching",
    "bayesian": "Bayesian inverse reinforcement learning",
    "logit": "conditional logit of choices",
    "least-squares": "least squares of choices",
}
MAX_BARS, MAX_ROWS = 40, 300
_ARROWS = {"up": "↑", "right": "→", "down": "↓", "left": "←"}
_FIT_WORDS: Mapping[str, tuple[str, str]] = {
    "feature_gap": ("Feature gap", "largest, policy less demonstrators"),
    "occupancy_gap": ("Occupancy gap", "largest of a state, discounted visits"),
    "log_likelihood_per_step": ("Log-likelihood", "nats a step"),
    "distance_to_true_reward": ("Distance to true reward", "0 the same, 0.71 unrelated, 1 opposite"),
    "margin": ("Margin", "length of what the mixture misses"),
    "r_hat_max": ("R-hat", "of the worst parameter; 1 where chains agree"),
    "effective_sample_size_min": ("Effective draws", "of the worst parameter"),
    "pseudo_r_squared": ("McFadden's R²", "0 for a coin"),
    "accuracy": ("Foretold", "share of choices with the highest reward"),
    "choices": ("Choices", "sets of alternatives"),
    "demonstrations": ("Demonstrations", "whole or cut short"),
}


def inverse_page(name: str, result: InverseResult) -> str:
    """The whole page.

    Args:
        name: of the folder.
        result: of any method.
    """
    sections: dict[str, Sequence[Chart]] = {}
    pictures = _pictures(result)
    if pictures:
        sections["Where the reward lies"] = pictures
    sections["The reward"] = [_parameters(result)]
    if result.series:
        sections["Rounds"] = [_margins(result.series)]
    body = [_header(name, result), *(f'<p class="note">{escape(note)}.</p>' for note in _sentences(result.notes))]
    body.append(_tiles(result))
    body += [section_of(title, charts) for title, charts in sections.items()]
    body += [_identification(result), _table(result), settings_table(result.settings)]
    return document(name, body, sections)


def _sentences(notes: Sequence[str]) -> list[str]:
    return [f"{note[0].upper()}{note[1:]}" for note in notes]


def _header(name: str, result: InverseResult) -> str:
    kind, state = ("finished", "converged") if result.converged else ("going", "not converged")
    world = "" if result.world is None else f", {result.world.num_states:,} states, {result.world.num_actions} actions"
    return f"""<header>
<h1>{escape(name)}</h1>
<p class="about">A reward from what people did: {escape(METHODS[result.method])}{escape(world)}.
<span class="state {kind}">{state}</span></p>
</header>"""


def _tiles(result: InverseResult) -> str:
    found = result.identification
    tiles: list[tuple[str, str, str]] = []
    if found.is_computed:
        told = f"of {found.num_parameters:,} dimensions of the reward"
        tiles.append(("Identified", f"{found.num_identified:,}", told))
    for key, (title, detail) in _FIT_WORDS.items():
        value = result.fit.get(key)
        if value is not None and np.isfinite(value):
            tiles.append((title, number(value), detail))
    return tiles_of(tiles)


def _pictures(result: InverseResult) -> list[Chart]:
    """Reward and visits on the grid; none where states lie on none, or two of them in one cell."""
    world = result.world
    if world is None or world.cell_S2 is None or result.tables is None:
        return []
    placed_S = (world.cell_S2 >= 0).all(1)
    if not placed_S.any() or len(np.unique(world.cell_S2[placed_S], axis=0)) < placed_S.sum():
        return []
    step_SA, end_S = result.tables
    reward_S = np.where(world.terminal_S, end_S, step_SA.mean(1))
    can_S = reachable(world).any(0) | world.terminal_S
    what = "of each state" if np.ptp(step_SA, axis=1).max() == 0 else "of each state, mean over its actions"
    arrows = "" if result.policy_TSA is None else " Arrows: what the policy does first, likeliest action."
    charts = [
        _map(
            world,
            reward_S,
            can_S,
            "reward",
            f"Reward {what}",
            f"Blue is good, orange is bad; × cannot be reached.{arrows}",
            result.policy_TSA,
        )
    ]
    if result.seen is not None and result.visits is not None:
        pairs = (("seen", "Where demonstrators went", result.seen), ("visits", "Where its policy goes", result.visits))
        caption = "Discounted visits of an episode."
        charts += [_map(world, visits.state_S, can_S, name, title, caption, None) for name, title, visits in pairs]
    return charts


def _map(
    world: FiniteWorld,
    value_S: np.ndarray,
    shown_S: np.ndarray,
    name: str,
    title: str,
    caption: str,
    policy_TSA: np.ndarray | None,
) -> Chart:
    assert world.cell_S2 is not None
    placed = np.flatnonzero((world.cell_S2 >= 0).all(1))
    height, width = (int(last) + 1 for last in world.cell_S2.max(0))
    grid_HW: list[list[float | None]] = [[None] * width for _ in range(height)]
    names_HW = [[""] * width for _ in range(height)]
    for state in placed:
        row, column = (int(place) for place in world.cell_S2[state])
        names_HW[row][column] = world.state_name(int(state)).replace("@", "(at)")
        if shown_S[state]:
            grid_HW[row][column] = numbers([value_S[state]])[0]
    has_sign = bool((value_S[shown_S] < 0).any())
    colours = [[0, "@orange"], [0.5, "@card"], [1, "@blue"]] if has_sign else [[0, "@card"], [1, "@blue"]]
    heat: Trace = {
        "type": "heatmap",
        "z": grid_HW,
        "text": names_HW,
        "hovertemplate": "%{text}: %{z}<extra></extra>",
        "colorscale": colours,
        "hoverongaps": False,
        "xgap": 1 if max(height, width) <= 40 else 0,
        "ygap": 1 if max(height, width) <= 40 else 0,
    }
    if has_sign:
        heat["zmid"] = 0
    traces = [heat]
    if policy_TSA is not None and max(height, width) <= 40:
        traces.append(_arrows(world, policy_TSA[0], [int(s) for s in placed if shown_S[s] and not world.terminal_S[s]]))
    traces.append(_crosses(world, [int(state) for state in placed if not shown_S[state]]))
    layout = axes("column", "row", legend=False) | {"height": 380, "hovermode": "closest"}
    layout["yaxis"] |= {"autorange": "reversed", "scaleanchor": "x", "showgrid": False, "zeroline": False}
    layout["xaxis"] |= {"showgrid": False, "zeroline": False, "constrain": "domain"}
    return Chart(id=name, title=title, caption=caption, traces=traces, layout=layout)


def _arrows(world: FiniteWorld, policy_SA: np.ndarray, states: Sequence[int]) -> Trace:
    """The likeliest action of each state; its name's first letter where it has no arrow."""
    assert world.cell_S2 is not None
    names = [world.action_name(action) for action in range(world.num_actions)]
    marks = [
        _ARROWS.get(name, name[:1].replace("@", "a")) if world.action_names else str(index)
        for index, name in enumerate(names)
    ]
    best = policy_SA.argmax(1)
    return {
        "type": "scatter",
        "mode": "text",
        "x": [int(world.cell_S2[state, 1]) for state in states],
        "y": [int(world.cell_S2[state, 0]) for state in states],
        "text": [marks[best[state]] for state in states],
        "textfont": {"color": "@ink"},
        "hoverinfo": "skip",
    }


def _crosses(world: FiniteWorld, states: Sequence[int]) -> Trace:
    """Where nobody can come."""
    assert world.cell_S2 is not None
    return {
        "type": "scatter",
        "mode": "text",
        "x": [int(world.cell_S2[state, 1]) for state in states],
        "y": [int(world.cell_S2[state, 0]) for state in states],
        "text": ["×"] * len(states),
        "textfont": {"color": "@muted"},
        "hoverinfo": "skip",
    }


def _parameters(result: InverseResult) -> Chart:
    """Bars of the parameters, those of the largest size where there are too many."""
    order = np.argsort(-np.abs(result.parameter_N), kind="stable")[:MAX_BARS]
    order = np.sort(order)
    # A name that begins with @ would be taken for a colour.
    names = [result.parameter_names[place].replace("@", "(at)") for place in order]
    bars: Trace = {
        "type": "bar",
        "x": names,
        "y": numbers(result.parameter_N[order]),
        "marker": {"color": ["@blue" if known else "@muted" for known in result.identification.is_identified_N[order]]},
    }
    if result.low_N is not None and result.high_N is not None:
        up, down = result.high_N[order] - result.parameter_N[order], result.parameter_N[order] - result.low_N[order]
        bars["error_y"] = {
            "type": "data",
            "array": [float(each) if np.isfinite(each) else None for each in up],
            "arrayminus": [float(each) if np.isfinite(each) else None for each in down],
            "color": "@soft",
        }
    few = "" if len(order) == result.num_parameters else f" The {len(order)} largest of {result.num_parameters:,}."
    lines = "" if result.interval_kind is None else f" Lines: {result.interval_kind} intervals."
    caption = f"Grey: not identified by itself.{lines}{few}"
    return Chart(
        id="parameters",
        title="What is worth how much",
        caption=caption,
        traces=[bars],
        layout=axes("", "reward", legend=False),
    )


def _margins(series: Sequence[float]) -> Chart:
    return Chart(
        id="margins",
        title="How far the mixture was from the demonstrators",
        caption="Length of the difference of their features, before each round and after the last.",
        traces=[line(range(len(series)), series, "margin", "blue")],
        layout=axes("round", "margin", legend=False, y_from_zero=True),
    )


def _identification(result: InverseResult) -> str:
    found = result.identification
    head = "<h2>What cannot be known</h2>"
    if found.is_computed and not found.num_not_identified:
        return f'{head}\n<div class="card"><p>Every parameter is identified.</p></div>'
    reasons = "".join(f"<li>{escape(reason.words)}</li>" for reason in found.reasons)
    told = ""
    if found.is_computed:
        never = f", {found.num_never:,} of them by no demonstration whatever in this world" if found.num_never else ""
        told = f"<p>{found.num_not_identified:,} of {found.num_parameters:,} dimensions are not identified{never}.</p>"
    shown = found.basis_words[:20]
    directions = "".join(f"<tr><td>{escape(words)}</td></tr>" for words in shown)
    more = f" (the first {len(shown)} of {len(found.basis_words):,})" if len(shown) < len(found.basis_words) else ""
    table = (
        f"<details><summary>Directions in which the reward may be changed unseen{more}</summary>"
        f'<div class="scroll"><table>{directions}</table></div></details>'
    )
    return f'{head}\n<div class="card">{told}<ul>{reasons}</ul>{table if shown else ""}</div>'


def _table(result: InverseResult) -> str:
    rows = "\n".join(_row(result, place) for place in range(min(result.num_parameters, MAX_ROWS)))
    few = result.num_parameters > MAX_ROWS
    title = f"The first {MAX_ROWS} of {result.num_parameters:,} parameters" if few else "Every parameter"
    interval = escape(result.interval_kind or "interval")
    return (
        f'<h2>Figures</h2>\n<details class="card"><summary>{title}; all stand in reward.npz</summary>\n'
        f'<div class="scroll"><table><tr><th>parameter</th><th>value</th><th>{interval}</th><th>identified</th></tr>\n'
        f"{rows}\n</table></div></details>"
    )


def _row(result: InverseResult, place: int) -> str:
    ends = _ends(result.low_N, result.high_N, place)
    known = "yes" if result.identification.is_identified_N[place] else "no"
    known = known if result.identification.is_computed else "not computed"
    cells: list[Any] = [result.parameter_names[place], number(float(result.parameter_N[place])), ends, known]
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"


def _ends(low_N: np.ndarray | None, high_N: np.ndarray | None, place: int) -> str:
    if low_N is None or high_N is None or not np.isfinite(low_N[place] + high_N[place]):
        return "none"
    return f"{number(float(low_N[place]))} to {number(float(high_N[place]))}"
