"""The console's loop: the port is opened, what comes is answered; a cable that is pulled is normal life."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from wire.answering import Answering
from wire.errors import LineLostError

_READ_S = 0.5
_AGAIN_S = 1.0
_log = logging.getLogger("getuige")


class OpenLine(Protocol):
    """`wire.serial_line.SerialLine`."""

    def read(self, timeout_s: float) -> bytes:
        """Return what came."""
        ...

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    def close(self) -> None:
        """Let go of the port."""
        ...


class ConsoleService:
    """Runs on the main thread of its process, until `stop` is set."""

    def __init__(
        self,
        open_line: Callable[[], OpenLine],
        answering: Answering,
        stop: threading.Event,
        *,
        on_round: Callable[[], None] = lambda: None,
        again_s: float = _AGAIN_S,
    ) -> None:
        """`on_round` is called at each round, at least every half second: for a watchdog."""
        self._open_line = open_line
        self._answering = answering
        self._stop = stop
        self._on_round = on_round
        self._again_s = again_s
        self._trouble = ""

    def run(self) -> None:
        """Answer until told to end. The session outlives the cable: what was asked twice is still done once."""
        while not self._stop.is_set():
            self._on_round()
            try:
                line = self._open_line()
            except LineLostError as error:
                self._tell(str(error))
                self._stop.wait(self._again_s)
                continue
            self._tell("")
            try:
                self._serve(line)
            except LineLostError as error:
                self._tell(str(error))
                self._stop.wait(self._again_s)
            finally:
                line.close()

    def _serve(self, line: OpenLine) -> None:
        while not self._stop.is_set():
            self._on_round()
            if data := line.read(_READ_S):
                self._answering.take(data, line.write)

    def _tell(self, trouble: str) -> None:
        """Log what changed, not each attempt."""
        if trouble != self._trouble:
            self._trouble = trouble
            _log.info("console: %s", trouble or "the port is open")
