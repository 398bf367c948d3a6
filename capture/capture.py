"""Camera and microphone in, chunks of fragmented MP4 out.

The drivers deliver on their own threads into the bounded `Intake`; `Capture.read`, on the caller's thread, encodes the
sound and makes the chunks. Two watchdog threads, ``capture-watch-camera`` and ``capture-watch-microphone``, belong to
the capture from `start` to `close`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from capture.aac import AacEncoder
from capture.chunk import AUDIO, DAMAGED, NO_SIGNAL, STALL, VIDEO, CmafChunk, Gap
from capture.chunker import Chunker, Picture
from capture.errors import BitstreamError, CaptureError
from capture.fmp4 import AudioTrack, init_segment
from capture.guard import Guard, Part
from capture.h264 import length_prefixed, parameter_sets, split
from capture.intake import Intake, TakenBlock, TakenPicture
from capture.limits import Limits
from capture.profiles import Profile
from capture.soundtrack import Soundtrack
from drivers.camera.protocol import AccessUnit, Camera
from drivers.errors import DriverError
from drivers.microphone.protocol import Microphone, PcmBlock

_SECOND_NS = 1_000_000_000
_JOIN_S = 6.0
_SILENT_DBFS = -96.0
_FULL_SCALE = 32_768
_UNNOTICED_NS = 300_000_000
"""A stop may cost what was still on its way out of an encoder; more than this is a gap."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since `Capture.start`."""

    frames: int
    """Pictures taken into chunks."""
    dropped_frames: int
    """Pictures the drivers delivered that could not be used."""
    dropped_blocks: int
    camera_restarts: int
    microphone_restarts: int
    camera_trouble: str | None
    """What the last restart of the camera was for, or why it does not start; None while nothing was wrong."""
    microphone_trouble: str | None
    highest_queue_bytes: int


