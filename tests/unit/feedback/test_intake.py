"""The hash of an answer's body: of its canonical JSON, however that is put together."""

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heeler.feedback.intake import body_sha256, value_text

_NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.dictionaries(st.text(), st.text() | _NUMBERS | st.lists(st.text() | st.integers()))
_ROWS = st.fixed_dictionaries(
    {
        "key": st.uuids().map(str),
        "query_id": st.text(min_size=1),
        "kind": st.sampled_from(["preference", "critique"]),
        "value": _VALUES,
        "annotator": st.text(min_size=1),
        "time_taken_s": _NUMBERS,
        "confidence": _NUMBERS,
        "answered_step": st.none() | st.integers(min_value=0, max_value=2**63 - 1),
        "view": st.none() | st.fixed_dictionaries({"opened": st.booleans(), "first_better": _NUMBERS}),
    }
)


@given(row=_ROWS)
def test_body_hash_is_that_of_the_canonical_json(row: dict[str, Any]) -> None:
    # Answers of before there were views were hashed without one.
    fields = {name: value for name, value in row.items() if name != "view" or value is not None}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    expected = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    assert body_sha256(row) == expected
    assert body_sha256(row, value_text(row["value"])) == expected
