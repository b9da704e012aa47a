"""Helpfulness as likeness to a reference answer: by characters, by words, or by what sentences mean."""

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from heeler.core.errors import ConfigError, RewardError
from heeler.core.texts import TextSample
from heeler.rewards.text.part import Scores, column
from heeler.rewards.text.similarity import chrf, token_f1

Similarity = Callable[[str, str], float]
"""Takes a text and a reference; 0 to 1."""


class ReferenceSimilarity:
    """How alike a completion is to its reference, the nearest one where there are several.

    Args:
        similarity: of a text and a reference.
        name: of the part.
        column: that holds the reference: a text, a list of texts, or None where there is none.

    Example:
        >>> sample = TextSample(prompt=(), completion="At nine.", columns={"reference": ["At ten.", "At nine."]})
        >>> chrf_part().score([sample])
        [1.0]
    """

    def __init__(self, similarity: Similarity, *, name: str, column: str = "reference") -> None:
        self.name, self._similarity, self._column = name, similarity, column

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """The best likeness; None where there is no reference."""
        references = references_of(self.name, samples, self._column)
        return [
            max((self._similarity(sample.completion, one) for one in some), default=None)
            for sample, some in zip(samples, references, strict=True)
        ]


def chrf_part(*, name: str = "chrf", column: str = "reference") -> ReferenceSimilarity:
    """Likeness by characters: `similarity.chrf`."""
    return ReferenceSimilarity(chrf, name=name, column=column)


def token_f1_part(*, name: str = "token_f1", column: str = "reference") -> ReferenceSimilarity:
    """Likeness by words: `similarity.token_f1`."""
    return ReferenceSimilarity(token_f1, name=name, column=column)


class EmbeddingSimilarity:
    """Cosine of the sentence embeddings of a completion and its reference, the nearest one where there are several.

    Args:
        model: folder or hub id of a sentence-transformers model (`pip install 'heeler[embeddings]'`), a `Path` always a
            folder; or an object whose `encode(texts)` gives an array [texts, size].
        name: of the part.
        column: that holds the reference.
    """

    def __init__(self, model: Any, *, name: str = "embedding", column: str = "reference") -> None:
        self.name, self._given, self._column = name, model, column

    def load(self) -> None:
        """Read the model now, which is otherwise read when first needed.

        Raises:
            ConfigError: sentence-transformers is not installed, or has no such model.
        """
        _ = self._model

    def score(self, samples: Sequence[TextSample]) -> Scores:
        """-1 to 1; None where there is no reference.

        Raises:
            ConfigError: as `load`.
            RewardError: an embedding is not what it should be.
        """
        references = references_of(self.name, samples, self._column)
        texts = [sample.completion for sample in samples] + [one for some in references for one in some]
        directions = self._directions(list(dict.fromkeys(texts)))
        return [
            max((float(directions[sample.completion] @ directions[one]) for one in some), default=None)
            for sample, some in zip(samples, references, strict=True)
        ]

    def _directions(self, texts: list[str]) -> dict[str, np.ndarray]:
        if not texts:
            return {}
        embedding = np.asarray(self._model.encode(texts), dtype=np.float64)
        if embedding.ndim != 2 or len(embedding) != len(texts) or not np.isfinite(embedding).all():
            raise RewardError(
                f"reward part {self.name!r}: its model must give {len(texts)} rows of finite numbers, "
                f"got an array of shape {embedding.shape}"
            )
        length = np.linalg.norm(embedding, axis=1, keepdims=True)
        return dict(zip(texts, embedding / np.where(length > 0, length, 1.0), strict=True))

    @cached_property
    def _model(self) -> Any:
        if not isinstance(self._given, str | PathLike):
            return self._given
        name = fspath(self._given)
        if isinstance(self._given, PathLike) and not Path(name).is_dir():
            raise ConfigError(f"there is no folder {name!r} with a sentence-transformers model")
        try:
            sentence_transformers = import_module("sentence_transformers")
        except ImportError as error:
            raise ConfigError(
                "sentence embeddings need sentence-transformers: pip install 'heeler[embeddings]'"
            ) from error
        try:
            return sentence_transformers.SentenceTransformer(name)
        # A broken folder fails in as many ways as it has files.
        except Exception as error:
            raise ConfigError(f"model {name!r} cannot be loaded by sentence-transformers: {error}") from error


def references_of(part: str, samples: Sequence[TextSample], name: str) -> list[list[str]]:
    """The references of each sample.

    Raises:
        RewardError: one is neither a text, nor texts, nor None.
    """
    found: list[list[str]] = []
    for row, value in enumerate(column(part, samples, name)):
        some = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(some, Sequence) or not all(isinstance(one, str) for one in some):
            raise RewardError(
                f"reward part {part!r}, row {row}: {name} must be a text, texts or None, got {value!r:.80}"
            )
        found.append(list(some))
    return found
