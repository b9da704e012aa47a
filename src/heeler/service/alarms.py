"""What an operator should look at, read from a run's metrics and from what is known of it. Pure functions.

An alarm is raised on what stands in the figures over many updates, never on one of them: a figure of one update is
noise. None is proof that something is wrong; each says what to look at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, stdev
from typing import Any, Literal

Severity = Literal["warn", "bad"]
Rows = Sequence[Mapping[str, Any]]

NUM_ROWS = 400
"""Newest updates that alarms are read from."""

_STALLED_S, _STALLED_UPDATES = 120.0, 20
_UNANSWERED_S = 15 * 60.0
_MIN_LABELS, _NUM_FITS = 100, 3
_AGREEMENT_DROP, _AGREEMENT_LOW = 0.15, 0.5
_RECENT, _BEFORE = 10, 60
_SLOWER, _VALUE_LOSS_SPIKE, _KL_SPIKE, _KL_MIN = 2.0, 10.0, 5.0, 0.05
_FOUND_UPDATES, _FINDINGS = 60, "findings/"
_FREE_BYTES_WARN, _FREE_BYTES_BAD = 2 << 30, 300 << 20


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Something that somebody should look at."""

    name: str
    severity: Severity
    since_step: int | None
    """Environment steps from which on it shows; None for what has nothing to do with steps."""
    words: str
    """What was seen, with figures."""
    advice: str
    """What to do."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known of a run beside its metrics."""

    state: str
    """As `run_state` has it."""
    now_unix_s: float
    last_row_unix_s: float | None
    """When the newest row of metrics was written."""
    asks_people: bool
    num_open_queries: int
    last_answer_unix_s: float | None
    """When the newest answer came, or the run began where none has."""
    free_bytes: int
    stale_reward_model: str | None
    """What the newest checkpoint's reward model learned from that was withdrawn since, in words."""
    last_act: str | None
    """What the learner wrote last into the run's audit log; None where there is nothing."""
    held: Mapping[str, Any] | None = None
    """How interventions hold the run: level, since_step, reason; None while it is free."""
    warned: Mapping[str, Any] | None = None
    """Of what a rule of intervention warned last: step, reason."""
    drifted: Mapping[str, Any] | None = None
    """How what people want was found to have changed last: step, reason; None where it never was."""
    grouped: Mapping[str, Any] | None = None
    """How groups of people who want different things were found to have changed last: step, reason."""
    only_held_out: int | None = None
    """How many answers came, while all are by people from whom the run never learns; None where there are others."""


def alarms(rows: Rows, facts: RunFacts) -> list[Alarm]:
    """Every alarm that stands, the bad ones first.

    Args:
        rows: the newest `NUM_ROWS` of the run's metrics, the oldest first.
        facts: what else is known.
    """
    raised = [alarm for look in _LOOKS if (alarm := look(rows, facts)) is not None]
    return sorted(raised, key=lambda alarm: alarm.severity != "bad")


def _learner_gone(rows: Rows, facts: RunFacts) -> Alarm | None:
    ends = ("run.stop", "run.hard_stop", "run.interrupt", "run.finish", None)
    if facts.state != "stopped" or facts.last_act in ends:
        return None
    how = {
        "run.diverge": "learning diverged",
        "run.world_failed": "its world broke down",
        "run.fail": "it could not go on",
    }.get(facts.last_act, "it was killed, or its machine went down")
    return Alarm(
        name="learner_gone",
        severity="bad",
        since_step=_last_step(rows),
        words=f"No learner is at work on this run, and nobody stopped it: {how}.",
        advice="Read the newest lines of the audit log; heeler resume goes on from the newest checkpoint.",
    )


def _held(rows: Rows, facts: RunFacts) -> Alarm | None:
    if facts.held is None or facts.state == "finished":
        return None
    level, reason = str(facts.held["level"]), str(facts.held["reason"])
    how = {
        "slow": "The run learns slowly",
        "freeze": "The run is frozen: it acts, and learns nothing",
        "fall_back": "The run has fallen back: what is trusted acts, and nothing is learned",
    }
    return Alarm(
        name="held",
        severity="bad" if level == "fall_back" else "warn",
        since_step=int(facts.held["since_step"]),
        words=f"{how.get(level, level)} ({facts.held['by']}: {reason}).",
        advice="Look at what was found; then thaw the run, roll it back, or stop it.",
    )


