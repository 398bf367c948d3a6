"""A technician who types sealed lines, one after another, and reads the answers."""

from __future__ import annotations

from drivers.companion.lines import seal
from tests.companion.workbench import Bench


class Typist:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._seq = 0

    def hello(self, name: str = "00C0FFEE") -> str:
        return self.say(f"hello 1 {name}")

    def say(self, command: str, seq: int | None = None) -> str:
        """Type a command under the next number, or another; return the answer."""
        number = self._seq + 1 if seq is None else seq
        if seq is None:
            self._seq += 1
        self._bench.forget()
        self._bench.say_to_controller(seal(f">{number} {command}"))
        start = f"<{number} ".encode()
        self._bench.until(lambda: any(line.startswith(start) for line in self._lines()))
        return next(line for line in self._lines() if line.startswith(start)).decode().partition("*")[0]

    def wait_for(self, text: str) -> None:
        """Wait for a status line that has it."""
        self._bench.until(lambda: any(line.startswith(b"=") and text.encode() in line for line in self._lines()))

    def _lines(self) -> list[bytes]:
        return bytes(self._bench.from_controller).split(b"\n")[:-1]
