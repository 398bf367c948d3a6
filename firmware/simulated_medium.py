"""A flash that can be made to hang, to fill up or to break: it stands in for fdatasync(2) in the simulator."""

from __future__ import annotations

import errno
import os
import threading

_HANG_S = 60.0


class SimulatedMedium:
    """Syncs for real, unless told otherwise."""

    def __init__(self) -> None:
        self._answers = threading.Event()
        self._answers.set()
        self._error: int | None = None

    def hang(self, hangs: bool) -> None:
        """Let every sync wait until this is called with False, or for a minute."""
        if hangs:
            self._answers.clear()
        else:
            self._answers.set()

    @property
    def hanging(self) -> bool:
        """Whether it hangs."""
        return not self._answers.is_set()

    def fail(self, number: int | None = errno.EIO) -> None:
        """Let every sync fail with that errno from now on; None repairs it."""
        self._error = number

    def sync(self, fd: int) -> None:
        """Sync a file's data.

        Raises:
            OSError: the medium refused it, for real or as it was told.
        """
        self._answers.wait(_HANG_S)
        if self._error is not None:
            raise OSError(self._error, os.strerror(self._error))
        os.fdatasync(fd)
