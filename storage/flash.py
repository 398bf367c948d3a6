"""The threads that chain and sign chunks, "chain", and make them durable, "flash". The store owns both.

The second takes what has been signed, writes it, syncs each file once, and only then reports the chunks as durable. A
slow card so delays the report and fills a queue that is bounded in bytes; it never reorders and never drops. After a
failed write or sync nothing more is written: what was not reported durable is not assumed to be there.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from storage.buffers import BufferPool
from storage.durable import write_all
from storage.errors import StoreError, StoreFailedError, StoreFullError
from storage.seal import EncryptedChunk, SealedChunk, SegmentSealer

DurableSink = Callable[[SealedChunk], None]
"""Called on the flash thread after a chunk is durable, before its buffer is reused. Hands over and returns."""


class _Job(NamedTuple):
    fd: int
    path: str
    sealer: SegmentSealer
    chunk: EncryptedChunk


class _Write(NamedTuple):
    fd: int
    path: str
    chunk: SealedChunk


class FlashWriter:
    """Signs and writes chunks to open files, in order, on two threads of its own."""

    def __init__(
        self,
        pool: BufferPool,
        on_durable: DurableSink,
        *,
        queue_bytes: int = 16 * 1024 * 1024,
        wait_s: float = 30.0,
        sync: Callable[[int], None] | None = None,
    ) -> None:
        """`sync` makes a file's data durable: fdatasync(2) unless a simulated medium stands in."""
        self._sync = sync
        self._pool = pool
        self._on_durable = on_durable
        self._queue_bytes = queue_bytes
        self._wait_s = wait_s
        self._jobs: deque[_Job] = deque()
        self._writes: deque[_Write] = deque()
        self._queued_bytes = 0
        self._failure: StoreError | None = None
        self._stopping = False
        self._stopping_writes = False
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._to_sign = threading.Condition(self._lock)
        self._to_write = threading.Condition(self._lock)
        self._threads = [
            threading.Thread(target=self._run_chain, name="chain", daemon=True),
            threading.Thread(target=self._run_flash, name="flash", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait to become durable."""
        with self._lock:
            return self._queued_bytes

    def put(self, fd: int, path: str, sealer: SegmentSealer, chunk: EncryptedChunk) -> None:
        """Queue an encrypted chunk; waits while the queue is full.

        Raises:
            StoreError: the writer is closed.
            StoreFullError: the medium is full.
            StoreFailedError: an earlier write failed, or the medium has stalled for longer than the time-out.
        """
        size = chunk.size_bytes
        with self._lock:
            room = self._room.wait_for(
                lambda: self._failure or not self._queued_bytes or self._queued_bytes + size <= self._queue_bytes,
                self._wait_s,
            )
            if self._failure:
                raise self._failure
            if self._stopping:
                raise StoreError(f"{path}: the store is closed")
            if not room:
                # For good: this chunk has its number already, and the chain would have a hole without it.
                self._failure = StoreFailedError(f"{path}: the medium has not taken a write for {self._wait_s:.0f} s")
                raise self._failure
            self._jobs.append(_Job(fd, path, sealer, chunk))
            self._queued_bytes += size
            self._to_sign.notify()

    def barrier(self) -> None:
        """Wait until everything queued so far is durable.

        Raises:
            StoreFullError: the medium is full.
            StoreFailedError: a write failed or the medium has stalled.
        """
        with self._lock:
            done = self._room.wait_for(lambda: self._failure or not self._queued_bytes, self._wait_s)
            if self._failure:
                raise self._failure
            if not done:
                raise StoreFailedError(f"the medium has not finished its writes for {self._wait_s:.0f} s")

    def close(self) -> bool:
        """Write what is queued and end the threads. Idempotent; raises nothing: ask `barrier` first.

        Returns whether the threads have ended; one that hangs in a write has not.
        """
        with self._lock:
            self._stopping = True
            self._to_sign.notify()
        for thread in self._threads:
            thread.join(self._wait_s)
        return not any(thread.is_alive() for thread in self._threads)

    def _run_chain(self) -> None:
        """Hash, chain and sign, beside the encryption of what follows and the writing of what came before."""
        while (job := self._next_job()) is not None:
            sealed = _Write(job.fd, job.path, job.sealer.sign(job.chunk))
            with self._lock:
                self._writes.append(sealed)
                self._to_write.notify()
        with self._lock:
            self._stopping_writes = True
            self._to_write.notify()

    def _next_job(self) -> _Job | None:
        with self._lock:
            # The time-out only guards against a lost wake-up; an idle recorder has nothing to sign.
            while not self._jobs and not self._stopping:
                self._to_sign.wait(60.0)
            return self._jobs.popleft() if self._jobs else None

    def _run_flash(self) -> None:
        while batch := self._next_batch():
            failure = self._write(batch)
            with self._lock:
                if failure:
                    self._failure = failure
                    self._queued_bytes = 0
                else:
                    self._queued_bytes -= sum(item.chunk.size_bytes for item in batch)
                self._room.notify_all()
            if failure:
                return

    def _next_batch(self) -> list[_Write]:
        with self._lock:
            while not self._writes and not self._stopping_writes:
                self._to_write.wait(60.0)
            batch = list(self._writes)
            self._writes.clear()
            return batch

    def _write(self, batch: list[_Write]) -> StoreError | None:
        item = batch[0]
        try:
            for item in batch:
                write_all(item.fd, item.chunk.buffers)
            for fd in dict.fromkeys(item.fd for item in batch):
                (self._sync or os.fdatasync)(fd)
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