class Capture:
    """One recording's capture. `start` once, then `read` on one thread until `ended`; `close` is idempotent.

    The drivers stay the caller's: they are started and stopped here, not closed. A microphone that is not present
    makes a recording without a sound track.
    """

    def __init__(
        self,
        profile: Profile,
        camera: Camera,
        microphone: Microphone,
        *,
        limits: Limits | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Prepare; nothing runs yet.

        Raises:
            CaptureError: the profile's sound cannot be encoded.
        """
        self._profile = profile
        self._camera = camera
        self._microphone = microphone
        self._limits = limits = limits or Limits()
        self._clock = clock
        self._intake = Intake(limits, clock)
        sounding = microphone.present
        self._encoder = AacEncoder(profile.audio, profile.audio_bitrate_bps) if sounding else None
        self._sound = Soundtrack(profile.audio, self._encoder, limits) if self._encoder else None
        self._chunker = Chunker(limits, profile.video.frame_rate, profile.audio.sample_rate if sounding else None)
        self._camera_guard = Guard(self._camera_part(), limits, clock)
        self._microphone_guard = Guard(self._microphone_part(), limits, clock)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._crashed: str | None = None
        self._init: bytes | None = None
        self._started_ns: int | None = None
        self._stopping_ns = 0
        self._skipped = 0
        self._usable_ns = 0
        self._no_picture_yet = "no key picture came"
        self._ended = False

    def start(self) -> None:
        """Start the microphone, the camera and their watchdogs. A microphone that does not start is tried again.

        Raises:
            CaptureError: the camera does not start, or this was started before.
        """
        if self._started_ns is not None or self._stop.is_set():
            raise CaptureError("capture: was started before; make a new one for each recording")
        self._started_ns = self._clock()
        guards = {"capture-watch-camera": self._camera_guard}
        if self._sound is not None:
            guards["capture-watch-microphone"] = self._microphone_guard
        watched = False
        try:
            if self._sound is not None:
                self._start_microphone()
            self._camera_guard.start()
            for name, guard in guards.items():
                thread = threading.Thread(target=self._watch, args=(guard,), name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
            watched = True
        except DriverError as error:
            raise CaptureError(f"capture: the camera does not start: {error}") from error
        finally:
            if not watched:
                self._stop.set()
                self._ended = True
                for guard in guards.values():
                    guard.stop()

    def read(self, timeout_s: float) -> CmafChunk | None:
        """The next chunk; None when none is ready in `timeout_s`, or, at once, when `ended`.

        Raises:
            CaptureError: no first picture came in time, a watchdog died, or the sound cannot be encoded.
        """
        deadline_ns = self._clock() + int(timeout_s * _SECOND_NS)
        while True:
            if self._chunker.chunks:
                return self._chunker.chunks.popleft()
            if self._ended:
                return None
            now_ns = self._clock()
            until_ns = min(deadline_ns, self._chunker.deadline_ns() or deadline_ns)
            # Asked before the queue is emptied: what a driver delivered last is then in it.
            last = self._stopped(now_ns)
            items = self._intake.take(max(0, until_ns - now_ns) / _SECOND_NS)
            now_ns = self._clock()
            for item in items:
                self._look(item.came_ns)
                if isinstance(item, TakenPicture):
                    self._take_picture(item)
                else:
                    self._take_block(item)
            self._check(now_ns)
            if last and not items:
                self._finish(now_ns)
                continue
            # To a reader who lags behind, the time is that of what it has come to: more is there already.
            seen_ns = items[-1].came_ns if items and self._intake.waiting else now_ns
            if not self._stop.is_set():
                # What is left after a stop came while the parts were as they were then.
                self._look(seen_ns)
            self._chunker.tick(seen_ns)
            if not items and now_ns >= deadline_ns and not self._chunker.chunks:
                return None

    def request_stop(self) -> None:
        """Have the watchdogs stop the drivers. Returns at once; `read` gives the rest, then `ended` is true."""
        if not self._stop.is_set():
            self._stopping_ns = self._clock()
            self._stop.set()
            self._intake.wake()

    def close(self) -> None:
        """Stop at once and drop what was not read. Idempotent.

        Raises:
            CaptureError: a driver hangs and its watchdog thread with it.
        """
        self.request_stop()
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(_JOIN_S)
        self._ended = True
        if self._encoder is not None:
            self._encoder.close()
        hanging = [thread.name for thread in threads if thread.is_alive()]
        if hanging:
            raise CaptureError(f"capture: {', '.join(hanging)} hangs in a driver; end the process and start it again")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """After `request_stop`, everything was read; or this was closed."""
        return self._ended and not self._chunker.chunks

    @property
    def init_segment(self) -> bytes:
        """What stands before the first chunk (`ftyp` and `moov`); there once `read` gave a chunk.

        Raises:
            CaptureError: no key picture was read yet.
        """
        if self._init is None:
            raise CaptureError("capture: no key picture was read yet; read a chunk first")
        return self._init

    @property
    def pending_gaps(self) -> tuple[Gap, ...]:
        """Gaps on no chunk yet; once `ended`, those that the caller must put on record itself."""
        return self._chunker.gaps

    @property
    def audio_live(self) -> bool:
        """Sound is arriving from the microphone."""
        return self._sound is not None and self._microphone_guard.live(self._clock())

    @property
    def video_live(self) -> bool:
        """Pictures are arriving from the camera."""
        return self._camera_guard.live(self._clock())

    @property
    def level_dbfs(self) -> float | None:
        """Root mean square of the last block of sound against full scale; None while the microphone is dead."""
        block = self._intake.last_block
        if block is None or not self.audio_live:
            return None
        samples = memoryview(block.data).cast("h").tolist()
        if not samples:
            return _SILENT_DBFS
        mean = sum(value * value for value in samples) / len(samples)
        return max(_SILENT_DBFS, 10 * math.log10(mean / _FULL_SCALE**2)) if mean else _SILENT_DBFS

    @property
    def statistics(self) -> Statistics:
        """Counts so far."""
        return Statistics(
            frames=self._chunker.frames,
            dropped_frames=self._intake.dropped_frames,
            dropped_blocks=self._intake.dropped_blocks,
            camera_restarts=self._camera_guard.restarts,
            microphone_restarts=self._microphone_guard.restarts,
            camera_trouble=self._camera_guard.trouble,
            microphone_trouble=self._microphone_guard.trouble,
            highest_queue_bytes=self._intake.highest_bytes,
        )

    def _camera_part(self) -> Part:
        def start(current: Callable[[], bool]) -> None:
            def sink(unit: AccessUnit) -> None:
                if current() and self._intake.put_video(unit):
                    self._camera_guard.delivered()

            self._camera.start(self._profile.video, sink)

        return Part(
            name=f"camera {self._camera.name}",
            start=start,
            stop=self._camera.stop,
            fault=self._camera.fault,
            restarting=self._intake.video_restarted,
            silence_ns=self._limits.camera_silence_ns,
        )

    def _microphone_part(self) -> Part:
        def start(current: Callable[[], bool]) -> None:
            def sink(block: PcmBlock) -> None:
                if current() and self._intake.put_audio(block):
                    self._microphone_guard.delivered()

            self._microphone.start(self._profile.audio, sink)

        return Part(
            name=f"microphone {self._microphone.name}",
            start=start,
            stop=self._microphone.stop,
            fault=self._microphone.fault,
            restarting=self._intake.audio_restarted,
            silence_ns=self._limits.microphone_silence_ns,
        )

    def _watch(self, guard: Guard) -> None:
        clean = False
        try:
            guard.run(self._stop)
            clean = True
        finally:
            if not clean:
                self._crashed = threading.current_thread().name
            self._intake.wake()

    def _take_picture(self, item: TakenPicture) -> None:
        unit, now_ns = item.unit, item.came_ns
        if self._skipped and not unit.key:
            self._skip(now_ns)
            return
        try:
            units = split(unit.data)
            if self._init is None:
                self._begin(units, unit.capture_ns)
        except BitstreamError as error:
            self._no_picture_yet = str(error)
            self._skip(now_ns)
            return
        self._usable_ns = now_ns
        pieces, size = length_prefixed(units)
        cause = item.cause or (DAMAGED if self._skipped else None)
        picture = Picture(pieces, size, unit.capture_ns, unit.key, item.lost + self._skipped, cause)
        self._skipped = 0
        if self._sound is not None and not self._chunker.audio_live and self._silent_for_long(now_ns):
            self._sound.fill_to(unit.capture_ns, NO_SIGNAL)
            self._pass_on_sound(now_ns)
        self._chunker.picture(picture, now_ns)

    def _skip(self, now_ns: int) -> None:
        """A picture that cannot be decoded, or refers to one."""
        self._skipped += 1
        self._intake.damaged()
        self._usable_ns = self._usable_ns or now_ns
        if now_ns - self._usable_ns > self._limits.camera_silence_ns:
            self._usable_ns = now_ns
            self._camera_guard.distrust(f"camera {self._camera.name}: delivers nothing usable: {self._no_picture_yet}")

    def _silent_for_long(self, now_ns: int) -> bool:
        """A microphone that was only just started gets its time before silence stands in for it."""
        started_ns = self._started_ns or 0
        return self._microphone_guard.trouble is not None or now_ns - started_ns > self._limits.microphone_silence_ns

    def _take_block(self, item: TakenBlock) -> None:
        if self._sound is not None:
            self._sound.add(item.block, item.cause)
            self._pass_on_sound(item.came_ns)

    def _begin(self, units: list[memoryview], capture_ns: int) -> None:
        sets = parameter_sets(units)
        audio = None
        if self._encoder is not None and self._sound is not None:
            audio = AudioTrack(self._profile.audio, self._profile.audio_bitrate_bps, self._encoder.config)
            self._sound.begin(capture_ns)
        self._init = init_segment(sets, audio)

    def _pass_on_sound(self, now_ns: int) -> None:
        sound = self._sound
        if sound is None:
            return
        frames, sound.frames = sound.frames, []
        self._chunker.sound(frames, now_ns)
        if self._init is not None:
            gaps, sound.gaps = sound.gaps, []
            for gap in gaps:
                self._chunker.gap(gap)

    def _start_microphone(self) -> None:
        try:
            self._microphone_guard.start()
        except DriverError:
            # On record in the statistics and as silence; the watchdog tries again.
            self._intake.audio_restarted(NO_SIGNAL)

    def _look(self, at_ns: int) -> None:
        """Note which parts were alive when what is handled now came."""
        self._chunker.video_live = self._camera_guard.live(at_ns)
        self._chunker.audio_live = self._sound is not None and self._microphone_guard.live(at_ns)

    def _stopped(self, now_ns: int) -> bool:
        """After a request to stop: nothing more can come, because the drivers have stopped or are not waited for."""
        if not self._stop.is_set():
            return False
        if now_ns - self._stopping_ns > self._limits.drain_ns:
            self._intake.shut()
            return True
        return not any(thread.is_alive() for thread in self._threads)

    def _check(self, now_ns: int) -> None:
        if self._crashed is not None:
            raise CaptureError(f"capture: thread {self._crashed} died; end the process and start it again")
        waiting_ns = now_ns - (self._started_ns or now_ns)
        if self._init is None and not self._stop.is_set() and waiting_ns > self._limits.start_up_ns:
            waited_s = self._limits.start_up_ns / _SECOND_NS
            trouble = self._camera_guard.trouble or self._no_picture_yet
            raise CaptureError(f"capture: no picture from the camera within {waited_s:g} s of its start: {trouble}")

    def _finish(self, now_ns: int) -> None:
        """Everything was taken: close what is open, and put on record what was missing in the end."""
        if self._sound is not None:
            self._sound.finish()
            self._pass_on_sound(now_ns)
        if self._chunker.frames:
            lost, video_cause, audio_cause = self._intake.untold()
            video = self._profile.video
            end_ns = self._chunker.last_capture_ns + video.frame_ns
            missing_ns = max(0, self._stopping_ns - end_ns)
            lost += self._skipped
            if lost or missing_ns > _UNNOTICED_NS:
                cause = video_cause or (DAMAGED if self._skipped else STALL)
                lost = max(lost, missing_ns // video.frame_ns)
                self._chunker.gap(Gap(VIDEO, end_ns, missing_ns, lost, cause))
            if self._sound is not None and self._sound.end_ns is not None:
                missing_ns = max(0, self._stopping_ns - self._sound.end_ns)
                if missing_ns > _UNNOTICED_NS:
                    samples = missing_ns * self._profile.audio.sample_rate // _SECOND_NS
                    self._chunker.gap(Gap(AUDIO, self._sound.end_ns, missing_ns, samples, audio_cause or NO_SIGNAL))
        self._chunker.finish()
        self._ended = True
