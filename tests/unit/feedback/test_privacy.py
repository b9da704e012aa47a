"""What people write is kept redacted, and comes back in as it was kept."""

import pytest

from heeler.core.errors import ConflictError
from heeler.feedback.store import Store
from tests.unit.feedback.helpers import make_answer, make_query, make_segment, make_text


def test_a_critique_is_kept_redacted_and_the_same_words_again_are_the_same_answer(store: Store) -> None:
    (segment_id,) = store.add_segments([make_segment(0)])
    query = make_query("words", segment_id, kind="critique")
    store.add_queries([query])
    answer = make_answer(query, value={"text": "it falls, ask jo@example.org", "start": 1, "end": 4})
    (position,) = store.add_feedback([answer])
    ((_, kept),) = store.feedback_after(0, limit=9, up_to_step=None)
    assert kept.value == {"text": "it falls, ask [e-mail]", "start": 1, "end": 4}
    assert store.add_feedback([answer, kept]) == [position, position]
    other = make_answer(query, value={"text": "it falls, ask [phone]", "start": 1, "end": 4})
    with pytest.raises(ConflictError, match="another body"):
        store.add_feedback([other])


def test_a_correction_that_grows_when_it_is_redacted_can_still_come_back_in(store: Store) -> None:
    (segment_id,) = store.add_segments([make_text("ask somebody")])
    query = make_query("text", segment_id, kind="correction")
    store.add_queries([query])
    store.add_feedback([make_answer(query, value={"text": "a@b.co " * 2000})])
    ((_, kept),) = store.feedback_after(0, limit=9, up_to_step=None)
    assert kept.value == {"text": "[e-mail] " * 2000}
    assert store.add_feedback([kept]) == [1]
