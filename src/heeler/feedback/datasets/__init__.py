"""Datasets of text as users bring them: pairs, judged answers and demonstrations, from files, folders and the hub.

Nothing is stored: what goes into a store comes through `heeler.feedback.transfer`, redacted. Here a file is read to
learn from it.
"""

from heeler.feedback.datasets.reading import (
    DataConfig,
    Dataset,
    paired,
    read_compared,
    read_demonstrations,
    read_judged,
    read_pairs,
)
from heeler.feedback.datasets.splitting import fold_of, folds, split

__all__ = [
    "DataConfig",
    "Dataset",
    "fold_of",
    "folds",
    "paired",
    "read_compared",
    "read_demonstrations",
    "read_judged",
    "read_pairs",
    "split",
]
