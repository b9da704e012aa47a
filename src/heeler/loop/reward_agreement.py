"""How far a finished reward model agrees with the pairs that it has not learned from, kept in its run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heeler.core.errors import DataError
from heeler.core.rundir import RunDirectory
from heeler.core.text_data import TextPair
from heeler.evaluation.agreement import (
    Calibration,
    GroupAgreement,
    LengthBin,
    Share,
    accuracy_by_length,
    agreement_by_group,
    bootstrap_accuracy,
    calibration,
)
from heeler.loop.kept_evaluation import keep_evaluation, kept_evaluation
from heeler.rewards.language_model import LanguageReward


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Figures of held-out pairs."""

    checkpoint_sha256: str
    """Of the checkpoint that holds the model."""
    num_pairs: int
    accuracy: Share
    """Pairs whose better text gets the higher reward; the interval is from prompts drawn anew."""
    shorter: Share
    """The same of the rule that the shorter text is the better one."""
    calibration: Calibration
    by_length: tuple[LengthBin, ...]
    """By how many characters the chosen text is longer than the rejected one."""
    by_group: GroupAgreement
    """By what the data call a group, or by annotators, who are numbered."""


def measure(reward: LanguageReward, pairs: Sequence[TextPair], seed: int, checkpoint_sha256: str) -> Agreement:
    """Judge a reward model by pairs.

    Args:
        reward: to judge.
        pairs: that it has not learned from.
        seed: of the resampling.
        checkpoint_sha256: of the checkpoint that holds it.

    Raises:
        DataError: of none of the pairs is it said which text is better.
    """
    margin_N = np.asarray(reward.margins(pairs), np.float64)
    return agreement_of(margin_N, pairs, seed, checkpoint_sha256)


def agreement_of(margin_N: np.ndarray, pairs: Sequence[TextPair], seed: int, checkpoint_sha256: str = "") -> Agreement:
    """The same, of log-odds that are there already.

    Args:
        margin_N: [N] log-odds that the chosen text is preferred.
        pairs: N pairs.
        seed: of the resampling.
        checkpoint_sha256: of the checkpoint that holds the model.
    """
    if not pairs:
        raise DataError("there is no held-out pair to judge by, or none that fits into the model's context")
    choice_N = np.array([0.5 if pair.is_equal else 1.0 for pair in pairs])
    chosen_N = np.array([float(len(pair.chosen)) for pair in pairs])
    rejected_N = np.array([float(len(pair.rejected)) for pair in pairs])
    prompts = [pair.prompt_key for pair in pairs]
    accuracy = bootstrap_accuracy(margin_N, choice_N, prompts, seed=seed)
    shorter = bootstrap_accuracy(rejected_N - chosen_N, choice_N, prompts, seed=seed)
    if accuracy is None or shorter is None:
        raise DataError("no held-out pair says which of its texts is better; bring pairs that were decided")
    return Agreement(
        checkpoint_sha256=checkpoint_sha256,
        num_pairs=len(pairs),
        accuracy=accuracy,
        shorter=shorter,
        calibration=calibration(margin_N, choice_N),
        by_length=accuracy_by_length(margin_N, choice_N, chosen_N, rejected_N),
        by_group=agreement_by_group(margin_N, choice_N, _groups(pairs), _people_of_groups(pairs)),
    )


def _groups(pairs: Sequence[TextPair]) -> list[str]:
    """Each pair's group, or its annotator's number: a report goes where nobody can forget people any more."""
    counted = Counter(pair.annotator for pair in pairs if pair.annotator)
    number = {name: place for place, (name, _) in enumerate(counted.most_common(), 1)}
    return [pair.group or (f"annotator {number[pair.annotator]}" if pair.annotator else "all") for pair in pairs]


def _people_of_groups(pairs: Sequence[TextPair]) -> list[str | None]:
    """Who answered each pair of a group; an annotator who stands for themselves is no group of few."""
    return [(pair.annotator or None) if pair.group else None for pair in pairs]


def save_agreement(directory: RunDirectory, agreement: Agreement) -> None:
    """Keep it in its run."""
    keep_evaluation(directory, agreement)


def saved_agreement(directory: RunDirectory) -> Agreement | None:
    """What `save_agreement` kept; as of `kept_evaluation`."""
    return kept_evaluation(directory, Agreement)
