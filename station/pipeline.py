"""Decrypting, hashing and writing side by side: three stages that each release the interpreter's lock.

Plain chunks lie in a few reused buffers, many to a buffer, as waking a thread has its price. The caller fills one; a
thread named "export-hash" and one named "export-write" take it in order; when both are done it is free again. So memory
is bounded by the buffers, and a slow disk holds the caller back.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from station.errors import StationError
from storage.durable import write_all

_BUFFERS = 4
_BUFFER_BYTES = 8 * 1024 * 1024
_WAIT_S = 60.0


class _Loan:
    """A buffer, the part of it that is filled, and how many stages still need it."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))
        self.filled_bytes = 0
        self.needed_by = 0


class OutputPipeline:
    """Writes plain chunks to a file descriptor and hashes them. A context manager; leaving it ends the threads."""

    def __init__(self, fd: int) -> None:
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self._free: queue.SimpleQueue[_Loan] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(_Loan())
        self._loan: _Loan | None = None
        self._lock = threading.Lock()
        self._failure: OSError | None = None
        stages: tuple[tuple[str, Callable[[memoryview], object]], ...] = (
            ("export-hash", self.digest.update),
            ("export-write", lambda data: write_all(fd, [data])),
        )
        self._queues: list[queue.SimpleQueue[_Loan | None]] = []
        self._threads = []
        for name, stage in stages:
            # At most _BUFFERS loans and the final None are ever in here.
            line: queue.SimpleQueue[_Loan | None] = queue.SimpleQueue()
            self._queues.append(line)
            self._threads.append(threading.Thread(target=self._run, args=(line, stage), name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def room(self, size_bytes: int) -> memoryview:
        """Return a buffer of `size_bytes` for the next plain chunk; `commit` what is to be written of it.

        Raises:
            OSError: an earlier write failed.
            StationError: the disk has taken nothing for a minute.
        """
        self._check()
        loan = self._loan
        if loan is not None and loan.filled_bytes + size_bytes > len(loan.buffer):
            self._send(loan)
            loan = None
        if loan is None:
            try:
                loan = self._free.get(timeout=_WAIT_S)
            except queue.Empty:
                raise StationError(f"the disk has taken nothing for {_WAIT_S:.0f} s") from None
            if len(loan.buffer) < size_bytes:
                loan.buffer = memoryview(bytearray(size_bytes))
            loan.filled_bytes = 0
            self._loan = loan
        return loan.buffer[loan.filled_bytes : loan.filled_bytes + size_bytes]

    def commit(self, size_bytes: int) -> None:
        """Take the first `size_bytes` of the last `room` into the output."""
        if self._loan is None:
            raise StationError("nothing was lent")
        self._loan.filled_bytes += size_bytes
        self.size_bytes += size_bytes

    def finish(self) -> None:
        """Wait until everything is written and hashed.

        Raises:
            OSError: a write failed.
        """
        if self._loan is not None:
            self._send(self._loan)
        self._stop()
        self._check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _send(self, loan: _Loan) -> None:
        self._loan = None
        loan.needed_by = len(self._queues)
        for line in self._queues:
            line.put(loan)

    def _stop(self) -> None:
        for line, thread in zip(self._queues, self._threads, strict=True):
            if thread.is_alive():
                line.put(None)
        for thread in self._threads:
            thread.join(_WAIT_S)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self, line: queue.SimpleQueue[_Loan | None], stage: Callable[[memoryview], object]) -> None:
        # The only end is the None that `_stop` sends: `__exit__` always does.
        while (loan := line.get()) is not None:
            if self._failure is None:
                try:
                    stage(loan.buffer[: loan.filled_bytes])
                except OSError as error:
                    self._failure = error
            with self._lock:
                loan.needed_by -= 1
                done = not loan.needed_by
            if done:
                self._free.put(loan)
