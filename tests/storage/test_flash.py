"""The threads that sign and write: order, what counts as durable, a bounded queue, a medium that fails or stalls."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from storage.buffers import BufferPool
from storage.chain import Tip
from storage.envelope import Cipher
from storage.errors import StoreError, StoreFailedError, StoreFullError
from storage.flash import FlashWriter
from storage.layout import Kind, Place, Stamp
from storage.seal import SealedChunk, SegmentSealer
from storage.signer import MemorySigner
from tests.storage.forge import split

PATIENCE_S = 20.0
BODY = 1000
RECORD = 104 + BODY + 16 + 64


@dataclass
class Medium:
    """Stands between the writer and the disk: notes every call, and can hold or refuse one."""

    calls: list[tuple[str, int]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    refuse: dict[str, OSError] = field(default_factory=dict)
    short: int = 0
    written: int = 0

    def writev(self, fd: int, buffers: list[memoryview]) -> int:
        self.calls.append(("write", fd))
        if "write" in self.refuse:
            raise self.refuse["write"]
        data = b"".join(buffers)
        count = os.write(fd, data[: self.short] if self.short else data)
        self.written += count
        return count

    def fdatasync(self, fd: int) -> None:
        self.calls.append(("sync", fd))
        self.held.set()
        assert self.hold.wait(PATIENCE_S)
        if "sync" in self.refuse:
            raise self.refuse["sync"]


@dataclass
class Bench:
    """A writer on a medium of the test's, and files to write to."""

    folder: Path
    medium: Medium
    writer: FlashWriter
    sealer: SegmentSealer
    durable: list[int]
    told: threading.Condition
    fds: list[int] = field(default_factory=list)

    def file(self) -> int:
        self.fds.append(os.open(self.folder / f"{len(self.fds)}.seg", os.O_RDWR | os.O_CREAT, 0o600))
        return self.fds[-1]

    def put(self, fd: int, size: int = BODY) -> None:
        self.writer.put(fd, "FILE", self.sealer, self.sealer.encrypt(Kind.HEARTBEAT, Stamp(1, 2), bytes(size)))

    def content(self, number: int = 0) -> bytes:
        return (self.folder / f"{number}.seg").read_bytes()


def make(folder: Path, medium: Medium, *, queue_bytes: int = 10 * RECORD, wait_s: float = PATIENCE_S) -> Bench:
    durable: list[int] = []
    told = threading.Condition()

    def note(chunk: SealedChunk) -> None:
        medium.calls.append(("durable", chunk.number))
        with told:
            durable.append(chunk.number)
            told.notify_all()

    pool = BufferPool()
    place = Place(b"d" * 16, 1, b"r" * 16, b"b" * 16)
    sealer = SegmentSealer(
        place, MemorySigner.generate(), Cipher.AES_256_GCM, bytes(32), Tip(bytes(32), bytes(64)), pool
    )
    return Bench(folder, medium, FlashWriter(pool, note, queue_bytes=queue_bytes, wait_s=wait_s), sealer, durable, told)


@pytest.fixture
def medium(monkeypatch: pytest.MonkeyPatch) -> Medium:
    medium = Medium()
    medium.hold.set()
    monkeypatch.setattr("storage.durable.os.writev", medium.writev)
    monkeypatch.setattr("storage.flash.os.fdatasync", medium.fdatasync)
    return medium


@pytest.fixture
def bench(tmp_path: Path, medium: Medium) -> Iterator[Bench]:
    bench = make(tmp_path, medium)
    yield bench
    medium.hold.set()
    assert bench.writer.close()
    for fd in bench.fds:
        os.close(fd)


def wait_for(bench: Bench, count: int) -> None:
    with bench.told:
        assert bench.told.wait_for(lambda: len(bench.durable) >= count, PATIENCE_S)


def test_in_order_and_whole(bench: Bench) -> None:
    fd = bench.file()
    for _ in range(50):
        bench.put(fd)
    bench.writer.barrier()
    assert bench.durable == list(range(50))
    assert bench.writer.queued_bytes == 0
    records = split(bench.content())
    assert [int.from_bytes(record[12:16], "big") for record in records] == list(range(50))


