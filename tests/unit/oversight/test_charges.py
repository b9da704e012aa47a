"""Conduct, resources, written rules, and charges of one's own."""

import math
from pathlib import Path

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Message
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.oversight.overseers.conduct import Conduct, ConductConfig, Expectation
from heeler.oversight.overseers.ethics import Ethics, read_rules
from heeler.oversight.overseers.evidence import Evidence, Proposals
from heeler.oversight.overseers.own import FunctionOverseer, load_overseer
from heeler.oversight.overseers.resources import ResourceBudget, Resources


def steps(observation: np.ndarray, action: np.ndarray, **more: object) -> Proposals:
    return Proposals(step=0, observation=observation, action=action, **more)  # type: ignore[arg-type]


def decisions(verdicts: list[Verdict]) -> list[str]:
    return [one.decision for one in verdicts]


# Conduct


def test_an_expectation_is_exact_where_what_comes_is_linear():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(4000, 2))
    outcomes = inputs @ np.array([[1.0], [-2.0]]) + 0.5 + 0.1 * rng.normal(size=(4000, 1))
    expected = Expectation.fit(inputs, outcomes, share=0.01)
    at = np.array([[0.3, 0.2]])
    right = np.array([[0.3 - 0.4 + 0.5]])
    assert expected.distance(at, right)[0] < 0.3
    # Three spreads of .1 away.
    assert expected.distance(at, right + 0.3)[0] == pytest.approx(3.0, abs=0.4)
    assert expected.limit == pytest.approx(2.58, abs=0.4), "a share of .01 of a normal is beyond 2.58"
    assert expected.distance(at, np.array([[np.nan]]))[0] == np.inf


def wandering(rng: np.random.Generator, num: int) -> tuple[np.ndarray, np.ndarray]:
    observation = rng.normal(size=(num, 3))
    action = np.tanh(observation[:, :2]) + 0.1 * rng.normal(size=(num, 2))
    return observation, action


def learned_conduct(**settings: object) -> Conduct:
    conduct = Conduct(ConductConfig(num_usual=2000, **settings))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for _ in range(10):
        observation, action = wandering(rng, 200)
        proposals = steps(observation, action)
        assert set(decisions(conduct.review_all(proposals))) == {"allow"}, "until it has learned"
        conduct.learn(proposals, np.ones(200, bool))
    assert conduct.is_learned
    return conduct


def test_usual_actions_pass_and_unusual_ones_do_not():
    conduct = learned_conduct()
    observation, action = wandering(np.random.default_rng(1), 2000)
    assert decisions(conduct.review_all(steps(observation, action))).count("veto") <= 4
    swapped = -action
    far = np.abs(np.tanh(observation[:, :2])).max(1) > 0.6
    found = np.array(decisions(conduct.review_all(steps(observation, swapped)))) == "veto"
    assert found[far].all()
    verdict = conduct.review(Evidence(observation=np.zeros(3), action=np.array([5.0, 0.0])))
    assert verdict.decision == "veto"
    assert verdict.evidence["what"] == "action"
    assert verdict.evidence["distance"] > verdict.evidence["limit"]


def test_a_transition_that_nothing_explains_is_unexpected():
    conduct = Conduct(ConductConfig(num_usual=2000))
    rng = np.random.default_rng(0)
    before, did = wandering(rng, 200)
    for _ in range(12):
        seen = 0.5 * before
        seen[:, :2] += did
        action = np.tanh(seen[:, :2]) + 0.1 * rng.normal(size=(200, 2))
        now = steps(seen, action, previous=(before, did), is_first=np.zeros(200, bool))
        conduct.learn(now, np.ones(200, bool))
        before, did = seen, action
    jumped = seen + 3.0
    action = np.tanh(jumped[:, :2])
    told = conduct.review_all(steps(jumped, action, previous=(before * 0 + seen, did), is_first=np.zeros(200, bool)))
    assert decisions(told).count("veto") > 190
    first = conduct.review_all(steps(jumped * 0, action * 0, previous=(before, did), is_first=np.ones(200, bool)))
    assert decisions(first).count("veto") == 0, "an episode begins: nothing led there"


