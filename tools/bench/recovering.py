"""How long a boot takes to find the end of the chain on a full store: 64 GB of 60 s segments, nearly all sparse."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from storage.keyfiles import device_id, load_device_key
from storage.layout import Flags
from storage.segment_index import SegmentIndex
from tools.bench.scratch import SEGMENT_BYTES, Scratch, stamp
from tools.bench.table import Row

_SEGMENTS = 1_060
"""Of 60 MiB: 64 GB and a little more."""
_CHUNK = 333_000
_RUNS = 5


def recovering_rows(base: Path = Path("build/bench/full-store"), segments: int = _SEGMENTS) -> Iterator[Row]:
    """Measure a boot after a cut in the middle of the newest segment, and one pass over all headers."""
    shutil.rmtree(base, ignore_errors=True)
    try:
        scratch = fill(base, segments)
        took_s = []
        for _ in range(_RUNS):
            _cut(scratch, segments)
            begin_s = time.perf_counter()
            with scratch.open() as store:
                took_s.append(time.perf_counter() - begin_s)
                torn_bytes = store.recovery.torn_bytes
        size = sum(path.stat().st_size for path in (scratch.flash / "segments").iterdir())
        yield Row(
            "recovery at boot", statistics.median(took_s), "s",
            f"{segments} segments, {size / 1e9:.1f} GB (sparse but for the last), {torn_bytes} torn bytes set aside",
            2.0, at_most=True,
        )  # fmt: skip
        device = device_id(load_device_key(base / "state" / "device.pub"))
        begin_s = time.perf_counter()
        found = SegmentIndex(scratch.flash, device).refresh(segments + 1)
        yield Row(
            "index of the same store", time.perf_counter() - begin_s, "s", f"{len(found)} headers, once a run", 2.0,
            at_most=True,
        )  # fmt: skip
    finally:
        shutil.rmtree(base, ignore_errors=True)


def fill(base: Path, segments: int) -> Scratch:
    """Make a store whose last segment is real; the others have their length and their opening."""
    scratch = Scratch.make(base)
    folder = scratch.flash / "segments"
    chunk = os.urandom(_CHUNK)
    with scratch.open() as store:
        for number in range(1, segments):
            segment = store.begin(stamp(), recording=number.to_bytes(16), profile="bench", init=b"init")
            segment.close("stop", stamp())
            os.truncate(folder / f"{number:010d}.seg", SEGMENT_BYTES)
        last = store.begin(stamp(), recording=segments.to_bytes(16), profile="bench", init=b"init")
        for _ in range(SEGMENT_BYTES // _CHUNK):
            last.media(stamp(), chunk, Flags.SOUND)
        last.events(stamp(), b"\x80")
    return scratch


def _cut(scratch: Scratch, segments: int) -> None:
    """Lose half a chunk of the newest segment, and have nothing of it in memory."""
    path = scratch.flash / "segments" / f"{segments:010d}.seg"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size - _CHUNK // 2)
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
