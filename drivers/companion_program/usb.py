"""Puts starter and program on an RP2040 by MicroPython's raw prompt on its USB port, with mpremote's transport.

For a blank controller, and for one that is to be made anew with its service jumper in; `line` has the everyday way.
A cut at any moment leaves the program that was there, or a controller that this can be done to again: the new program
goes into the folder that does not run, and `choice` comes after it.
"""

from __future__ import annotations

import contextlib
import io
import struct
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import TracebackType
from typing import Any, Self

import serial

from drivers.companion_program.bundle import MANIFEST, Program
from drivers.companion_program.protocol import Progress
from drivers.errors import DriverError, DriverUnavailableError

_READ_S = 5.0
_WHOLE_S = 180.0
"""However talkative the other end is."""
_MAX_READ_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 1024
_CONFIG = "config.py"
_MISSING = "mpremote is not installed on this machine; pip install mpremote"


class UsbPrompt:
    """MicroPython's raw prompt at a port, for as long as the context lasts."""

    def __init__(
        self,
        port: str,
        *,
        platform: str = "rp2",
        whole_s: float = _WHOLE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the port, interrupt what runs there, and ask who it is.

        Args:
            port: Its path, such as ``/dev/ttyACM0``.
            platform: What MicroPython has to call itself.
            whole_s: How long everything together may take.
            monotonic: The clock.

        Raises:
            DriverUnavailableError: there is no such port, or mpremote is missing.
            DriverError: it is no controller of this kind, or its prompt cannot be had.
        """
        try:
            from mpremote.transport import TransportError
            from mpremote.transport_serial import SerialTransport
        except ImportError as error:
            raise DriverUnavailableError(f"companion: {_MISSING}") from error
        self._path = port
        self._errors: tuple[type[Exception], ...] = (
            TransportError, serial.SerialException, OSError, struct.error, ValueError, SyntaxError, TypeError,
            MemoryError, RecursionError,
        )  # fmt: skip
        try:
            self._transport: Any = SerialTransport(port, timeout=_READ_S)
        except (TransportError, OSError, ValueError) as error:
            raise DriverUnavailableError(
                f"companion: {port} cannot be opened ({error}); check the cable, that nothing else has the port open, "
                "and that the user is in the group 'dialout'"
            ) from error
        self._transport.serial = _Bounded(self._transport.serial, whole_s, monotonic)
        try:
            self._try("its prompt cannot be had", self._enter)
            self._know(platform)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._close()

    def install(self, program: Program, starter: Mapping[str, bytes], progress: Progress, *, config: bool) -> None:
        """Put starter and program on it, read back and compare, and restart it.

        Args:
            program: The program.
            starter: `bundle.STARTER`, in the order in which they are written; ``config.py`` only where there is none.
            progress: Told of every file.
            config: Put ``config.py`` in the place of the one that is there.

        Raises:
            DriverError: it failed; it can be done again.
        """

        def work() -> None:
            there = self._names("")
            slot = "b" if "choice" in there and self._read("choice").strip() == b"a" else "a"
            if slot not in there:
                self._transport.fs_mkdir(slot)
            for name in self._names(slot):
                self._transport.fs_rmfile(f"{slot}/{name}")
            beside = {name: data for name, data in starter.items() if name != _CONFIG or config or _CONFIG not in there}
            whole = program.size_bytes + sum(map(len, beside.values()))
            sent = 0
            for name, data in (*program.files.items(), (MANIFEST, program.manifest)):
                self._put(f"{slot}/{name}", data)
                sent += len(data)
                progress(sent, whole)
            main = beside.pop("main.py")
            for name, data in (*beside.items(), ("choice", slot.encode()), ("main.py", main)):
                self._replace(name, data)
                sent += len(data) if name != "choice" else 0
                progress(sent, whole)
            for name in self._names(""):
                # Left from a trial, a broken write, or an installation before 1.1.0: it would stand in the way.
                if name in ("trial", "new") or name in program.files:
                    self._transport.fs_rmfile(name)

        self._try("the installation broke off; what ran before runs still: install again", work)
        self._try("it does not restart; switch it off and on", self._restart)

    def _know(self, platform: str) -> None:
        found = self._try("it does not say what it is", lambda: self._transport.eval("__import__('sys').platform"))
        if found != platform:
            raise DriverError(
                f"companion: {self._path}: a MicroPython for {str(found)[:40]!r} and not for {platform!r} is there; "
                "this is another controller: nothing was changed"
            )

    def _enter(self) -> None:
        self._transport.enter_raw_repl(soft_reset=False)

    def _restart(self) -> None:
        self._transport.exec_raw_no_follow("import machine\nmachine.reset()")

    def _names(self, folder: str) -> list[str]:
        return [str(entry.name) for entry in self._transport.fs_listdir(folder)]

    def _read(self, name: str) -> bytes:
        return bytes(self._transport.fs_readfile(name))

    def _put(self, name: str, data: bytes) -> None:
        self._transport.fs_writefile(name, data, chunk_size=_CHUNK_BYTES)
        if self._transport.fs_hashfile(name, "sha256") != sha256(data).digest():
            raise DriverError(f"companion: {self._path}: {name} reads back differently; install again")

    def _replace(self, name: str, data: bytes) -> None:
        """After a power cut the old file is there, or the new one."""
        self._put("new", data)
        self._transport.exec(f"import os\nos.rename('new', {name!r})")

    def _try(self, what: str, work: Callable[[], Any]) -> Any:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # mpremote prints what it did not expect
                return work()
        except self._errors as error:
            said = str(error).strip().splitlines()
            why = said[-1][:120] if said else type(error).__name__
            raise DriverError(
                f"companion: {self._path}: {what} ({why}); is the service jumper in, and was it switched on with it?"
            ) from error

    def _close(self) -> None:
        with contextlib.suppress(*self._errors):
            self._transport.close()


class _Bounded:
    """pyserial's port as mpremote uses it, with an end to time and bytes."""

    def __init__(self, port: Any, whole_s: float, monotonic: Callable[[], float]) -> None:
        self._port = port
        self._monotonic = monotonic
        self._ends = monotonic() + whole_s
        self._left = _MAX_READ_BYTES

    def read(self, size: int) -> bytes:
        self._check()
        data = bytes(self._port.read(min(size, 65_536)))
        self._left -= len(data)
        return data

    def write(self, data: bytes) -> None:
        self._check()
        self._port.write(data)

    def inWaiting(self) -> int:  # noqa: N802 - mpremote's name for it
        self._check()
        return int(self._port.in_waiting)

    def close(self) -> None:
        self._port.close()

    def _check(self) -> None:
        if self._left < 0:
            raise OSError("it talks without end")
        if self._monotonic() >= self._ends:
            raise OSError("it takes too long")
