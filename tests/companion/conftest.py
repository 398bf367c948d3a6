"""A controller on the bench, and the real driver on its line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.companion.link import CompanionLink
from tests.companion.owner import Owner
from tests.companion.workbench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as made:
        yield made


@pytest.fixture
def link(bench: Bench) -> Iterator[CompanionLink]:
    with CompanionLink(bench.port) as made, Owner(made):
        assert made.wait_live(10)
        yield made
    assert "companion" not in {thread.name for thread in threading.enumerate()}
