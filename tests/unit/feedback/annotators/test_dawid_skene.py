"""Dawid–Skene against enumeration of all true labels, against crowd-kit, and on people with known confusions."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.annotators.dawid_skene import DawidSkeneConfig, Label, fit_dawid_skene

ROUNDS = 8
PLAIN = DawidSkeneConfig(prior_right=0.0, prior_wrong=0.0, tolerance=0.0, max_rounds=ROUNDS)


def labels(accuracy: list[float], num_tasks: int, num_classes: int, seed: int = 0) -> tuple[list[Label], list[int]]:
    """Everybody labels every task; who errs says any other class."""
    rng = np.random.default_rng(seed)
    true = rng.integers(num_classes, size=num_tasks).tolist()
    given: list[Label] = []
    for task, of in enumerate(true):
        for person, right in enumerate(accuracy):
            wrong = [c for c in range(num_classes) if c != of]
            said = of if rng.random() < right else int(rng.choice(wrong))
            given.append(Label(person=f"p{person}", task=f"t{task}", label=f"c{said}"))
    return given, true


def test_each_task_is_as_enumeration_of_all_true_labels_has_it() -> None:
    given, _ = labels([0.9, 0.7, 0.4], 6, 2)
    found = fit_dawid_skene(given)
    weight: dict[tuple[int, ...], float] = {}
    for true in itertools.product(range(2), repeat=6):
        log = sum(math.log(found.prior_C[c]) for c in true)
        for one in given:
            task, person = found.tasks.index(one.task), found.people.index(one.person)
            log += math.log(found.confusion_PCL[person, true[task], found.classes.index(one.label)])
        weight[true] = math.exp(log)
    total = sum(weight.values())
    for task in range(6):
        first = sum(value for true, value in weight.items() if true[task] == 0) / total
        assert found.probability_TC[task, 0] == pytest.approx(first, abs=1e-5)
    assert found.log_likelihood == pytest.approx(math.log(total), abs=1e-4)


def test_two_labels_by_hand() -> None:
    """One round from majority vote: person p said x of t, q said y of t; the prior is one right, one wrong."""
    config = DawidSkeneConfig(prior_right=1.0, prior_wrong=1.0, max_rounds=1)
    found = fit_dawid_skene([Label(person="p", task="t", label="x"), Label(person="q", task="t", label="y")], config)
    assert found.probability_TC[0] == pytest.approx([0.5, 0.5])
    assert found.confusion_PCL[0] == pytest.approx(np.array([[0.6, 0.4], [0.6, 0.4]]))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("num_classes", [2, 3])
def test_it_agrees_with_crowd_kit(num_classes: int) -> None:
    """Round for round: both begin with majority vote; each stops, and keeps off zero, by a rule of its own."""
    import pandas as pd
    from crowdkit.aggregation.classification.dawid_skene import DawidSkene

    given, _ = labels([0.95, 0.85, 0.8, 0.6, 0.3], 60, num_classes)
    # Not everybody labels everything.
    given = [one for place, one in enumerate(given) if place % 7]
    table = pd.DataFrame([[x.task, x.person, x.label] for x in given], columns=["task", "worker", "label"])
    peer: Any = DawidSkene(n_iter=ROUNDS, tol=-1.0).fit(table)
    found = fit_dawid_skene(given, PLAIN)
    theirs = peer.probas_.loc[list(found.tasks), list(found.classes)].to_numpy()
    assert np.abs(found.probability_TC - theirs).max() < 1e-6
    errors = peer.errors_
    for p, person in enumerate(found.people):
        for label, said in enumerate(found.classes):
            for c, true in enumerate(found.classes):
                theirs = float(errors.loc[(person, said), true]) if (person, said) in errors.index else 0.0
                assert found.confusion_PCL[p, c, label] == pytest.approx(theirs, abs=1e-6)


def test_known_people_are_found_again_and_beat_the_majority() -> None:
    accuracy = [0.95, 0.9, 0.34, 0.34, 0.34, 0.05]
    given, true = labels(accuracy, 400, 3)
    found = fit_dawid_skene(given)
    said = [int(found.classes[c][1:]) for c in found.probability_TC.argmax(1)]
    right = np.mean([a == b for a, b in zip(said, true, strict=True)])
    votes = np.zeros((400, 3))
    for one in given:
        votes[int(one.task[1:]), int(one.label[1:])] += 1
    assert right > np.mean(votes.argmax(1) == true) + 0.05
    for person, share in enumerate(accuracy):
        assert found.right_P[person] == pytest.approx(share, abs=0.08)
        assert found.low_P[person] - 0.03 <= share <= found.high_P[person] + 0.03


def test_somebody_with_one_label_stays_near_the_prior() -> None:
    given, _ = labels([0.9, 0.9, 0.9], 50, 2)
    found = fit_dawid_skene([*given, Label(person="new", task="t0", label="c0")])
    new = found.people.index("new")
    assert 0.6 < found.right_P[new] < 0.95
    assert found.high_P[new] - found.low_P[new] > 0.4
    assert found.num_P[new] == 1


def test_a_hundred_thousand_labels_in_one_batch() -> None:
    given, true = labels([0.8] * 10, 10_000, 2)
    found = fit_dawid_skene(given, DawidSkeneConfig(max_rounds=5))
    said = [int(found.classes[c][1:]) for c in found.probability_TC.argmax(1)]
    assert np.mean([a == b for a, b in zip(said, true, strict=True)]) > 0.95


def test_trap_products_of_many_people_do_not_underflow() -> None:
    """5,000 people who label one task: the plain product would be 0 for every class."""
    given = [Label(person=f"p{i}", task="t", label="x" if i % 5 else "y") for i in range(5000)]
    found = fit_dawid_skene([*given, Label(person="p0", task="u", label="x")])
    assert np.isfinite(found.probability_TC).all()
    assert found.probability_TC[0, found.classes.index("x")] > 0.999


def test_gold_labels_are_kept_and_anchor_people() -> None:
    given, true = labels([0.2, 0.2, 0.9], 200, 2)
    gold = {f"t{task}": f"c{of}" for task, of in enumerate(true[:40])}
    found = fit_dawid_skene(given, gold=gold)
    assert found.right_P[2] > 0.8 > 0.4 > found.right_P[0]
    for task, label in gold.items():
        assert found.probability_TC[found.tasks.index(task), found.classes.index(label)] == 1.0


def test_where_everybody_says_the_same_there_is_one_class() -> None:
    found = fit_dawid_skene([Label(person=f"p{i}", task=f"t{i % 3}", label="x") for i in range(9)])
    assert found.classes == ("x",)
    assert found.probability_TC == pytest.approx(1.0)
    assert np.isfinite(found.right_P).all()


@pytest.mark.parametrize(
    ("given", "gold", "words"),
    [
        ([], {}, "there is none"),
        ([Label(person="p", task="t", label="x")], {"u": "x"}, "nobody labelled task 'u'"),
        ([Label(person="p", task="t", label="x")], {"t": "z"}, "nobody ever said 'z'"),
    ],
)
def test_bad_labels_are_named(given: list[Label], gold: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit_dawid_skene(given, gold=gold)


def test_bad_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="prior_right"):
        DawidSkeneConfig(prior_right=-1.0)
    with pytest.raises(ConfigError, match="interval"):
        DawidSkeneConfig(interval=0.0)
