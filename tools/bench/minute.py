"""One recording in real time with pictures that were coded beforehand; prints what it cost as JSON.

Usage: ``python -m tools.bench.minute FOLDER UNITS``; UNITS is a pickled list of (data, key), two seconds of video.
"""

from __future__ import annotations

import json
import pickle
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from capture.aac import AacEncoder
from capture.capture import Capture
from capture.profiles import PROFILES, Profile
from drivers.camera.protocol import AccessUnit, AccessUnitSink, VideoFormat
from drivers.clock.system import SystemClock
from drivers.indicator.protocol import LightState
from drivers.microphone.protocol import AudioFormat, PcmBlock, PcmSink
from firmware.light_witness import LightWitness
from firmware.recorder import News, Recorder, Report
from firmware.stamps import Stamper
from station.export import export_recording
from station.opener import FileKeyOpener
from storage.keyfiles import load_device_key
from storage.verify import verify
from tools.bench.scratch import Scratch

SECONDS = 20
_SECOND_NS = 1_000_000_000
_BLOCK_NS = _SECOND_NS // 50


class _Meter:
    """CPU seconds of some calls, on whatever thread; one thread at a time."""

    def __init__(self) -> None:
        self.cpu_s = 0.0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, measured."""

        def measured(*arguments: Any) -> Any:
            before_s = time.thread_time()
            try:
                return call(*arguments)
            finally:
                self.cpu_s += time.thread_time() - before_s

        return measured


class _Paced:
    """A camera or microphone that hands over what it was given, on time. Its own pacing is not the project's cost."""

    name = "coded"
    present = True

    def __init__(self) -> None:
        self.thread = _Meter()
        self.handing_over = _Meter()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def run(self, target: Callable[..., None], *arguments: object) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self.thread.around(target), args=arguments, name="coded", daemon=True)
        self._thread.start()

    def due(self, at_ns: int) -> bool:
        """Wait until `at_ns`; false once stopped."""
        return not self._stop.wait(max(0, at_ns - time.monotonic_ns()) / 1e9)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def fault(self) -> str | None:
        return None

    def close(self) -> None:
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Camera(_Paced):
    def __init__(self, units: list[tuple[bytes, bool]]) -> None:
        super().__init__()
        self._units = units

    def start(self, fmt: VideoFormat, sink: AccessUnitSink) -> None:
        self.run(self._feed, fmt.frame_rate, self.handing_over.around(sink))

    def _feed(self, frame_rate: int, sink: AccessUnitSink) -> None:
        start_ns, number = time.monotonic_ns(), 0
        while self.due(at_ns := start_ns + number * _SECOND_NS // frame_rate):
            data, key = self._units[number % len(self._units)]
            sink(AccessUnit(data, at_ns, key))
            number += 1


class _Microphone(_Paced):
    def start(self, fmt: AudioFormat, sink: PcmSink) -> None:
        self.run(self._feed, _noise(fmt.sample_rate // 50), self.handing_over.around(sink))

    def _feed(self, block: bytes, sink: PcmSink) -> None:
        at_ns = time.monotonic_ns()
        while self.due(at_ns + _BLOCK_NS):
            sink(PcmBlock(block, at_ns))
            at_ns += _BLOCK_NS


def _noise(samples: int) -> bytes:
    return b"".join(((number * 7919) % 4001 - 2000).to_bytes(2, "little", signed=True) for number in range(samples))


def main() -> int:
    """Record, and print the costs scaled to a minute."""
    folder, units_file = Path(sys.argv[1]), Path(sys.argv[2])
    units: list[tuple[bytes, bool]] = pickle.loads(units_file.read_bytes())  # noqa: S301 - made by our own parent
    scratch = Scratch.make(folder)
    profile = PROFILES["1080p30"]
    aac = _Meter()
    AacEncoder.encode = aac.around(AacEncoder.encode)  # type: ignore[method-assign]
    cpu_s = _record(scratch, profile, units)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    stored, payload = _sizes(scratch)
    json.dump(
        {
            "seconds": SECONDS,
            "cpu_s": cpu_s,
            "aac_s": aac.cpu_s,
            "peak_mib": peak_mib,
            "stored": stored,
            "payload": payload,
        },
        sys.stdout,
    )
    return 0


def _record(scratch: Scratch, profile: Profile, units: list[tuple[bytes, bool]]) -> float:
    clock = SystemClock()
    witness = LightWitness(LightState(clock.monotonic_ns(), commanded=True, sensed=True))
    ended = threading.Event()

    def heard(report: Report) -> None:
        if report.news is not News.STARTED:
            ended.set()

    with scratch.open(lambda chunk: recorder.durable(chunk)) as store, _Camera(units) as camera, _Microphone() as ear:
        recorder = Recorder(
            store, Stamper(clock, witness), lambda: Capture(profile, camera, ear), profile.name, heard,
            monotonic_ns=clock.monotonic_ns,
        )  # fmt: skip
        recorder.begin()
        before_s = time.process_time()
        recorder.start()
        time.sleep(SECONDS)
        recorder.stop()
        if not ended.wait(10.0) or not recorder.shut_down(10.0):
            raise RuntimeError("the recorder did not end")
        all_s = time.process_time() - before_s
    pacing_s = sum(part.thread.cpu_s - part.handing_over.cpu_s for part in (camera, ear))
    return all_s - pacing_s


def _sizes(scratch: Scratch) -> tuple[int, int]:
    """Return the bytes of the recording's segments, and of the coded pictures and sound in them."""
    report = verify(scratch.flash, load_device_key(scratch.base / "state" / "device.pub"), keep_chunks=True)
    recording = report.recordings[0]
    output = scratch.base / "out.mp4"
    export_recording(recording, FileKeyOpener(scratch.station), output)
    data, at, payload = output.read_bytes(), 0, 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        payload += size - 8 if data[at + 4 : at + 8] == b"mdat" else 0
        at += size
    return sum(part.path.stat().st_size for part in recording.segments), payload


if __name__ == "__main__":
    sys.exit(main())
