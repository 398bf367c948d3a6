"""A satellite receiver that speaks NMEA 0183 on a serial port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import serial

from drivers.errors import DriverError
from drivers.gnss.protocol import FixSink
from drivers.gnss.sentences import LineCutter, SentenceReader

_READ_S = 0.2
_READ_BYTES = 256
_AGAIN_S = (0.5, 1.0, 2.0, 5.0)
"""Waits before the port is tried again; the last one for ever."""
_SILENT_NS = 10_000_000_000
_STOP_S = 5.0


class NmeaGnss:
    """Reads on a thread named ``gnss``; an unplugged receiver is looked for again.

    Implements `drivers.gnss.protocol.Gnss`.
    """

    def __init__(self, port: str, *, baud: int = 9600, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._port = port
        self._baud = baud
        self._now = now
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: str | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """``nmea``."""
        return "nmea"

    @property
    def present(self) -> bool:
        """True."""
        return True

    def start(self, sink: FixSink) -> None:
        """Open the port and begin to report fixes.

        Raises:
            DriverError: no such port, somebody else has it, it was closed, or it runs already.
        """
        if self._closed:
            raise DriverError("gnss: it was closed; make a new one")
        if self._thread is not None:
            raise DriverError("gnss: it runs already; stop it first")
        line = self._open()
        self._fault = None
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(line, sink), name="gnss", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop. After it returns the sink is not called again. Idempotent.

        Raises:
            DriverError: the thread did not end within 5 s.
        """
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join(_STOP_S)
            if thread.is_alive():
                raise DriverError(f"gnss: {self._port} hangs; restart the device")
            self._thread = None

    def fault(self) -> str | None:
        """Why it is silent, or None."""
        return self._fault

    def close(self) -> None:
        """Stop for good. Idempotent."""
        self._closed = True
        self.stop()

    def _open(self) -> serial.Serial:
        try:
            return serial.Serial(self._port, self._baud, timeout=_READ_S, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise DriverError(
                f"gnss: {self._port} cannot be opened ({error}); check the receiver and that nothing else has its port"
            ) from error

    def _run(self, line: serial.Serial | None, sink: FixSink) -> None:
        tries = 0
        while not self._stop.is_set():
            if line is None:
                try:
                    line = self._open()
                except DriverError as error:
                    self._fault = str(error)
                    self._stop.wait(_AGAIN_S[min(tries, len(_AGAIN_S) - 1)])
                    tries += 1
                    continue
            tries = 0
            with line:
                self._listen(line, sink)
            line = None

    def _listen(self, line: serial.Serial, sink: FixSink) -> None:
        """Read until stopped, or until the receiver is gone."""
        cutter, reader = LineCutter(), SentenceReader()
        heard_ns = self._now()
        while not self._stop.is_set():
            try:
                data = line.read(_READ_BYTES)
            except (serial.SerialException, OSError) as error:
                self._fault = f"gnss: {self._port} is gone ({error}); plug the receiver in"
                return
            now_ns = self._now()
            for text in cutter.feed(data):
                heard_ns, self._fault = now_ns, None
                fix = reader.line(text, now_ns)
                if fix is not None:
                    sink(fix)
            if now_ns - heard_ns > _SILENT_NS:
                self._fault = f"gnss: {self._port} has said nothing for 10 s; check its wiring and its speed"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
