"""Overseers that raise, hang or give nonsense have vetoed, and the others are asked all the same."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.core.verdict import Verdict
from heeler.oversight.overseers.evidence import ALLOW, Evidence, Proposals
from heeler.oversight.overseers.quorum import QuorumConfig
from heeler.oversight.overseers.team import Team
from heeler.safety.text_guards import timing

VETO = Verdict(decision="veto", reason="no")


class Says:
    """Says what a function says; counts how often it was asked."""

    def __init__(self, name: str, say: Callable[[Evidence], Any]) -> None:
        self.name, self._say, self.asked = name, say, 0

    def review(self, evidence: Evidence) -> Verdict:
        self.asked += 1
        return self._say(evidence)


def steps(num: int) -> Proposals:
    return Proposals(
        step=7,
        observation=np.arange(2.0 * num).reshape(num, 2),
        action=np.arange(float(num))[:, None],
        spent={"energy": np.arange(float(num))},
    )


def raises(evidence: Evidence) -> Verdict:
    raise ZeroDivisionError("100 % of nothing")


def ends(evidence: Evidence) -> Verdict:
    sys.exit(3)


def test_all_are_asked_and_each_step_has_a_verdict():
    odd = Says("odd", lambda e: VETO if e.action[0] % 2 else ALLOW)
    high = Says("high", lambda e: VETO if e.spent["energy"] >= 3 else ALLOW)
    verdicts = Team([odd, high]).review_all(steps(5))
    assert [one.decision for one in verdicts] == ["allow", "veto", "allow", "veto", "veto"]
    assert verdicts[1].reason == "odd: no"
    assert verdicts[3].reason == "odd: no; high: no"
    assert odd.asked == high.asked == 5


def test_a_step_is_shown_as_it_is():
    seen: list[Evidence] = []
    Team([Says("a", lambda e: seen.append(e) or ALLOW)]).review_all(steps(2))
    assert [one.observation.tolist() for one in seen if one.observation is not None] == [[0, 1], [2, 3]]
    assert [one.step for one in seen] == [7, 7]


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (raises, "it raised ZeroDivisionError: 100 % of nothing"),
        (ends, "it raised SystemExit: 3"),
        (lambda e: None, "it gave None, which is no verdict"),
        (lambda e: Verdict(decision="perhaps"), "which is no verdict"),  # type: ignore[arg-type]
    ],
)
def test_an_overseer_that_fails_has_vetoed(say, why):
    team = Team([Says("broken", say), Says("sound", lambda e: ALLOW)])
    verdict = team.review(Evidence())
    assert verdict.decision == "veto"
    assert "broken cannot judge" in verdict.reason and why in verdict.reason
    assert verdict.evidence["overseers"]["broken"]["failed"] is True
    assert team.failures == {"broken": 1, "sound": 0}
    assert [one.decision for one in team.review_all(steps(3))] == ["veto"] * 3
    assert team.failures["broken"] == 2


def test_the_number_of_verdicts_must_be_right():
    class Counts:
        name = "counts"

        def __init__(self, num: int) -> None:
            self.num = num

        def review(self, evidence: Evidence) -> Verdict:
            return ALLOW

        def review_all(self, proposals: Proposals) -> list[Verdict]:
            return [ALLOW] * self.num

    for num in (1, 4):
        verdicts = Team([Counts(num)]).review_all(steps(3))
        assert [one.decision for one in verdicts] == ["veto"] * 3
        assert f"it gave {num} verdicts on 3 steps" in verdicts[0].reason


def test_an_overseer_that_hangs_has_vetoed_and_rests():
    release = threading.Event()
    hangs = Says("hangs", lambda e: (release.wait(60) and ALLOW) or ALLOW)
    team = Team([hangs, Says("sound", lambda e: ALLOW)], timeout_s=0.05, num_rests=2)
    try:
        began = time.monotonic()
        verdict = team.review(Evidence())
        assert time.monotonic() - began < 5
        assert verdict.decision == "veto"
        assert "it took longer than 0.05 s" in verdict.reason
        for _ in range(2):
            assert "is not asked for now" in team.review(Evidence()).reason
        assert (hangs.asked, team.failures["hangs"]) == (1, 1)
        release.set()
        while team.review(Evidence()).decision != "allow":
            assert time.monotonic() - began < 30, "it is asked again once it has come back, and answers"
        assert hangs.asked == 2
    finally:
        release.set()


def test_one_that_hangs_for_good_takes_one_thread_and_keeps_nobody_else_from_judging():
    """Threads that hang cannot be stopped, and there is an end to how many may be left: the sound ones need theirs."""
    release = threading.Event()
    hangs, sound = Says("hangs", lambda e: (release.wait(60) and ALLOW) or ALLOW), Says("sound", lambda e: ALLOW)
    others = [Says("third", lambda e: ALLOW)]
    team = Team([hangs, sound, *others], QuorumConfig(rule="majority"), timeout_s=0.01, num_rests=0)
    try:
        timing.within(5, int)
        before = threading.active_count()
        for _ in range(40):
            verdict = team.review(Evidence())
            assert verdict.decision == "allow", "it is outvoted, each time"
        assert hangs.asked == 1
        assert threading.active_count() <= before + 1
        assert "still has not answered" in verdict.evidence["overseers"]["hangs"]["reason"]
        assert team.failures == {"hangs": 1, "sound": 0, "third": 0}
        assert team.objections["hangs"] == 40
    finally:
        release.set()


def test_where_no_thread_can_be_had_the_step_is_vetoed(monkeypatch):
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    team = Team([Says("a", lambda e: ALLOW)])
    monkeypatch.setattr(timing, "_idle", [])
    monkeypatch.setattr(threading.Thread, "start", no_more)
    verdict = team.review(Evidence())
    monkeypatch.undo()
    assert verdict.decision == "veto"
    assert "can't start new thread" in verdict.reason
    assert team.review(Evidence()).decision == "allow"


class Touches:
    """Changes what it is shown, in place."""

    name = "touches"

    def review(self, evidence: Evidence) -> Verdict:
        assert evidence.action is not None
        evidence.action[:] *= 0.5
        return ALLOW


class TouchesAll(Touches):
    def review_all(self, proposals: Proposals) -> list[Verdict]:
        proposals.action[:] = 0
        return [ALLOW] * len(proposals)


def test_who_judges_an_action_cannot_change_it_unsaid():
    """It would be carried out, and told as what the policy proposed; the others would judge another one."""
    proposals, alone = steps(3), steps(3).row(2)
    for overseer in (Touches(), TouchesAll()):
        verdicts = Team([overseer]).review_all(proposals)
        assert [one.decision for one in verdicts] == ["veto"] * 3
        assert "read-only" in verdicts[0].reason
    assert Team([Touches()]).review(alone).decision == "veto"
    assert proposals.action.ravel().tolist() == [0.0, 1.0, 2.0]
    assert alone.action is not None and alone.action.tolist() == [2.0]


def test_of_a_row_of_failures_the_first_is_logged(caplog):
    """An overseer that is broken fails at every step."""
    answers = iter([raises, raises, lambda e: ALLOW, raises, raises])
    team = Team([Says("a", lambda e: next(answers)(e))])
    for _ in range(5):
        team.review(Evidence())
    assert [record.message for record in caplog.records] == [
        "the overseer a failed: it raised ZeroDivisionError: 100 % of nothing; it counts as a veto"
    ] * 2
    assert team.failures == {"a": 4}


def test_a_quorum_may_outvote_one_that_fails(caplog):
    team = Team([Says(name, say) for name, say in (("a", raises), ("b", lambda e: ALLOW), ("c", lambda e: ALLOW))])
    assert team.review(Evidence()).decision == "veto"
    others = Team(team.overseers, QuorumConfig(rule="majority"))
    assert others.review(Evidence()).decision == "allow"
    assert others.failures["a"] == 1
    assert [record.message for record in caplog.records] == [
        "the overseer a failed: it raised ZeroDivisionError: 100 % of nothing; it counts as a veto"
    ] * 2, "whatever becomes of the step"


def test_a_team_goes_on_from_its_state():
    team = Team([Says("a", raises), Says("b", lambda e: ALLOW)])
    team.review(Evidence())
    other = Team(team.overseers)
    other.load(team.state())
    assert other.state() == team.state()
    assert other.objections == {"a": 1, "b": 0}


def test_bad_teams_are_refused():
    one = Says("a", lambda e: ALLOW)
    with pytest.raises(ConfigError, match="different names, got 'a' more than once"):
        Team([one, one])
    with pytest.raises(ConfigError, match="at least one overseer"):
        Team([])
    with pytest.raises(ConfigError, match="timeout_s must be > 0"):
        Team([one], timeout_s=0)


class Bounded(Says):
    is_bounded = True


def test_who_says_that_it_cannot_hang_is_asked_in_this_thread():
    asked_in: list[threading.Thread] = []
    for kind in (Bounded, Says):
        Team([kind("a", lambda e: asked_in.append(threading.current_thread()) or ALLOW)]).review(Evidence())
    assert asked_in[0] is threading.current_thread()
    assert asked_in[1] is not threading.current_thread()


def test_who_cannot_hang_can_fail():
    team = Team([Bounded("broken", raises)])
    assert "it raised ZeroDivisionError" in team.review(Evidence()).reason
    assert team.failures["broken"] == 1


def test_an_interrupt_from_the_keyboard_is_nobodys_failure():
    def interrupted(evidence: Evidence) -> Verdict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Team([Bounded("a", interrupted)]).review(Evidence())
