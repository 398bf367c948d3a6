"""The record button on the companion controller, which keeps each edge until this side has taken it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from drivers.button.protocol import ButtonEdge, ButtonSink
from drivers.companion.lines import Status
from drivers.companion.link import CompanionLink


class CompanionButton:
    """Edges with the times at which they happened. Implements `drivers.button.protocol.Button`.

    What happens while the link is lost is reported when it is back, with its own time: an edge may be seconds old.
    """

    def __init__(self, link: CompanionLink) -> None:
        """Stand on `link`, which stays the caller's to close."""
        self._link = link
        self._sink: ButtonSink | None = None
        self._pressed = False
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