def _warned(rows: Rows, facts: RunFacts) -> Alarm | None:
    """For as long as the step is among the newest updates."""
    if facts.warned is None or not rows or int(facts.warned["step"]) < int(rows[0]["step"]):
        return None
    return Alarm(
        name="warned",
        severity="warn",
        since_step=int(facts.warned["step"]),
        words=f"A monitor found something: {facts.warned['reason']}.",
        advice="Look at the charts and at the audit log, which has the evidence.",
    )


def _stalled(rows: Rows, facts: RunFacts) -> Alarm | None:
    if facts.state != "learning" or facts.last_row_unix_s is None:
        return None
    silent_s = facts.now_unix_s - facts.last_row_unix_s
    times = _update_times(rows)
    usual_s = median(times[-_BEFORE:]) if times else 0.0
    if silent_s < max(_STALLED_S, _STALLED_UPDATES * usual_s):
        return None
    return Alarm(
        name="stalled",
        severity="bad",
        since_step=_last_step(rows),
        words=(
            f"The learner is alive, but has made no update for {_duration(silent_s)}; "
            f"one usually takes {usual_s:.2g} s."
        ),
        advice="See what its process does: a world that hangs, a machine that swaps, or a disk that does not answer.",
    )


def _slower(rows: Rows, facts: RunFacts) -> Alarm | None:
    times = _update_times(rows)
    if facts.state != "learning" or len(times) < _RECENT + _BEFORE:
        return None
    before_s, now_s = median(times[: -_RECENT - 1]), median(times[-_RECENT:])
    if before_s <= 0 or now_s < _SLOWER * before_s:
        return None
    return Alarm(
        name="slower",
        severity="warn",
        since_step=_step_at(rows, -_RECENT),
        words=f"An update takes {now_s:.2g} s; it took {before_s:.2g} s before.",
        advice="Look for other work on this machine, and whether it is hot or swaps.",
    )


def _agreement(rows: Rows, facts: RunFacts) -> Alarm | None:
    fits = _fits(rows)
    if len(fits) < _NUM_FITS or fits[-1]["labels_used"] < _MIN_LABELS:
        return None
    shares = [float(row["reward_model_validation_accuracy"]) for row in fits]
    usual = [median(shares[n : n + _NUM_FITS]) for n in range(len(shares) - _NUM_FITS + 1)]
    now, best = usual[-1], max(usual)
    since = int(fits[-_NUM_FITS]["step"])
    advice = (
        "Look at the newest answers and who gave them, and at what the questions show; pause, or roll back to a "
        "checkpoint from before, if the agent has begun to do something odd."
    )
    if now < _AGREEMENT_LOW:
        words = f"The learned reward agrees with {now:.0%} of answers that it has not seen; guessing gets half."
        return Alarm(name="agreement", severity="bad", since_step=since, words=words, advice=advice)
    if best - now >= _AGREEMENT_DROP:
        words = f"The learned reward agrees with {now:.0%} of answers that it has not seen; it was {best:.0%}."
        return Alarm(name="agreement", severity="warn", since_step=since, words=words, advice=advice)
    return None