def test_what_is_expected_together_is_what_each_expectation_says_alone():
    conduct = Conduct(ConductConfig(num_usual=2000))
    rng = np.random.default_rng(0)
    before, did = wandering(rng, 200)
    for _ in range(12):
        seen = np.roll(before, 1, axis=1) + 0.1 * rng.normal(size=(200, 3))
        action = np.tanh(seen[:, :2]) + 0.1 * rng.normal(size=(200, 2))
        now = steps(seen, action, previous=(before, did), is_first=np.zeros(200, bool))
        conduct.learn(now, np.ones(200, bool))
        before, did = wandering(rng, 200)
    arrays = conduct.arrays()
    of_action, of_what_follows = (
        Expectation({key.removeprefix(part): one for key, one in arrays.items() if key.startswith(part)})
        for part in ("action.", "follows.")
    )
    here, (there, action) = (before[:5], did[:5]), wandering(rng, 5)
    is_first = np.array([True, *[False] * 4])
    told = conduct.review_all(steps(there, action, previous=here, is_first=is_first))
    assert decisions(told) == ["allow", *["veto"] * 4], "nothing led to a first step"
    distance = of_what_follows.distance(np.concatenate(here, 1), there)
    assert {one.evidence["what"] for one in told[1:]} == {"transition"}
    assert [one.evidence["distance"] for one in told[1:]] == pytest.approx(distance[1:], rel=1e-4)
    told = conduct.review_all(steps(there, action + 2, previous=here, is_first=is_first))
    assert {one.evidence["what"] for one in told} == {"action"}
    assert [one.evidence["distance"] for one in told] == pytest.approx(of_action.distance(there, action + 2), rel=1e-4)


def test_what_was_vetoed_is_not_learned_from():
    conduct = Conduct(ConductConfig(num_usual=200))
    observation, action = wandering(np.random.default_rng(0), 300)
    conduct.learn(steps(observation, action), np.zeros(300, bool))
    assert not conduct.is_learned


def test_a_run_of_which_all_is_vetoed_for_long_does_not_fill_the_memory():
    """What follows a veto is learned from too, but no more of it than is wanted; killed and gone on with or not."""
    rng = np.random.default_rng(0)
    whole, killed = (Conduct(ConductConfig(num_usual=200)) for _ in range(2))
    before, did = wandering(rng, 30)
    for number in range(60):
        seen, action = wandering(rng, 30)
        now = steps(seen, action, previous=(before, did), is_first=np.zeros(30, bool))
        for conduct in (whole, killed):
            conduct.learn(now, np.full(30, number >= 55))
            assert len(conduct.arrays().get("followed.inputs", ())) <= 200
        if number % 7 == 0:
            kept = killed.arrays()
            killed = Conduct(whole.config)
            killed.load(kept)
        before, did = seen, action
    seen, action = wandering(rng, 50)
    now = steps(seen, action, previous=(seen, action), is_first=np.zeros(50, bool))
    for conduct in (whole, killed):
        conduct.learn(now, np.ones(50, bool))
        assert conduct.is_learned
    assert {name: array.tolist() for name, array in whole.arrays().items()} == {
        name: array.tolist() for name, array in killed.arrays().items()
    }


def test_discrete_actions_are_choices_and_no_amounts():
    conduct = Conduct(ConductConfig(num_usual=1000, num_choices=(3,)))
    rng = np.random.default_rng(0)
    observation = rng.normal(size=(1000, 1))
    action = np.where(observation > 0, 2, 0)
    conduct.learn(steps(observation, action), np.ones(1000, bool))
    assert decisions(conduct.review_all(steps(np.array([[2.0]]), np.array([[1]])))) == ["veto"]
    assert decisions(conduct.review_all(steps(np.array([[2.0]]), np.array([[2]])))) == ["allow"]


