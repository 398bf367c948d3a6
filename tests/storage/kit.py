"""Makes enrolled devices and stores with media for the tests of storage and station."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from station.keys import StationKey
from storage.envelope import Cipher
from storage.keyring_file import enrol_device
from storage.layout import ClockSource, Flags, Light, Stamp
from storage.particulars import Gap
from storage.signer import MemorySigner, Signer
from storage.store import JOURNAL, Segment, Store, StoreSettings

BOOT = bytes(range(16))
INIT = b"init segment: ftyp and moov"
CHUNK_NS = 333_333_333
EPOCH_NS = 1_790_000_000_000_000_000


@dataclass
class Clock:
    """A clock that only moves when told; deterministic stamps."""

    now_ns: int = 5_000_000_000

    def stamp(self, duration_ns: int = 0, *, commanded: Light = Light.LIT, sensed: Light = Light.LIT) -> Stamp:
        stamp = Stamp(self.now_ns, EPOCH_NS + self.now_ns, duration_ns, ClockSource.NTP, 20, commanded, sensed)
        self.now_ns += duration_ns
        return stamp


@dataclass
class Device:
    """An enrolled device with a store in `base`/flash and its keyring in `base`/state."""

    base: Path
    station: StationKey = field(default_factory=StationKey.generate)
    cipher: Cipher = Cipher.CHACHA20_POLY1305
    clock: Clock = field(default_factory=Clock)
    reserve_bytes: int = 0
    signer: Signer = field(default_factory=lambda: MemorySigner.generate())  # looked up late: a test listens in
    """Its identity."""

    def __post_init__(self) -> None:
        self.identity = enrol_device(self.state, self.signer)

    @property
    def flash(self) -> Path:
        return self.base / "flash"

    @property
    def state(self) -> Path:
        return self.base / "state"

    def open(self, **more: object) -> Store:
        settings = StoreSettings([self.station.recipient], self.cipher, reserve_bytes=self.reserve_bytes)
        return Store(self.flash, self.state, settings, BOOT, **more)  # type: ignore[arg-type]

    def journal(self, store: Store, reason: str = "recording") -> None:
        segment = store.begin(self.clock.stamp(commanded=Light.DARK, sensed=Light.DARK))
        segment.heartbeat(self.clock.stamp())
        segment.close(reason, self.clock.stamp())

    def part(self, store: Store, recording: bytes, part: int, chunks: int, size: int = 1000) -> Segment:
        """Open a media segment and put chunks into it; the caller closes it, or not."""
        segment = store.begin(self.clock.stamp(), recording=recording, part=part, profile="480p30", init=INIT)
        for number in range(chunks):
            body = media_bytes(part, number, size)
            gaps = (Gap("video", self.clock.now_ns, 33_000_000, 1, "lost"),) if number == 2 else ()
            segment.media(self.clock.stamp(CHUNK_NS), body, Flags.SOUND | Flags.KEY, gaps)
        return segment

    def record(
        self, store: Store, recording: bytes = b"R" * 16, parts: int = 2, chunks: int = 4, size: int = 1000
    ) -> None:
        """Make a whole recording."""
        for part in range(parts):
            segment = self.part(store, recording, part, chunks, size)
            segment.close("rotation" if part < parts - 1 else "stop", self.clock.stamp())

    def shift(self, parts: int = 2, chunks: int = 4, size: int = 1000) -> None:
        """Make a store with a journal, a recording of two parts, and a journal closed for power-off."""
        with self.open() as store:
            self.journal(store)
            self.record(store, parts=parts, chunks=chunks, size=size)
            self.journal(store, "power-off")


def media_bytes(part: int, number: int, size: int) -> bytes:
    """The plaintext of a media chunk."""
    return random.Random(part * 1000 + number).randbytes(size)


__all__ = ["BOOT", "CHUNK_NS", "INIT", "JOURNAL", "Clock", "Device", "media_bytes"]
