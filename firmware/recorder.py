"""The recorder: the one thread that writes the chain. Journal while idle, media while recording.

The thread is named "recorder", owned by whoever made the `Recorder`, and must run: when it ends, for whatever
reason, the last report says so and the process is to end. It takes commands from a bounded queue and answers with
reports, which are handed over on the recorder's or the flash thread.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from capture.chunk import CmafChunk
from capture.chunk import Gap as CaptureGap
from capture.errors import CaptureError
from capture.retime import Retimer
from drivers.errors import DriverError
from firmware.capture_source import CaptureSource
from firmware.previewing import PreviewSink, offer_preview
from firmware.stamps import Stamper
from firmware.standby_capture import StandbyCapture
from storage.destruction import Destruction
from storage.errors import StorageError, StoreFullError
from storage.events import Event, encode_events
from storage.layout import Flags, Kind, Stamp, parse_header
from storage.particulars import Gap
from storage.room import RARE_HEARTBEATS, JournalRoom
from storage.seal import SealedChunk
from storage.store import Segment, Store

_COMMANDS = 256
_POLL_S = 0.1
_DRAIN_NS = 5_000_000_000
_MAX_EVENTS_KEPT = 512


class News(Enum):
    """What a report is about."""

    STARTED = "started"
    """The first chunk of a recording is durable."""
    ENDED = "ended"
    """The recording is closed and durable; `text` is the reason."""
    FAILED = "failed"
    """The recorder cannot go on; `text` says why and what to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the recorder tells the main thread."""

    news: News
    text: str = ""
    recording: bytes = bytes(16)


@dataclass(frozen=True, slots=True)
class RecorderTimes:
    """Times in nanoseconds."""

    segment_ns: int = 60_000_000_000
    heartbeat_ns: int = 10_000_000_000
    key_interval_ns: int = 1_000_000_000
    pre_event_ns: int = 0
    """How much footage from before a recording may be held in memory; 0 is none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What has become durable, for displays and for the light."""

    recording: bytes
    """Zeros while the journal is open."""
    segment: int
    chunk: int
    chain: bytes
    durable_ns: int
    media_ns: int
    """Of media in this segment."""
    stored_ns: int = 0
    """When a chunk with a picture became durable last (monotonic): sound alone is not what the light promises."""


class _Command(Enum):
    START = 1
    STOP = 2
    SHUT_DOWN = 3
    BUFFER = 4
    UNBUFFER = 5


@dataclass(slots=True)
class _Statement:
    """A destruction that waits to be put on record."""

    destruction: Destruction
    durable: threading.Event


@dataclass(slots=True)
class _Take:
    """One recording under way."""

    capture: CaptureSource
    begun: bool = False
    """Its first segment is open."""
    part: int = 0
    segment_start_ns: int = 0
    reason: str = "camera"
    """What it will be closed for; the camera's fault unless something else happens first."""
    stopped_ns: int | None = None
    power_off: bool = False
    retimer: Retimer | None = None
    buffered: bool = False
    """The capture ran before the recording was started."""
    asked_ns: int = 0
    """When the recorder was told to start it, with the light lit and confirmed."""


