"""`heeler run sft`, `heeler run dpo` and going on with them: what is shown, and what is told at the end."""

import dataclasses
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from heeler.cli.arguments import OK, print_json
from heeler.cli.console import ServeFlags
from heeler.cli.endings import tell_interrupted, tell_refused
from heeler.cli.from_data import left_out, refuse_service, refuse_store, truncated
from heeler.cli.language_running import refuse_missing_packages
from heeler.cli.recipe_flags import RunArguments
from heeler.cli.time_left import TimeLeft

if TYPE_CHECKING:
    from heeler.loop.offline.config import OfflineRunConfig
    from heeler.loop.offline.evaluation import HeldOut
    from heeler.loop.offline.running import OfflineResult, OnUpdate

_EVERY_S = 5.0
_WHAT = "what is learned from is stored"
_TOLD = (
    ("loss", "loss {:.3f}"),
    ("rewards/accuracies", "right {:.0%}"),
    ("held_out/loss", "held-out loss {:.3f}"),
    ("held_out/accuracies", "right of held-out {:.0%}"),
)


def run_from_data(config: "OfflineRunConfig", arguments: RunArguments, settings: Sequence[str]) -> int:
    """Have a language model learn from stored texts, or go on with it.

    Args:
        config: from the recipe.
        arguments: of the command line.
        settings: `a.b=value` each.
    """
    refuse_missing_packages()
    from heeler.loop.config import to_dict
    from heeler.loop.offline.config import offline_config_from_dict
    from heeler.loop.offline.running import run_offline
    from heeler.loop.settings import assign

    refuse_service(arguments.serve, _WHAT)
    refuse_store(arguments, _WHAT)
    if settings:
        config = offline_config_from_dict(assign(to_dict(config), settings))
    path = arguments.run_dir or Path("runs") / config.default_name
    return _learn(path, arguments.json, lambda told: run_offline(config, path, on_metrics=told))


def resume_from_data(path: Path, *, json: bool, flags: ServeFlags) -> int:
    """Go on with a run that learns from stored texts."""
    refuse_missing_packages()
    from heeler.loop.offline.running import resume_offline

    refuse_service(flags, _WHAT)
    return _learn(path, json, lambda told: resume_offline(path, on_metrics=told))


def _learn(path: Path, as_json: bool, learn: "Callable[[OnUpdate], OfflineResult]") -> int:
    from heeler.loop.report import write_report
    from heeler.models.data_parallel import is_first_to_be

    if not is_first_to_be():
        # The first process tells how it goes; what is wrong with this one's own share is told all the same.
        learn(lambda row, total: None)
        return OK
    stream = sys.stderr if as_json else sys.stdout
    shown = _Lines(stream)
    print(f"language model in {path}", file=stream, flush=True)
    try:
        result = learn(shown)
        report = write_report(path)
    except KeyboardInterrupt:
        return tell_interrupted(path, f"update {shown.update:,}")
    tell_refused(result.refused_checkpoints)
    for words in left_out(result.dropped, result.first_dropped) + truncated(result.num_truncated):
        print(f"heeler: {words}", file=sys.stderr)
    if as_json:
        held_out = dataclasses.asdict(result.held_out)
        print_json({"run": str(path), "model": str(path / "model"), "report": str(report), "held_out": held_out})
    else:
        print(f"{_in_words(result)}\nReport: {report}\nTalk to it: heeler serve {shlex.quote(str(path))}")
    return OK


class _Lines:
    """A line every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown_s = -_EVERY_S
        self._left = TimeLeft()
        self.update = 0

    def __call__(self, row: Mapping[str, float], total: int) -> None:
        self.update = int(row["step"])
        left = self._left.in_words(self.update, total)
        if time.monotonic() - self._shown_s < _EVERY_S and self.update < total:
            return
        self._shown_s = time.monotonic()
        told = ", ".join(words.format(row[name]) for name, words in _TOLD if name in row)
        print(f"  update {self.update:,} of {total:,}{left}: {told}", file=self._stream, flush=True)


def _in_words(result: "OfflineResult") -> str:
    found = result.held_out
    lines = [f"Learned from {result.num_texts:,} texts; of {found.num_prompts:,} of other prompts, before and after:"]
    lines.append(f"  loss {_both(found, 'loss', '.3f')}")
    if "accuracies" in found.after:
        lines.append(f"  right {_both(found, 'accuracies', '.1%')}")
    return "\n".join(lines)


def _both(found: "HeldOut", name: str, form: str) -> str:
    return f"{found.before[name]:{form}} -> {found.after[name]:{form}}"
