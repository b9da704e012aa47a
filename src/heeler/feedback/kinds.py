"""All kinds of feedback, by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from heeler.core.nouns import FeedbackKind
from heeler.feedback import correction, critique, demonstration, evaluation, preference, rating
from heeler.feedback.form import Form

AIDS = "aids"
"""Setting of the store that names kinds of question that people find hard to judge: they are shown aids with them."""
FIRST_FOR = "first_for"
"""Setting of the store: of each person whom something is known of, the ids of the open questions that they should be
asked first, in this order."""
QUESTIONS = "questions"
"""Setting of the store: words that people are asked in, by kind, in place of the kind's own."""
VIEWS = "views"
"""Setting of the store: of open questions that people find hard to judge, by id, what the learned reward thinks of
their clips, a `ModelView` as a dictionary."""
KINDS: Mapping[FeedbackKind, Form] = {
    form.kind: form
    for form in (
        preference.FORM,
        rating.FORM,
        evaluation.FORM,
        critique.FORM,
        correction.FORM,
        demonstration.FORM,
    )
}


@dataclass(frozen=True, kw_only=True)
class ModelView:
    """What a learned reward thinks of a question: a critique by a model, which is shown to people as such."""

    first_better: float | None
    """Chance that the first of two clips is preferred; None where there is one clip."""
    best: tuple[tuple[int, int], ...]
    """Of each clip the part, as its first step and the one after its last, that it likes most."""
    worst: tuple[tuple[int, int], ...]
    """Of each clip the part that it likes least."""
