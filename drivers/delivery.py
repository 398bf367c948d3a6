"""The way from a driver's own thread to the sink it was started with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

CLOSE_TIMEOUT_S = 5.0


class Delivery(Generic[Item]):
    """Hands items over between `open` and `close`, and knows when they stopped coming.

    `close` waits for a call under way, so that the sink is not called after it has returned. Nothing a sink does can
    unwind the thread of a foreign library: an exception becomes the driver's fault, and closes the way.
    """

    def __init__(
        self,
        part: str,
        item_name: str,
        *,
        first_ns: int,
        stall_ns: int,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Name the part and its items for messages; `first_ns` and `stall_ns` are how long silence is taken for work.

        `first_ns` counts from `open` to the first item, `stall_ns` from one item to the next.
        """
        self._part = part
        self._item_name = item_name
        self._first_ns = first_ns
        self._stall_ns = stall_ns
        self._now = now
        self._lock = threading.RLock()  # reentrant: a sink may stop its driver
        self._sink: Callable[[Item], None] | None = None
        self._waiting_since_ns: int | None = None
        self._given = 0
        self._fault: str | None = None

    @property
    def given(self) -> int:
        """Items handed over since `open`."""
        return self._given

    def open(self, sink: Callable[[Item], None]) -> None:
        """Let items through to `sink`, with a clean slate."""
        with self._lock:
            self._sink = sink
            self._given = 0
            self._fault = None
            self._waiting_since_ns = self._now()

    def close(self) -> None:
        """Let nothing through any more; a fault stays on record. Idempotent.

        A sink that breaks its promise and does not return is waited for no longer than CLOSE_TIMEOUT_S.
        """
        waited_for = self._lock.acquire(timeout=CLOSE_TIMEOUT_S)
        try:
            self._sink = None
            self._waiting_since_ns = None
            if not waited_for:
                self.fail(f"whoever takes its {self._item_name} has not returned within {CLOSE_TIMEOUT_S:g} s")
        finally:
            if waited_for:
                self._lock.release()

    def give(self, item: Item) -> None:
        """Hand one item over, or drop it when closed. Never raises an `Exception`."""
        with self._lock:
            if self._sink is None:
                return
            try:
                self._sink(item)
            except Exception as error:  # noqa: BLE001 - the caller is a thread of picamera2, PortAudio or FFmpeg
                self.fail(f"its {self._item_name} could not be handed over ({type(error).__name__}: {error})")
                self._sink = None
                return
            self._given += 1
            if self._sink is not None:  # else the sink has stopped its driver, or was given up on
                self._waiting_since_ns = self._now()

    def fail(self, reason: str) -> None:
        """Record why the part stopped by itself; the first reason is kept."""
        if self._fault is None:
            self._fault = f"{self._part}: {reason}"

    def fault(self) -> str | None:
        """One line saying what is wrong, or None."""
        since_ns, fault, given = self._waiting_since_ns, self._fault, self._given
        if fault is not None or since_ns is None:
            return fault
        silent_ns = self._now() - since_ns
        if silent_ns <= (self._stall_ns if given else self._first_ns):
            return None
        return f"{self._part}: no {self._item_name} for {silent_ns / 1e9:.1f} s; restart it, and check its cable"
