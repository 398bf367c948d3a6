"""``verify --events``: verifies, takes outlines in the same reading, opens events where there is a key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from station import report as reporting
from station.chain_story import stories
from station.event_reader import open_events
from station.opener import KeyOpener
from station.outline import Outline, outline
from station.timeline import build_timeline
from station.timeline_json import as_json
from station.timeline_model import Timeline
from station.timeline_text import as_text
from storage.inventory import Scope
from storage.segment_report import SegmentReport
from storage.verdict import Verdict
from storage.verify import StoreReport, verify

HEARTBEATS = 3
"""A device is on between two chunks that are at most so many heartbeats apart: one may be late, and one lost."""


@dataclass(frozen=True, slots=True)
class Told:
    """A verified chain, told."""

    report: StoreReport
    timeline: Timeline

    def json(self) -> str:
        """Return it as JSON."""
        return json.dumps(as_json(self.report, self.timeline), indent=2)

    def text(self) -> str:
        """Return it for a person."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        report = self.report
        yield from as_text(self.timeline)
        for finding in report.findings:
            if finding.verdict is not Verdict.AUTHENTIC:
                yield f"Chain: {finding.text}"
        yield reporting.signed_text(report)
        yield f"Verdict: {report.verdict.value}"


def tell(
    store: Path, identity: bytes, *, heartbeat_s: float, workers: int | None = None, opener: KeyOpener | None = None
) -> Told:
    """Verify `store` and tell what its device did.

    Args:
        store: A store, a folder of segments, or one segment.
        identity: The device's raw public identity key.
        heartbeat_s: How often the unit's devices write a heartbeat.
        workers: Threads; all cores by default.
        opener: Opens events; without it only what is in the clear is told.

    Raises:
        InputError: nothing there to verify.
        OpenError: the key opens none of the events.
        StationError: a file cannot be read any more.
    """
    bound_ns = round(HEARTBEATS * heartbeat_s * 1e9)
    outlines: dict[Path, Outline] = {}

    def observe(report: SegmentReport) -> None:
        # Each file once, each under its own key: nothing to lock.
        outlines[report.path] = outline(report.chunks, bound_ns)

    report = verify(store, identity, workers=workers, observe=observe)
    opened = open_events(report.chain, outlines, opener) if opener else None
    timeline = build_timeline(
        stories(report, outlines), bound_ns=bound_ns, whole=report.scope is Scope.STORE, opened=opened
    )
    return Told(report, timeline)