def test_durable_only_after_the_sync(bench: Bench, medium: Medium) -> None:
    medium.hold.clear()
    fd = bench.file()
    bench.put(fd)
    assert medium.held.wait(PATIENCE_S)
    assert len(bench.content()) == RECORD  # written, and yet not reported
    assert bench.durable == []
    assert bench.writer.queued_bytes == RECORD
    medium.hold.set()
    bench.writer.barrier()
    assert medium.calls == [("write", fd), ("sync", fd), ("durable", 0)]


def test_what_comes_during_a_sync_is_synced_together(bench: Bench, medium: Medium) -> None:
    one, two = bench.file(), bench.file()
    medium.hold.clear()
    bench.put(one)
    assert medium.held.wait(PATIENCE_S)
    for fd in (one, one, two, one, two):
        bench.put(fd)
    writer = bench.writer
    with writer._lock:
        assert writer._to_write.wait_for(lambda: len(writer._writes) == 5, PATIENCE_S)
    medium.hold.set()
    bench.writer.barrier()
    assert bench.durable == list(range(6))
    assert medium.calls[3:] == [
        ("write", one), ("write", one), ("write", two), ("write", one), ("write", two), ("sync", one), ("sync", two),
        *(("durable", number) for number in range(1, 6)),
    ]  # fmt: skip


def test_a_full_queue_holds_the_caller_back(bench: Bench, medium: Medium) -> None:
    fd = bench.file()
    medium.hold.clear()
    for _ in range(10):
        bench.put(fd)
    assert bench.writer.queued_bytes == 10 * RECORD
    queued = threading.Event()

    def one_more() -> None:
        bench.put(fd)
        queued.set()

    thread = threading.Thread(target=one_more, name="one more")
    thread.start()
    assert medium.held.wait(PATIENCE_S)
    assert not queued.wait(0.05)
    medium.hold.set()
    assert queued.wait(PATIENCE_S)
    thread.join(PATIENCE_S)
    bench.writer.barrier()
    assert bench.durable == list(range(11))


def test_a_chunk_larger_than_the_queue_passes_alone(tmp_path: Path, medium: Medium) -> None:
    bench = make(tmp_path, medium, queue_bytes=10)
    bench.put(bench.file())
    bench.put(bench.fds[0])
    bench.writer.barrier()
    assert bench.durable == [0, 1]
    assert bench.writer.close()


def test_a_medium_that_stalls_is_said_and_ends_the_chain(tmp_path: Path, medium: Medium) -> None:
    """The chunk that found no room has its number: a later one would leave a hole that no verifier forgives."""
    bench = make(tmp_path, medium, queue_bytes=RECORD, wait_s=0.05)
    fd = bench.file()
    medium.hold.clear()
    bench.put(fd)
    with pytest.raises(StoreFailedError, match="FILE: the medium has not taken a write for 0 s"):
        bench.put(fd)
    assert not bench.writer.close()  # a thread hangs, and says so
    medium.hold.set()
    wait_for(bench, 1)
    with pytest.raises(StoreError):
        bench.put(fd)
    while not bench.writer.close():
        pass
    assert bench.durable == [0]
    assert len(split(bench.content())) == 1


def test_after_a_stall_nothing_more_is_taken(tmp_path: Path, medium: Medium) -> None:
    bench = make(tmp_path, medium, queue_bytes=RECORD, wait_s=0.05)
    fd = bench.file()
    medium.hold.clear()
    bench.put(fd)
    with pytest.raises(StoreFailedError):
        bench.put(fd)
    medium.hold.set()
    wait_for(bench, 1)
    for _ in range(2):
        with pytest.raises(StoreFailedError, match="has not taken a write"):
            bench.put(fd)
        with pytest.raises(StoreFailedError, match="has not taken a write"):
            bench.writer.barrier()
    while not bench.writer.close():
        pass


def test_a_barrier_does_not_wait_for_ever(tmp_path: Path, medium: Medium) -> None:
    bench = make(tmp_path, medium, wait_s=0.05)
    medium.hold.clear()
    bench.put(bench.file())
    with pytest.raises(StoreFailedError, match="the medium has not finished its writes for 0 s"):
        bench.writer.barrier()
    medium.hold.set()
    while not bench.writer.close():
        pass
    assert bench.durable == [0]