def test_conduct_goes_on_from_what_it_kept():
    conduct = learned_conduct()
    observation, action = wandering(np.random.default_rng(2), 50)
    conduct.learn(steps(observation, action), np.ones(50, bool))
    other = Conduct(conduct.config)
    other.load(conduct.arrays())
    again = conduct.arrays()
    assert {name: array.tolist() for name, array in other.arrays().items()} == {
        name: array.tolist() for name, array in again.items()
    }
    at = steps(observation, action + 0.3)
    assert decisions(other.review_all(at)) == decisions(conduct.review_all(at))


def test_a_text_has_no_conduct():
    assert learned_conduct().review(Evidence()).decision == "allow"


# Resources


def test_a_budget_is_for_what_would_be_used_with_this_step():
    overseer = Resources([ResourceBudget(name="energy", limit=2.0)])
    spent = {"energy": np.array([1.9, 2.0, 2.1, np.nan])}
    verdicts = overseer.review_all(steps(np.zeros((4, 1)), np.zeros((4, 1)), spent=spent))
    assert decisions(verdicts) == ["allow", "allow", "veto", "veto"]
    assert verdicts[2].reason == "energy would come to 2.1, and the budget is 2"
    assert overseer.review(Evidence(spent={"energy": 2.1})).decision == "veto"
    assert overseer.review(Evidence(spent={"energy": 2.0})).decision == "allow"
    assert overseer.review(Evidence(spent={"energy": math.nan})).decision == "veto"


@pytest.mark.parametrize("probability", [math.nan, 1.5, -0.1])
def test_a_judge_that_gives_no_probability_fails_and_lets_nothing_pass(tmp_path, probability):
    (tmp_path / "mine.py").write_text(f"def judge(evidence):\n    return float('{probability}')\n")
    (tmp_path / "rules.yaml").write_text(f"rules: [{{name: a, judge: '{tmp_path}/mine.py:judge', at_least: 0.5}}]")
    rules, _ = read_rules(tmp_path / "rules.yaml")
    with pytest.raises(DataError, match="must give a probability"):
        Ethics(rules).review(Evidence())


def test_a_halt_goes_before_a_veto():
    overseer = Resources(
        [ResourceBudget(name="energy", limit=1.0), ResourceBudget(name="seconds", limit=10.0, decision="halt")]
    )
    spent = {"energy": 5.0, "seconds": 11.0}
    assert overseer.review(Evidence(spent=spent)).decision == "halt"
    batch = {name: np.array([value]) for name, value in spent.items()}
    assert decisions(overseer.review_all(steps(np.zeros((1, 1)), np.zeros((1, 1)), spent=batch))) == ["halt"]


def test_a_budget_of_what_nobody_counts_is_an_error():
    overseer = Resources([ResourceBudget(name="enrgy", limit=1.0)])
    with pytest.raises(DataError, match=r"how much of 'enrgy' is used\. Did you mean 'energy'"):
        overseer.review(Evidence(spent={"energy": 0.0}))
    with pytest.raises(ConfigError, match="'energy' has two budgets"):
        Resources([ResourceBudget(name="energy", limit=1.0), ResourceBudget(name="energy", limit=2.0)])
    with pytest.raises(ConfigError, match="limit must be >= 0 and finite"):
        ResourceBudget(name="energy", limit=float("inf"))


# Ethics

RULES = """
rules:
  - name: gentle near people
    because: a fast arm hurts
    when: observation[0] < 0.5 and max(abs(action)) > 0.8
  - name: stop at the edge
    when: observation[1] > 9
    decision: halt
"""