def _reward_without_agreement(rows: Rows, facts: RunFacts) -> Alarm | None:
    """Predicted reward goes up while the model that predicts it agrees less with people: what over-optimising is."""
    shown = [row for row in rows if "predicted_reward_mean" in row]
    if len(shown) < 3 * _RECENT:
        return None
    third = len(shown) // 3
    early, late = shown[:third], shown[-third:]
    first, last = ([float(row["predicted_reward_mean"]) for row in part] for part in (early, late))
    noise = max(stdev(first), stdev(last), 1e-9)
    fits_before, fits_late = _fits(early), _fits(late)
    if fmean(last) - fmean(first) < 2 * noise or min(len(fits_before), len(fits_late)) < _NUM_FITS:
        return None
    before, now = (
        fmean(float(row["reward_model_validation_accuracy"]) for row in fits) for fits in (fits_before, fits_late)
    )
    if before - now < 0.05 or fits_late[-1]["labels_used"] < _MIN_LABELS:
        return None
    return Alarm(
        name="reward_without_agreement",
        severity="bad",
        since_step=int(late[0]["step"]),
        words=(
            f"The predicted reward rose from {fmean(first):.3g} to {fmean(last):.3g}, while agreement with unseen "
            f"answers fell from {before:.0%} to {now:.0%}: the agent may be exploiting what the reward has wrong."
        ),
        advice="Watch the latest clip. Ask for more comparisons (a larger budget), or roll back.",
    )


def _unstable(rows: Rows, facts: RunFacts) -> Alarm | None:
    for name, spike, least, what in (
        ("kl", _KL_SPIKE, _KL_MIN, "The policy changes much more in an update than it did (KL"),
        ("value_loss", _VALUE_LOSS_SPIKE, 0.0, "The value network is much further off than it was (loss"),
    ):
        shown = [row for row in rows if name in row]
        if len(shown) < _RECENT + _BEFORE:
            continue
        before = median(float(row[name]) for row in shown[-_RECENT - _BEFORE : -_RECENT])
        now = median(float(row[name]) for row in shown[-_RECENT:])
        if now > max(spike * before, least) and before > 0:
            return Alarm(
                name="unstable",
                severity="warn",
                since_step=int(shown[-_RECENT]["step"]),
                words=f"{what} {now:.2g}, {before:.2g} before).",
                advice="If the return falls as well, roll back; in another run take a lower learning rate.",
            )
    return None


def _found(rows: Rows, facts: RunFacts) -> Alarm | None:
    """What the run's own monitors found lately; `findings/NAME` of a row names them."""
    found = [(row, name) for row in rows[-_FOUND_UPDATES:] for name in row if name.startswith(_FINDINGS)]
    if not found:
        return None
    newest = {name.removeprefix(_FINDINGS): int(row["step"]) for row, name in found}
    told = ", ".join(f"{name} (step {step:,})" for name, step in newest.items())
    return Alarm(
        name="found",
        severity="warn",
        since_step=int(found[0][0]["step"]),
        words=f"Monitors found something: {told}.",
        advice="The audit log's lines monitor.finding say what each of them saw.",
    )


def _drifted(rows: Rows, facts: RunFacts) -> Alarm | None:
    """What people want has changed lately."""
    return _told_lately(
        "drifted",
        facts.drifted,
        rows,
        "The reward is fitted anew, and answers from before weigh little. See whether people were told something "
        "else, or somebody else answers; raise the budget if it is nearly used up.",
    )


def _grouped(rows: Rows, facts: RunFacts) -> Alarm | None:
    """Groups of people who want different things are others than before."""
    return _told_lately(
        "grouped",
        facts.grouped,
        rows,
        "The report shows what each group gets. See whether the rule that decides between them is the one that you "
        "want, and whether all were told the same.",
    )


def _told_lately(name: str, told: Mapping[str, Any] | None, rows: Rows, advice: str) -> Alarm | None:
    """What the learner told of people, for a while."""
    if told is None or not rows:
        return None
    step, reason = int(told["step"]), str(told["reason"])
    if int(rows[max(0, len(rows) - _FOUND_UPDATES)].get("step", 0)) > step:
        return None
    words = f"{reason[0].upper()}{reason[1:]}."
    return Alarm(name=name, severity="warn", since_step=step, words=words, advice=advice)


