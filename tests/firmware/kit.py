"""A fake capture, a recorder with a real store around it, and a reader for what it wrote."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from capture.chunk import CmafChunk
from capture.chunk import Gap as CaptureGap
from drivers.clock.simulated import SimulatedClock
from drivers.indicator.protocol import LightState
from firmware.light_witness import LightWitness
from firmware.recorder import News, Recorder, RecorderTimes, Report
from firmware.stamps import Stamper
from station.keys import StationKey
from station.opener import FileKeyOpener, SegmentOpener
from storage.events import Event, parse_events
from storage.inventory import SEGMENTS
from storage.layout import HEADER_BYTES, Flags, Kind, Stamp
from storage.particulars import Gap, parse_closing, parse_gaps, parse_opening
from storage.reader import SegmentReader
from storage.seal import SealedChunk
from storage.store import Store, StoreSettings
from storage.verify import StoreReport, verify
from tests.storage.kit import BOOT, INIT
from tests.storage.kit import Device as Enrolled

SECOND = 1_000_000_000
THIRD = SECOND // 3
PATIENCE_S = 30.0
"""How long anything is waited for on a machine that is busy with something else."""


def chunk(start_ns: int, *, key: bool = False, size: int = 500, gaps: tuple[CaptureGap, ...] = ()) -> CmafChunk:
    return CmafChunk(
        data=bytes(size), start_ns=start_ns, duration_ns=THIRD, key=key, frames=10, gaps=gaps,
        audio_live=True, video_live=True,
    )  # fmt: skip


def footage(start_ns: int, seconds: int) -> list[CmafChunk]:
    """Chunks of a third of a second, a key picture at the beginning of each second."""
    return [chunk(start_ns + number * THIRD, key=number % 3 == 0) for number in range(3 * seconds)]


class FakeCapture:
    """Gives what it is fed; after a stop it gives `tail` and has ended."""

    def __init__(
        self,
        *,
        tail: Iterable[CmafChunk] = (),
        pending_gaps: tuple[CaptureGap, ...] = (),
        refuses: Exception | None = None,
        never_stops: bool = False,
    ) -> None:
        self.init_segment = INIT
        self.pending_gaps = pending_gaps
        self.ended = False
        self.started = threading.Event()
        self.stopping = threading.Event()
        self.closed = threading.Event()
        self._tail = list(tail)
        self._refuses = refuses
        self._never_stops = never_stops
        self._items: queue.Queue[CmafChunk | Exception | None] = queue.Queue(10_000)
        self._idle = threading.Event()

    def feed(self, *items: CmafChunk | Exception) -> None:
        for item in items:
            self._items.put(item, timeout=PATIENCE_S)

    def until_read(self) -> None:
        """Wait until all that was fed was read, and what was read was dealt with."""
        while not self._items.empty():
            self._idle.wait(PATIENCE_S)
            self._idle.clear()
        self._idle.clear()
        assert self._idle.wait(PATIENCE_S)

    def start(self) -> None:
        self.started.set()
        if self._refuses:
            raise self._refuses

    def read(self, timeout_s: float) -> CmafChunk | None:
        try:
            item = self._items.get(timeout=timeout_s)
        except queue.Empty:
            self._idle.set()
            return None
        if isinstance(item, Exception):
            raise item
        self.ended = item is None
        return item

    def request_stop(self) -> None:
        self.stopping.set()
        if not self._never_stops:
            self.feed(*self._tail)
            self._items.put(None, timeout=PATIENCE_S)

    def close(self) -> None:
        self.closed.set()


class Watched:
    """Things that come on other threads, awaited."""

    def __init__(self) -> None:
        self._came = threading.Condition()
        self.reports: list[Report] = []
        self.chunks: list[tuple[int, int, Kind]] = []

    def report(self, report: Report) -> None:
        with self._came:
            self.reports.append(report)
            self._came.notify_all()

    def chunk(self, sealed: SealedChunk) -> None:
        with self._came:
            self.chunks.append((sealed.segment, sealed.number, sealed.kind))
            self._came.notify_all()

    def until(self, done: Callable[[], object]) -> None:
        with self._came:
            assert self._came.wait_for(done, PATIENCE_S), f"never happened; {self.reports}, {self.chunks}"

    def until_news(self, news: News, count: int = 1) -> Report:
        self.until(lambda: len(self.all(news)) >= count)
        return self.all(news)[count - 1]

    def until_durable(self, kind: Kind, count: int = 1) -> None:
        self.until(lambda: [item[2] for item in self.chunks].count(kind) >= count)

    def all(self, news: News) -> list[Report]:
        return [report for report in self.reports if report.news is news]


class SmallStore(Store):
    """A store with as much room as the test says."""

    room_bytes = 1 << 40
    shrinks_after: int | None = None
    """Asked so often, it has no room any more."""

    def free_bytes(self) -> int:
        if self.shrinks_after is None:
            return self.room_bytes
        self.shrinks_after -= 1
        return self.room_bytes if self.shrinks_after >= 0 else 0


@dataclass
class Bench:
    """A recorder on a bench. A context manager that closes the store; `captures` are used one a recording."""

    base: Path
    captures: list[FakeCapture] = field(default_factory=list)
    times: RecorderTimes = field(default_factory=RecorderTimes)
    buffer_trouble: list[str] = field(default_factory=list)
    uplink: Any = None
    """Gets what is durable, and previews where it wants them."""

    def __post_init__(self) -> None:
        self.enrolled = Enrolled(self.base, StationKey.generate(hybrid=False))
        self.clock = SimulatedClock(monotonic_ns=1000 * SECOND)
        self.watched = Watched()
        self.witness = LightWitness(LightState(0, True, True))
        settings = StoreSettings([self.enrolled.station.recipient], reserve_bytes=0, wait_s=PATIENCE_S)
        self.store = SmallStore(self.enrolled.flash, self.enrolled.state, settings, BOOT, self._durable)
        waiting = iter(self.captures)
        self.recorder = Recorder(
            self.store,
            Stamper(self.clock, self.witness),
            lambda: next(waiting),
            "480p30",
            self.watched.report,
            monotonic_ns=self.clock.monotonic_ns,
            times=self.times,
            on_buffer_trouble=self.buffer_trouble.append,
            previews=self.uplink,
        )

    def _durable(self, sealed: SealedChunk) -> None:
        self.recorder.durable(sealed)
        if self.uplink is not None:
            self.uplink.durable(sealed)
        self.watched.chunk(sealed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.close()

    def finish(self) -> None:
        """Power off, and let go of the store."""
        assert self.recorder.shut_down(PATIENCE_S)
        self.store.close()

    def verified(self) -> StoreReport:
        return verify(self.enrolled.flash, self.enrolled.identity, workers=1)

    def written(self) -> list[Written]:
        return list(read_store(self.enrolled.flash, self.enrolled.station))


@dataclass(frozen=True)
class Entry:
    """A chunk, opened."""

    kind: Kind
    stamp: Stamp
    flags: Flags
    body: bytes
    gaps: tuple[Gap, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass
class Written:
    """A segment, opened with the station's key."""

    number: int
    recording: bytes
    media: bool
    part: int
    entries: list[Entry] = field(default_factory=list)
    reason: str | None = None

    @property
    def footage(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind is Kind.MEDIA]

    @property
    def events(self) -> list[Event]:
        return [event for entry in self.entries for event in entry.events]

    @property
    def kinds(self) -> list[Kind]:
        return [entry.kind for entry in self.entries]

    @property
    def summary(self) -> tuple[str, int, str | None]:
        return ("media" if self.media else "journal", self.part, self.reason)


