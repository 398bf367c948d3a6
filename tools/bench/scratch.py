"""An enrolled device on tmpfs for measurements."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from station.keys import StationKey
from storage.keyring_file import enrol_device
from storage.layout import ClockSource, Flags, Light, Stamp
from storage.seal import SealedChunk
from storage.signer import MemorySigner
from storage.store import Store, StoreSettings

TMPFS = Path("/dev/shm")  # noqa: S108 - tmpfs is the point: the medium must not be what is measured
SEGMENT_BYTES = 60 * 1024 * 1024


@dataclass
class Scratch:
    """A device, its station and its store in `base`."""

    base: Path
    station: StationKey

    @classmethod
    def make(cls, base: Path) -> Scratch:
        """Enrol a device in `base`."""
        base.mkdir(parents=True)
        enrol_device(base / "state", MemorySigner.generate())
        return cls(base, StationKey.generate())

    @property
    def flash(self) -> Path:
        """The store."""
        return self.base / "flash"

    def open(self, on_durable: Callable[[SealedChunk], None] = lambda _chunk: None) -> Store:
        """Open the store."""
        settings = StoreSettings([self.station.recipient], reserve_bytes=0)
        return Store(self.flash, self.base / "state", settings, bytes(16), on_durable)

    def record(self, store: Store, total_bytes: int, chunk: bytes, recording: bytes) -> None:
        """Record `total_bytes` of media as copies of `chunk`, rotating as a device at 8 Mbit/s would."""
        per_segment = max(1, SEGMENT_BYTES // len(chunk))
        left = total_bytes // len(chunk)
        part = 0
        while left:
            segment = store.begin(stamp(), recording=recording, part=part, profile="bench", init=b"init")
            for _ in range(min(left, per_segment)):
                segment.media(stamp(), chunk, Flags.SOUND)
            left -= min(left, per_segment)
            segment.close("rotation" if left else "stop", stamp())
            part += 1


def stamp() -> Stamp:
    """Return a stamp of now."""
    return Stamp(time.monotonic_ns(), time.time_ns(), 262_144_000, ClockSource.NTP, 10, Light.LIT, Light.LIT)
