"""What a viewer gets: pictures and what is known about them, and how that goes over a plain HTTP stream. No I/O."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import Enum

_LENGTHS = struct.Struct(">II")


class FrameKind(Enum):
    """What a frame carries."""

    INIT = "init"
    """The recording's MP4 header: a new recording begins."""
    MEDIA = "media"
    PREVIEW = "preview"
    """A key picture, in the place of a recording that the uplink could not carry."""
    GAP = "gap"
    """Something did not arrive; no bytes."""
    ENDED = "ended"
    """The recording, or live view, ended; no bytes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing to show."""

    kind: FrameKind
    data: bytes = b""
    recording: str = ""
    segment: int = 0
    chunk: int = 0
    key: bool = False
    captured_utc_ns: int = 0
    """When its last picture was taken, by the device's clock."""
    clock_source: str = ""
    latency_ms: float = 0.0
    """From there to its verification, by the station's clock: as good as the two clocks agree."""
    commanded: str = ""
    sensed: str = ""
    lost: int = 0
    text: str = ""

    def encode(self) -> bytes:
        """Return it for the stream: two lengths (big-endian), a JSON object, and the bytes of the MP4."""
        about = {
            "kind": self.kind.value,
            "recording": self.recording,
            "segment": self.segment,
            "chunk": self.chunk,
            "key": self.key,
            # Nothing else ever becomes a frame: what does not verify is refused before.
            "verified": self.kind in (FrameKind.INIT, FrameKind.MEDIA, FrameKind.PREVIEW),
            "captured_utc_ms": self.captured_utc_ns // 1_000_000,
            "clock_source": self.clock_source,
            "latency_ms": round(self.latency_ms, 1),
            "commanded": self.commanded,
            "sensed": self.sensed,
            "lost": self.lost,
            "text": self.text,
        }
        head = json.dumps(about, separators=(",", ":")).encode()
        return _LENGTHS.pack(len(head), len(self.data)) + head + self.data
