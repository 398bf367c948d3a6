"""A controller at its USB port, with nothing running: MicroPython's raw prompt on a pseudo-terminal.

The unix port has no raw prompt. This speaks its protocol (raw and raw-paste) to the real mpremote, and has every piece
of code run by a real MicroPython on a real LittleFS.
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.companion.flash import INTERPRETER, STUBS

_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_WINDOW = 128


class UsbController:
    """A context manager; `port` is where mpremote finds it."""

    def __init__(self, flash: Path, *, cut_after: int | None = None, paste: bool = True) -> None:
        """`cut_after`: the power is gone in the middle of that write to the flash. `paste`: it knows raw paste."""
        self._environment = {"MICROPYPATH": f"{STUBS}:.frozen", "COMPANION_FLASH": str(flash)}
        if cut_after is not None:
            self._environment["COMPANION_CUT"] = str(cut_after)
        self._paste = paste
        self._stopping = False
        self._kept = b""
        self.cut = False
        self.resets = 0

    def __enter__(self) -> Self:
        ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self._ours: int | None = ours
        self._process = subprocess.Popen(
            [INTERPRETER, "-c", "import prompt; prompt.run()"], env=self._environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="prompt", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._stopping = True
        self._thread.join(10)
        self._process.kill()
        self._process.communicate()
        os.close(self._theirs)
        if self._ours is not None:
            os.close(self._ours)

    def _run(self) -> None:
        try:
            raw = False
            while (key := self._read(1)) is not None:
                if key == b"\x01":
                    raw = True
                    self._write(b"\r\n" + _BANNER)
                elif raw and key == b"\x05":
                    self._take_paste()
                elif raw and key not in b"\r\x03":
                    code = key
                    while not code.endswith(b"\x04"):
                        code += self._need(1)
                    self._write(b"OK")
                    self._execute(code[:-1])
        except (EOFError, OSError):
            return  # unplugged, or the power is gone

    def _take_paste(self) -> None:
        assert self._need(2) == b"A\x01"
        if not self._paste:
            self._write(b"R\x00")
            return
        self._write(b"R\x01" + _WINDOW.to_bytes(2, "little"))
        code, granted = b"", _WINDOW
        while (key := self._need(1)) != b"\x04":
            code += key
            if len(code) == granted:
                granted += _WINDOW
                self._write(b"\x01")
        self._write(b"\x04")
        self._execute(code)

    def _execute(self, code: bytes) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"%d\n" % len(code) + code)
        self._process.stdin.flush()
        ends = 0
        while ends < 2:
            data = os.read(self._process.stdout.fileno(), 4096)
            if not data:
                status = self._process.wait(10)
                self.resets += status == 76
                self.cut = status == -9
                self._unplug()
                raise EOFError
            ends += data.count(b"\x04")
            self._write(data)
        self._write(b">")

    def _unplug(self) -> None:
        """The port goes with the power. After a reset it is not gone before it was let go of, on this bench."""
        if self.cut:
            ours, self._ours = self._ours, None
            if ours is not None:
                os.close(ours)

    def _need(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._read(count - len(data))
            if more is None:
                raise EOFError
            data += more
        return data

    def _read(self, count: int) -> bytes | None:
        while not self._kept:
            if self._stopping:
                return None
            if self._ours is None:
                return None
            if select.select([self._ours], [], [], 0.02)[0]:
                self._kept = os.read(self._ours, 4096)
        data, self._kept = self._kept[:count], self._kept[count:]
        return data

    def _write(self, data: bytes) -> None:
        while data and self._ours is not None:
            data = data[os.write(self._ours, data) :]