def read_store(flash: Path, station: StationKey) -> Iterator[Written]:
    """Open every segment of a store, in order."""
    for path in sorted((flash / SEGMENTS).iterdir()):
        with SegmentReader(path) as reader:
            yield _read(reader, FileKeyOpener(station))


def _read(reader: SegmentReader, opener: FileKeyOpener) -> Written:
    made: Written | None = None
    for record in reader.records():
        header, particulars = record.header, bytes(record.head[HEADER_BYTES:])
        if made is None:
            opening = parse_opening(particulars)
            segment = SegmentOpener(opener, header.place, opening)
            made = Written(header.place.segment, header.place.recording, opening.media, opening.part)
        body = bytes(segment.open_into(header.chunk, record.head, record.body, memoryview(bytearray(len(record.body)))))
        kind = Kind(header.kind)
        gaps: tuple[Gap, ...] = ()
        events: tuple[Event, ...] = ()
        if kind is Kind.MEDIA:
            gaps = parse_gaps(particulars)
        elif kind is Kind.CLOSING:
            made.reason, gaps = parse_closing(particulars)
        elif kind is Kind.EVENTS:
            events = tuple(parse_events(body))
        made.entries.append(Entry(kind, header.stamp, Flags(header.flags), body, gaps, events))
    assert made is not None, "a segment without a chunk"
    return made
