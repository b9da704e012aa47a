"""How a run is doing, while it runs: a bar on a terminal, a plain line every few seconds elsewhere."""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from heeler.loop.absence import AWAY, away_in_words
from heeler.loop.config import RunConfig
from heeler.loop.held_out import only_held_out
from heeler.loop.words import OWN_MEANS, duration, number

PLAIN_EVERY_S = 5.0
_LAST_WORDS = "\nplaying fresh episodes"


def figures(row: Mapping[str, float], budget: int | None, *, people: bool = False) -> list[str]:
    """What is worth watching in a row of metrics, in words.

    Args:
        row: of `metrics.jsonl`.
        budget: answers that the run may ask for; None where nobody is asked.
        people: whether people are asked, who like to know what is left to do.
    """
    words: list[str] = []
    if "true_return_mean" in row:
        interval = 1.96 * row.get("true_return_standard_error", 0.0)
        words.append(f"true return {number(row['true_return_mean'])} ± {number(interval)}")
    for name, value in row.items():
        if name.endswith("_mean") and name not in OWN_MEANS:
            words.append(f"{name.removesuffix('_mean').replace('_', ' ')} {number(value)}")
    if "reward_model_validation_accuracy" in row:
        words.append(f"reward model right {row['reward_model_validation_accuracy']:.0%}")
    if "seconds_used" in row:
        words.append(f"{row['seconds_used']:,.0f} s of people's time")
        if row.get("asking_stopped"):
            words.append("nobody is asked any more")
        elif people:
            words.append(f"{row.get('answered', 0):,.0f} of {row.get('asked', 0):,.0f} questions answered")
    if budget is not None:
        words.append(f"labels {row.get('labels_used', 0):,.0f} of {budget:,}")
        asked, answered = row.get("asked", 0.0), row.get("answered", 0.0)
        if people:
            words.append(f"{answered:,.0f} of {asked:,.0f} questions answered")
            words += filter(None, [only_held_out(row)])
        elif asked > answered:
            words.append(f"{asked - answered:,.0f} waiting for an answer")
    return words


class RunDisplay:
    """Shows the progress of one run; call it with each row of metrics.

    Args:
        config: of the run.
        stream: where to write.
        address: where people answer at the moment, if anywhere.
    """

    def __init__(self, config: RunConfig, stream: TextIO, address: Callable[[], str | None] = lambda: None) -> None:
        self.budget = config.preferences.schedule.budget if config.preferences else None
        self.people = config.asking is not None and config.asking.teacher == "people"
        self._num_first = config.num_first_answers if self.people else 0
        self._patience_s = config.store_patience_s
        self._address = address
        self.total = config.num_updates * config.steps_per_update
        restart = config.restart_update
        self.restart_step = None if restart is None else restart * config.steps_per_update
        self.is_live = stream.isatty()
        self.step = 0
        self._stream = stream
        self._first: tuple[int, float] | None = None
        self._shown_s = -PLAIN_EVERY_S
        self._figures = Text("starting")
        self._progress = Progress(
            BarColumn(bar_width=None), TaskProgressColumn(), TextColumn("{task.fields[pace]}"), expand=True
        )
        self._task = self._progress.add_task("", total=self.total, pace="")
        group = Group(self._progress, self._figures)
        self._live = Live(group, console=Console(file=stream), transient=False) if self.is_live else None

    def __enter__(self) -> "RunDisplay":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._figures.plain = self._figures.plain.removesuffix(_LAST_WORDS)
            self._live.stop()

    def say(self, words: str) -> None:
        """Write a line of its own, above the bar where there is one; from any thread."""
        if self._live is not None:
            self._live.console.out(words, highlight=False)
        else:
            print(words, file=self._stream, flush=True)

    def __call__(self, row: Mapping[str, float]) -> None:
        """Take in a row of metrics."""
        before, self.step = self.step, int(row["step"])
        now = time.monotonic()
        # The time in which the run waited, was paused or went back says nothing of how fast it goes.
        if self._first is None or self.step <= before:
            self._first = (self.step, now)
        pace = self._awaited(row) or self._pace(now)
        if self.is_live:
            self._progress.update(self._task, completed=self.step, pace=pace)
            self._figures.plain = ", ".join(self._words(row)) or "no episode has ended yet"
            if self.step >= self.total:
                self._figures.append(_LAST_WORDS)
        elif now - self._shown_s >= PLAIN_EVERY_S or self.step >= self.total or row.get(AWAY) == 0:
            self._shown_s = now
            share = self.step / self.total
            parts = [f"{self.step:,} of {self.total:,} steps ({share:.0%})", pace, *self._words(row)]
            print(", ".join(part for part in parts if part), file=self._stream, flush=True)

    def _words(self, row: Mapping[str, float]) -> list[str]:
        words = figures(row, self.budget, people=self.people)
        address = self._address() if self.people else None
        if address is not None and row.get("asked", 0.0) > row.get("answered", 0.0):
            words[-1] += f"; answer at {address}"
        if self.restart_step is not None and self.step > self.restart_step:
            words.append(f"a fresh policy since step {self.restart_step:,}")
        return words

    def _awaited(self, row: Mapping[str, float]) -> str:
        """What the run waits for, in words, where nobody can say how long that takes; empty where it goes on."""
        if AWAY in row:
            return away_in_words(row[AWAY], self._patience_s)
        got = row.get("labels_used", 0.0)
        if self.people and got < self._num_first:
            answers = "answer" if self._num_first == 1 else f"{self._num_first:,} answers"
            return f"waiting for the first {answers}: {got:,.0f} so far"
        return ""

    def _pace(self, now: float) -> str:
        assert self._first is not None
        first_step, first_s = self._first
        if self.step == first_step or now <= first_s:
            return ""
        rate = (self.step - first_step) / (now - first_s)
        left = (self.total - self.step) / rate
        return f"{rate:,.0f} steps/s" + (f", {duration(left)} left" if self.step < self.total else "")
