"""Rules of intervention: what they decide, and which are refused."""

import json
import math
import random
import re

import numpy as np
import pytest

from heeler.core.audit_entry import MAX_LINE_BYTES
from heeler.core.errors import ConfigError
from heeler.loop.config import to_dict
from heeler.loop.settings import validated
from heeler.oversight.finding import Finding
from heeler.oversight.intervention_rules import ACTS
from heeler.oversight.interventions import (
    InterventionsConfig,
    InterventionsState,
    RuleConfig,
    decide,
    first_state,
    gravity,
)
from heeler.oversight.monitors import MonitorsConfig


def rule(monitor: str = "cost_drift", act: str = "slow", **settings: object) -> RuleConfig:
    return RuleConfig(monitor=monitor, act=act, **settings)  # type: ignore[arg-type]


def found(monitor: str = "cost_drift", step: int = 0, **evidence: object) -> Finding:
    return Finding(monitor=monitor, step=step, reason=f"{monitor} is off", evidence=evidence)


def acts(config: InterventionsConfig, per_update: list[list[str]]) -> list[str | None]:
    """What is decided update by update, the state going through JSON each time, as it does through a checkpoint."""
    state, decided = first_state(config), []
    for update, monitors in enumerate(per_update, 1):
        findings = [found(monitor, step=100 * update) for monitor in monitors]
        state, act = decide(config, state, findings, update=update)
        decided.append(None if act is None else act.kind)
        state = InterventionsState.from_dict(json.loads(json.dumps(state.to_dict(), allow_nan=False)))
    return decided


def config(*rules: RuleConfig, **settings: object) -> InterventionsConfig:
    return InterventionsConfig(rules=rules, **settings)  # type: ignore[arg-type]


def test_an_act_comes_after_so_many_findings_within_so_many_updates() -> None:
    three_of_five = config(rule(findings=3, within_updates=5))
    x, no = ["cost_drift"], []
    assert acts(three_of_five, [x, no, x, no, x]) == [None, None, None, None, "slow"]
    assert acts(three_of_five, [x, no, no, x, no, x]) == [None] * 6, "the first is six updates old"
    assert acts(three_of_five, [x, x, x, x, x, x]) == [None, None, "slow", None, None, "slow"], "it counts anew"
    assert acts(three_of_five, [[*x, *x, *x]]) == ["slow"], "findings are counted, not updates"
    assert acts(three_of_five, [["gradients"]] * 5) == [None] * 5


def test_the_evidence_is_what_counted() -> None:
    rules = config(rule(findings=2, within_updates=3))
    state, _ = decide(rules, first_state(rules), [found(step=100, cost=3.5)], update=1)
    assert state.oldest_step == 100
    state, act = decide(rules, state, [found("gradients", step=300), found(step=300, cost=4.5)], update=3)
    assert act is not None
    assert (act.kind, act.monitor, act.step) == ("slow", "cost_drift", 100)
    assert [(one["update"], one["step"], one["evidence"]) for one in act.evidence] == [
        (1, 100, {"cost": 3.5}),
        (3, 300, {"cost": 4.5}),
    ]
    assert act.reason == "cost_drift: cost_drift is off (2 findings within 3 updates)"
    assert state.pending == act
    assert InterventionsState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_the_hardest_act_of_an_update_is_taken_and_no_other_ladder_climbs() -> None:
    both = config(
        rule("*", "warn", then=("freeze",), findings=1), rule("cost_*", "roll_back", findings=2, within_updates=2)
    )
    x = ["cost_drift"]
    # The second update meets both rules; the warning rule stays on the rung that it had reached.
    assert acts(both, [x, x, x]) == ["warn", "roll_back", "freeze"]


def test_a_ladder_is_climbed_to_its_end_and_stays_there() -> None:
    ladder = config(rule(act="warn", then=("slow", "slow", "freeze")))
    assert acts(ladder, [["cost_drift"]] * 6) == ["warn", "slow", "slow", "freeze", "freeze", "freeze"]


def test_findings_in_the_cool_down_do_not_count() -> None:
    cool = config(rule(act="warn", then=("freeze",), cool_down_updates=3))
    assert acts(cool, [["cost_drift"]] * 6) == ["warn", None, None, None, "freeze", None]


