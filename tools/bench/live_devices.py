"""Devices that stream, in a process of their own: ``python -m tools.bench.live_devices JOB``; for `tools.bench.live`.

The job is a JSON object in a file; when all is sent, the times at which each chunk was handed to the store are written
beside it. They are of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from storage.envelope import Cipher
from storage.keyfiles import load_recipient
from storage.layout import Flags, Stamp
from storage.store import Segment, Store, StoreSettings
from storage.tls import TlsFiles
from uplink.live.backoff import Backoff
from uplink.live.broker import Broker
from uplink.live.publisher import LiveNews, Publisher, PublisherOptions

_CONNECT_S = 60.0
_DRAIN_S = 20.0


class _Device:
    def __init__(self, job: dict[str, Any], folder: Path, stack: ExitStack) -> None:
        self.up = threading.Event()
        self.dropped = 0
        self.times: list[tuple[int, int, int]] = []
        settings = StoreSettings([load_recipient(Path(job["recipient"]))], Cipher.CHACHA20_POLY1305, 0)
        self._store = stack.enter_context(
            Store(
                folder / "flash", folder / "state", settings, bytes(16), lambda chunk: self._publisher.durable(chunk),
                sync=None if job["sync"] else lambda _fd: None,
            )
        )  # fmt: skip
        tls = TlsFiles(Path(job["ca"]), folder / "device.crt", folder / "device.key")
        news = LiveNews(self.up.set, lambda _why: None, lambda _ask: None, self._count, lambda _on: None)
        self._publisher = Publisher(
            Broker("127.0.0.1", job["port"], tls), self._store.device, news, dict,
            options=PublisherOptions(previews=False), backoff=Backoff(random.random),
        )  # fmt: skip
        stack.callback(self._publisher.close)
        self._publisher.allow(True)
        self._publisher.begin()
        self._body = os.urandom(job["chunk_bytes"])
        self._segment: Segment | None = None

    def _count(self, dropped: Any) -> None:
        self.dropped += dropped.chunks

    def send(self) -> None:
        stamp = Stamp(time.monotonic_ns(), time.time_ns(), 333_333_333)
        if self._segment is None:
            self._segment = self._store.begin(stamp, recording=os.urandom(16), profile="bench", init=b"init")
        number = self._segment.chunks
        self.times.append((self._segment.number, number, time.monotonic_ns()))
        self._segment.media(stamp, self._body, Flags.KEY)

    def finish(self) -> None:
        """Close the segment: then all of it is durable, and on its way."""
        if self._segment is not None:
            self._segment.close("stop", Stamp(time.monotonic_ns(), time.time_ns()))

    @property
    def waiting_bytes(self) -> int:
        return self._publisher.waiting_bytes


def main() -> int:
    job_file = Path(sys.argv[1])
    job = json.loads(job_file.read_text("utf-8"))
    with ExitStack() as stack:
        devices = [_Device(job, Path(folder), stack) for folder in job["devices"]]
        for device in devices:
            if not device.up.wait(_CONNECT_S):
                sys.stderr.write("bench: a device did not reach the broker\n")
                return 1
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        begin_s = time.monotonic()
        for number in range(job["chunks"]):
            for index, device in enumerate(devices):
                if job["period_s"]:
                    # Cameras do not encode in step.
                    due_s = begin_s + job["period_s"] * (number + index / len(devices))
                    time.sleep(max(0.0, due_s - time.monotonic()))
                else:
                    while device.waiting_bytes > 4 * 1024 * 1024:
                        time.sleep(0.001)
                device.send()
        for device in devices:
            device.finish()
        end_s = time.monotonic() + _DRAIN_S
        while any(device.waiting_bytes for device in devices) and time.monotonic() < end_s:
            time.sleep(0.01)
        data = {
            "times": {Path(folder).name: device.times for folder, device in zip(job["devices"], devices, strict=True)},
            "dropped": sum(device.dropped for device in devices),
            "cpu_s": sum(os.times()[:2]),
            "wall_s": time.monotonic() - begin_s,
        }
        job_file.with_suffix(".done").write_text(json.dumps(data), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
