"""`heeler run reward-model` and going on with it: what is shown, and what is told at the end."""

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from heeler.cli.arguments import OK, print_json
from heeler.cli.console import ServeFlags
from heeler.cli.endings import tell_interrupted, tell_refused
from heeler.cli.from_data import left_out, refuse_service, refuse_store, truncated
from heeler.cli.recipe_flags import RunArguments

if TYPE_CHECKING:
    from heeler.evaluation.agreement import Share
    from heeler.loop.reward_config import RewardRunConfig
    from heeler.loop.reward_running import OnUpdate, RewardRunResult

_EVERY_S = 5.0
_WHAT = "a reward model is fitted to a file"


def run_reward(config: "RewardRunConfig", arguments: RunArguments, settings: Sequence[str]) -> int:
    """Fit a reward model, or go on with it.

    Args:
        config: from the recipe.
        arguments: of the command line.
        settings: `a.b=value` each.
    """
    from heeler.loop.config import to_dict
    from heeler.loop.reward_config import reward_config_from_dict
    from heeler.loop.reward_running import run_reward_model
    from heeler.loop.settings import assign

    refuse_service(arguments.serve, _WHAT)
    refuse_store(arguments, _WHAT)
    if settings:
        config = reward_config_from_dict(assign(to_dict(config), settings))
    path = arguments.run_dir or Path("runs") / config.default_name

    def learn(on_metrics: "OnUpdate") -> "RewardRunResult":
        return run_reward_model(config, path, on_metrics=on_metrics)

    return _learn(path, arguments.json, learn)


def resume_reward(path: Path, *, json: bool, flags: ServeFlags) -> int:
    """Go on with a run that fits a reward model."""
    from heeler.loop.reward_running import resume_reward_model

    refuse_service(flags, _WHAT)

    def learn(on_metrics: "OnUpdate") -> "RewardRunResult":
        return resume_reward_model(path, on_metrics=on_metrics)

    return _learn(path, json, learn)


def _learn(path: Path, as_json: bool, learn: "Callable[[OnUpdate], RewardRunResult]") -> int:
    from heeler.loop.report import write_report

    stream = sys.stderr if as_json else sys.stdout
    shown = _Lines(stream)
    print(f"reward model in {path}", file=stream, flush=True)
    try:
        result = learn(shown)
        report = write_report(path)
    except KeyboardInterrupt:
        return tell_interrupted(path, f"update {shown.step:,}")
    tell_refused(result.refused_checkpoints)
    for words in _left_out(result):
        print(f"heeler: {words}", file=sys.stderr)
    if as_json:
        agreement = dataclasses.asdict(result.agreement)
        print_json({"run": str(path), "model": str(path / "model"), "report": str(report), "agreement": agreement})
    else:
        print(f"{_in_words(result)}\nReport: {report}")
    return OK


class _Lines:
    """A line every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown_s = -_EVERY_S
        self.step = 0

    def __call__(self, row: Mapping[str, float], total: int) -> None:
        self.step = int(row["step"])
        if time.monotonic() - self._shown_s < _EVERY_S and self.step < total:
            return
        self._shown_s = time.monotonic()
        names = ("pretraining_loss", "loss", "accuracy", "foretold_accuracy", "validation_accuracy")
        told = [f"{name.replace('_', ' ')} {row[name]:.3f}" for name in names if name in row]
        print(f"  update {self.step:,} of {total:,}: {', '.join(told)}", file=self._stream, flush=True)


def _left_out(result: "RewardRunResult") -> list[str]:
    words = left_out(result.dropped, result.first_dropped)
    if result.num_too_long:
        words.append(f"{result.num_too_long} pairs were left out: longer than the model's context")
    return words + truncated(result.num_truncated)


def _in_words(result: "RewardRunResult") -> str:
    agreement = result.agreement
    lines = [
        f"Learned from {result.num_pairs:,} pairs; of {agreement.accuracy.count:,} pairs of other prompts:",
        f"  agrees with people: {_share(agreement.accuracy)}",
        f"  the shorter text wins: {_share(agreement.shorter)}",
        f"  calibration error {agreement.calibration.expected_error:.1%}",
        f"  log-loss {agreement.calibration.log_loss:.3f} (a coin's is 0.693)",
    ]
    for each in agreement.by_length:
        lines.append(
            f"  chosen {each.shortest:+,.0f} to {each.longest:+,.0f} characters longer: {_share(each.accuracy)}"
        )
    if len(agreement.by_group.groups) > 1:
        lines += [f"  {name}: {_share(share)}" for name, share in agreement.by_group.groups.items()]
    return "\n".join(lines)


def _share(share: "Share") -> str:
    return f"{share.mean:.1%} (95 % interval {share.low:.1%} to {share.high:.1%}, {share.count:,} pairs)"
