"""The process that is stopped: the real recorder on a real folder, with footage that was made beforehand.

``python -m tools.soak.crash.writer FOLDER [--chunk-ms N] [--seconds S] [--chunk-bytes N] [--longest-file N]``

On stdout, unbuffered, a line each: ``B start_ns`` when capture began, ``C end_ns`` when a chunk was captured,
``D segment chunk chain`` when one is durable, ``E text`` when the recorder ended by itself, ``K`` at a clean end.
"""

from __future__ import annotations

import argparse
import os
import queue
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from capture.chunk import CmafChunk
from capture.chunk import Gap as CaptureGap
from drivers.clock.system import SystemClock
from drivers.indicator.protocol import LightState
from firmware.light_witness import LightWitness
from firmware.recorder import News, Recorder, RecorderTimes, Report
from firmware.stamps import Stamper
from storage.destroy import destroy, examine
from storage.destruction import Destruction, Reason
from storage.envelope import Recipient
from storage.errors import StorageError
from storage.seal import SealedChunk
from storage.store import Store, StoreSettings

PATIENCE_S = 20.0
INIT = b"ftyp and moov of the crash harness"


def say(text: str) -> None:
    """Write one line with one system call: the order of these lines and of the writes is what is looked at."""
    os.write(1, f"{text}\n".encode())


class Footage:
    """A capture that gives chunks at their time; implements `firmware.capture_source.CaptureSource`."""

    init_segment = INIT
    pending_gaps: tuple[CaptureGap, ...] = ()

    def __init__(self, chunk_ns: int, size_bytes: int) -> None:
        self._chunk_ns, self._size_bytes = chunk_ns, size_bytes
        self._stop = threading.Event()
        self._count = 0
        self._start_ns = 0

    def start(self) -> None:
        """Begin now."""
        self._start_ns = time.monotonic_ns()
        say(f"B {self._start_ns}")

    def read(self, timeout_s: float) -> CmafChunk | None:
        """Give the next chunk when its time is over."""
        begin_ns = self._start_ns + self._count * self._chunk_ns
        wait_s = (begin_ns + self._chunk_ns - time.monotonic_ns()) / 1e9
        if self._stop.wait(min(max(wait_s, 0), timeout_s)) or wait_s > timeout_s:
            return None
        body = self._count.to_bytes(4) * (self._size_bytes // 4)
        key = self._count % 4 == 0
        self._count += 1
        say(f"C {begin_ns + self._chunk_ns}")
        return CmafChunk(body, begin_ns, self._chunk_ns, key, 1, (), audio_live=True, video_live=True)

    @property
    def ended(self) -> bool:
        """Stopped."""
        return self._stop.is_set()

    def request_stop(self) -> None:
        """Give no more."""
        self._stop.set()

    def close(self) -> None:
        """Give no more."""
        self._stop.set()


def main() -> int:
    """Record twice, destroy the first recording's first segment, power off."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunk-ms", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--chunk-bytes", type=int, default=6000)
    parser.add_argument("--longest-file", type=int, help="bytes; a longer write is cut short, the next one fails")
    options = parser.parse_args()
    if options.longest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.longest_file, options.longest_file))
    try:
        return record(options)
    except StorageError as error:
        say(f"E {error}")
        return 1


def record(options: argparse.Namespace) -> int:
    """Record twice and destroy one segment; 1 where the recorder failed, and said so."""
    reports: queue.Queue[Report] = queue.Queue(100)
    flash, state = options.folder / "flash", options.folder / "state"
    station = Recipient(X25519PublicKey.from_public_bytes((options.folder / "recipient").read_bytes()))
    recorder: Recorder

    def durable(chunk: SealedChunk) -> None:
        recorder.durable(chunk)
        say(f"D {chunk.segment} {chunk.number} {chunk.tip.chain.hex()}")

    clock = SystemClock()
    boot = os.urandom(16)
    with Store(flash, state, StoreSettings([station], reserve_bytes=0, wait_s=PATIENCE_S), boot, durable) as store:
        witness = LightWitness(LightState(0, True, True))
        recorder = Recorder(
            store, Stamper(clock, witness), lambda: Footage(options.chunk_ms * 1_000_000, options.chunk_bytes),
            "480p30", lambda report: reports.put(report, timeout=PATIENCE_S), monotonic_ns=clock.monotonic_ns,
            times=RecorderTimes(segment_ns=700_000_000, heartbeat_ns=200_000_000, key_interval_ns=160_000_000),
        )  # fmt: skip
        recorder.note("boot", last_run=store.recovery.how, cut_recording=None, torn_bytes=store.recovery.torn_bytes)
        recorder.begin()
        first = store.previous.segment + 2
        for failed in _recordings(recorder, reports, options.seconds):
            if failed:
                say(f"E {failed}")
                return 1
        what = examine(flash, first, store.identity)
        if recorder.state_destruction(Destruction(what, Reason.RETENTION, 1), PATIENCE_S):
            destroy(flash, first)
        if not recorder.shut_down(PATIENCE_S):
            say("E the recorder did not end")
            return 1
        while not reports.empty():
            report = reports.get_nowait()
            if report.news is News.FAILED:
                say(f"E {report.text}")
                return 1
    say("K")
    return 0


def _recordings(recorder: Recorder, reports: queue.Queue[Report], seconds: float) -> Iterator[str]:
    for _ in range(2):
        recorder.start()
        yield _failure(reports, News.STARTED)
        recorder.note("marker", cause="press")
        time.sleep(seconds)
        recorder.stop()
        yield _failure(reports, News.ENDED)


def _failure(reports: queue.Queue[Report], awaited: News) -> str:
    report = reports.get(timeout=PATIENCE_S)
    if report.news is awaited and report.text in ("", "stop"):
        return ""
    return report.text or report.news.value


if __name__ == "__main__":
    sys.exit(main())
