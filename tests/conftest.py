"""Tests that live on real time go before those that only calculate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

_ON_TIME = frozenset({"capture", "companion", "dock", "drivers", "enrolment", "firmware", "live", "technician"})
"""A controller falls safe, and a camera is started anew, when somebody is silent for some hundred milliseconds."""
_NICE = -10


@pytest.fixture(autouse=True)
def on_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put the test, with all threads and processes that it starts, before the other workers' where that is allowed.

    Linux keeps priorities by thread; those of the test inherit this one's.
    """
    folders = request.path.relative_to(request.config.rootpath).parts
    if len(folders) < 2 or folders[1] not in _ON_TIME:
        yield
        return
    with suppress(OSError):  # not as an ordinary user, and it goes without
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    yield
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
