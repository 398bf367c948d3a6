"""The thread that makes sealed chunks durable, named "flash" and owned by the store.

It takes what has been queued, writes it, syncs each file once, and only then reports the chunks as durable. A slow
card so delays the report and fills a queue that is bounded in bytes; it never reorders and never drops. After a
failed write or sync nothing more is written: what was not reported durable is not assumed to be there.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from storage.buffers import BufferPool
from storage.durable import write_all
from storage.errors import StoreError, StoreFailedError, StoreFullError
from storage.seal import SealedChunk

DurableSink = Callable[[SealedChunk], None]
"""Called on the flash thread after a chunk is durable, before its buffer is reused. Hands over and returns."""


@dataclass(frozen=True, slots=True)
class _Write:
    fd: int
    path: str
    chunk: SealedChunk


class FlashWriter:
    """Writes chunks to open files in order, on a thread of its own."""

    def __init__(
        self, pool: BufferPool, on_durable: DurableSink, *, queue_bytes: int = 16 * 1024 * 1024, wait_s: float = 30.0
    ) -> None:
        self._pool = pool
        self._on_durable = on_durable
        self._queue_bytes = queue_bytes
        self._wait_s = wait_s
        self._queue: deque[_Write] = deque()
        self._queued_bytes = 0
        self._pending = 0
        self._failure: StoreError | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="flash", daemon=True)
        self._thread.start()

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait to become durable."""
        with self._changed:
            return self._queued_bytes

    def put(self, fd: int, path: str, chunk: SealedChunk) -> None:
        """Queue a chunk; waits while the queue is full.

        Raises:
            StoreFullError: the medium is full.
            StoreFailedError: an earlier write failed, or the medium has stalled for longer than the time-out.

        """
        size = chunk.size_bytes
        with self._changed:
            room = self._changed.wait_for(
                lambda: self._failure or not self._queued_bytes or self._queued_bytes + size <= self._queue_bytes,
                self._wait_s,
            )
            if self._failure:
                raise self._failure
            if not room or self._stopping:
                raise StoreFailedError(f"{path}: the medium has not taken a write for {self._wait_s:.0f} s")
            self._queue.append(_Write(fd, path, chunk))
            self._queued_bytes += size
            self._pending += 1
            self._changed.notify_all()

    def barrier(self) -> None:
        """Wait until everything queued so far is durable.

        Raises:
            StoreFullError: the medium is full.
            StoreFailedError: a write failed or the medium has stalled.

        """
        with self._changed:
            done = self._changed.wait_for(lambda: self._failure or not self._pending, self._wait_s)
            if self._failure:
                raise self._failure
            if not done:
                raise StoreFailedError(f"the medium has not finished its writes for {self._wait_s:.0f} s")

    def close(self) -> None:
        """Write what is queued and end the thread. Idempotent; raises nothing: ask `barrier` first."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(self._wait_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                # The time-out only guards against a lost wake-up; an idle recorder has nothing to write.
                while not self._queue and not self._stopping:
                    self._changed.wait(60.0)
                batch = list(self._queue)
                self._queue.clear()
            if not batch:
                return
            failure = self._write(batch)
            with self._changed:
                self._queued_bytes -= sum(item.chunk.size_bytes for item in batch)
                self._pending -= len(batch)
                if failure:
                    self._failure = failure
                    self._queue.clear()
                    self._queued_bytes = self._pending = 0
                self._changed.notify_all()
                if failure:
                    return

    def _write(self, batch: list[_Write]) -> StoreError | None:
        item = batch[0]
        try:
            for item in batch:
                write_all(item.fd, item.chunk.buffers)
            for fd in dict.fromkeys(item.fd for item in batch):
                os.fdatasync(fd)
        except OSError as error:
            return _failure(item.path, error)
        for item in batch:
            self._on_durable(item.chunk)
            self._pool.give(item.chunk.body)
        return None


def _failure(path: str, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFullError(f"{path}: no room is left on the medium; offload the device")
    return StoreFailedError(f"{path}: the medium refused a write ({error.strerror}); replace the card")
