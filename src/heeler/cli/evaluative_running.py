"""`heeler run evaluative` and going on with it: what is shown, and what is told at the end."""

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from heeler.cli.arguments import OK, once_it_is_back, print_json, resume_command
from heeler.cli.console import ServeFlags, console_beside
from heeler.cli.endings import tell_interrupted, tell_refused, tell_stopped
from heeler.cli.recipe_flags import RunArguments
from heeler.core.errors import RunStopped, StoreAway, WorldError

if TYPE_CHECKING:
    from heeler.loop.evaluative.config import EvaluativeRunConfig
    from heeler.loop.evaluative.running import EvaluativeResult

_EVERY_S = 5.0
OnMetrics = Callable[[Mapping[str, float]], None]
Learn = Callable[[OnMetrics, Callable[[], None]], "EvaluativeResult"]


def run_from_signals(config: "EvaluativeRunConfig", arguments: RunArguments, settings: Sequence[str]) -> int:
    """Have an agent learn from good and bad, or go on with it.

    Args:
        config: from the recipe.
        arguments: of the command line.
        settings: `a.b=value` each.
    """
    from heeler.loop.config import to_dict
    from heeler.loop.evaluative.config import evaluative_config_from_dict
    from heeler.loop.evaluative.running import run_evaluative
    from heeler.loop.settings import assign

    if settings:
        config = evaluative_config_from_dict(assign(to_dict(config), settings))
    if arguments.store:
        config = dataclasses.replace(config, store=arguments.store)
    name = f"evaluative-{config.method}-{Path(config.env.id).name.replace(':', '-')}-seed{config.seed}"
    path = arguments.run_dir or Path("runs") / name

    def learn(on_metrics: OnMetrics, on_begin: Callable[[], None]) -> "EvaluativeResult":
        return run_evaluative(config, path, on_metrics=on_metrics, on_begin=on_begin)

    return _learn(config, path, arguments.json, arguments.serve, learn)


def resume_from_signals(path: Path, *, json: bool, flags: ServeFlags) -> int:
    """Go on with a run that learns from good and bad."""
    from heeler.core.rundir import RunDirectory
    from heeler.loop.evaluative.config import evaluative_config_from_dict
    from heeler.loop.evaluative.running import resume_evaluative

    config = evaluative_config_from_dict(RunDirectory.open(path).config())

    def learn(on_metrics: OnMetrics, on_begin: Callable[[], None]) -> "EvaluativeResult":
        return resume_evaluative(path, on_metrics=on_metrics, on_begin=on_begin)

    return _learn(config, path, json, flags, learn)


def _learn(config: "EvaluativeRunConfig", path: Path, as_json: bool, flags: ServeFlags, learn: Learn) -> int:
    from heeler.core.rundir import RunDirectory
    from heeler.loop.report import write_report

    stream = sys.stderr if as_json else sys.stdout
    console = console_beside(path, flags, stream, people=config.asks_people)
    shown = _Lines(config, stream)
    print(f"{config.method} in {config.env.id}, seed {config.seed}: {path}", file=stream, flush=True)
    if config.asks_people:
        print(f"It acts while somebody watches: the page Watch, run {path.name}", file=stream, flush=True)

    def begin() -> None:
        if console is not None:
            console.start(lambda words: print(words, file=stream, flush=True))

    try:
        with console or nullcontext():
            result = learn(shown, begin)
        report = write_report(path)
    except WorldError as error:
        if not RunDirectory(path).checkpoint_steps():
            raise
        raise WorldError(f"{error}. What was learned is kept: {resume_command(path)}") from error
    except StoreAway as error:
        raise once_it_is_back(error, path) from None
    except RunStopped as stopped:
        return tell_stopped(path, stopped)
    except KeyboardInterrupt:
        return tell_interrupted(path, f"step {shown.step:,}")
    tell_refused(result.refused_checkpoints)
    if as_json:
        outcome = dataclasses.asdict(result.outcome)
        print_json({"run": str(path), "method": config.method, "outcome": outcome, "report": str(report)})
    else:
        print(f"{_in_words(result)}\nReport: {report}")
    return OK


class _Lines:
    """A line every few seconds."""

    def __init__(self, config: "EvaluativeRunConfig", stream: TextIO) -> None:
        self._config, self._stream = config, stream
        self._shown_s = -_EVERY_S
        self.step = 0

    def __call__(self, row: Mapping[str, float]) -> None:
        self.step = int(row["step"])
        is_last = row["update"] >= self._config.num_updates
        if time.monotonic() - self._shown_s < _EVERY_S and not is_last:
            return
        self._shown_s = time.monotonic()
        minutes = self.step * self._config.step_s / 60
        last = f", return {row['episode_return']:.1f}" if "episode_return" in row else ""
        told = f"{int(row.get('signals', 0)):,} signals"
        print(f"  {minutes:.1f} min shown, {told}{last}", file=self._stream, flush=True)


def _in_words(result: "EvaluativeResult") -> str:
    outcome, mean = result.outcome, result.outcome.episode_return
    return (
        f"Learned from {outcome.num_signals:,} signals in {outcome.minutes:.1f} minutes; "
        f"{outcome.num_episodes} fresh episodes: return {mean.mean:.1f} "
        f"(95 % interval {mean.low:.1f} to {mean.high:.1f})"
    )
