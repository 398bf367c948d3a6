"""One device's stream at the station: messages in, frames and a status out. No I/O but the shelf's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from station.live.frames import Frame, FrameKind
from station.live.segment import Arrival, LiveSegment, Record
from station.opener import KeyOpener, SegmentOpener
from storage.chain import Tip
from storage.errors import FormatError
from storage.layout import MAX_BODY_BYTES, Flags, Header, Kind

_SEGMENTS = 2
"""How many are kept open: a late chunk of the one before may still come."""
_REFUSALS = 20


@dataclass(slots=True)
class Counts:
    """Of chunks, since the receiver began."""

    verified: int = 0
    previews: int = 0
    missing: int = 0
    again: int = 0
    late: int = 0
    refused: int = 0
    bytes: int = 0


class DeviceStream:
    """What arrives of one enrolled device. For one thread."""

    def __init__(
        self,
        device: bytes,
        identity: bytes,
        opener: KeyOpener,
        keep: Callable[[int, int, bytes], None],
        show: Callable[[Frame], None],
        utc_ns: Callable[[], int],
        *,
        highest: int = 0,
    ) -> None:
        """`keep` gets segment, chunk number and record of what verified; `highest` is the newest segment seen yet."""
        self.device = device
        self._identity = identity
        self._opener = opener
        self._keep = keep
        self._show = show
        self._utc_ns = utc_ns
        self._floor = highest
        self._segments: dict[int, tuple[LiveSegment, SegmentOpener]] = {}
        self._recording = b""
        self._init = b""
        self._needs_key = True
        self._plain = memoryview(bytearray(1024 * 1024))
        self.counts = Counts()
        self.refusals: deque[str] = deque(maxlen=_REFUSALS)
        self.latency_ms = 0.0
        self.light = ""
        self.last: Header | None = None
        self.previewing = False

    @property
    def live(self) -> bool:
        """A recording is shown."""
        return bool(self._recording)

    def opening(self, payload: bytes) -> None:
        """Take an opening.

        Raises:
            FormatError, OpenError: refused; nothing changes.
        """
        segment = LiveSegment(self._identity, payload)
        number = segment.number
        known = self._segments.get(number)
        if known is not None:
            if known[0].payload != payload:
                raise FormatError(f"segment {number} has another opening already: the chain forks")
            return
        if number < self._floor:
            raise FormatError(f"segment {number} is older than segment {self._floor}, which was seen: a replay")
        self._check_follows(segment)
        opener = SegmentOpener(self._opener, segment.header.place, segment.opening)
        init = bytes(opener.open_into(0, segment.init_head, segment.init_body, memoryview(bytearray(65_536))))
        self._floor = number
        self._segments[number] = (segment, opener)
        while len(self._segments) > _SEGMENTS:
            self._segments.pop(min(self._segments))
        self._keep(number, 0, payload)
        # Parts of one recording share their header; a part that does not begins anew for the viewer.
        if segment.header.place.recording != self._recording or init != self._init:
            self._recording, self._init, self._needs_key = segment.header.place.recording, init, True
            self._show(self._frame(FrameKind.INIT, segment.header, init))

    def chunk(self, segment: int, payload: bytes, previous: Tip) -> None:
        """Take a chunk of a segment; `previous` is where its message says that the chain stood before it.

        Raises:
            FormatError: refused; nothing changes.
            OpenError: it verifies, is kept, and does not open.
        """
        live, opener = self._segment(segment)
        missing = live.missing
        record = live.take(payload, previous)
        if record.arrival is Arrival.AGAIN:
            self.counts.again += 1
            return
        header = record.header
        self.counts.verified += 1
        self.counts.bytes += len(payload)
        self.counts.missing += live.missing - missing
        self._keep(segment, header.chunk, payload)
        media = self._open(opener, record) if header.kind == Kind.MEDIA else None
        if record.arrival is Arrival.LATE:
            self.counts.late += 1
            return
        self.last = header
        if record.arrival is Arrival.AFTER_GAP:
            self._needs_key = True
            self._show(self._frame(FrameKind.GAP, header, lost=live.missing - missing))
        if media is not None:
            self._play(header, media)
        elif header.kind == Kind.CLOSING and live.closed != "rotation":
            self.end(f"the recording ended: {live.closed}", header)

    def preview(self, segment: int, payload: bytes) -> None:
        """Take a preview. Errors as in `chunk`."""
        live, opener = self._segment(segment)
        record = live.take_preview(payload)
        if record.arrival is Arrival.AGAIN:
            self.counts.again += 1
            return
        plain = opener.open_preview(record.header.chunk, record.head, record.body)
        self.counts.previews += 1
        if record.arrival is Arrival.NEXT:
            self.previewing, self._needs_key = True, True
            self._tell(record.header)
            self._show(self._frame(FrameKind.PREVIEW, record.header, plain))

    def refused(self, why: str) -> None:
        """Take note that something was refused."""
        self.counts.refused += 1
        self.refusals.append(why)

    def end(self, text: str, header: Header | None = None) -> None:
        """Live view has ended."""
        if self._recording and (found := header or self.last) is not None:
            self._show(self._frame(FrameKind.ENDED, found, text=text))
        self._recording, self._init, self._needs_key, self.previewing = b"", b"", True, False

    @property
    def newest_init(self) -> Frame | None:
        """What a viewer who comes now must have first."""
        if not self._recording or not self._segments:
            return None
        return self._frame(FrameKind.INIT, self._segments[max(self._segments)][0].header, self._init)

    def _segment(self, number: int) -> tuple[LiveSegment, SegmentOpener]:
        try:
            return self._segments[number]
        except KeyError:
            raise FormatError(f"the opening of segment {number} has not arrived") from None

    def _open(self, opener: SegmentOpener, record: Record) -> memoryview:
        if len(record.body) > len(self._plain):
            self._plain = memoryview(bytearray(min(2 * len(record.body), MAX_BODY_BYTES)))
        return opener.open_into(record.header.chunk, record.head, record.body, self._plain)

    def _play(self, header: Header, media: memoryview) -> None:
        if self._needs_key and not header.flags & Flags.KEY:
            return
        self._needs_key = self.previewing = False
        self._tell(header)
        self._show(self._frame(FrameKind.MEDIA, header, bytes(media)))

    def _tell(self, header: Header) -> None:
        self.last = header
        self.light = f"{header.stamp.commanded.name}/{header.stamp.sensed.name}".lower()
        self.latency_ms = (self._utc_ns() - header.stamp.utc_ns - header.stamp.duration_ns) / 1e6

    def _check_follows(self, segment: LiveSegment) -> None:
        before = self._segments.get(segment.number - 1)
        if before is None or before[0].closed is None:
            return
        previous = segment.opening.previous
        if previous.tip != before[0].last_tip or previous.chunks != before[0].highest + 1:
            raise FormatError(f"segment {segment.number} does not follow on the one before it, which is here")

    def _frame(self, kind: FrameKind, header: Header, data: bytes = b"", *, lost: int = 0, text: str = "") -> Frame:
        stamp = header.stamp
        end_ns = stamp.utc_ns + stamp.duration_ns
        latency_ms = (self._utc_ns() - end_ns) / 1e6
        return Frame(
            kind,
            data,
            header.place.recording.hex(),
            header.place.segment,
            header.chunk,
            bool(header.flags & Flags.KEY),
            end_ns,
            stamp.clock_source.name.lower(),
            latency_ms,
            stamp.commanded.name.lower(),
            stamp.sensed.name.lower(),
            lost,
            text,
        )
