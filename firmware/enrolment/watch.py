"""How a running recorder takes notice of an enrolment: it ends in good order, and is started anew by systemd.

It looks once a second. Without a unit, it ends when an identity and a policy have come. With one, it ends for an
identity that replaces its own as soon as nothing is recorded; `firmware.enrolment.settling` finishes it at the start.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from firmware.enrolment.staging import Staging
from firmware.states import KEEPING, State
from storage.keyring_file import is_enrolled

_EVERY_NS = 1_000_000_000
_BUSY = KEEPING | {State.ANNOUNCING, State.PRESSED_EARLY, State.OFF}


Marks = tuple[tuple[int, int], ...]


def marks(state: Path) -> Marks:
    """Return what tells the files that enrolment writes from those before."""
    found = []
    for name in ("keyring", "policy.toml", "unit.pub"):
        try:
            status = (state / name).stat()
            found.append((status.st_ino, status.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


class EnrolmentWatch:
    """Owned by the main thread."""

    def __init__(self, state: Path, begun: Marks, monotonic_ns: Callable[[], int], *, enrolled: bool) -> None:
        """`begun` is how the files stood before the device read them, so that nothing comes unseen in between."""
        self._state = state
        self._staging = Staging(state)
        self._monotonic_ns = monotonic_ns
        self._enrolled = enrolled
        self._begun = begun
        self._looked_ns = monotonic_ns()
        self._said = False

    def due(self, now: State) -> bool:
        """Whether the device is to end for an enrolment, in the state that it is in; it says so once."""
        time_ns = self._monotonic_ns()
        if self._said or now in _BUSY or time_ns - self._looked_ns < _EVERY_NS:
            return False
        self._looked_ns = time_ns
        self._said = self._staging.replaces if self._enrolled else self._came()
        return self._said

    def _came(self) -> bool:
        return is_enrolled(self._state) and (self._state / "policy.toml").exists() and marks(self._state) != self._begun
