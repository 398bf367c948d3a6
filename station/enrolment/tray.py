"""A whole tray: each device is enrolled as it is plugged in, several at once, on a thread each ("tray-PORT").

The main thread looks at the ports. A port that ended is left alone until it goes and comes again; one whose cable was
pulled in the middle is tried again as long as it is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from station.enrolment.ending import Ending
from station.enrolment.ports import Ports

_LOOK_S = 0.5
_AGAIN_S = 2.0
_MOST = 32
_JOIN_S = 30.0


class Tray:
    """Owned by one thread."""

    def __init__(
        self,
        ports: Ports,
        enrol: Callable[[str], Ending],
        report: Callable[[Ending], None],
        *,
        count: int | None = None,
        look_s: float = _LOOK_S,
        again_s: float = _AGAIN_S,
    ) -> None:
        """`enrol` does one attempt at a port; `report` is told of each end, one at a time; `count` devices end it."""
        self._ports = ports
        self._enrol = enrol
        self._report = report
        self._count = count
        self._look_s = look_s
        self._again_s = again_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._said: dict[str, str] = {}
        self.enrolled: set[str] = set()
        """Ids of the devices that ended well."""
        self.refused = 0
        self._failure: Exception | None = None

    def run(self) -> None:
        """Work until `stop`, or until so many devices are enrolled.

        Raises:
            StationError: what was done could not be written down.
        """
        try:
            while not self._stop.is_set():
                self._look()
                self._stop.wait(self._look_s)
        finally:
            self._stop.set()
            for thread in self._threads.values():
                thread.join(_JOIN_S)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End it after what is under way."""
        self._stop.set()

    def _look(self) -> None:
        there = self._ports()
        for port in set(self._threads) - there:
            if not self._threads[port].is_alive():
                del self._threads[port]
                with self._lock:
                    self._said.pop(port, None)
        for port in sorted(there - set(self._threads)):
            if sum(thread.is_alive() for thread in self._threads.values()) < _MOST:
                thread = threading.Thread(target=self._tend, args=(port,), name=f"tray-{Path(port).name}", daemon=True)
                self._threads[port] = thread
                thread.start()

    def _tend(self, port: str) -> None:
        """Enrol what is at a port."""
        while not self._stop.is_set():
            ending = self._enrol(port)
            if not self._take(ending) or self._stop.wait(self._again_s) or port not in self._ports():
                return

    def _take(self, ending: Ending) -> bool:
        """Report an end; return whether it is worth another try."""
        with self._lock:
            again = ending.result == "unfinished"
            told = again and self._said.get(ending.port) == ending.trouble  # each trouble once
            self._said[ending.port] = ending.trouble
            if not told:
                try:
                    self._report(ending)
                except Exception as error:  # noqa: BLE001 - raised again by `run`, on the thread that owns this
                    self._failure = error
                    self._stop.set()
            if ending.ended is not None:
                self.enrolled.add(ending.ended.granted.device)
            elif not again:
                self.refused += 1
            if self._count is not None and len(self.enrolled) >= self._count:
                self._stop.set()
        return again
