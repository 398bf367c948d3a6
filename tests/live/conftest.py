"""Fixtures with a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.broker import TestBroker
from tests.live.kit import Camera


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[TestBroker]:
    made = TestBroker(tmp_path / "broker")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def camera(tmp_path: Path, broker: TestBroker) -> Iterator[Camera]:
    made = Camera(tmp_path / "camera", broker.for_device)
    yield made
    made.close()
