"""Fixtures of the service."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from heeler.service.app import create_app
from heeler.service.config import ServiceConfig
from heeler.service.context import Service
from tests.unit.service.helpers import HERE, Lines


@pytest.fixture
def audit() -> Lines:
    return Lines()


@pytest.fixture
def client(tmp_path: Path, audit: Lines) -> Iterator[TestClient]:
    """A program without a key; its app serves `tmp_path`."""
    app = create_app(ServiceConfig(runs=tmp_path), audit)
    with TestClient(app, base_url=HERE) as client:
        yield client


@pytest.fixture
def service(client: TestClient) -> Service:
    return client.app.state.service  # type: ignore[attr-defined]
