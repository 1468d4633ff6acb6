"""A service for the clients: their programs make their own patients in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..service.conftest import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that reads no notes."""
    running = Service(tmp_path_factory.mktemp("clients") / "lake", env={"CHARTLAKE_NLP": "off"})
    yield running
    running.stop()