def test_a_cool_down_is_as_long_after_a_rollback() -> None:
    """Updates then have earlier numbers again: a rule that waits for a late one would see nothing for long."""
    rules = config(rule(act="roll_back", cool_down_updates=2))
    state, act = decide(rules, first_state(rules), [found()], update=50)
    assert act is not None
    decided = []
    for update in (11, 12, 13):
        state, act = decide(rules, state, [found()], update=update)
        decided.append(act is not None)
    assert decided == [False, False, True]


def test_what_was_found_before_a_rollback_does_not_count_twice() -> None:
    rules = config(rule(findings=2, within_updates=10))
    state, _ = decide(rules, first_state(rules), [found()], update=30)
    state, act = decide(rules, state, [found()], update=25)
    assert act is None, "update 30 has not been made any more"
    _, act = decide(rules, state, [found()], update=26)
    assert act is not None


def naive(config: InterventionsConfig, history: list[list[str]]) -> list[str | None]:
    """The rules read word by word, over whole histories."""
    decided: list[str | None] = []
    times = [0] * len(config.rules)
    counts_from, quiet_until = [0] * len(config.rules), [0] * len(config.rules)
    for now in range(len(history)):
        met = []
        for place, one in enumerate(config.rules):
            window = range(max(counts_from[place], quiet_until[place], now - one.within_updates + 1), now + 1)
            if sum(one.is_for(name) for then in window for name in history[then]) >= one.findings:
                met.append(place)
        if not met:
            decided.append(None)
            continue
        ladders = {place: config.rules[place].ladder for place in met}
        due = {place: ladder[min(times[place], len(ladder) - 1)] for place, ladder in ladders.items()}
        best = min(met, key=lambda place: (-gravity(due[place]), place))
        for place in met:
            counts_from[place] = now + 1
        times[best] += 1
        quiet_until[best] = now + 1 + config.rules[best].cool_down_updates
        decided.append(due[best])
    return decided


