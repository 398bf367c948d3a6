"""Tells from the lamp's current whether it shines. No I/O.

Runs in MicroPython on the controller, and in CPython in the tests. A lamp that draws too much is as dark as one that
draws nothing: it is shorted.
"""

SETTLE_MS = 60
"""The sense filter takes so long to follow a change of level (10 ms time constant)."""
LOW_PERCENT = 50
HIGH_PERCENT = 160
STUCK_PERMILLE = 15
"""Of the full current: more than this in a lamp that is off is no noise."""


class Lamp:
    """Follows the readings of the lamp's ADC."""

    def __init__(self, full: int) -> None:
        """`full` is what a good lamp at full level reads."""
        self._full = full
        self._level = 0
        self._before = 0
        self._changed_at: int | None = None
        self.verdict = "off"
        """off, wait (just switched on), ok, open, short, stuck (draws current though it is off)."""

    @property
    def drawing(self) -> bool:
        """Whether it draws the current of a lamp that shines."""
        return self.verdict in ("ok", "stuck")

    def judge(self, reading: int, level: int, now: int) -> None:
        """Take a reading; `level` is what drives the lamp, in thousandths, `now` in milliseconds."""
        if level != self._level:
            self._before = self._level
            self._level = level
            self._changed_at = now
        settled = self._changed_at is None or now - self._changed_at >= SETTLE_MS
        if level == 0:
            self.verdict = "stuck" if reading * 1000 > self._full * STUCK_PERMILLE else "off"
            return
        expected = self._full * level // 1000
        if expected * LOW_PERCENT <= reading * 100 <= expected * HIGH_PERCENT:
            self.verdict = "ok"
        elif settled:
            self.verdict = "open" if reading < expected else "short"
        elif not self._before:
            self.verdict = "wait"
        # else: dimmed just now, and the filter has not followed: what was known before holds
