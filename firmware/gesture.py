"""Button edges in, gestures out. No I/O, no clock of its own: times come with the edges and the ticks.

A gloved, shaking hand makes long contacts and chatter. An edge counts only if the contact then stays as it is for
`debounce_ns`; what is shorter never happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Gesture(Enum):
    """What the officer did."""

    DOWN = "down"
    """The button went down. Always comes first; it starts a recording at once."""
    SHORT = "short"
    """Down and up again, and no second press followed."""
    DOUBLE = "double"
    """Two quick presses, and no third where three mean something."""
    TRIPLE = "triple"
    """Three quick presses; only where `GestureTimes.triple` says so."""
    HOLD = "hold"
    """Down for the holding time; comes while the button is still down."""
    COUNT = "count"
    """Still down after a hold: once for each counting time, up to `MAX_COUNTS` times."""
    LET_GO = "let go"
    """Up again after a hold."""
    STUCK = "stuck"
    """Down for longer than any hand holds; comes once."""


MAX_COUNTS = 6
"""One for each purpose, a to e, and one that takes the choice back."""


@dataclass(frozen=True, slots=True)
class GestureTimes:
    """How long is long, in nanoseconds."""

    debounce_ns: int = 30_000_000
    hold_ns: int = 2_000_000_000
    double_ns: int = 400_000_000
    """From the release of the first press to the second press at most."""
    first_count_ns: int = 1_500_000_000
    """From the hold to the first count: time to let go of a button that was only to stop."""
    count_ns: int = 1_000_000_000
    stuck_ns: int = 30_000_000_000
    triple: bool = False
    """Three presses mean something; then two are known to be two only `double_ns` after the second."""


class GestureReader:
    """Turns edges into gestures. Call `tick` at `deadline_ns`, and whenever convenient."""

    def __init__(self, times: GestureTimes = GestureTimes()) -> None:
        self._times = times
        self._raw = False
        self._raw_ns = 0
        self._down = False
        self._down_ns = 0
        self._spent = False
        self._held = False
        self._counts = 0
        self._stuck = False
        self._first_up_ns: int | None = None
        """When the last quick press ended, while another may follow."""
        self._quick = 0
        """How many quick presses have ended so."""

    def edge(self, pressed: bool, time_ns: int) -> list[Gesture]:
        """Take an edge; return what has become certain by then."""
        found = self.tick(time_ns)
        if pressed != self._raw:
            self._raw, self._raw_ns = pressed, time_ns
        return found

    def tick(self, now_ns: int) -> list[Gesture]:
        """Return the gestures that have become certain by `now_ns`."""
        found: list[Gesture] = []
        if self._raw != self._down and now_ns - self._raw_ns >= self._times.debounce_ns:
            found += self._settle()
        if self._down and not self._spent and now_ns - self._down_ns >= self._times.hold_ns:
            # A press just before it was not a short one: a second press did follow. Two just before it were two.
            if self._quick == 2:
                found.append(Gesture.DOUBLE)
            self._spent, self._held, self._first_up_ns, self._quick = True, True, None, 0
            found.append(Gesture.HOLD)
        elif (
            self._first_up_ns is not None
            and not self._down
            and not self._second_may_be_coming(self._first_up_ns)
            and now_ns - self._first_up_ns > self._times.double_ns
        ):
            found.append(Gesture.DOUBLE if self._quick == 2 else Gesture.SHORT)
            self._first_up_ns, self._quick = None, 0
        return found + self._still_down(now_ns)

    def spend(self) -> None:
        """The press that is under way has had its effect; only what follows a hold still counts."""
        self._spent = True
        self._first_up_ns, self._quick = None, 0

    @property
    def deadline_ns(self) -> int | None:
        """When `tick` may next find something, or None."""
        candidates = []
        if self._raw != self._down:
            candidates.append(self._raw_ns + self._times.debounce_ns)
        if self._down and not self._spent:
            candidates.append(self._down_ns + self._times.hold_ns)
        if self._down and self._raw and self._held and self._counts < MAX_COUNTS:
            candidates.append(self._next_count_ns)
        if self._down and self._raw and not self._stuck:
            candidates.append(self._down_ns + self._times.stuck_ns)
        if self._first_up_ns is not None and not self._down and not self._second_may_be_coming(self._first_up_ns):
            candidates.append(self._first_up_ns + self._times.double_ns + 1)
        return min(candidates, default=None)

    @property
    def _next_count_ns(self) -> int:
        times = self._times
        return self._down_ns + times.hold_ns + times.first_count_ns + self._counts * times.count_ns

    def _still_down(self, now_ns: int) -> list[Gesture]:
        """Return what a button that stays down comes to mean."""
        found: list[Gesture] = []
        if not self._down or not self._raw:
            return found  # a contact that is opening counts no further: it may have been let go
        while self._held and self._counts < MAX_COUNTS and now_ns >= self._next_count_ns:
            self._counts += 1
            found.append(Gesture.COUNT)
        if not self._stuck and now_ns - self._down_ns >= self._times.stuck_ns:
            self._stuck = True
            found.append(Gesture.STUCK)
        return found

    def _second_may_be_coming(self, first_up_ns: int) -> bool:
        """The contact closed in time for a second press, and is not known to be chatter yet."""
        return self._raw and self._raw_ns - first_up_ns <= self._times.double_ns

    def _settle(self) -> list[Gesture]:
        self._down = self._raw
        if self._down:
            self._down_ns = self._raw_ns
            self._spent = self._held = self._stuck = False
            self._counts = 0
            return [Gesture.DOWN]
        if self._held:
            return [Gesture.LET_GO]
        if self._spent:
            return []
        self._quick += 1
        if self._quick < (3 if self._times.triple else 2):
            self._first_up_ns = self._raw_ns
            return []
        found = Gesture.TRIPLE if self._quick == 3 else Gesture.DOUBLE
        self._first_up_ns, self._quick = None, 0
        return [found]
