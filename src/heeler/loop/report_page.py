"""From facts and charts to one HTML page that needs nothing else: no network, no other file."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from heeler import __version__
from heeler.feedback.control_crowd import ControlCrowdConfig
from heeler.loop.evaluations import Interval, budgets_in_words
from heeler.loop.report_data import FilmedClip, ReportData
from heeler.loop.report_figures import Chart
from heeler.loop.report_findings import findings_section
from heeler.loop.report_gates import gates_section
from heeler.loop.report_groups import groups_section
from heeler.loop.report_honesty import honesty_section
from heeler.loop.report_imitation import imitation_tiles
from heeler.loop.report_interventions import interventions_section
from heeler.loop.report_kinds import kinds_section
from heeler.loop.report_overseers import objections_section
from heeler.loop.report_people import people_section
from heeler.loop.report_views import views_section
from heeler.loop.settings import dotted
from heeler.loop.words import duration, number
from heeler.rewards.sampled_invariance import MAX_STEPS, SampleCheck


def page(data: ReportData, sections: Mapping[str, Sequence[Chart]]) -> str:
    """The whole page.

    Args:
        data: what is known of the run.
        sections: charts under their headings.
    """
    body = [_header(data), _notes(data), _tiles(data), _clips(data)]
    body += [findings_section(data.findings), interventions_section(data.interventions)]
    body += [objections_section(data.objected), people_section(data.people), groups_section(data.groups)]
    counts_opened = data.config.kinds is None or data.config.kinds.counts_opened
    body += [
        kinds_section(data.kinds, data.answers, data.asking),
        views_section(data.views, counts_opened=counts_opened),
    ]
    body += [honesty_section(data.honesty, data.checkpoint_sha256)]
    body += [section_of(name, some) for name, some in sections.items()]
    body += [gates_section(data.gates), settings_table(data.config_values)]
    return document(data.name, body, sections)


def document(name: str, body: Sequence[str], sections: Mapping[str, Sequence[Chart]]) -> str:
    """A whole page from its parts.

    Args:
        name: of the run.
        body: HTML of its parts, in order.
        sections: the charts that stand in them.
    """
    templates = files("heeler.loop") / "templates"
    every = [chart for some in sections.values() for chart in some]
    footer = f"<footer>Made by heeler {escape(__version__)}.</footer>"
    return Template((templates / "report.html").read_text("utf-8")).substitute(
        title=escape(f"{name} · heeler"),
        css=(templates / "report.css").read_text("utf-8"),
        body="\n".join([*body, footer]),
        charts=as_json([{"id": c.id, "traces": c.traces, "layout": c.layout} for c in every]),
        plotly=get_plotlyjs(),
        script=(templates / "report.js").read_text("utf-8"),
    )


def as_json(value: Any) -> str:
    """JSON that may stand in a script element."""
    # Nothing in a string may end the script element that holds it.
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("</", "<\\/").replace("<!--", "<\\!--")


def _header(data: ReportData) -> str:
    config = data.config
    total = config.num_updates * config.steps_per_update
    state = "finished" if data.is_finished else f"{data.step / total:.0%} done"
    kind = "finished" if data.is_finished else "going"
    teacher = ""
    if config.asking is not None:
        asked = config.asking.teacher
        is_crowd = isinstance(asked, ControlCrowdConfig)
        who = "people" if asked == "people" else "a simulated crowd" if is_crowd else "a simulated teacher"
        teacher = f", answers by {who}"
    return f"""<header>
<h1>{escape(data.name)}</h1>
<p class="about">Recipe {escape(config.recipe)}, world {escape(config.env.id)}, seed {config.seed}{teacher}.
{_when(data.began, data.ended)}. <span class="state {kind}">{state}</span></p>
</header>"""


def _when(began: datetime, ended: datetime) -> str:
    end = f"{ended:%H:%M %Z}" if began.date() == ended.date() else f"{ended:%d %B %Y, %H:%M %Z}"
    return f"{began:%d %B %Y, %H:%M} to {end}"


def _notes(data: ReportData) -> str:
    """What is wrong with checkpoints, with what their reward models learned from, or with what shaped the reward."""
    stale = [] if data.stale_reward_model is None else [data.stale_reward_model]
    notes = [*data.refused_checkpoints, *stale, *_shaping_notes(data)]
    reasons = [f"{reason[0].upper()}{reason[1:]}." for reason in notes]
    return "\n".join(f'<p class="note">{escape(reason)}</p>' for reason in reasons)


def _shaping_notes(data: ReportData) -> list[str]:
    """What is known of an extra reward that is no potential's by itself."""
    share, error = data.last("shaping_unexplained"), data.last("shaping_unexplained_error")
    if share is None or error is None:
        return []
    num_steps = min(MAX_STEPS, data.config.steps_per_update)
    return [f"shaping: {SampleCheck(unexplained=share, standard_error=error, num_steps=num_steps).in_words}"]


