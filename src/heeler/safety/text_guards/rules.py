"""The rules that heeler brings: words, toxicity, personal data, a leaked system prompt, patterns, any function."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from heeler.core.errors import ConfigError
from heeler.core.nouns import Message
from heeler.core.privacy import findings as personal_data
from heeler.core.sentences import sentences
from heeler.core.words import ngrams, word_spans, words
from heeler.safety.text_guards.findings import Action, Finding, check_action
from heeler.safety.text_guards.timing import within
from heeler.safety.toxicity.classifier import ToxicityClassifier
from heeler.safety.toxicity.folding import fold, fold_with_places
from heeler.safety.toxicity.word_list import WordList, default_words


class ListedWords:
    """Words that must not be said, in whatever disguise.

    Args:
        words: None for heeler's list.
        action: what becomes of them.
        name: of the rule.
    """

    def __init__(self, words: WordList | None = None, *, action: Action = "resample", name: str = "words") -> None:
        self.name, self._words = name, words or default_words()
        self.action: Action = check_action(action)

    def look(self, text: str, prompt: Sequence[Message]) -> list[Finding]:
        """Each listed word."""
        del prompt
        hits = self._words.hits(text)
        return [Finding(start=hit.start, end=hit.end, what="listed word", score=1.0) for hit in hits]


class Toxic:
    """Sentences that the classifier calls toxic.

    Args:
        classifier: None for the one that comes with heeler.
        threshold: from which probability on; None for the classifier's own.
        action: what becomes of them.
        name: of the rule.
    """

    def __init__(
        self,
        classifier: ToxicityClassifier | None = None,
        *,
        threshold: float | None = None,
        action: Action = "resample",
        name: str = "toxicity",
    ) -> None:
        self.name = name
        self.action: Action = check_action(action)
        self._classifier = classifier or ToxicityClassifier.shipped()
        self._threshold = self._classifier.threshold if threshold is None else threshold
        if not 0 < self._threshold <= 1:
            raise ConfigError(f"threshold must be above 0 and at most 1, got {self._threshold}")

    def look(self, text: str, prompt: Sequence[Message]) -> list[Finding]:
        """Each toxic sentence."""
        del prompt
        found: list[Finding] = []
        at = 0
        for sentence in sentences(text):
            probability = self._classifier.sentence_probability(sentence) if sentence.strip() else 0.0
            if probability >= self._threshold:
                start = at + len(sentence) - len(sentence.lstrip())
                end = at + len(sentence.rstrip())
                found.append(Finding(start=start, end=end, what="toxic", score=probability))
            at += len(sentence)
        return found


class PersonalData:
    """What names, reaches or lets in a person or a machine, as far as `core.privacy` finds it.

    Args:
        allowed_roles: what messages of these roles say may be said again, such as the shop's own number.
        action: what becomes of it.
        name: of the rule.
    """

    def __init__(
        self,
        *,
        allowed_roles: Sequence[str] = ("system",),
        action: Action = "replace",
        name: str = "personal data",
    ) -> None:
        self.name, self._allowed_roles = name, frozenset(allowed_roles)
        self.action: Action = check_action(action)

    def look(self, text: str, prompt: Sequence[Message]) -> list[Finding]:
        """Each finding, by its kind."""
        allowed = [message.content.casefold() for message in prompt if message.role in self._allowed_roles]
        return [
            Finding(start=start, end=end, what=kind, score=1.0)
            for start, end, kind in personal_data(text)
            if not any(text[start:end].casefold() in content for content in allowed)
        ]


class PromptLeak:
    """A long run of words that also stands in the system message, so that an answer does not recite it.

    Disguises of letters are seen through; a translation, a summary, or the prompt spelled backwards is not.

    Args:
        num_words: in a row; of a shorter secret, all of it.
        secret: None for the system messages of the prompt; where these hold facts that may be quoted, what may not.
        action: what becomes of it.
        name: of the rule.
    """

    def __init__(
        self,
        *,
        num_words: int = 12,
        secret: str | None = None,
        action: Action = "resample",
        name: str = "prompt leak",
    ) -> None:
        if num_words < 3:
            raise ConfigError(f"num_words must be >= 3, as shorter runs are common speech, got {num_words}")
        self.name, self._num_words, self._secret = name, num_words, secret
        self.action: Action = check_action(action)

    def look(self, text: str, prompt: Sequence[Message]) -> list[Finding]:
        """The runs, those that overlap as one."""
        secrets = [message.content for message in prompt if message.role == "system"]
        found: list[Finding] = []
        folded, places_of = fold_with_places(text)
        spans = [(word, places_of[start], places_of[end - 1] + 1) for word, start, end in word_spans(folded)]
        for secret in secrets if self._secret is None else [self._secret]:
            size, runs = _runs_of(secret, self._num_words)
            said = [word for word, _, _ in spans]
            places = [i for i, run in enumerate(ngrams(said, size)) if run in runs] if runs else []
            for place in places:
                start, end = spans[place][1], spans[place + size - 1][2]
                if found and start <= found[-1].end:
                    start = found.pop().start
                found.append(Finding(start=start, end=end, what="system prompt"))
        return found


@lru_cache(maxsize=256)
def _runs_of(secret: str, num_words: int) -> tuple[int, frozenset[tuple[str, ...]]]:
    folded = words(fold(secret))
    # Of less than three words, nothing is a leak.
    size = min(num_words, max(len(folded), 3))
    return size, frozenset(ngrams(folded, size))


class Pattern:
    """A regular expression.

    Args:
        pattern: in the syntax of the package `regex`.
        what: what it finds, in a word or two.
        action: what becomes of it.
        timeout_s: a text on which it takes longer is kept back.
        name: of the rule.

    Raises:
        ConfigError: the pattern is none, or fits the empty text.
    """

    def __init__(
        self,
        pattern: str,
        *,
        what: str = "pattern",
        action: Action = "resample",
        timeout_s: float = 1.0,
        name: str = "pattern",
    ) -> None:
        import regex

        self.name, self._what, self._timeout_s = name, what, timeout_s
        self.action: Action = check_action(action)
        try:
            self._pattern = regex.compile(pattern)
        except regex.error as error:
            raise ConfigError(f"pattern {pattern!r} is no regular expression: {error}") from error
        if self._pattern.search("") is not None:
            raise ConfigError(f"pattern {pattern!r} fits the empty text, so it would be found everywhere")

    def look(self, text: str, prompt: Sequence[Message]) -> list[Finding]:
        """Each place where it fits.

        Raises:
            TimeoutError: it takes too long.
        """
        del prompt
        found = self._pattern.finditer(text, timeout=self._timeout_s)
        return [Finding(start=one.start(), end=one.end(), what=self._what) for one in found if one.end() > one.start()]


class Custom:
    """Any function of a text.

    Args:
        function: takes the text; gives False or None where it has nothing against it, True or what it objects to in
            words where it has, or findings.
        action: what becomes of the text.
        timeout_s: a text for which it takes longer is kept back.
        name: of the rule; None for the function's own.
    """

    def __init__(
        self,
        function: Callable[[str], Any],
        *,
        action: Action = "resample",
        timeout_s: float = 2.0,
        name: str | None = None,
    ) -> None:
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self._function, self._timeout_s = function, timeout_s
        self.action: Action = check_action(action)

    def look(self, text: str, prompt: Sequence[Message]) -> list[Finding]:
        """What the function says.

        Raises:
            TimeoutError: it takes too long.
            TypeError: it says something else.
        """
        del prompt
        said = within(self._timeout_s, self._function, text)
        if said is None or said is False:
            return []
        if said is True or (isinstance(said, str) and said):
            return [Finding(start=0, end=len(text), what=said if isinstance(said, str) else self.name)]
        if isinstance(said, Sequence) and not isinstance(said, str) and all(isinstance(one, Finding) for one in said):
            return list(said)
        raise TypeError(f"rule {self.name!r} must give True, False, words or findings, got {type(said).__name__}")
