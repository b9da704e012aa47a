"""Several overseers as one: each is asked within a deadline, one that fails has vetoed, and a quorum decides.

The deadline is kept by asking in another thread, which cannot be stopped: what hangs is left to itself. It is not
asked again for a while, nor while its last call still runs, so that a run goes on at its own pace, in fallback, and one
that hangs for good takes no more than one thread. Who says of itself that it cannot hang is asked without another
thread, which takes longer than many a judgement.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from heeler.core.errors import ConfigError
from heeler.core.verdict import Verdict
from heeler.oversight.overseers.evidence import ALLOW, BatchOverseer, Evidence, Overseer, Proposals, all_allowed
from heeler.oversight.overseers.quorum import QuorumConfig, decide
from heeler.safety.text_guards.timing import within

_log = logging.getLogger("heeler.oversight")
_DECISIONS = ("allow", "modify", "veto", "halt")


class _Failed(Exception):
    """An overseer raised, ended its thread, or gave no verdict."""


class Team:
    """Overseers under a quorum.

    Args:
        overseers: in the order in which they count where several would modify.
        quorum: how they decide.
        timeout_s: an overseer that takes longer for a step of all copies, or for a text, has vetoed.
        num_rests: so many times it then vetoes without being asked.
        name: by which its acts are logged.

    Raises:
        ConfigError: two have one name, or the quorum is none for so many.
    """

    def __init__(
        self,
        overseers: Sequence[Overseer],
        quorum: QuorumConfig | None = None,
        *,
        timeout_s: float = 1.0,
        num_rests: int = 100,
        name: str = "overseers",
    ) -> None:
        self.overseers, self.quorum, self.name = tuple(overseers), quorum or QuorumConfig(), name
        self.names = [overseer.name for overseer in overseers]
        self.quorum.check_number(len(self.names))
        twice = sorted({one for one in self.names if self.names.count(one) > 1})
        if twice:
            raise ConfigError(f"overseers must have different names, got {twice[0]!r} more than once")
        if not timeout_s > 0:
            raise ConfigError(f"timeout_s must be > 0, got {timeout_s}")
        if num_rests < 0:
            raise ConfigError(f"num_rests must be >= 0, got {num_rests}")
        self._timeout_s, self._num_rests = timeout_s, num_rests
        self._in_batches = [isinstance(one, BatchOverseer) for one in overseers]
        self._resting = dict.fromkeys(self.names, 0)
        self._failing: set[str] = set()
        """Who failed when last asked: of a row of failures the first is logged."""
        self._hanging: dict[str, threading.Event] = {}
        """Set once a call that took too long has come to its end."""
        self.failures = dict.fromkeys(self.names, 0)
        """How often each was asked in vain."""
        self.objections = dict.fromkeys(self.names, 0)
        """How many steps or texts each objected to."""

    def review(self, evidence: Evidence) -> Verdict:
        """One verdict on one step or text."""
        given = [self._ask(one, lambda one=one: [one.review(evidence)], 1) for one in self.overseers]
        return self._decided(given, 1)[0]

    def review_all(self, proposals: Proposals) -> list[Verdict]:
        """One verdict on each of N steps."""
        num, asked = len(proposals), zip(self.overseers, self._in_batches, strict=True)
        given = [
            self._ask(one, lambda one=one, batch=batch: _of_all(one, proposals, batch), num) for one, batch in asked
        ]
        return self._decided(given, num)

    def _decided(self, given: Sequence[Sequence[Verdict]], num: int) -> list[Verdict]:
        if all(map(all_allowed, given)):
            return [ALLOW] * num
        for name, verdicts in zip(self.names, given, strict=True):
            self.objections[name] += sum(verdict.decision != "allow" for verdict in verdicts)
        return [decide(self.quorum, self.names, verdicts) for verdicts in zip(*given, strict=True)]

    def _ask(self, overseer: Overseer, call: Callable[[], Sequence[Verdict]], num: int) -> Sequence[Verdict]:
        name = overseer.name
        if self._resting[name] > 0:
            self._resting[name] -= 1
            return [_failed(name, "it took too long lately and is not asked for now")] * num
        if name in self._hanging and not self._hanging[name].is_set():
            return [_failed(name, "it still has not answered what it was asked before")] * num
        return self._answer(overseer, call, num)

    def _answer(self, overseer: Overseer, call: Callable[[], Sequence[Verdict]], num: int) -> Sequence[Verdict]:
        name = overseer.name
        try:
            is_bounded = getattr(overseer, "is_bounded", False)
            verdicts = _checked(call, num, Exception) if is_bounded else self._within(name, call, num)
            self._failing.discard(name)
            return verdicts
        except (TimeoutError, _Failed, RuntimeError) as error:
            # The last where the machine has no thread left to ask it in.
            why = str(error)
        self.failures[name] += 1
        if name not in self._failing:
            self._failing.add(name)
            _log.error("the overseer %s failed: %s; it counts as a veto", name, why)
        return [_failed(name, why)] * num

    def _within(self, name: str, call: Callable[[], Sequence[Verdict]], num: int) -> Sequence[Verdict]:
        over = threading.Event()
        try:
            return cast(Sequence[Verdict], within(self._timeout_s, _guarded, call, num, over))
        except TimeoutError:
            self._resting[name], self._hanging[name] = self._num_rests, over
            raise

    def state(self) -> dict[str, Any]:
        """JSON-ready values that a checkpoint keeps."""
        return {
            "resting": dict(self._resting),
            "failures": dict(self.failures),
            "objections": dict(self.objections),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        for mine, name in ((self._resting, "resting"), (self.failures, "failures"), (self.objections, "objections")):
            mine.update({overseer: int(state[name].get(overseer, 0)) for overseer in mine})


def _guarded(call: Callable[[], Sequence[Verdict]], num: int, over: threading.Event) -> Sequence[Verdict]:
    """What it gives in a thread of its own, whose end is nobody else's."""
    try:
        return _checked(call, num, BaseException)
    finally:
        over.set()


def _checked(call: Callable[[], Sequence[Verdict]], num: int, fails: type[BaseException]) -> Sequence[Verdict]:
    """What it gives; whatever it raises of the kind `fails` is a failure and ends nothing else."""
    try:
        verdicts = call()
    except fails as error:
        raise _Failed(f"it raised {type(error).__name__}: {error}") from error
    try:
        given = list(verdicts)
    except TypeError as error:
        raise _Failed(f"it gave no verdicts but {type(verdicts).__name__}") from error
    if len(given) != num:
        raise _Failed(f"it gave {len(given)} verdicts on {num} steps")
    if all_allowed(given):
        return given
    for verdict in given:
        if not isinstance(cast(object, verdict), Verdict) or verdict.decision not in _DECISIONS:
            raise _Failed(f"it gave {verdict!r:.80}, which is no verdict")
    return given


def _of_all(overseer: Overseer, proposals: Proposals, in_batches: bool) -> Sequence[Verdict]:
    if in_batches:
        return cast(BatchOverseer, overseer).review_all(proposals)
    return [overseer.review(proposals.row(number)) for number in range(len(proposals))]


def _failed(name: str, why: str) -> Verdict:
    """The veto of an overseer that cannot tell."""
    return Verdict(decision="veto", reason=f"{name} cannot judge: {why}", evidence={"failed": True})
