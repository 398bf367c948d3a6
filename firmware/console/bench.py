"""What needs the parts, which the recorder owns: it is stopped, the work is done, and it is started again, always.

Checks and updates run in a process of their own (`firmware.console.child`): a driver that hangs, crashes or eats
memory ends with that process, and the kernel takes its pins back. That the recorder is stopped is noted in the state
folder, so that a console that was killed meanwhile starts it again when it comes back.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from drivers.errors import DriverError
from drivers.system.protocol import SystemControl
from firmware.enrolment.evidence import recorder_runs
from firmware.errors import FirmwareError
from wire.errors import RefusedError

_MARK = "recorder.stopped"
_ATTEMPTS = 3
_PAUSE_S = 1.0
_LOOK_S = 0.5
_TELL_S = 2.0
_LIMIT_S = 420.0
_MOST_LINE_BYTES = 4096
_ROOT = Path(__file__).resolve().parents[2]
CHILD = (sys.executable, "-m", "firmware.console.child")
_log = logging.getLogger("getuige")

Hear = Callable[[Mapping[str, Any]], None]


class BenchError(FirmwareError):
    """What was begun did not come to its end."""


class Bench:
    """Owned by the console's one thread."""

    def __init__(
        self,
        control: SystemControl,
        state: Path,
        flash: Path,
        settings_file: Path,
        stop: threading.Event,
        *,
        limit_s: float = _LIMIT_S,
        pause_s: float = _PAUSE_S,
        child: Sequence[str] = CHILD,
    ) -> None:
        """`stop` is set when the console is to end; `limit_s` is how long what `child` runs may take."""
        self._control = control
        self._mark = state / _MARK
        self._flash = flash
        self._settings_file = settings_file
        self._stop = stop
        self._limit_s = limit_s
        self._pause_s = pause_s
        self._child = list(child)

    def make_good(self) -> None:
        """Start a recorder that a console before this one stopped and could not start again."""
        if self._mark.exists():
            try:
                self._start()
            except FirmwareError as error:
                _log.error("console: %s", error)

    @contextmanager
    def without_recorder(self, alive: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Stop the recorder, and start it again at the end, however that comes; `alive` is called every 2 s meanwhile.

        Raises:
            RefusedError: it runs, and nobody can be asked to stop it.
            DriverError: it does not stop.
            BenchError: it cannot be started again.
        """
        if not self._control.present:
            if recorder_runs(self._flash):
                raise RefusedError(
                    "recorder-runs", "the recorder runs, and this device's settings name no system to stop it by"
                )
            yield
            return
        try:
            self._mark.touch(mode=0o600)
        except OSError as error:  # a device whose card is broken is the very one to be checked
            _log.warning("console: that the recorder is stopped cannot be noted: %s", error.strerror)
        try:
            with _telling(alive):
                self._control.stop_recorder()
            yield
        finally:
            with _telling(alive):
                self._start()

    def run(
        self, arguments: Sequence[str], hear: Hear, alive: Callable[[], None], *, what: str = "the self-test"
    ) -> None:
        """Run the child; `hear` gets each line of its, `alive` is called every 2 s, `what` is what errors call it.

        Raises:
            BenchError: it crashed, said nonsense, took too long, or the console is to end.
        """
        process = subprocess.Popen(
            [*self._child, str(self._settings_file), *arguments],
            cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        with process:
            try:
                self._listen(process, hear, alive, what)
                status = process.wait(_TELL_S)
            except subprocess.TimeoutExpired:
                raise BenchError(f"{what} said all, and did not end") from None
            finally:
                process.kill()
        if status:
            raise BenchError(f"{what} broke off (status {status}): look into the log")

    def _listen(self, process: subprocess.Popen[bytes], hear: Hear, alive: Callable[[], None], what: str) -> None:
        if process.stdout is None:
            raise BenchError(f"{what} has no output")
        kept = bytearray()
        now_s = time.monotonic()
        ends_s, tell_s = now_s + self._limit_s, now_s
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                now_s = time.monotonic()
                if now_s >= ends_s:
                    raise BenchError(f"{what} took longer than {self._limit_s:g} s and was ended")
                if self._stop.is_set():
                    raise BenchError(f"the console was told to end, and {what} with it")
                if now_s >= tell_s:
                    alive()
                    tell_s = now_s + _TELL_S
                if not selector.select(_LOOK_S):
                    continue
                data = os.read(process.stdout.fileno(), _MOST_LINE_BYTES)
                if not data:
                    return
                kept += data
                *lines, rest = bytes(kept).split(b"\n")
                if len(rest) > _MOST_LINE_BYTES:
                    raise BenchError(f"{what} said too much at once")
                kept = bytearray(rest)
                for line in lines:
                    hear(_fields(line, what))

    def _start(self) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self._control.start_recorder()
            except DriverError as error:
                if attempt == _ATTEMPTS - 1:
                    raise BenchError(f"the recorder does not start again: {error}; restart the device") from None
                time.sleep(self._pause_s)
            else:
                break
        with suppress(OSError):  # where it stays, the recorder is told once more to start, which changes nothing
            self._mark.unlink(missing_ok=True)


@contextmanager
def _telling(alive: Callable[[], None]) -> Iterator[None]:
    """Call `alive` every 2 s, on a thread of its own, while this one waits for systemd and does not use the line."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(_TELL_S):
            alive()

    thread = threading.Thread(target=run, name="console-alive", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _fields(line: bytes, what: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BenchError(f"{what} said nonsense: look into the log")
    return fields
