"""`heeler run` and `heeler resume` for runs of language models: what is shown, and what is told at the end."""

import dataclasses
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from heeler.cli.arguments import OK, once_it_is_back, print_json, resume_command
from heeler.cli.console import ServeFlags, console_beside, is_missing
from heeler.cli.endings import tell_interrupted, tell_refused, tell_stopped
from heeler.cli.recipe_flags import RunArguments
from heeler.cli.time_left import TimeLeft
from heeler.core.errors import ConfigError, RewardError, RunStopped, StoreAway
from heeler.loop.absence import AWAY, away_in_words

if TYPE_CHECKING:
    from heeler.core.gate_records import GateRecord
    from heeler.loop.language.config import LanguageRunConfig
    from heeler.loop.language.running import LanguageResult, Listeners

Learn = Callable[["Listeners"], "LanguageResult"]
_EVERY_S = 5.0
_NOTHING = "no part of the reward told answers apart"
_TOLD = (
    ("reward", "reward {:.2f}"),
    ("rewards/truthfulness/mean", "truthful {:.0%}"),
    ("rewards/refusals/mean", "right refusals {:.0%}"),
    ("costs/toxicity/mean", "toxic {:.1%}"),
    ("held_out", "people prefer it {:.0%}"),
    ("completions/mean_length", "{:.0f} tokens an answer"),
    ("kl", "KL {:.2f}"),
    ("left_out", "{:.0f} answers left out, on prompts that it cannot read"),
)


def run_language_model(config: "LanguageRunConfig", arguments: RunArguments, settings: Sequence[str]) -> int:
    """Have a language model learn, or go on with it.

    Args:
        config: from the recipe.
        arguments: of the command line.
        settings: `a.b=value` each.
    """
    refuse_missing_packages()
    from heeler.loop.config import to_dict
    from heeler.loop.language.config import language_config_from_dict
    from heeler.loop.language.running import run_language
    from heeler.loop.settings import assign

    if arguments.store:
        config = dataclasses.replace(config, store=arguments.store)
    # After the store, without which its patience would be refused.
    if settings:
        config = language_config_from_dict(assign(to_dict(config), settings))
    path = arguments.run_dir or Path("runs") / config.default_name
    return _learn(config, path, arguments.json, arguments.serve, lambda told: run_language(config, path, told))


def resume_language_model(path: Path, *, json: bool, flags: ServeFlags) -> int:
    """Go on with a run of a language model."""
    refuse_missing_packages()
    from heeler.core.rundir import RunDirectory
    from heeler.loop.language.config import language_config_from_dict
    from heeler.loop.language.running import resume_language

    config = language_config_from_dict(RunDirectory.open(path).config())
    return _learn(config, path, json, flags, lambda told: resume_language(path, told))


def _learn(config: "LanguageRunConfig", path: Path, as_json: bool, flags: ServeFlags, learn: Learn) -> int:
    from heeler.core.rundir import RunDirectory
    from heeler.loop.language.running import Listeners
    from heeler.loop.report import write_report

    stream = sys.stderr if as_json else sys.stdout
    console = console_beside(path, flags, stream, people=config.asks_people)
    shown = _Lines(config, stream, lambda: None if console is None else console.url)
    print(f"language model in {path}: {config.num_updates:,} updates", file=stream, flush=True)

    def begin() -> None:
        if console is not None:
            console.start(shown.say)

    try:
        with console or nullcontext():
            told = Listeners(on_metrics=shown, on_gate=shown.gate, on_begin=begin, on_warning=_warn)
            result = learn(told)
        report = write_report(path)
    except StoreAway as error:
        raise once_it_is_back(error, path) from None
    except RewardError as error:
        if not RunDirectory(path).checkpoint_steps():
            raise
        kept = f"What was learned is kept; once that is mended, go on by: {resume_command(path)}"
        raise RewardError(f"{error}. {kept}") from error
    except RunStopped as stopped:
        return tell_stopped(path, stopped)
    except KeyboardInterrupt:
        return tell_interrupted(path, f"update {shown.update:,}")
    tell_refused(result.refused_checkpoints)
    if not result.has_learned:
        print(f"heeler: nothing was learned: {_NOTHING} in any update; change `parts` or `learned`", file=sys.stderr)
    if as_json:
        suites = {name: dataclasses.asdict(means) for name, means in result.suites.items()}
        told = {"run": str(path), "report": str(report), "has_learned": result.has_learned}
        print_json(told | {"suites": suites})
    else:
        print(f"{_in_words(result)}\nReport: {report}\nTalk to it: heeler serve {shlex.quote(str(path))}")
    return OK


def _warn(words: str) -> None:
    print(f"heeler: {words}", file=sys.stderr, flush=True)


def refuse_missing_packages() -> None:
    """Say which package language models need that is not installed.

    Raises:
        ConfigError: one is missing.
    """
    for name in ("tokenizers", "transformers", "peft"):
        if is_missing(name):
            raise ConfigError(f"language models need a package that is missing ({name}): pip install 'heeler[lm]'")


class _Lines:
    """A line every few seconds.

    Args:
        config: of the run.
        stream: where to write.
        address: where people answer at the moment, if anywhere.
    """

    def __init__(self, config: "LanguageRunConfig", stream: TextIO, address: Callable[[], str | None]) -> None:
        self._config, self._stream, self._address = config, stream, address
        self._shown_s = -_EVERY_S
        self._left = TimeLeft()
        self._limited = [limit.part for limit in config.budgets.limits]
        self.update = 0

    def say(self, words: str) -> None:
        """Write a line of its own."""
        print(words, file=self._stream, flush=True)

    def gate(self, record: "GateRecord") -> None:
        """Tell what the gate decided."""
        decided = "passed the gate" if record.passed else "was kept back by the gate"
        self.say(f"  the candidate of update {self.update:,} {decided}: {'; '.join(record.reasons)}")

    def __call__(self, row: Mapping[str, float]) -> None:
        """Take in a row of metrics."""
        from heeler.loop.language.rewarding import tells_apart

        waits, self.update = int(row["update"]) == self.update, int(row["update"])
        now = time.monotonic()
        if waits:
            self._left.begin_anew(self.update)
        left = self._left.in_words(self.update, self._config.num_updates)
        is_last, goes_away = self.update >= self._config.num_updates, row.get(AWAY) == 0
        if now - self._shown_s < _EVERY_S and not is_last and not goes_away:
            return
        self._shown_s = now
        words = [told.format(row[name]) for name, told in _TOLD if name in row]
        limited = ((part, row.get(f"costs/{part}/mean")) for part in self._limited)
        words += [f"{part} {mean:.3g}" for part, mean in limited if mean is not None]
        words += [f"{row['pairs']:,.0f} comparisons learned from"] if row.get("pairs") else []
        if AWAY in row:
            words.append(away_in_words(row[AWAY], self._config.store_patience_s))
        elif "elapsed_s" in row and not tells_apart(row):
            words.append(f"nothing to learn from: {_NOTHING}")
        elif waits:
            where = self._address()
            words.append("waiting for people" + ("" if where is None else f", who answer at {where}"))
        self.say(f"  update {self.update:,} of {self._config.num_updates:,}{left}: {', '.join(words)}")


def _in_words(result: "LanguageResult") -> str:
    from heeler.loop.language.suite_means import in_words

    lines = ["On held-out prompts, before and after learning:"]
    for name, means in result.suites.items():
        before, after = in_words(name, means.before), in_words(name, means.after)
        lines.append(f"  {name.replace('_', ' '):<16}{before:>7} -> {after:>6}  ({means.better} is better)")
    return "\n".join(lines)
