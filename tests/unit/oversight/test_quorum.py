"""From several verdicts to one, against counting by hand over all that overseers can say."""

from itertools import product

import numpy as np
import pytest

from heeler.core.errors import ConfigError
from heeler.core.verdict import Verdict
from heeler.oversight.overseers.quorum import QuorumConfig, decide

DECISIONS = ("allow", "modify", "veto", "halt")
WEIGHTS = (1.0, 2.0, 3.0, 4.0)


def rules(num: int) -> list[QuorumConfig]:
    """Every rule that so many overseers can be under, with both precedences of a halt."""
    found = [
        dict(rule="any"),
        dict(rule="majority"),
        dict(rule="unanimous"),
        *[dict(rule="k_of_n", num_needed=k) for k in range(1, num + 1)],
        *[dict(rule="weighted", weights=WEIGHTS[:num], share_needed=share) for share in (0.3, 0.5, 1.0)],
    ]
    return [QuorumConfig(halt=halt, **one) for one in found for halt in ("one", "quorum")]  # type: ignore[arg-type]


def enough(config: QuorumConfig, objects: list[bool]) -> bool:
    """The rule in words."""
    count = sum(objects)
    if config.rule in ("any", "unanimous"):
        return count > 0
    if config.rule == "majority":
        return count > len(objects) - count
    if config.rule == "k_of_n":
        assert config.num_needed is not None
        return count >= config.num_needed
    assert config.share_needed is not None
    weight = sum(w for w, o in zip(config.weights, objects, strict=True) if o)
    return weight >= config.share_needed * sum(config.weights) - 1e-12


def expected(config: QuorumConfig, said: tuple[str, ...]) -> str:
    halts = [one == "halt" for one in said]
    if any(halts) and (config.halt == "one" or enough(config, halts)):
        return "halt"
    strict = ("veto", "halt", "modify") if config.rule == "unanimous" else ("veto", "halt")
    if enough(config, [one in strict for one in said]):
        return "veto"
    return "modify" if "modify" in said else "allow"


@pytest.mark.parametrize("num", [1, 2, 3, 4])
def test_every_rule_by_enumeration(num):
    names = [f"overseer {k}" for k in range(num)]
    seen: set[str] = set()
    for config in rules(num):
        config.check_number(num)
        for said in product(DECISIONS, repeat=num):
            verdicts = [Verdict(decision=one, replacement=k) for k, one in enumerate(said)]  # type: ignore[arg-type]
            got = decide(config, names, verdicts)
            assert got.decision == expected(config, said), (config, said)
            seen.add(got.decision)
            if got.decision == "modify":
                assert got.replacement == said.index("modify"), "the first in the declared order"
            if set(said) != {"allow"}:
                assert set(got.evidence["overseers"]) == {n for n, s in zip(names, said, strict=True) if s != "allow"}
    assert seen == set(DECISIONS)


@pytest.mark.parametrize("num", [1, 2, 3, 4])
def test_many_steps_at_once_are_counted_like_one(num):
    for config in rules(num):
        every = np.array(list(product([False, True], repeat=num)))
        assert config.is_reached(every).tolist() == [enough(config, list(row)) for row in every.tolist()]
        assert config.is_reached(every[None]).shape == (1, len(every))


def test_a_share_that_weights_make_up_exactly_is_enough():
    config = QuorumConfig(rule="weighted", weights=(0.1, 0.2, 0.7), share_needed=0.3)
    assert bool(config.is_reached(np.array([True, True, False])))


def test_the_reason_names_who_objected():
    verdicts = [Verdict(decision="allow"), Verdict(decision="veto", reason="too fast", evidence={"speed": 3})]
    got = decide(QuorumConfig(), ["a", "b"], verdicts)
    assert got.reason == "b: too fast"
    assert got.evidence == {"overseers": {"b": {"decision": "veto", "reason": "too fast", "speed": 3}}}


def test_what_was_outvoted_is_told():
    verdicts = [Verdict(decision="veto", reason="no"), Verdict(decision="allow"), Verdict(decision="allow")]
    got = decide(QuorumConfig(rule="majority"), ["a", "b", "c"], verdicts)
    assert got.decision == "allow"
    assert got.evidence["overseers"]["a"]["decision"] == "veto"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(rule="al"), "quorum.rule must be one of any"),
        (dict(rule="k_of_n"), "needs quorum.num_needed"),
        (dict(num_needed=2), "quorum.num_needed would be ignored: it is for k_of_n, and quorum.rule is any"),
        (dict(rule="weighted", weights=(1.0,)), "needs quorum.share_needed"),
        (dict(rule="weighted", share_needed=0.5), "needs quorum.weights"),
        (dict(rule="weighted", weights=(0.0, 0.0), share_needed=0.5), "must not all be 0"),
        (dict(rule="weighted", weights=(-1.0, 2.0), share_needed=0.5), "must be >= 0 and finite"),
        (dict(rule="weighted", weights=(1.0, 2.0), share_needed=0.0), "above 0 and at most 1"),
        (dict(rule="k_of_n", num_needed=0), "must be >= 1, got 0"),
        (dict(halt="two"), "quorum.halt must be one or quorum"),
    ],
)
def test_settings_that_cannot_be_meant(settings, words):
    with pytest.raises(ConfigError, match=words):
        QuorumConfig(**settings)


def test_a_quorum_that_could_never_veto_is_refused():
    with pytest.raises(ConfigError, match="nothing would ever be vetoed"):
        QuorumConfig(rule="k_of_n", num_needed=4).check_number(3)
    with pytest.raises(ConfigError, match="one for each of 3 overseers, got 2"):
        QuorumConfig(rule="weighted", weights=(1.0, 1.0), share_needed=0.5).check_number(3)
    with pytest.raises(ConfigError, match="at least one overseer"):
        QuorumConfig().check_number(0)