class Recorder:
    """Writes journal and recordings into a store."""

    def __init__(
        self,
        store: Store,
        stamper: Stamper,
        make_capture: Callable[[], CaptureSource],
        profile: str,
        on_report: Callable[[Report], None],
        *,
        monotonic_ns: Callable[[], int],
        times: RecorderTimes = RecorderTimes(),
        on_sound: Callable[[bool], None] | None = None,
        on_buffer_trouble: Callable[[str], None] = lambda _text: None,
        previews: PreviewSink | None = None,
    ) -> None:
        """`on_sound` is told when the microphone goes silent while recording (False), and when it is back.

        `on_buffer_trouble` is told why the pre-event buffer cannot be filled, and with an empty text that it can again.
        `previews` gets thinned chunks for live view, when it wants them.
        """
        self._store = store
        self._on_sound = on_sound
        self._previews = previews
        self._sound = True
        self._pictureless: set[tuple[int, int]] = set()
        """Chunks (segment, number) of the recording under way that hold sound alone."""
        self._stamper = stamper
        self._make_capture = make_capture
        self._profile = profile
        self._on_report = on_report
        self._monotonic_ns = monotonic_ns
        self._times = times
        self._commands: queue.Queue[tuple[_Command, str]] = queue.Queue(_COMMANDS)
        self._events: list[Event] = []
        self._events_dropped = 0
        self._beats = 0
        self._events_lock = threading.Lock()
        self._ended = False
        """The last events were taken: there is no segment for another."""
        self._wake = threading.Event()
        self._standby = StandbyCapture(make_capture, stamper, times.pre_event_ns, self.note, on_buffer_trouble)
        self._statements: queue.Queue[_Statement] = queue.Queue(1)
        self._segment: Segment | None = None
        self._progress = Progress(bytes(16), 0, 0, bytes(32), 0, 0)
        self._recording = bytes(16)
        self._started = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def begin(self) -> None:
        """Start the thread; the first journal opens at once."""
        self._thread.start()

    def start(self) -> None:
        """Begin a recording; the light must be lit and confirmed by now."""
        self._command(_Command.START)

    def stop(self, reason: str = "stop") -> None:
        """End the recording that is under way, if one is, for a closing reason of the format."""
        self._command(_Command.STOP, reason)

    def buffer(self, on: bool) -> None:
        """Fill the pre-event buffer until a recording begins, if the policy allows one; people nearby are shown so."""
        self._command(_Command.BUFFER if on else _Command.UNBUFFER)

    def shut_down(self, timeout_s: float) -> bool:
        """Close whatever is open for power-off and end the thread; return whether it ended in time."""
        self._command(_Command.SHUT_DOWN)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def note(self, name: str, **details: str | int | bool | None) -> None:
        """Put an event on record. Never blocks; when too many wait, the oldest are dropped and counted."""
        self.offer(name, **details)

    def offer(self, name: str, **details: str | int | bool | None) -> bool:
        """Do as `note` does; return False where the chain is closed for good, and the event is in no segment."""
        with self._events_lock:
            if self._ended:
                return False
            self._events.append(Event(self._monotonic_ns(), name, details))
            if len(self._events) > _MAX_EVENTS_KEPT:
                del self._events[0]
                self._events_dropped += 1
        self._wake.set()
        return True

    def state_destruction(self, destruction: Destruction, timeout_s: float) -> bool:
        """Put a destruction on record in the journal, durably; False if a recording, or anything else, came between.

        It may still be stated after this returned False: then it is stated twice, which a verifier accepts.
        """
        statement = _Statement(destruction, threading.Event())
        try:
            self._statements.put_nowait(statement)
        except queue.Full:
            return False
        self._wake.set()
        return statement.durable.wait(timeout_s)

    @property
    def recording(self) -> bytes:
        """The id of the recording under way; zeros if none is."""
        return self._recording

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def progress(self) -> Progress:
        """What has become durable."""
        return self._progress

    def durable(self, chunk: SealedChunk) -> None:
        """Take note that a chunk is durable: the store's `on_durable`, on the flash thread."""
        media_ns = self._progress.media_ns if chunk.kind is not Kind.OPENING else 0
        if chunk.kind is Kind.MEDIA:
            media_ns += chunk.stamp.duration_ns
        recording = parse_header(chunk.head).place.recording
        now_ns = self._monotonic_ns()
        stored_ns = self._progress.stored_ns
        if chunk.kind is Kind.MEDIA and (chunk.segment, chunk.number) not in self._pictureless:
            stored_ns = now_ns
        self._progress = Progress(recording, chunk.segment, chunk.number, chunk.tip.chain, now_ns, media_ns, stored_ns)
        if chunk.kind is Kind.MEDIA and not self._started:
            self._started = True
            self._on_report(Report(News.STARTED, recording=recording))

    def _command(self, command: _Command, text: str = "") -> None:
        self._commands.put((command, text), timeout=1.0)
        self._wake.set()

    def _run(self) -> None:
        try:
            self._open_journal()
            while self._idle():
                self._record()
        except (StorageError, DriverError, CaptureError) as error:
            self._on_report(Report(News.FAILED, str(error)))
        except BaseException as error:
            # A must-run thread that dies of a bug must not die in silence: report, then let the traceback be seen.
            self._on_report(Report(News.FAILED, f"the recorder failed: {type(error).__name__}: {error}"))
            raise
        finally:
            self._standby.want(False)

    def _idle(self) -> bool:
        """Keep the journal until a recording is to begin (True) or the end has come (False)."""
        while True:
            self._wait()
            woken = self._wake.is_set()
            self._wake.clear()
            segment = self._require_segment()
            if not self._write_events() and not self._write_statements(segment) and not woken:
                self._beat(segment)
            # One at a time: what comes after a START is for the recording.
            while (command := self._next_command()) is not None:
                if command[0] is _Command.START:
                    return True
                if command[0] in (_Command.BUFFER, _Command.UNBUFFER):
                    self._standby.want(command[0] is _Command.BUFFER)
                if command[0] is _Command.SHUT_DOWN:
                    self._standby.want(False)
                    self._write_events(last=True)
                    self._close("power-off")
                    return False
            if segment.chunks > 10_000:
                self._close("rotation")
                self._open_journal()

    def _beat(self, segment: Segment) -> None:
        """Say that nothing happened; rarely, or not at all, where the reserve runs out."""
        room = self._store.journal_room()
        self._beats += 1
        if room is JournalRoom.ALL or (room is JournalRoom.RARE and self._beats % RARE_HEARTBEATS == 0):
            segment.heartbeat(self._stamper.now())

    def _wait(self) -> None:
        """Wait for something to do or until a heartbeat is due; meanwhile fill the pre-event buffer, if wanted."""
        deadline_s = time.monotonic() + self._times.heartbeat_ns / 1e9
        while self._standby.active and not self._wake.is_set() and time.monotonic() < deadline_s:
            self._standby.step()
        self._wake.wait(max(0.0, deadline_s - time.monotonic()))

    def _record(self) -> None:
        """Make one recording, from the first picture to its closing; the journal is open again afterwards."""
        self._recording, self._started = secrets.token_bytes(16), False
        self._pictureless.clear()
        handed = self._standby.hand_over()
        take = (
            _Take(handed.capture, buffered=True, asked_ns=self._monotonic_ns())
            if handed
            else _Take(self._make_capture())
        )
        try:
            self._run_take(take, handed.held if handed else iter(()))
        finally:
            take.capture.close()
        self._on_report(Report(News.ENDED, take.reason, self._recording))
        self._recording = bytes(16)
        if take.power_off:
            self._command(_Command.SHUT_DOWN)

    def _run_take(self, take: _Take, held: Iterator[tuple[CmafChunk, Stamp]]) -> None:
        """Keep what was held; then capture and seal until stopped, the device is full, or the camera fails."""
        try:
            if not take.buffered:
                take.capture.start()
            for early, stamp in held:
                self._keep(take, early, stamp)
            while not take.capture.ended:
                self._obey(take)
                chunk = take.capture.read(_POLL_S)
                if chunk is not None:
                    self._keep(take, chunk, self._stamper.over(chunk.start_ns, chunk.duration_ns))
        except StoreFullError as error:
            take.reason = "full"
            self.note("full", text=str(error))
        except (CaptureError, DriverError) as error:
            self.note("camera", text=str(error))
        if take.begun and self._segment is not None:
            self._write_events()
            self._close(take.reason, _gaps(take.capture.pending_gaps))
        if self._segment is None:
            self._open_journal()

    def _keep(self, take: _Take, chunk: CmafChunk, stamp: Stamp) -> None:
        flags = Flags(0)
        if take.buffered:
            # What was on its way when the recording was started was captured before it, too.
            flags = Flags.PRE_EVENT if chunk.start_ns < take.asked_ns else flags
            take.retimer = take.retimer or Retimer(take.capture.init_segment)
            chunk = take.retimer(chunk)
        self._rotate(take, chunk)
        self._write_events()
        self._seal(chunk, stamp, flags)

    def _obey(self, take: _Take) -> None:
        """Take note of commands; raise if the camera goes on although it was stopped."""
        while (found := self._next_command()) is not None:
            command, text = found
            take.power_off |= command is _Command.SHUT_DOWN
            if command in (_Command.STOP, _Command.SHUT_DOWN) and take.stopped_ns is None:
                take.stopped_ns = self._monotonic_ns()
                take.reason = text or "power-off"
                take.capture.request_stop()
        if take.stopped_ns is not None and self._monotonic_ns() - take.stopped_ns > _DRAIN_NS:
            raise CaptureError("the camera did not stop in time; what it recorded until now is closed")

    def _rotate(self, take: _Take, chunk: CmafChunk) -> None:
        """Open the recording's first segment, or its next one where that is due."""
        if take.begun and not self._rotation_due(chunk, take.segment_start_ns):
            return
        # Before anything is closed: a recording that ends because the store is full says so in its last closing.
        self._store.require_room(len(take.capture.init_segment) + len(chunk.data))
        self._close("rotation" if take.begun else "recording")
        take.part += take.begun
        take.begun, take.segment_start_ns = True, chunk.start_ns
        stamp = self._stamper.over(chunk.start_ns, 0)
        self._segment = self._store.begin(
            stamp,
            recording=self._recording,
            part=take.part,
            profile=self._profile,
            init=take.capture.init_segment,
        )

    def _rotation_due(self, chunk: CmafChunk, segment_start_ns: int) -> bool:
        """Whether this chunk begins a new segment: at the last key picture that keeps segments within their length."""
        length_ns = chunk.start_ns + chunk.duration_ns - segment_start_ns
        if length_ns > self._times.segment_ns:
            return True
        return chunk.key and length_ns + self._times.key_interval_ns > self._times.segment_ns

    def _seal(self, chunk: CmafChunk, stamp: Stamp, flags: Flags) -> None:
        if chunk.audio_live is not self._sound:
            self._sound = chunk.audio_live
            if self._on_sound is not None:
                self._on_sound(self._sound)
        flags |= (Flags.KEY if chunk.key else Flags(0)) | (Flags.SOUND if chunk.audio_live else Flags(0))
        segment = self._require_segment()
        if not chunk.frames:
            self._pictureless.add((segment.number, segment.chunks))
        # Before the chunk itself, so that it is there when that one is durable.
        trouble = offer_preview(self._previews, segment, chunk, stamp, flags, self._times.key_interval_ns)
        if trouble:
            self.note("live-preview", on=False, why=trouble)
        segment.media(stamp, chunk.data, flags, _gaps(chunk.gaps))

    def _open_journal(self) -> None:
        self._segment = self._store.begin(self._stamper.now())

    def _close(self, reason: str, gaps: tuple[Gap, ...] = ()) -> None:
        self._require_segment().close(reason, self._stamper.now(), gaps)
        self._segment = None

    def _require_segment(self) -> Segment:
        if self._segment is None:
            raise StorageError("no segment is open")
        return self._segment

    def _write_events(self, *, last: bool = False) -> bool:
        with self._events_lock:
            self._ended |= last
            events, self._events = self._events, []
            dropped, self._events_dropped = self._events_dropped, 0
        if (events or dropped) and self._store.journal_room() is JournalRoom.NEEDED:
            with self._events_lock:
                self._events_dropped += dropped + len(events)
            return False
        if dropped:
            events.append(Event(self._monotonic_ns(), "events-dropped", {"count": dropped}))
        if events:
            self._require_segment().events(self._stamper.now(), encode_events(events))
        return bool(events)

    def _write_statements(self, segment: Segment) -> bool:
        try:
            statement = self._statements.get_nowait()
        except queue.Empty:
            return False
        segment.destruction(self._stamper.now(), statement.destruction)
        statement.durable.set()
        return True

    def _next_command(self) -> tuple[_Command, str] | None:
        try:
            return self._commands.get_nowait()
        except queue.Empty:
            return None


def _gaps(gaps: tuple[CaptureGap, ...]) -> tuple[Gap, ...]:
    return tuple(Gap(gap.track, max(0, gap.start_ns), gap.duration_ns, gap.lost_units, gap.cause) for gap in gaps)
