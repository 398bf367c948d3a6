"""The purpose of a recording, counted by a hand that stays on the button after the stop. No I/O.

The tasks of Police Act 2012, article 3: a public order, b criminal enforcement, c help to those in need, d tasks for
the judiciary, e the safety of persons. Nothing counted, or counted beyond e: the recording stays unclassified.
"""

from __future__ import annotations

PURPOSES = "abcde"


class PurposeCount:
    """Counts for one recording after another."""

    def __init__(self) -> None:
        self._count = 0

    def clear(self) -> None:
        """A hold has just stopped a recording: count anew."""
        self._count = 0

    def count(self) -> bool:
        """Count one on; return whether there is such a purpose."""
        self._count += 1
        return self._count <= len(PURPOSES)

    def take(self) -> str | None:
        """Return the purpose that was counted to, or None."""
        count, self._count = self._count, 0
        return PURPOSES[count - 1] if 1 <= count <= len(PURPOSES) else None