def rules_in(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return path


def test_written_rules_judge_one_step_and_many_alike(tmp_path):
    rules, sha256 = read_rules(rules_in(tmp_path, RULES))
    assert len(sha256) == 64
    overseer = Ethics(rules)
    observation = np.array([[0.1, 0.0], [0.1, 0.0], [0.9, 0.0], [0.1, 9.5]])
    action = np.array([[0.9, 0.0], [0.5, -0.5], [1.0, 1.0], [-0.9, 0.0]])
    proposals = steps(observation, action)
    verdicts = overseer.review_all(proposals)
    assert decisions(verdicts) == ["veto", "allow", "allow", "halt"]
    assert verdicts[0].reason == "breaks the rule 'gentle near people', because a fast arm hurts"
    assert verdicts[0].evidence == {"rule": "gentle near people"}
    assert decisions([overseer.review(proposals.row(n)) for n in range(4)]) == decisions(verdicts)


FUNCTIONS = """
def too_far(evidence):
    return "it is too far" if evidence.observation[0] > 1 else False

def judge(evidence):
    return min(1.0, float(evidence.observation[0]))

def nonsense(evidence):
    return 7
"""


def test_rules_by_functions_and_judges(tmp_path):
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    text = f"""
rules:
  - {{name: far, function: '{tmp_path}/mine.py:too_far'}}
  - {{name: likely, judge: '{tmp_path}/mine.py:judge', at_least: 0.5}}
"""
    overseer = Ethics(read_rules(rules_in(tmp_path, text))[0])
    verdicts = overseer.review_all(steps(np.array([[2.0], [0.7], [0.2]]), np.zeros((3, 1))))
    assert decisions(verdicts) == ["veto", "veto", "allow"]
    assert verdicts[0].reason == "breaks the rule 'far', it is too far"
    assert verdicts[1].reason == "breaks the rule 'likely', judged 0.70 likely"
    broken = f"rules: [{{name: far, function: '{tmp_path}/mine.py:nonsense'}}]"
    with pytest.raises(DataError, match="must give True, False or words, got int"):
        Ethics(read_rules(rules_in(tmp_path, broken))[0]).review(Evidence())


def text_evidence(text: str) -> Evidence:
    return Evidence(sample=TextSample(prompt=(Message(role="user", content="A refund?"),), completion=text))


def test_rules_of_texts(tmp_path):
    text = """
rules:
  - {name: no threats, test: toxicity}
  - {name: no promises, when: "'refund' in lower(text) and words(text) > 3 and 'refund' in lower(prompt)"}
"""
    overseer = Ethics(read_rules(rules_in(tmp_path, text))[0])
    assert overseer.review(text_evidence("We are open until six.")).decision == "allow"
    assert overseer.review(text_evidence("You stupid idiot, I hate you.")).evidence == {"rule": "no threats"}
    assert overseer.review(text_evidence("You get a full refund today.")).evidence == {"rule": "no promises"}
    assert overseer.review(text_evidence("No refund.")).decision == "allow"


def test_a_condition_that_reads_what_is_not_there_fails_and_does_not_pass(tmp_path):
    overseer = Ethics(read_rules(rules_in(tmp_path, RULES))[0])
    with pytest.raises(DataError, match="there is no observation here"):
        overseer.review(text_evidence("Hello."))
    with pytest.raises(DataError, match=r"a number is none \(nan\)"):
        overseer.review_all(steps(np.array([[np.nan, 0.0]]), np.zeros((1, 2))))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: []", "rules must be a list of at least one rule"),
        ("[1, 2]", "expected `rules:` and a list"),
        ("rules: [{when: 'step > 1'}]", r"rules\[0\]: name is missing"),
        ("rules: [{name: a}]", "expected exactly one of when, test, function, judge, got none"),
        ("rules: [{name: a, when: 'step > 1', test: toxicity}]", "got when and test"),
        ("rules: [{name: a, wen: 'step > 1'}]", r"there is no 'wen' in a rule. Did you mean 'when'"),
        ("rules: [{name: a, test: rudeness}]", "expected one of toxicity"),
        ("rules: [{name: a, when: 'step > 1', decision: allow}]", "expected veto or halt, got 'allow'"),
        ("rules: [{name: a, when: 'step > 1'}, {name: a, when: 'step > 2'}]", "different names, got 'a'"),
        ("rules: [{name: a, function: 'nowhere.py:f'}]", r"rules\[0\].function: there is no file nowhere.py"),
        ("rules: [{name: a, when: 'step > 1', at_least: 0.5}]", "at_least is for judge"),
        ("rules: [{name: a, when: 'stepp > 1'}]", "there is no 'stepp' to read. Did you mean 'step'"),
        ("rules: [{name: '', when: 'step > 1'}]", r"rules\[0\].name: expected some text"),
        ("rules: {", "cannot be read"),
    ],
)
def test_a_file_of_rules_that_is_wrong_names_the_place(tmp_path, text, words):
    path = rules_in(tmp_path, text)
    with pytest.raises(ConfigError, match=words) as refused:
        read_rules(path)
    assert str(path) in str(refused.value)


