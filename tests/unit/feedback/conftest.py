"""Fixtures of the feedback room."""

from collections.abc import Iterator

import pytest

from heeler.feedback.store import Store
from tests.unit.feedback.helpers import Home


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    """A new store with policy version 0 and the annotator `ann`."""
    with home.open() as opened:
        yield opened
