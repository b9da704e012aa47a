"""All kinds of feedback, by name."""

from collections.abc import Mapping

from heeler.core.nouns import FeedbackKind
from heeler.feedback import correction, critique, demonstration, evaluation, preference, rating
from heeler.feedback.form import Form

AIDS = "aids"
"""Setting of the store that names kinds of question that people find hard to judge: they are shown aids with them."""
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
