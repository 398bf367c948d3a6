"""Tests that live on real time go before those that only calculate, and are not blamed for a machine that stood still.

One of them that fails is run again, at most twice, if the machine was seen to stand still meanwhile; the runner's last
line counts the reruns. A failure on a machine that kept up is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.lateness import Lateness

_ON_TIME = frozenset({"capture", "companion", "dock", "drivers", "enrolment", "firmware", "live", "technician"})
"""A controller falls safe, and a camera is started anew, when somebody is silent for some hundred milliseconds."""
_NICE = -10
_lateness = Lateness()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which may be run again, and when."""
    for item in items:
        if _lives_on_time(item):
            item.add_marker(pytest.mark.flaky(reruns=2, condition=_lateness.was_late))


@pytest.fixture(autouse=True)
def on_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put the test, with all threads and processes that it starts, before the other workers' where that is allowed.

    Linux keeps priorities by thread; those of the test inherit this one's.
    """
    if not _lives_on_time(request.node):
        yield
        return
    with suppress(OSError):  # not as an ordinary user, and it goes without
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    _lateness.begin()
    yield
    _lateness.end()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def _lives_on_time(item: pytest.Item) -> bool:
    folders = item.path.relative_to(item.config.rootpath).parts
    return len(folders) > 2 and folders[1] in _ON_TIME
