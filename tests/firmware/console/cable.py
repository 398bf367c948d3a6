"""A pseudo-terminal as the technician's cable, between a console on a thread and whoever asks."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from firmware.console.dispatcher import Dispatcher
from firmware.console.gate import Gate
from firmware.console.handler import Handler
from firmware.console.place import Place
from firmware.console.service import ConsoleService
from wire.answering import Answering
from wire.calling import Calling
from wire.serial_line import SerialLine

PATIENCE_S = 20.0


class Cable:
    """Two pseudo-terminals joined: `device` and `station` are the names of the two ports. A context manager.

    With `cut_after` it loses all that comes after so many bytes, both directions together, until `mend`.
    """

    def __init__(self, cut_after: int | None = None) -> None:
        self.passed = 0
        self.is_cut = threading.Event()
        self._left = cut_after
        self._ends = [os.openpty(), os.openpty()]
        for _master, slave in self._ends:
            tty.setraw(slave)
        self.device, self.station = (os.ttyname(slave) for _master, slave in self._ends)
        self._lock = threading.Lock()
        self._wake = os.pipe()
        self._pump = threading.Thread(target=self._run, name="cable", daemon=True)
        self._pump.start()

    def cut(self) -> None:
        """Lose all that comes from now on, until `mend`."""
        with self._lock:
            self._left = 0
            self.is_cut.set()

    def mend(self) -> None:
        with self._lock:
            self._left = None

    def _run(self) -> None:
        masters = [master for master, _slave in self._ends]
        while True:
            ready, _, _ = select.select([self._wake[0], *masters], [], [])
            if self._wake[0] in ready:
                return
            for source in ready:
                data = os.read(source, 4096)
                with self._lock:
                    if self._left is not None:
                        data, self._left = data[: self._left], max(0, self._left - len(data))
                        if not self._left:
                            self.is_cut.set()
                    self.passed += len(data)
                os.write(masters[1 - masters.index(source)], data)

    def close(self) -> None:
        """Both ports are gone, as those of a cable that was pulled."""
        os.write(self._wake[1], b"x")
        self._pump.join(PATIENCE_S)
        for fd in (*self._wake, *(fd for pair in self._ends for fd in pair)):
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Console:
    """The device's console on a thread of its own, at one end of a cable. A context manager."""

    def __init__(self, place: Place, handlers: Iterable[Handler], port: str) -> None:
        gate = Gate(place.device, place.unit, place.on_record_ns, place.clock)
        self.answering = Answering(place.greeting, Dispatcher(handlers, gate).handle)
        self._stop = threading.Event()
        self.service = ConsoleService(lambda: SerialLine(port), self.answering, self._stop, again_s=0.01)
        self._thread = threading.Thread(target=self.service.run, name="console")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def calling(cable: Cable, patience_s: float = PATIENCE_S) -> Iterator[Calling]:
    with SerialLine(cable.station) as line:
        yield Calling(line, patience_s=patience_s, again_s=0.2)