@pytest.mark.parametrize("where", ["write", "sync"])
@pytest.mark.parametrize(
    ("number", "error", "says"),
    [
        (errno.EIO, StoreFailedError, r"FILE: the medium refused a write \(Input/output error\); replace the card"),
        (errno.ENOSPC, StoreFullError, "FILE: no room is left on the medium; offload the device"),
        (errno.EDQUOT, StoreFullError, "FILE: no room is left"),
        (errno.EROFS, StoreFailedError, "Read-only file system"),
    ],
    ids=["EIO", "ENOSPC", "EDQUOT", "EROFS"],
)
def test_a_medium_that_refuses(
    bench: Bench, medium: Medium, where: str, number: int, error: type[StoreError], says: str
) -> None:
    fd = bench.file()
    bench.put(fd)
    bench.writer.barrier()
    medium.refuse[where] = OSError(number, os.strerror(number))
    bench.put(fd)
    with pytest.raises(error, match=says):
        bench.writer.barrier()
    # Also when the medium thinks better of it: a page that failed to sync once may be lost for good.
    medium.refuse.clear()
    attempts: list[Callable[[], object]] = [lambda: bench.put(fd), bench.writer.barrier, lambda: bench.put(fd)]
    for attempt in attempts:
        with pytest.raises(error, match=says):
            attempt()
    assert bench.durable == [0]
    assert bench.writer.queued_bytes == 0


def test_nothing_queued_behind_a_failure_is_reported(bench: Bench, medium: Medium) -> None:
    fd = bench.file()
    medium.hold.clear()
    bench.put(fd)
    assert medium.held.wait(PATIENCE_S)
    medium.refuse["sync"] = OSError(errno.EIO, "Input/output error")
    for _ in range(5):
        bench.put(fd)
    medium.hold.set()
    with pytest.raises(StoreFailedError):
        bench.writer.barrier()
    assert bench.writer.close()
    assert bench.durable == []
    assert len(bench.content()) == RECORD


def test_a_caller_that_waits_for_room_is_told_of_a_failure(bench: Bench, medium: Medium) -> None:
    fd = bench.file()
    medium.hold.clear()
    for _ in range(10):
        bench.put(fd)
    raised: list[BaseException] = []

    def one_more() -> None:
        try:
            bench.put(fd)
        except StoreError as error:
            raised.append(error)

    thread = threading.Thread(target=one_more, name="one more")
    thread.start()
    medium.refuse["sync"] = OSError(errno.EIO, "Input/output error")
    medium.hold.set()
    thread.join(PATIENCE_S)
    assert [type(error) for error in raised] == [StoreFailedError]


@pytest.mark.parametrize("short", [1, 7, 103, 104, 105, 1100])
def test_short_writes_go_on(bench: Bench, medium: Medium, short: int) -> None:
    medium.short = short
    fd = bench.file()
    bench.put(fd, 300)
    bench.put(fd, 0)
    bench.writer.barrier()
    assert [len(record) for record in split(bench.content())] == [104 + 316 + 64, 104 + 16 + 64]
    assert bench.durable == [0, 1]


def test_closing_writes_what_is_queued(bench: Bench) -> None:
    fd = bench.file()
    for _ in range(9):
        bench.put(fd)
    assert bench.writer.close()
    assert bench.writer.close()
    assert bench.durable == list(range(9))
    with pytest.raises(StoreError, match="FILE: the store is closed"):
        bench.put(fd)


def test_buffers_are_used_again() -> None:
    pool = BufferPool(keep_bytes=200_000)
    views = [pool.take(size) for size in (1, 65_536, 65_537)]
    assert [len(view) for view in views] == [1, 65_536, 65_537]
    first = views[0].obj
    for view in views:
        pool.give(view)
    assert pool.take(100_000).obj is not first  # 131 072 bytes were one too many to keep
    assert pool.take(3).obj in (first, views[1].obj)
    with pytest.raises(TypeError):
        pool.give(memoryview(b"not of the pool"))
