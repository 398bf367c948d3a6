"""A sink that keeps what it is given, and lets a test await it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
TIMEOUT_S = 30.0


class Collector(Generic[Item]):
    """Call it with items; it notes when each arrived, and by which thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.items: list[Item] = []
        self.arrivals_ns: list[int] = []
        self.threads: set[str] = set()

    def __call__(self, item: Item) -> None:
        with self._changed:
            self.items.append(item)
            self.arrivals_ns.append(time.monotonic_ns())
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def wait(self, count: int, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until `count` items are there."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.items) >= count, timeout_s)
        assert enough, f"{len(self.items)} items in {timeout_s:g} s, not {count}"

    def none_within(self, seconds: float) -> bool:
        """Watch for `seconds`: whether nothing came."""
        with self._changed:
            before = len(self.items)
            return not self._changed.wait_for(lambda: len(self.items) > before, seconds)


def until(true: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Wait for something that announces itself to nobody."""
    give_up = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.02)
