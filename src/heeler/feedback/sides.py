"""Which of two segments is shown on which side: by chance, so that who favours a side favours no segment."""

import hashlib


def is_flipped(query_id: str, annotator: str) -> bool:
    """Whether an annotator is shown the second segment of a comparison on the left; always the same for both.

    An answer names the sides as the query does, whatever was shown where.
    """
    return bool(hashlib.sha256(f"{query_id}|{annotator}".encode()).digest()[0] & 1)
