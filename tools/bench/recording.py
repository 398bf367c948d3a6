"""What recording costs beside the encoders, at 1080p30 and 8 Mbit/s.

The pictures are coded beforehand and handed to the recorder on time, by a process that holds no video encoder; sound is
encoded as always, and what the AAC encoder takes, measured there and then, is subtracted. CPU time is the whole
process's, less the pacing of the stand-ins for camera and microphone.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator

from capture.profiles import PROFILES
from drivers.camera.protocol import AccessUnit
from drivers.camera.synthetic import SyntheticCamera
from tools.bench.scratch import TMPFS
from tools.bench.table import Row

_FRAMES = 60


def recording_rows() -> Iterator[Row]:
    """Measure CPU, memory and overhead of one recording in real time."""
    base = TMPFS / f"getuige-bench-recording-{os.getpid()}"
    base.mkdir()
    try:
        units = base / "units"
        units.write_bytes(pickle.dumps(_coded()))
        done = subprocess.run(
            [sys.executable, "-m", "tools.bench.minute", str(base / "device"), str(units)],
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    finally:
        shutil.rmtree(base, ignore_errors=True)
    found = json.loads(done.stdout)
    minute = 60 / found["seconds"]
    cpu_s = (found["cpu_s"] - found["aac_s"]) * minute
    yield Row(
        "CPU beside the encoders", cpu_s / 60 * 100, "% of a core",
        f"{cpu_s:.2f} s a minute at 1080p30, 8 Mbit/s; {found['aac_s'] * minute:.2f} s of AAC encoding left out",
        2.0, at_most=True,
    )  # fmt: skip
    yield Row(
        "peak RSS without video encoder", found["peak_mib"], "MiB",
        "the whole recorder process: Python, libraries, AAC encoder, queues", 120, at_most=True,
    )  # fmt: skip
    yield Row(
        "format overhead", (found["stored"] / found["payload"] - 1) * 100, "%",
        f"{found['stored']} bytes on flash for {found['payload']} bytes of H.264 and AAC", 0.5, at_most=True,
    )  # fmt: skip


def _coded() -> list[tuple[bytes, bool]]:
    """Return two seconds of 1080p30 at 8 Mbit/s."""
    units: list[AccessUnit] = []
    enough = threading.Event()

    def take(unit: AccessUnit) -> None:
        units.append(unit)
        if len(units) >= _FRAMES:
            enough.set()

    with SyntheticCamera() as camera:
        camera.start(PROFILES["1080p30"].video, take)
        if not enough.wait(60.0):
            raise RuntimeError("the synthetic camera does not deliver")
    return [(unit.data, unit.key) for unit in units[:_FRAMES]]
