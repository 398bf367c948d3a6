"""``clock`` and ``set-clock``: what time it is.

The asking end reads the device's monotonic clock, works out what its own wall clock said at that instant, and sends
both. So it does not matter how long a message was under way, or that it was sent twice. The signature binds them to
this session, and so to this run of the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware.console.handler import Access
from firmware.console.place import Place
from firmware.console.tools import Tools
from firmware.state_checks import EARLIEST_UTC_NS, LATEST_UTC_NS, utc_text
from wire.answering import Asked, Reply
from wire.errors import RefusedError
from wire.plain import expect, take_int

_OLD_NS = 120 * 1_000_000_000
_SLACK_NS = 300 * 1_000_000_000
"""Two good clocks may be so far apart."""
_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class ReadClock:
    """``clock``."""

    tools: Tools
    verb: str = "clock"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Read both clocks."""
        expect(asked.fields, "a look at the clock", "")
        reading = self.tools.clock.read()
        return Reply(
            {
                "monotonic_ns": reading.monotonic_ns,
                "utc_ns": reading.utc_ns,
                "in_step": reading.synchronised,
                "uncertainty_ms": reading.uncertainty_ms,
            }
        )


@dataclass(frozen=True, slots=True)
class SetClock:
    """``set-clock``: the system's. The recorder sees it jump, and puts that on record, as it does the technician."""

    place: Place
    tools: Tools
    verb: str = "set-clock"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Set it.

        Raises:
            RefusedError: the time cannot be, or the system keeps its clock itself.
        """
        expect(asked.fields, "a time", "monotonic_ns utc_ns")
        then_ns, said_ns = take_int(asked.fields, "monotonic_ns"), take_int(asked.fields, "utc_ns")
        before = self.tools.clock.read()
        if before.synchronised:
            raise RefusedError("in-step", "the system keeps its clock in step by itself: there is nothing to set")
        if not 0 <= before.monotonic_ns - then_ns <= _OLD_NS:
            raise RefusedError("stale", "that time was measured too long ago, or on another run: measure it anew")
        utc_ns = said_ns + before.monotonic_ns - then_ns
        if not EARLIEST_UTC_NS <= utc_ns <= LATEST_UTC_NS:
            raise RefusedError("no-time", "it lies before this program was written, or decades ahead")
        known_ns = self.place.on_record_ns()
        if utc_ns < known_ns - _SLACK_NS:
            text = f"the device has {utc_text(known_ns)} on record, which is later: is your own clock right?"
            raise RefusedError("no-time", text)
        self.tools.control.set_clock(utc_ns)
        return Reply({"state": "set", "by_ms": (utc_ns - before.utc_ns) // _MS, "utc_ns": utc_ns})
