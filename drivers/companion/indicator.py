"""The recording light on the companion controller."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.button.protocol import ButtonEdge
from drivers.companion.lines import Status
from drivers.companion.link import CompanionLink
from drivers.errors import DriverError
from drivers.indicator.protocol import LightSink, LightState, require_level

_FULL = 1_000


class CompanionIndicator:
    """A light that the controller drives and senses. Implements `drivers.indicator.protocol.Indicator`.

    It counts as sensed lit only while the controller says so in its status lines, ten times a second and at once when
    it changes. When the link is lost it counts as dark, whatever was said before: the controller then puts it out by
    itself, or flashes that nothing is recorded. What was commanded holds again when the link comes back.
    """

    def __init__(self, link: CompanionLink, *, now: Callable[[], int] = time.monotonic_ns) -> None:
        """Stand on `link`, which stays the caller's to close."""
        self._link = link
        self._now = now
        self._sink: LightSink | None = None
        self._commanded = False
        self._reported: tuple[bool, bool] = (False, False)
        self._closed = False
        link.listen(self)

    @property
    def name(self) -> str:
        """``companion``."""
        return "companion"

    @property
    def lamp(self) -> str | None:
        """What the controller makes of the lamp: off, wait, ok, open, short or stuck; None while the link is lost."""
        status = self._link.status
        return None if status is None else status.lamp

    def light(self, level: float) -> None:
        """Command the light; see the protocol. Returns at once.

        Raises:
            DriverError: it was closed, or the link is lost.
        """
        require_level(level)
        with self._link.lock:
            if self._closed:
                raise DriverError("indicator: it was closed; make a new one")
            # What is on at all is never rounded to dark.
            permille = max(1, round(level * _FULL)) if level > 0 else 0
            try:
                self._link.light(permille)
            except DriverError as error:
                self._commanded = False
                self._report_if_changed(self._link.status)
                raise DriverError(f"indicator: switching the light {'on' if permille else 'off'}: {error}") from error
            self._commanded = permille > 0
            self._report_if_changed(self._link.status)

    def state(self) -> LightState:
        """Read the command, and what the controller last said of the lamp."""
        with self._link.lock:
            return self._state(self._link.status)

    def watch(self, sink: LightSink | None) -> None:
        """Report every change to `sink`; None stops it."""
        with self._link.lock:
            self._sink = sink

    def close(self) -> None:
        """Put the light out. Idempotent. With a lost link the controller does it."""
        with self._link.lock:
            if self._closed:
                return
            self._closed = True
            self._sink = None
            self._commanded = False
            self._link.unlisten(self)
            if self._link.live:
                self._link.light(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def heard(self, status: Status | None) -> None:
        """Take what the controller says."""
        self._report_if_changed(status)

    def moved(self, edge: ButtonEdge) -> None:
        """Leave the button to others."""

    def _sensed(self, status: Status | None) -> bool:
        if status is None:
            return False
        # What was sensed before the controller took the command says nothing about this light.
        return status.lit and not (self._commanded and status.level == 0)

    def _state(self, status: Status | None) -> LightState:
        return LightState(self._now(), self._commanded, self._sensed(status))

    def _report_if_changed(self, status: Status | None) -> None:
        state = self._state(status)
        report = (state.commanded, bool(state.sensed))
        if report != self._reported:
            self._reported = report
            if self._sink is not None:
                self._sink(state)
