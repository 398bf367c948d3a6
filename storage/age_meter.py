"""How old evidence is, although clocks lie (docs/RETENTION.md). No I/O.

The *age meter* counts elapsed time and never runs backwards. While the device runs, the monotonic clock drives it. What
passed while the device was off is added only when it is certain: when a wall clock worth trusting is read again, and
was read before, and somebody else agrees. So a clock that was set back saves nothing that has aged while the device
ran, and a clock that was set forward destroys nothing: the meter shows the least time that can have passed.

Time that was off is put where it ages the least: between the run of the last trusted reading and the run after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from storage.layout import ClockSource

_S = 1_000_000_000
TOLERANCE_NS = 600 * _S
"""Readings this close agree: drift, leap seconds, a slow fix."""
CONFIRM_NS = 3600 * _S
"""A source without a witness is believed after it has told the same for so long, with the device running."""
MOST_RUNS = 4096
_TRUSTED = frozenset({ClockSource.NTP, ClockSource.GNSS, ClockSource.DOCK})
_WITNESSES = _TRUSTED | {ClockSource.RTC}


class Reading(NamedTuple):
    """One instant on both clocks, of one run of the monotonic clock."""

    boot: bytes
    monotonic_ns: int
    utc_ns: int
    source: ClockSource


@dataclass(frozen=True, slots=True)
class Anchor:
    """A wall-clock reading that is believed, and what the meter showed then."""

    utc_ns: int
    meter_ns: int
    run: int
    """Index of its run."""


@dataclass(slots=True)
class Run:
    """One run of the monotonic clock: meter = monotonic + offset."""

    boot: bytes
    offset_ns: int


class _Claim(NamedTuple):
    offset_ns: int
    """Wall clock less monotonic."""
    since_ns: int


@dataclass(slots=True)
class MeterState:
    """What must outlive a power cut."""

    runs: list[Run] = field(default_factory=list)
    """The oldest first."""
    meter_ns: int = 0
    """What the meter showed last."""
    anchor: Anchor | None = None
    strangers: dict[bytes, int] = field(default_factory=dict)
    """Runs that are not known any more: what the meter showed when they were first asked about."""


class AgeMeter:
    """The meter. For one thread."""

    def __init__(self, state: MeterState | None = None) -> None:
        self._state = state or MeterState()
        self._claims: dict[ClockSource, _Claim] = {}

    @property
    def state(self) -> MeterState:
        """What to save."""
        return self._state

    @property
    def now_ns(self) -> int:
        """What the meter shows."""
        return self._state.meter_ns

    def tick(self, reading: Reading) -> bool:
        """Take a reading, at least every minute; return whether more changed than time going on."""
        state = self._state
        changed = not state.runs or state.runs[-1].boot != reading.boot
        if changed:
            self._claims.clear()
            state.runs.append(Run(reading.boot, state.meter_ns - reading.monotonic_ns))
            self._bound()
        state.meter_ns = max(state.meter_ns, reading.monotonic_ns + state.runs[-1].offset_ns)
        return self._judge(reading) or changed

    def age_ns(self, boot: bytes, monotonic_ns: int) -> int:
        """Return the least time that has passed since an instant of some run.

        A run that the meter does not know, because its file was lost, counts from the first time it is asked about.
        """
        for run in reversed(self._state.runs):
            if run.boot == boot:
                return max(0, self.now_ns - (monotonic_ns + run.offset_ns))
        return self.now_ns - self._state.strangers.setdefault(boot, self.now_ns)

    def forget(self, boots: set[bytes]) -> None:
        """Keep only these runs, the present one and the anchor's: no evidence is left of the others."""
        state = self._state
        anchored = state.runs[state.anchor.run].boot if state.anchor is not None else b""
        keep = [run for run in state.runs[:-1] if run.boot in boots or run.boot == anchored] + state.runs[-1:]
        if state.anchor is not None:
            index = next(number for number, run in enumerate(keep) if run.boot == anchored)
            state.anchor = Anchor(state.anchor.utc_ns, state.anchor.meter_ns, index)
        state.runs = keep
        state.strangers = {boot: meter for boot, meter in state.strangers.items() if boot in boots}

    def _bound(self) -> None:
        """Too many runs: the oldest become strangers of now, which makes their evidence young, never old."""
        state = self._state
        while len(state.runs) > MOST_RUNS:
            del state.runs[0]
            if state.anchor is not None:
                # Time that passed since is still certain; it now belongs before the oldest run that is known.
                state.anchor = Anchor(state.anchor.utc_ns, state.anchor.meter_ns, max(0, state.anchor.run - 1))

    def _judge(self, reading: Reading) -> bool:
        """Believe a wall clock, or wait for somebody to agree with it; return whether it became the anchor anew."""
        if reading.source not in _WITNESSES:
            return False
        claim = _Claim(reading.utc_ns - reading.monotonic_ns, reading.monotonic_ns)
        known = self._claims.get(reading.source)
        if known is None or not _agree(known, claim):
            self._claims[reading.source] = known = claim
        if reading.source not in _TRUSTED or not self._believed(reading, known):
            return False
        return self._take(reading)

    def _believed(self, reading: Reading, claim: _Claim) -> bool:
        if reading.source is ClockSource.DOCK:
            return True  # over a line that authenticates the station
        anchor = self._state.anchor
        if anchor is not None and abs(self._beyond(anchor, reading)) <= TOLERANCE_NS:
            return True  # as expected
        if reading.monotonic_ns - claim.since_ns >= CONFIRM_NS:
            return True
        return any(_agree(other, claim) for source, other in self._claims.items() if source is not reading.source)

    def _beyond(self, anchor: Anchor, reading: Reading) -> int:
        """How much more has passed by the wall clock than by the meter, since the anchor."""
        return reading.utc_ns - anchor.utc_ns - (self.now_ns - anchor.meter_ns)

    def _take(self, reading: Reading) -> bool:
        state = self._state
        last = len(state.runs) - 1
        anchor = state.anchor
        raised_ns = 0
        if anchor is not None and anchor.run == last and abs(self._beyond(anchor, reading)) <= TOLERANCE_NS:
            return False  # kept: a source that walks off slowly would take the anchor along
        if anchor is not None and anchor.run < last:
            # Within one run the monotonic clock rules; a wall clock that went back adds nothing.
            raised_ns = max(0, self._beyond(anchor, reading))
            for run in state.runs[anchor.run + 1 :]:
                run.offset_ns += raised_ns
            state.meter_ns += raised_ns
        state.anchor = Anchor(reading.utc_ns, state.meter_ns, last)
        return anchor is None or anchor.run < last or raised_ns > 0


def _agree(one: _Claim, other: _Claim) -> bool:
    return abs(one.offset_ns - other.offset_ns) <= TOLERANCE_NS
