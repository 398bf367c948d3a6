"""Camera and microphone while the device waits: they fill the pre-event buffer, where the unit's policy allows one.

On the recorder's thread. Whoever turns it on has shown people nearby that it is on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from capture.chunk import CmafChunk
from capture.errors import CaptureError
from drivers.errors import DriverError
from firmware.capture_source import CaptureSource
from firmware.pre_event import PreEventBuffer
from firmware.stamps import Stamper
from storage.layout import Light, Stamp

_POLL_S = 0.1
_BACKOFF_S = 10.0
ROUND_NS = 2_000_000_000
"""The pattern of a device that fills its buffer is lit at least once in so long."""
_UNSEEN = "the light is dark: nobody can see that the last seconds are held; take the device in"


class Note(Protocol):
    """Puts an event on record."""

    def __call__(self, name: str, **details: str | int | bool | None) -> None:
        """Never blocks."""
        ...


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A capture that runs, and what was held of it."""

    capture: CaptureSource
    held: Iterator[tuple[CmafChunk, Stamp]]


class StandbyCapture:
    """Fills a buffer of `length_ns` while it is wanted; with 0 it never runs."""

    def __init__(
        self,
        make_capture: Callable[[], CaptureSource],
        stamper: Stamper,
        length_ns: int,
        note: Note,
        on_trouble: Callable[[str], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_trouble` is told why the buffer cannot be filled, and, with an empty text, that it is filled again."""
        self._make_capture = make_capture
        self._stamper = stamper
        self._allowed = length_ns > 0
        self._buffer = PreEventBuffer(length_ns)
        self._note = note
        self._on_trouble = on_trouble
        self._monotonic = monotonic
        self._wanted = False
        self._capture: CaptureSource | None = None
        self._trouble = False
        self._retry_s = 0.0

    @property
    def active(self) -> bool:
        """Whether `step` is to be called."""
        return self._wanted

    def want(self, on: bool) -> None:
        """Turn it on or off. Off, nothing is held any more when this returns.

        Raises:
            CaptureError: a driver hangs.
        """
        self._wanted = on and self._allowed
        if not self._wanted:
            self._end()

    def step(self) -> None:
        """Take in what came; returns after a tenth of a second at most.

        Raises:
            CaptureError: a driver hangs.
        """
        if self._capture is None and self._monotonic() < self._retry_s:
            time.sleep(_POLL_S)
            return
        try:
            chunk = self._running().read(_POLL_S)
        except (CaptureError, DriverError) as error:
            self._fail(str(error))
            return
        if chunk is None:
            return
        if not self._shown(chunk.start_ns + chunk.duration_ns):
            self._fail(_UNSEEN)
            return
        self._buffer.add(chunk, self._stamper.over(chunk.start_ns, chunk.duration_ns))
        if self._trouble:
            self._trouble = False
            self._on_trouble("")

    def hand_over(self) -> HandedOver | None:
        """Give the running capture and what is held to a recording; None where nothing runs. Off afterwards.

        Raises:
            CaptureError: a driver hangs.
        """
        if self._capture is not None and self._buffer.held_ns and not self._shown(self._buffer.end_ns):
            self._fail(_UNSEEN)
        self._wanted = False
        capture, self._capture = self._capture, None
        if capture is None:
            return None
        self._note("pre-event", held_ms=self._buffer.held_ns // 1_000_000)
        return HandedOver(capture, self._buffer.take())

    def _running(self) -> CaptureSource:
        if self._capture is None:
            # Kept before it is started: one that does not start is closed all the same.
            self._capture = self._make_capture()
            self._capture.start()
            self._note("buffering", on=True)
        return self._capture

    def _shown(self, end_ns: int) -> bool:
        """Whether the light told people nearby in the last round of its pattern before `end_ns`."""
        stamp = self._stamper.over(end_ns - ROUND_NS, ROUND_NS)
        return stamp.commanded is not Light.DARK and stamp.sensed is not Light.DARK

    def _fail(self, text: str) -> None:
        self._retry_s = self._monotonic() + _BACKOFF_S
        if not self._trouble:
            self._trouble = True
            self._on_trouble(text)
        self._end()

    def _end(self) -> None:
        self._buffer.wipe()
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.close()
            self._note("buffering", on=False)