# One's own

OWN = """
from heeler.core.verdict import Verdict

class Careful:
    name = "careful"
    def review(self, evidence):
        return Verdict(decision="halt", reason="careful")

class Nameless:
    def review(self, evidence):
        return Verdict(decision="allow")

class Demanding:
    def __init__(self, what):
        pass
    def review(self, evidence):
        return None

class NoOverseer:
    pass

def plain(evidence):
    return evidence.step > 3
"""


def test_overseers_of_ones_own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    careful = load_overseer(f"{path}:Careful")
    assert (careful.name, careful.review(Evidence()).decision) == ("careful", "halt")
    assert load_overseer(f"{path}:Careful", name="other").name == "other"
    assert load_overseer(f"{path}:Nameless").name == "Nameless"
    plain = load_overseer(f"{path}:plain")
    assert isinstance(plain, FunctionOverseer)
    assert [plain.review(Evidence(step=step)).decision for step in (3, 4)] == ["allow", "veto"]
    with pytest.raises(ConfigError, match="cannot be made without arguments: TypeError"):
        load_overseer(f"{path}:Demanding")
    with pytest.raises(ConfigError, match="must have a method review"):
        load_overseer(f"{path}:NoOverseer")
    with pytest.raises(ConfigError, match="has no function 'Carefull'"):
        load_overseer(f"{path}:Carefull")


def test_a_function_that_says_something_else_fails():
    with pytest.raises(TypeError, match="must give a verdict, True, False or words, got int"):
        FunctionOverseer(lambda evidence: 7, name="odd").review(Evidence())


def test_rules_are_bounded_where_all_of_them_are_conditions(tmp_path: Path):
    """Whoever cannot hang is asked without a deadline; a function of the user's own may."""
    path, condition = tmp_path / "rules.yaml", "  - {name: a, when: 'step > 5'}\n"
    path.write_text(f"rules:\n{condition}")
    assert Ethics(read_rules(path)[0]).is_bounded
    (tmp_path / "own.py").write_text("def slow(evidence):\n    return False\n")
    path.write_text(f"rules:\n{condition}  - {{name: b, function: '{tmp_path}/own.py:slow'}}\n")
    assert not Ethics(read_rules(path)[0]).is_bounded


def test_an_expectation_of_large_numbers_is_as_exact():
    """What is reckoned in single precision must not lose what is small beside a large mean."""
    rng = np.random.default_rng(0)
    inputs = 1e3 + rng.normal(size=(4000, 2))
    outcomes = (inputs - 1e3) @ np.array([[1.0], [-2.0]]) + 0.1 * rng.normal(size=(4000, 1))
    expected = Expectation.fit(inputs, outcomes, share=0.01)
    at = np.array([[1e3 + 0.3, 1e3 + 0.2]])
    assert expected.distance(at, np.array([[-0.1]]))[0] < 0.3
    assert expected.distance(at, np.array([[0.2]]))[0] == pytest.approx(3.0, abs=0.4)