def _tiles(data: ReportData) -> str:
    tiles: list[tuple[str, str, str]] = []
    if data.evaluation is not None:
        num = data.evaluation.num_episodes
        episodes = f"mean of {num} fresh episodes" if num > 1 else "one fresh episode"
        budgets = budgets_in_words(data.evaluation, data.config)
        for name, interval in data.evaluation.figures.items():
            title = name.replace("_", " ").capitalize()
            budget = f"{budgets[name]}; " if name in budgets else ""
            tiles.append((title, number(interval.mean), f"{budget}{_between(interval, num)}{episodes}"))
        interval = data.evaluation.episode_return
        tiles.append(("True return", number(interval.mean), f"{_between(interval, num)}{episodes}"))
    if data.config.preferences is not None:
        budget = data.config.preferences.schedule.budget
        tiles.append(("Labels used", f"{data.last('labels_used') or 0:,.0f}", f"of a budget of {budget:,}"))
        accuracy = data.last("reward_model_validation_accuracy")
        if accuracy is not None:
            tiles.append(("Answers foretold", f"{accuracy:.0%}", "of comparisons not trained on"))
        if data.segment_returns is not None:
            agree = data.segment_returns.correlation
            if agree == agree:
                tiles.append(("Learned against true", f"{agree:.2f}", "correlation over whole clips"))
    tiles += imitation_tiles(data)
    if data.config.kinds is not None:
        used, budget = data.last("seconds_used") or 0.0, data.config.kinds.schedule.budget
        tiles.append(("People's time", duration(used), f"of a budget of {duration(budget)}"))
    per_second = data.step / data.elapsed_s if data.elapsed_s > 0 else 0.0
    tiles.append(("Environment steps", f"{data.step:,}", f"{per_second:,.0f} a second"))
    tiles.append(("Time", duration(data.elapsed_s), "acting, rewarding and learning"))
    return tiles_of(tiles)


def tiles_of(tiles: Sequence[tuple[str, str, str]]) -> str:
    """Figures side by side: what each is of, the figure, and what is to be known of it."""
    items = "\n".join(
        f'<div class="card"><dt>{escape(name)}</dt><dd class="figure">{escape(figure)}</dd>'
        f'<dd class="detail">{escape(detail)}</dd></div>'
        for name, figure, detail in tiles
    )
    return f'<dl class="tiles">\n{items}\n</dl>'


def _clips(data: ReportData) -> str:
    clips = "\n".join(_clip(data, clip) for clip in (data.first_clip, data.last_clip))
    return f'<h2>First and last clip</h2>\n<div class="card pair">\n{clips}\n</div>'


def _clip(data: ReportData, clip: FilmedClip) -> str:
    if clip.path is None:
        return f'<figure><figcaption class="note">{escape(clip.caption)}</figcaption></figure>'
    content = base64.b64encode(clip.path.read_bytes()).decode()
    alt = escape(f"{clip.caption}: a moving picture of the policy in {data.config.env.id}")
    return (
        f'<figure><img src="data:image/webp;base64,{content}" alt="{alt}">'
        f"<figcaption>{escape(clip.caption)}</figcaption></figure>"
    )


def section_of(name: str, charts: Sequence[Chart]) -> str:
    """Charts under a heading."""
    # The last of an odd number would leave half a row empty.
    widest = charts[-1] if len(charts) % 2 else None
    figures = "\n".join(_figure(chart, wide=chart is widest) for chart in charts)
    return f'<section>\n<h2>{escape(name)}</h2>\n<div class="charts">\n{figures}\n</div>\n</section>'


def _figure(chart: Chart, *, wide: bool) -> str:
    label = escape(f"Chart: {chart.title}. {chart.caption}")
    low = " low" if chart.layout.get("height", 290) < 290 else ""
    return (
        f'<figure class="card{" wide" if wide else ""}"><h3>{escape(chart.title)}</h3>'
        f'<div class="plot{low}" id="plot-{chart.id}" role="img" aria-label="{label}"></div>'
        f"<figcaption>{escape(chart.caption)}</figcaption></figure>"
    )


def settings_table(values: Mapping[str, Any]) -> str:
    """Everything that a run follows from, folded up."""
    rows = "\n".join(
        f"<tr><td>{escape(name)}</td><td>{escape(_setting(value))}</td></tr>" for name, value in dotted(values).items()
    )
    return (
        '<h2>Settings</h2>\n<details class="card"><summary>Everything that this run follows from</summary>\n'
        f'<div class="scroll"><table>\n{rows}\n</table></div></details>'
    )


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _between(interval: Interval, num_episodes: int) -> str:
    """Nothing of one episode, which tells nothing of chance."""
    return f"95 % interval {number(interval.low)} to {number(interval.high)}, " if num_episodes > 1 else ""
