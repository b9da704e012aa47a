"""Fixtures of the feedback room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from heeler.feedback.store import Store
from tests.unit.feedback.helpers import open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new store with policy version 0 and the annotator `ann`."""
    with open_store(tmp_path) as opened:
        yield opened
