"""What stands in for the recorder of a device that belongs to no unit: it records nothing, and has no chain."""

from __future__ import annotations

import logging

from firmware.recorder import Progress

_SEALED = frozenset({"position", "assignment"})
_log = logging.getLogger("getuige")


class NoRecorder:
    """Takes every call and records nothing. Implements `firmware.appliance.Records`; what happens goes to the log."""

    def __init__(self) -> None:
        self._progress = Progress(bytes(16), 0, 0, bytes(32), 0, 0)

    @property
    def alive(self) -> bool:
        """There is nothing that could die."""
        return True

    @property
    def progress(self) -> Progress:
        """Nothing was ever stored."""
        return self._progress

    def begin(self) -> None:
        """There is no journal to open."""

    def start(self) -> None:
        """Never called: no state of an unenrolled device leads here. Refuse loudly if it is."""
        raise RuntimeError("a device that belongs to no unit does not record")

    def stop(self, reason: str = "stop") -> None:
        """Nothing runs that could be stopped."""

    def buffer(self, on: bool) -> None:
        """There is nothing to fill it with, and no policy that allows one."""

    def note(self, name: str, **details: str | int | bool | None) -> None:
        """Log it, but for what is nobody's business: the system's log is not sealed."""
        if name not in _SEALED:
            _log.info("%s %s", name, details or "")

    def shut_down(self, timeout_s: float) -> bool:
        """There is nothing to close."""
        del timeout_s
        return True