def _untrusted(rows: Rows, facts: RunFacts) -> Alarm | None:
    """People whose answers speak against them, as of the newest fit."""
    newest = next((row for row in reversed(rows) if "people" in row), None)
    if newest is None:
        return None
    found = {name: int(newest.get(f"people_{name}", 0)) for name in ("hostile", "colluding", "poisoning", "spamming")}
    told = ", ".join(f"{number} {name}" for name, number in found.items() if number)
    if not told:
        return None
    return Alarm(
        name="untrusted",
        severity="warn",
        since_step=_last_step(rows),
        words=f"Of {int(newest['people'])} people who answered: {told}.",
        advice="heeler people trust RUN says who and why. Their influence is capped already; look before you judge.",
    )


def _unanswered(rows: Rows, facts: RunFacts) -> Alarm | None:
    if not facts.asks_people or not facts.num_open_queries or facts.last_answer_unix_s is None:
        return None
    silent_s = facts.now_unix_s - facts.last_answer_unix_s
    if facts.state not in ("learning", "waiting for people") or silent_s < _UNANSWERED_S:
        return None
    waits = facts.state == "waiting for people"
    return Alarm(
        name="unanswered",
        severity="bad" if waits else "warn",
        since_step=_last_step(rows),
        words=(
            f"{facts.num_open_queries:,} questions are open, and no answer came for {_duration(silent_s)}"
            f"{'; the run waits for them' if waits else ''}."
        ),
        advice="Ask somebody to answer, or pause the run until somebody can.",
    )


def _only_held_out(rows: Rows, facts: RunFacts) -> Alarm | None:
    if not facts.only_held_out or facts.state not in ("learning", "waiting for people"):
        return None
    number = facts.only_held_out
    came = "The one answer that came is" if number == 1 else f"All {number:,} answers that came are"
    return Alarm(
        name="only_held_out",
        severity="bad",
        since_step=_last_step(rows),
        words=f"{came} by people who are held out, from whom the run learns nothing: it needs the answers of others.",
        advice="Have somebody else answer. Where nobody else will, begin a run with preferences.held_out_people at 0.",
    )


def _stale_reward(rows: Rows, facts: RunFacts) -> Alarm | None:
    words = facts.stale_reward_model
    if words is None:
        return None
    return Alarm(
        name="stale_reward",
        severity="warn",
        since_step=None,
        words=f"{words[0].upper()}{words[1:]}.",
        advice="A learner at work leaves these answers out by itself; resume a run that was stopped.",
    )


def _disk(rows: Rows, facts: RunFacts) -> Alarm | None:
    if facts.free_bytes >= _FREE_BYTES_WARN:
        return None
    return Alarm(
        name="disk",
        severity="bad" if facts.free_bytes < _FREE_BYTES_BAD else "warn",
        since_step=None,
        words=f"{facts.free_bytes / (1 << 20):,.0f} MiB are free on the disk of this run.",
        advice="Free some space: a full disk stops the run and refuses answers. What is kept stays whole.",
    )


_LOOKS: tuple[Callable[[Rows, RunFacts], Alarm | None], ...] = (
    _learner_gone,
    _held,
    _warned,
    _stalled,
    _disk,
    _found,
    _agreement,
    _reward_without_agreement,
    _stale_reward,
    _drifted,
    _grouped,
    _untrusted,
    _only_held_out,
    _unanswered,
    _unstable,
    _slower,
)


def _fits(rows: Rows) -> list[Mapping[str, Any]]:
    """The first row after each fit of the reward model."""
    found: list[Mapping[str, Any]] = []
    for row in rows:
        is_new = not found or row.get("fits") != found[-1]["fits"]
        if is_new and row.get("fits") and "reward_model_validation_accuracy" in row and "labels_used" in row:
            found.append(row)
    return found


def _update_times(rows: Rows) -> list[float]:
    """Seconds that each update took, of rows that follow each other."""
    timed = [row for row in rows if "elapsed_s" in row and "update" in row]
    return [
        float(later["elapsed_s"]) - float(row["elapsed_s"])
        for row, later in pairwise(timed)
        if later["update"] == row["update"] + 1
    ]


def _last_step(rows: Rows) -> int | None:
    return _step_at(rows, -1)


def _step_at(rows: Rows, place: int) -> int | None:
    return int(rows[place]["step"]) if rows else None


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
