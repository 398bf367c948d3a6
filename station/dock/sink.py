"""Checks, writes and hashes what arrives, each beside the receiving: two threads, "bay-check" and "bay-write"."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from station.dock.stream_check import StreamCheck
from station.errors import StationError
from storage.durable import write_all
from storage.errors import FormatError

WAITING = 3
"""Blocks that may wait for a thread; one more is being worked on."""
_WAIT_S = 60.0


class Stage:
    """One thread and its queue."""

    def __init__(self, name: str, work: Callable[[bytes | memoryview], None]) -> None:
        self._work = work
        self._queue: queue.Queue[bytes | memoryview | None] = queue.Queue(WAITING)
        self.failure: OSError | FormatError | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, block: bytes | memoryview) -> None:
        """Queue a block; waits while the queue is full. Raises what an earlier one ended with."""
        if self.failure is not None:
            raise self.failure
        try:
            self._queue.put(block, timeout=_WAIT_S)
        except queue.Full:
            raise StationError("this station's disk has taken nothing for a minute") from None

    def drain(self) -> None:
        """Wait until all that was put is done. Raises likewise."""
        self._queue.join()
        if self.failure is not None:
            raise self.failure

    def end(self) -> None:
        """End the thread. Idempotent."""
        if self._thread.is_alive():
            self._queue.put(None, timeout=_WAIT_S)
            self._thread.join(_WAIT_S)

    def _run(self) -> None:
        while True:
            block = self._queue.get()
            try:
                if block is None:
                    return
                if self.failure is None:
                    self._work(block)
            except (OSError, FormatError) as error:
                self.failure = error
            finally:
                self._queue.task_done()


class SegmentSink:
    """Owned by a fetch. A context manager: leaving it ends the threads."""

    def __init__(self, fd: int, check: StreamCheck, *, threads: bool) -> None:
        """Without `threads` it all happens in `put`: where many bays are busy, they keep the cores busy themselves."""
        self._fd = fd
        self._check = check
        self._digest = hashlib.sha256()
        self._stages = [Stage("bay-check", check.feed), Stage("bay-write", self._write)] if threads else []
        self.size_bytes = 0
        """Of all that was put, or seen."""

    def seen(self, block: bytes) -> None:
        """Take up what is in the file already. Before anything is put.

        Raises:
            FormatError: it breaks a rule of the format.
        """
        self._check.feed(block)
        self._digest.update(block)
        self.size_bytes += len(block)

    def put(self, block: bytes | memoryview) -> None:
        """Check and write a block, soon; it must stay as it is until `WAITING` + 1 more were put.

        Raises:
            FormatError: an earlier one breaks a rule of the format.
            OSError: the disk does not take it, or an earlier one.
        """
        for stage in self._stages:
            stage.put(block)
        if not self._stages:
            self._check.feed(block)
            self._write(block)
        self.size_bytes += len(block)

    def drain(self) -> None:
        """Wait until all of it is checked and written. Errors as in `put`."""
        for stage in self._stages:
            stage.drain()

    def finish(self) -> bytes:
        """Wait likewise; return the SHA-256 of the file."""
        self.drain()
        return self._digest.digest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stage in self._stages:
            stage.end()

    def _write(self, block: bytes | memoryview) -> None:
        write_all(self._fd, [block])
        self._digest.update(block)
