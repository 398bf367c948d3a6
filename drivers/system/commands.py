"""Running a program of the system: with a time limit, and no more of its output than is wanted."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.errors import DriverError, DriverUnavailableError

_READ_BYTES = 65_536
_MOST_TROUBLE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended."""

    status: int
    output: bytes
    trouble: str
    """The first line of its standard error."""
    cut: bool
    """It had more to say than was wanted, and was ended."""


def run(arguments: Sequence[str], *, limit_s: float, most_bytes: int) -> Done:
    """Run a program to its end.

    Raises:
        DriverUnavailableError: there is no such program.
        DriverError: it did not end in time.
    """
    name = arguments[0]
    try:
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"},
        )
    except OSError as error:
        raise DriverUnavailableError(f"{name} cannot be run: {error.strerror}") from None
    with process:
        try:
            output, trouble, cut = _read(process, name, time.monotonic() + limit_s, most_bytes)
        finally:
            process.kill()  # it has ended already, unless something went wrong
    first = next(iter(trouble.decode("utf-8", "replace").splitlines()), "")
    return Done(0 if cut else process.returncode, output, first, cut)


def _read(process: subprocess.Popen[bytes], name: str, ends_s: float, most_bytes: int) -> tuple[bytes, bytes, bool]:
    if process.stdout is None or process.stderr is None:
        raise DriverError(f"{name} has no output")
    output, trouble = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, trouble)
        while selector.get_map():
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                raise DriverError(f"{name} did not answer in time")
            for key, _ in selector.select(left_s):
                data = os.read(key.fd, _READ_BYTES)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data is output:
                    output += data
                    if len(output) > most_bytes:
                        return bytes(output[:most_bytes]), bytes(trouble), True
                elif len(trouble) < _MOST_TROUBLE_BYTES:
                    trouble += data
    try:
        process.wait(max(0.0, ends_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise DriverError(f"{name} did not end in time") from None
    return bytes(output), bytes(trouble), False
