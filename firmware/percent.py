"""How far something is, in steps that a person can follow."""

from __future__ import annotations

from collections.abc import Callable

_STEP_PERCENT = 5


class Percent:
    """Implements `drivers.companion_program.protocol.Progress`: tells every 5 %, and the end."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._told = -_STEP_PERCENT

    def __call__(self, sent: int, whole: int) -> None:
        """Take how much of the whole is done."""
        percent = 100 * sent // max(1, whole)
        if percent >= self._told + _STEP_PERCENT or (percent == 100 and self._told != 100):
            self._told = percent if percent == 100 else percent - percent % _STEP_PERCENT
            self._tell(self._told)
