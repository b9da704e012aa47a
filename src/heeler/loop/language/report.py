"""`report.html` of a language model's run: held-out suites before and after, rewards and costs, gates, answers."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from heeler.core.gate_records import GateRecords
from heeler.core.nouns import Message
from heeler.core.rundir import RunDirectory
from heeler.core.texts import TextSample
from heeler.loop.honesty.found import saved_honesty
from heeler.loop.language.config import LanguageRunConfig, language_config_from_dict
from heeler.loop.language.suite_means import SuiteMeans, in_words, saved_suites
from heeler.loop.report_findings import findings_section, findings_to_show
from heeler.loop.report_gates import BeforeAfter, gates_section, samples_section
from heeler.loop.report_honesty import honesty_section
from heeler.loop.report_language import Rows, language_charts
from heeler.loop.report_page import document, section_of, settings_table, tiles_of
from heeler.loop.words import duration

_MAX_EXAMPLES = 4


def language_page(directory: RunDirectory, rows: Rows) -> str:
    """The report of a language model's run, finished or not."""
    values = directory.config()
    config, suites = language_config_from_dict(values), saved_suites(directory)
    name, sections = directory.path.resolve().name, language_charts(rows)
    body = [_header(name, config, rows), _tiles(config, rows, suites), samples_section(_examples(suites))]
    body += [findings_section(findings_to_show(directory.path))]
    checkpoint, _ = directory.newest_checkpoint()
    sha256 = "" if checkpoint is None else checkpoint.sha256
    body += [honesty_section(saved_honesty(directory), sha256)]
    body += [section_of(title, charts) for title, charts in sections.items()]
    body += [gates_section(GateRecords(directory).all()), settings_table(values)]
    return document(name, body, sections)


def _header(name: str, config: LanguageRunConfig, rows: Rows) -> str:
    update = int(rows[-1]["update"])
    is_over = update >= config.num_updates
    state, kind = ("finished", "finished") if is_over else (f"{update / config.num_updates:.0%} done", "going")
    who = "nobody is asked"
    if config.asking is not None:
        who = "answers by people" if config.asks_people else "answers by simulated users"
    return f"""<header>
<h1>{escape(name)}</h1>
<p class="about">Recipe {escape(config.recipe)}, prompts {escape(Path(config.world).name)}, seed {config.seed}, {who}.
<span class="state {kind}">{state}</span></p>
</header>"""


def _tiles(config: LanguageRunConfig, rows: Rows, suites: Mapping[str, SuiteMeans]) -> str:
    tiles = [(title.replace("_", " ").capitalize(), *_figures(title, means)) for title, means in suites.items()]
    last = rows[-1]
    if config.asking is not None:
        tiles.append(("Comparisons", f"{last.get('pairs', 0):,.0f}", f"of a budget of {config.asking.budget:,}"))
    tiles.append(("Completions", f"{last['step']:,}", f"in {last['update']:,} updates"))
    tiles.append(("Time", duration(last["elapsed_s"]), "sampling, rewarding and learning"))
    return tiles_of(tiles)


def _figures(suite: str, means: SuiteMeans) -> tuple[str, str]:
    before = in_words(suite, means.before)
    return in_words(suite, means.after), f"{before} before learning; {means.better} is better"


def _examples(suites: Mapping[str, SuiteMeans]) -> list[BeforeAfter]:
    """A few prompts that are answered differently now, each once."""
    found: dict[str, BeforeAfter] = {}
    for name, means in suites.items():
        for example in means.examples:
            asked = str(example["prompt"])
            if example["before"] != example["after"] and asked not in found:
                before, after = (_sample(example, which) for which in ("before", "after"))
                found[asked] = BeforeAfter(before=before, after=after, note=f"From {name}.")
    return list(found.values())[:_MAX_EXAMPLES]


def _sample(example: Mapping[str, Any], which: str) -> TextSample:
    prompt = tuple(Message(role=role, content=content) for role, content in example["prompt"])
    return TextSample(prompt=prompt, completion=example[which])
