"""Keeps what the button did until the Pi has taken it. No I/O.

Runs in MicroPython on the controller, and in CPython in the tests.
"""

CAPACITY = 32
WINDOW = 8
"""So many edges at most are under way to the Pi."""


class EdgeLog:
    """Edges in order, numbered from 1 without a gap; each is the opposite of the one before.

    When it is full, the shortest contact or gap that was not sent yet is taken out as a pair: a chatter goes first, a
    press last. `dropped` counts what was taken out.
    """

    def __init__(self) -> None:
        self._edges: list[tuple[bool, int]] = []
        self._sent = 0
        self.acked = 0
        self.dropped = 0
        self.pressed = False

    @property
    def last(self) -> int:
        """The number of the newest edge."""
        return self.acked + len(self._edges)

    def record(self, pressed: bool, at: int) -> bool:
        """Take the button's level at `at` (milliseconds); return whether it was an edge."""
        if pressed == self.pressed:
            return False
        self.pressed = pressed
        self._edges.append((pressed, at))
        if len(self._edges) > CAPACITY:
            self._thin()
        return True

    def pending(self) -> list[tuple[int, bool, int]]:
        """Return the edges to be sent (number, pressed, time), oldest first; from now on they stay as they are."""
        self._sent = max(self._sent, min(WINDOW, len(self._edges)))
        first = self.acked + 1
        return [(first + at, edge[0], edge[1]) for at, edge in enumerate(self._edges[: self._sent])]

    def seen(self, number: int) -> bool:
        """The Pi has taken everything up to `number`; False if it cannot have."""
        taken = number - self.acked
        if taken > self._sent:
            return False
        if taken > 0:
            self._edges = self._edges[taken:]
            self._sent -= taken
            self.acked = number
        return True

    def _thin(self) -> None:
        edges = self._edges
        at = min(range(self._sent, len(edges) - 1), key=lambda i: edges[i + 1][1] - edges[i][1])
        del edges[at : at + 2]
        self.dropped += 2
