"""Chains as a timeline sees them, made without sealing anything, and what they must amount to."""

from __future__ import annotations

from collections import Counter

from station.outline import outline
from station.tiling import What
from station.timeline_model import JOURNAL, Story
from storage.chain import Tip
from storage.check import CheckedChunk
from storage.layout import ClockSource, Flags, Header, Kind, Light, Place, Stamp
from storage.particulars import Gap
from storage.segment_report import Status

S = 1_000_000_000
BOUND_S = 30
EPOCH_NS = 1_790_000_000 * S
_TIP = Tip(bytes(32), bytes(64))


def chunk(
    kind: Kind, stamp: Stamp, *, recording: bytes = JOURNAL, boot: bytes = bytes(16), flags: Flags = Flags.SOUND,
    gaps: tuple[Gap, ...] = (),
) -> CheckedChunk:  # fmt: skip
    """Return one chunk as the verifier hands it on; what a timeline does not look at is made up."""
    place = Place(b"d" * 16, 1, recording, boot)
    return CheckedChunk(Header(kind, flags if kind is Kind.MEDIA else 0, 0, 16, 0, place, stamp), 0, _TIP, gaps)


class Life:
    """A device that does as it is told and counts in whole seconds what it did."""

    def __init__(self) -> None:
        self.stories: list[Story] = []
        self.totals: Counter[What] = Counter()
        self.unmeasured = 1  # what comes after the end
        self.clock_changes = 0
        self.recordings: list[bytes] = []
        self._boots = 0
        self._number = 0
        self._chunks: list[CheckedChunk] = []
        self._recording = JOURNAL
        self._boot = b""
        self._now_s = 0
        self._offset_s = 0
        self._boot_up()
        self.open()

    def _boot_up(self) -> None:
        self._boots += 1
        self._boot = self._boots.to_bytes(16, "big")
        self._now_s = 5 * self._boots % 17
        self._seen_offset_s: int | None = None

    def _put(self, kind: Kind, seconds: int = 0, light: Light = Light.LIT, gaps: tuple[Gap, ...] = ()) -> None:
        if self._seen_offset_s is not None and self._seen_offset_s != self._offset_s:
            self.clock_changes += 1
        self._seen_offset_s = self._offset_s
        stamp = Stamp(
            self._now_s * S, EPOCH_NS + (self._now_s + self._offset_s) * S, seconds * S, ClockSource.RTC, 500,
            light, light,
        )  # fmt: skip
        self._chunks.append(chunk(kind, stamp, recording=self._recording, boot=self._boot, gaps=gaps))
        self._now_s += seconds

    def open(self, recording: bytes = JOURNAL) -> None:
        self._number += 1
        self._recording, self._chunks = recording, []
        self._put(Kind.OPENING)

    def close(self, reason: str | None) -> None:
        """Close the segment for a reason, or leave it cut."""
        if reason is not None:
            self._put(Kind.CLOSING)
        status = Status.CUT if reason is None else Status.CLOSED
        self.stories.append(
            Story(
                self._number, self._boot, self._recording, status, reason, outline(self._chunks, BOUND_S * S),
                "no closing chunk" if reason is None else None,
            )
        )  # fmt: skip

    def beat(self, after_s: int) -> None:
        """Say that nothing happened, so long after the last chunk."""
        self._now_s += after_s
        self.totals[What.READY if after_s <= BOUND_S else What.GAP] += after_s
        self._put(Kind.HEARTBEAT)

    def step_clock(self, seconds: int) -> None:
        """Set the wall clock."""
        self._offset_s += seconds
        self._put(Kind.HEARTBEAT)

    def record(self, parts: list[list[int]], hole_s: int, tail_s: int) -> None:
        """Record chunks of so many seconds each, with a hole after the first of each part, and close it later."""
        self.close("recording")
        recording = (len(self.recordings) + 1).to_bytes(16, "little")
        self.recordings.append(recording)
        for index, part in enumerate(parts):
            self.open(recording)
            for number, seconds in enumerate(part):
                self._put(Kind.MEDIA, seconds)
                self.totals[What.RECORDING] += seconds
                if number < len(part) - 1 and number == 0:
                    self._now_s += hole_s
                    self.totals[What.GAP] += hole_s
            if index < len(parts) - 1:
                self.close("rotation")
        self._now_s += tail_s
        self.totals[What.READY] += tail_s
        self.close("stop")
        self.open()

    def go_dark(self, reason: str | None, seconds: int, *, reboot: bool) -> None:
        """Be off, or without power, and come up again."""
        self.close(reason)
        what = What.OFF if reason else What.UNPOWERED if reboot else What.UNKNOWN
        wall_before_s = self._now_s + self._offset_s
        if reboot:
            self._boot_up()
            self._offset_s = wall_before_s + seconds - self._now_s
        else:
            self._now_s += seconds
        self.totals[what] += seconds
        self.open()

    def lose(self, seconds: int) -> None:
        """Make a segment that is not given to anybody."""
        self.close("rotation")
        self._number += 1
        self._now_s += seconds
        self.totals[What.MISSING] += seconds
        self.open()

    def die(self) -> list[Story]:
        self.close("power-off")
        return self.stories
