"""The record button on the companion controller, which keeps each edge until this side has taken it."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

from drivers.button.protocol import ButtonEdge, ButtonSink
from drivers.companion.lines import Status
from drivers.companion.link import CompanionLink

_EARLY_EDGES = 64


class CompanionButton:
    """Edges with the times at which they happened. Implements `drivers.button.protocol.Button`.

    What happens while the link is lost is reported when it is back, with its own time: an edge may be seconds old.
    What happened before the first `watch` is reported then: a press during the start is no lost press.
    """

    def __init__(self, link: CompanionLink) -> None:
        """Stand on `link`, which stays the caller's to close."""
        self._link = link
        self._sink: ButtonSink | None = None
        self._pressed = False
        self._early: deque[ButtonEdge] | None = deque(maxlen=_EARLY_EDGES)
        """Until somebody watches."""
        link.listen(self)

    @property
    def name(self) -> str:
        """``companion``."""
        return "companion"

    @property
    def pressed(self) -> bool:
        """Whether the button was down when the controller last told; False once closed."""
        return self._pressed

    def watch(self, sink: ButtonSink | None) -> None:
        """Report every edge to `sink`; None stops it."""
        with self._link.lock:
            self._sink = sink
            if sink is not None and self._early is not None:
                early, self._early = self._early, None
                for edge in early:
                    sink(edge)

    def close(self) -> None:
        """Report no more. Idempotent."""
        with self._link.lock:
            self._link.unlisten(self)
            self._pressed = False
            self._sink = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def heard(self, status: Status | None) -> None:
        """Leave the status to others: an edge that it shows comes as an edge, too."""

    def moved(self, edge: ButtonEdge) -> None:
        """Take an edge."""
        self._pressed = edge.pressed
        if self._sink is not None:
            self._sink(edge)
        elif self._early is not None:
            self._early.append(edge)
