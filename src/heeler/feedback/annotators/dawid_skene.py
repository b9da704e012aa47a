r"""Dawid–Skene: true labels and each person's confusions, from labels alone (Dawid and Skene 1979, Appl. Statist. 28).

EM in logarithms over all tasks and people at once. With class shares $\pi$ and confusions $\theta_p[c, l]$, the chance
that person p says l of a task that is c,

$$q_t(c) \propto \pi_c \prod_{n \in t} \theta_{p_n}[c, l_n],\qquad
  \theta_p[c, l] \propto \alpha_{cl} + \sum_{n \in p,\, l_n = l} q_{t_n}(c),\qquad \pi_c \propto \sum_t q_t(c)$$

It begins with majority vote. α is a Dirichlet prior that favours the diagonal, so that somebody with one answer stays
near it and no logarithm is infinite; with `prior_right = prior_wrong = 0` it is plain maximum likelihood. Tasks whose
true label is known (gold) keep it. Shapes: N labels, T tasks, P people, C classes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import ConfigError, DataError
from heeler.feedback.annotators.answers import Floats, Ints, sums_by
from heeler.feedback.annotators.beta import beta_interval

_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True)
class DawidSkeneConfig:
    """Settings of Dawid–Skene."""

    prior_right: float = 2.0
    """What is believed of a person before they answer: as if so many labels of each class had been right."""
    prior_wrong: float = 0.5
    """As if so many had been each of the wrong ones."""
    max_rounds: int = 200
    """Rounds of EM at most."""
    tolerance: float = 1e-6
    """It ends where no task's probabilities move by more in a round."""
    interval: float = 0.95
    """Probability within the intervals that are told."""

    def __post_init__(self) -> None:
        for name in ("prior_right", "prior_wrong", "tolerance"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be >= 0 and finite, got {getattr(self, name)}")
        if self.max_rounds < 1:
            raise ConfigError(f"max_rounds must be >= 1, got {self.max_rounds}")
        if not 0 < self.interval < 1:
            raise ConfigError(f"interval must be above 0 and below 1, got {self.interval}")


@dataclass(frozen=True, kw_only=True)
class Label:
    """What somebody said of a task."""

    person: str
    task: str
    label: str


@dataclass(frozen=True, kw_only=True, eq=False)
class DawidSkene:
    """What was fitted. Names are in the order in which they first came."""

    tasks: tuple[str, ...]
    people: tuple[str, ...]
    classes: tuple[str, ...]
    probability_TC: Floats
    """Of each task: how likely each class is the true one."""
    prior_C: Floats
    """Shares of the classes."""
    confusion_PCL: Floats
    """Chance that a person says l of a task that is c."""
    right_P: Floats
    """Chance that a person is right, over all tasks."""
    low_P: Floats
    high_P: Floats
    """Interval of `right_P`: that of a Beta distribution with as many labels as the person gave, and the prior's."""
    num_P: Ints
    """Labels of each person."""
    log_likelihood: float
    num_rounds: int


def fit_dawid_skene(
    labels: Sequence[Label], config: DawidSkeneConfig | None = None, *, gold: Mapping[str, str] | None = None
) -> DawidSkene:
    """Fit tasks and people.

    Args:
        labels: one a person and task; a person who labelled a task twice counts twice.
        config: settings.
        gold: the true label of some tasks.

    Raises:
        DataError: there is no label, or gold is of a task or a label that nobody gave.
    """
    config = config or DawidSkeneConfig()
    if not labels:
        raise DataError("labels: there is none; ask somebody first")
    tasks, people, classes = (
        tuple(dict.fromkeys(names))
        for names in ([x.task for x in labels], [x.person for x in labels], [x.label for x in labels])
    )
    task_N, person_N, label_N = (
        _numbered(names, known)
        for names, known in (
            ([x.task for x in labels], tasks),
            ([x.person for x in labels], people),
            ([x.label for x in labels], classes),
        )
    )
    known_T = _known(gold or {}, tasks, classes)
    # Everything that is summed is summed by one of two numbers: that of the task, or that of person and label.
    cell_N = person_N * len(classes) + label_N
    votes_TC = np.bincount(task_N * len(classes) + label_N, minlength=len(tasks) * len(classes)).astype(np.float64)
    q_TC = _with_gold(votes_TC.reshape(len(tasks), -1) / np.bincount(task_N)[:, None], known_T)
    moved, rounds, log_likelihood = math.inf, 0, -math.inf
    prior_C, confusion_PCL = _maximize(q_TC, task_N, cell_N, len(people), config)
    while moved > config.tolerance and rounds < config.max_rounds:
        rounds += 1
        log_TC = np.log(prior_C) + _sum_by(task_N, np.log(confusion_PCL)[person_N, :, label_N], len(tasks))
        total_T = np.logaddexp.reduce(log_TC, axis=1)
        newer_TC = _with_gold(np.exp(log_TC - total_T[:, None]), known_T)
        moved, q_TC, log_likelihood = float(np.abs(newer_TC - q_TC).max()), newer_TC, float(total_T.sum())
        prior_C, confusion_PCL = _maximize(q_TC, task_N, cell_N, len(people), config)
    num_P = np.bincount(person_N, minlength=len(people))
    right_P = np.einsum("c,pcc->p", prior_C, confusion_PCL)
    weight_P = num_P + config.prior_right + config.prior_wrong * (len(classes) - 1)
    low_P, high_P = beta_interval(right_P * weight_P, (1 - right_P) * weight_P, config.interval)
    return DawidSkene(
        tasks=tasks,
        people=people,
        classes=classes,
        probability_TC=q_TC,
        prior_C=prior_C,
        confusion_PCL=confusion_PCL,
        right_P=right_P,
        low_P=low_P,
        high_P=high_P,
        num_P=num_P.astype(np.int64),
        log_likelihood=log_likelihood,
        num_rounds=rounds,
    )


def _maximize(
    q_TC: Floats, task_N: Ints, cell_N: Ints, num_people: int, config: DawidSkeneConfig
) -> tuple[Floats, Floats]:
    """The M step: shares of the classes, and [P, C, L] confusions."""
    num_classes = q_TC.shape[1]
    count_PLC = _sum_by(cell_N, q_TC[task_N], num_people * num_classes).reshape(num_people, num_classes, num_classes)
    count_PCL = count_PLC.transpose(0, 2, 1) + config.prior_wrong
    count_PCL += (config.prior_right - config.prior_wrong) * np.eye(num_classes)
    # Where a person met no task of a class, and nothing was believed before, they may say anything of it.
    count_PCL += np.where(count_PCL.sum(2, keepdims=True) > 0, 0.0, 1.0)
    confusion_PCL = count_PCL / count_PCL.sum(2, keepdims=True)
    prior_C = np.maximum(q_TC.mean(0), _LEAST)
    return prior_C / prior_C.sum(), np.maximum(confusion_PCL, _LEAST)


def _sum_by(number_N: Ints, value_NC: Floats, size: int) -> Floats:
    """[size, C] sums of the rows that share a number."""
    return np.stack([sums_by(number_N, column, size) for column in value_NC.T], 1)


def _with_gold(q_TC: Floats, known_T: Ints) -> Floats:
    """Tasks whose label is known have it for sure."""
    q_TC, sure = q_TC.copy(), np.flatnonzero(known_T >= 0)
    q_TC[sure] = 0.0
    q_TC[sure, known_T[sure]] = 1.0
    return q_TC


def _known(gold: Mapping[str, str], tasks: Sequence[str], classes: Sequence[str]) -> Ints:
    """[T] the true class, -1 where nobody knows it."""
    known_T = np.full(len(tasks), -1)
    place = {task: number for number, task in enumerate(tasks)}
    for task, label in gold.items():
        if task not in place:
            raise DataError(f"gold: nobody labelled task {task!r:.60}; leave it out")
        if label not in classes:
            raise DataError(f"gold: nobody ever said {label!r:.60}, which is to be the label of task {task!r:.60}")
        known_T[place[task]] = classes.index(label)
    return known_T


def _numbered(names: Sequence[str], known: Sequence[str]) -> Ints:
    number = {name: place for place, name in enumerate(known)}
    return np.array([number[name] for name in names], np.int64)