@pytest.mark.parametrize("seed", range(40))
def test_decisions_are_those_of_a_reader_of_the_rules(seed: int) -> None:
    draw = random.Random(seed)
    rules = []
    for place in range(draw.randint(1, 4)):
        ladder = sorted(draw.sample(ACTS, draw.randint(1, 3)), key=gravity)
        count, window = draw.randint(1, 4), draw.randint(1, 6)
        cool = draw.randint(0, 3)
        own = rule(
            ("a", "b", "c", "d")[place],
            ladder[0],
            then=tuple(ladder[1:]),
            findings=count,
            within_updates=window,
            cool_down_updates=cool,
        )
        rules.append(own)
    chosen = config(*rules)
    history = [[name for name in "abcd" for _ in range(2) if draw.random() < 0.25] for _ in range(60)]
    assert acts(chosen, history) == naive(chosen, history)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([rule(act="slow"), rule(act="freeze")], "'cost_drift': slow after 1 of .* and freeze .* at the same count"),
        ([rule("cost_*", "slow"), rule("cost_drift", "freeze")], "contradict each other for monitor 'cost_drift'"),
        ([rule(), rule()], "both are met at the same count"),
        ([rule(act="freeze"), rule(act="warn", findings=3)], "met only where the first is, and is no harder"),
        ([rule(act="freeze", within_updates=9, findings=2), rule(act="slow", findings=3)], "is no harder"),
        ([rule(within_updates=9, findings=2), rule(within_updates=9, findings=3)], "is no harder"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(rules: list[RuleConfig], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(*rules)
    with pytest.raises(ConfigError, match="contradict each other"):
        config(*reversed(rules))


def test_rules_that_grow_harder_are_not_contradictory() -> None:
    config(rule(act="warn"), rule(act="freeze", findings=3, within_updates=10), rule(act="safe_stop", findings=3))
    # Findings of other monitors count for the pattern too, so that it may be met where the other is not.
    config(rule("*", "slow", findings=5, within_updates=5), rule("cost_drift", "freeze", findings=3, within_updates=9))


def test_patterns_that_overlap_for_no_monitor_there_is_are_let_be() -> None:
    two = config(rule("cost_*", "slow"), rule("*_drift", "freeze"))
    two.check(["cost_spike", "reward_drift"])
    with pytest.raises(ConfigError, match="for monitor 'cost_drift'"):
        two.check(["cost_spike", "reward_drift", "cost_drift"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"act": "freze"}, "there is no act 'freze'.* Did you mean 'freeze'"),
        ({"then": ("explode",)}, "there is no act 'explode'"),
        ({"act": "freeze", "then": ("slow",)}, "goes down from freeze to slow"),
        ({"act": "warn", "then": ("roll_back", "fall_back")}, "goes down from roll_back to fall_back"),
        ({"findings": 0}, "findings for monitor 'cost_drift' must be >= 1, got 0"),
        ({"within_updates": 0}, "within_updates for monitor"),
        ({"cool_down_updates": -1}, "cool_down_updates for monitor"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rule(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slow_share": 1.0}, "slow_share must be above 0 and below 1"),
        ({"slow_share": 0.0}, "slow_share"),
        ({"rest_within_steps": 0}, "rest_within_steps must be >= 1"),
        ({"trusted": ""}, "trusted must be release"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**settings)


def test_a_rule_for_no_monitor_is_refused_by_name() -> None:
    rules = config(rule("cost_drif"), rule("gradients"))
    with pytest.raises(
        ConfigError, match=r"no monitor 'cost_drif' watches .* cost_drift, gradients\. Did you mean 'cost_"
    ):
        rules.check(["cost_drift", "gradients"])
    config(rule("cost_*")).check(["cost_drift"])
    with pytest.raises(ConfigError, match="there are: none"):
        rules.check([])


@pytest.mark.parametrize(
    ("monitor", "instead"),
    [("breakdown", "heeler resume RUN"), ("stall", "heeler stop RUN --hard"), ("sta*", "heeler stop RUN --hard")],
)
def test_a_rule_that_nothing_could_carry_out_is_refused(monitor: str, instead: str) -> None:
    with pytest.raises(ConfigError, match=f"monitor '{re.escape(monitor)}' would not do what it says.*{instead}"):
        config(rule(monitor, "freeze")).check_watched(MonitorsConfig())


def test_a_pattern_is_for_those_on_which_a_rule_can_act() -> None:
    for monitor in ("*", "st*"):
        config(rule(monitor, "freeze")).check_watched(MonitorsConfig())
    with pytest.raises(ConfigError, match=r"no monitor 'st\*' watches this run"):
        config(rule("st*", "freeze")).check_watched(MonitorsConfig(off=("stuck_sensor",)))


def test_rules_come_back_from_a_run_s_file() -> None:
    rules = config(rule(act="warn", then=("freeze", "safe_stop"), findings=2, within_updates=4), trusted="zero")
    assert validated(InterventionsConfig, to_dict(rules)) == rules
    with pytest.raises(ConfigError, match=r"rules\[0\].*goes down"):
        validated(InterventionsConfig, {"rules": [{"monitor": "m", "act": "freeze", "then": ["warn"]}]})


def test_whatever_a_monitor_says_fits_a_line_of_the_audit_log() -> None:
    rules = config(rule(findings=30, within_updates=30))
    evidence = {"rate": math.inf, "share": np.float32(0.5), "rows": np.arange(3), "deep": {"x": [math.nan, None, True]}}
    wide = Finding(monitor="cost_drift", step=np.int64(7), reason="\U0001d535" * 10_000, evidence=evidence)  # type: ignore[arg-type]
    long = Finding(monitor="cost_drift", step=8, reason="long", evidence={"row": list(range(10_000))})
    state, act = first_state(rules), None
    for update in range(1, 31):
        state, act = decide(rules, state, [wide if update % 2 else long], update=update)
    assert act is not None
    text = json.dumps(act.to_dict(), allow_nan=False)
    assert len(text) < MAX_LINE_BYTES - 5000
    assert act.evidence[0]["evidence"] == {
        "rate": "inf",
        "share": 0.5,
        "rows": "[0 1 2]",
        "deep": {"x": ["nan", None, True]},
    }
    assert act.evidence[1]["evidence"] == {"left_out": "longer than a line has room for"}
    json.dumps(state.to_dict(), allow_nan=False)
