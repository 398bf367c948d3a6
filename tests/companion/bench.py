"""The controller's own program in a real MicroPython, on simulated pins, behind a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.companion.flash import INTERPRETER, MAIN, STUBS, Flash

PATIENCE_S = 20.0
CAMERA_PIN, LIGHT_PIN = 16, 15


class Controller:
    """An RP2040 with the companion's program. A context manager; `port` is where the Pi's driver finds it."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._flash = Flash(base / "flash")
        self._control_path, self._events_path = base / "control", base / "events"
        for path in (self._control_path, self._events_path):
            os.mkfifo(path)
        self.port = str(base / "port")
        self.events: list[tuple[int, list[str]]] = []
        """What the pins did: microseconds of the monotonic clock, words."""
        self._changed = threading.Condition()
        self._tickets = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._threads: list[threading.Thread] = []
        self._terminal: tuple[int, int] | None = None
        self._closed = threading.Event()
        # Opened both ways, so that nobody waits for the other end and none sees an end of file at a restart.
        self._control = os.open(self._control_path, os.O_RDWR)
        self._events = os.open(self._events_path, os.O_RDWR | os.O_NONBLOCK)
        self.plug()

    def plug(self) -> None:
        """Lay a new line between Pi and controller, as a cable that is plugged in."""
        outer, inner = pty.openpty()
        pi, pi_side = pty.openpty()
        for fd in (outer, inner, pi, pi_side):
            tty.setraw(fd)
        self._terminal = (outer, pi)
        self._inner, self._pi_side = inner, pi_side
        link = Path(self.port)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(pi_side))
        self._far = os.ttyname(inner)
        for source, target in ((outer, pi), (pi, outer)):
            thread = threading.Thread(target=self._carry, args=(source, target), daemon=True)
            thread.start()
            self._threads.append(thread)

    def start(self, reset: str = "power") -> None:
        """Power the controller on."""
        self._process = subprocess.Popen(
            [INTERPRETER, "-c", MAIN],
            env={
                "MICROPYPATH": f"{STUBS}:.frozen", "COMPANION_FLASH": str(self._flash.path),
                "COMPANION_UART": self._far, "COMPANION_CONTROL": str(self._control_path),
                "COMPANION_EVENTS": str(self._events_path), "COMPANION_RESET": reset, "PATH": os.environ["PATH"],
            },
        )  # fmt: skip
        watcher = threading.Thread(target=self._watch, args=(self._process,), daemon=True)
        watcher.start()
        self._threads.append(watcher)

    def kill(self) -> None:
        """Take its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
            self._process = None

    def do(self, *words: object) -> None:
        """Let something happen to the board; returns when it has."""
        self._tickets += 1
        ticket = str(self._tickets)
        os.write(self._control, (" ".join(map(str, (ticket, *words))) + "\n").encode())
        self.until(lambda: any(event[1] == ["done", ticket] for event in self.events))

    def until(self, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait for the pins to do something."""
        with self._changed:
            assert self._changed.wait_for(holds, patience_s), self.events[-20:]

    def pin(self, number: int) -> str | None:
        """What a pin was last driven with."""
        with self._changed:
            found = [words[2] for _time, words in self.events if words[:2] == ["pin", str(number)]]
        return found[-1] if found else None

    def driven(self, number: int) -> list[str]:
        """Everything that a pin was driven with until now, in order: what happened before this call is in it."""
        self.do("battery", 3900, 0)  # as it was: its answer comes behind whatever the pins did before
        with self._changed:
            return [words[2] for _time, words in self.events if words[:2] == ["pin", str(number)]]

    def inject(self, data: bytes) -> None:
        """Put noise on the line to the Pi."""
        assert self._terminal is not None
        os.write(self._terminal[1], data)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self.kill()
        for fd in (self._inner, self._pi_side, *(self._terminal or ()), self._control):
            os.close(fd)

    def _carry(self, source: int, target: int) -> None:
        while not self._closed.is_set():
            try:
                os.write(target, os.read(source, 1024))
            except OSError:
                return

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        rest = b""
        while process.poll() is None:
            try:
                rest += os.read(self._events, 65536)
            except BlockingIOError:
                time.sleep(0.002)  # a FIFO that is open both ways never ends, so its reader has to look
                continue
            *lines, rest = rest.split(b"\n")
            with self._changed:
                for line in lines:
                    at, *words = line.decode().split(" ")
                    if words != ["feed"]:
                        self.events.append((int(at), words))
                self._changed.notify_all()
