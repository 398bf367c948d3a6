"""Verifying all that was given: every segment, the links between them, and each recording (docs/FORMAT.md,
"Verifying a store"). The rules of the chain are in `chain_rules`, which does no I/O; here files meet cores.
"""  # noqa: D205

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from storage.chain_rules import RecordingReport, check_links, judge_recordings
from storage.errors import InputError
from storage.findings import Finding
from storage.inventory import Scope, take_inventory
from storage.keyfiles import device_id
from storage.segment_report import SegmentReport, unreadable, verify_segment
from storage.stubs import DestroyedSegment
from storage.verdict import Verdict, worst


@dataclass(frozen=True, slots=True)
class StoreReport:
    """The whole answer of the verifier."""

    path: Path
    scope: Scope
    device: bytes
    verdict: Verdict
    segments: tuple[SegmentReport, ...]
    chain: tuple[SegmentReport, ...]
    """Those that have a sound opening, in order of number, one of each."""
    recordings: tuple[RecordingReport, ...]
    missing_segments: tuple[tuple[int, int], ...]
    """Ranges of segment numbers, first and last, of which nothing is there."""
    destroyed: tuple[DestroyedSegment, ...]
    """Segments that are gone and left a signed stub, in order of number."""
    findings: tuple[Finding, ...]
    """What is wrong with the chain or with files, beyond what the recordings say."""


def _ignore(_report: SegmentReport) -> None:
    """Nobody looks."""


def verify(
    path: Path,
    identity: bytes,
    *,
    workers: int | None = None,
    keep_chunks: bool = False,
    observe: Callable[[SegmentReport], None] = _ignore,
) -> StoreReport:
    """Verify a store, a folder of segments or one segment against a device's identity (raw public key).

    Segments are read by `workers` threads (all cores by default): hashing runs outside the interpreter's lock.

    `observe` is called once for each file that could be read, by those threads, with a report that has its chunks,
    whether `keep_chunks` or not: what is taken from a file there was verified in the same reading of it.

    Raises:
        InputError: nothing there to verify, or it cannot be listed.
    """
    inventory = take_inventory(path)
    count = workers or _cores()

    def one(file: Path) -> SegmentReport:
        try:
            report = verify_segment(file, identity, keep_chunks=True)
        except OSError as error:
            why = error.strerror or "unknown error"
            if inventory.scope is Scope.SEGMENT:
                raise InputError(f"cannot read {file}: {why}") from error
            return unreadable(file, why)
        observe(report)
        return report if keep_chunks else replace(report, chunks=())

    if count == 1 or len(inventory.paths) == 1:
        segments = tuple(map(one, inventory.paths))
    else:
        with ThreadPoolExecutor(count, thread_name_prefix="verify") as pool:
            segments = tuple(pool.map(one, inventory.paths))
    links = check_links(segments, inventory.scope, identity)
    recordings = judge_recordings(links)
    verdict = worst([finding.verdict for finding in links.findings] + [item.verdict for item in recordings])
    return StoreReport(
        path=path,
        scope=inventory.scope,
        device=device_id(identity),
        verdict=verdict,
        segments=segments,
        chain=links.chain,
        recordings=recordings,
        missing_segments=links.missing,
        destroyed=links.destroyed,
        findings=links.findings,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0))
