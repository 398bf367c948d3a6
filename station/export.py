"""Export: verify first, then decrypt, and write a standard fragmented MP4 with a report of what was verified."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from station.errors import RefusedError, StationError
from station.opener import KeyOpener, SegmentOpener
from station.pipeline import OutputPipeline
from station.report import recording_as_json
from storage.chain_rules import RecordingReport
from storage.durable import sync_directory
from storage.layout import HEADER_BYTES, Kind
from storage.reader import SegmentReader
from storage.segment_report import SegmentReport
from storage.verdict import Verdict
from storage.verify import StoreReport

Progress = Callable[[int], None]
"""Called with the number of sealed bytes done so far."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written."""

    path: Path
    size_bytes: int
    sha256: str
    chunks: int
    prefix_only: bool
    """Only the sound beginning of the recording was exported."""


def choose_recording(report: StoreReport, wanted: str | None) -> RecordingReport:
    """Return the recording whose id begins with `wanted` (hex), or the only one there is.

    Raises:
        RefusedError: none or more than one fits.
    """
    found = [item for item in report.recordings if wanted is None or item.id.hex().startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    if not report.recordings:
        raise RefusedError(f"no sound recording in {report.path}; verify it to see why")
    ids = ", ".join(item.id.hex() for item in report.recordings[:10])
    raise RefusedError(f"{'no' if not found else 'more than one'} recording fits; say --recording ID, one of: {ids}")


def export_recording(
    recording: RecordingReport,
    opener: KeyOpener,
    output: Path,
    *,
    sound_prefix_only: bool = False,
    progress: Progress = lambda _done: None,
) -> Export:
    """Decrypt a verified recording into `output`, which appears whole or not at all.

    The report must have been made with ``keep_chunks=True``.

    Raises:
        RefusedError: the recording is not authentic and whole, and `sound_prefix_only` was not given.
        OpenError: the key does not fit, or the files changed since they were verified.
        StationError: the output cannot be written, or the recording holds no media.
    """
    whole = recording.verdict is Verdict.AUTHENTIC
    if not whole and not sound_prefix_only:
        raise RefusedError(
            f"recording {recording.id.hex()} is {recording.verdict.value}: {'; '.join(recording.notes)}. "
            "Use --sound-prefix-only to export what is sound from its beginning"
        )
    segments = recording.segments[: recording.sound_prefix]
    if not any(segment.media.chunks for segment in segments):
        raise RefusedError(f"recording {recording.id.hex()} has no sound beginning to export")
    temporary = output.with_name(output.name + ".part")
    try:
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with OutputPipeline(fd) as pipeline:
                writer = _Mp4Writer(pipeline, progress)
                for segment in segments:
                    writer.add(segment, opener)
                pipeline.finish()
            os.fsync(fd)
            temporary.replace(output)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        sync_directory(output.parent)
    except OSError as error:
        raise StationError(f"cannot export to {output}: {error.strerror}") from error
    return Export(output, pipeline.size_bytes, pipeline.digest.hexdigest(), writer.chunks, not whole)


class _Mp4Writer:
    """Decrypts segments one after another: the init segment once, then every media chunk."""

    def __init__(self, pipeline: OutputPipeline, progress: Progress) -> None:
        self._pipeline = pipeline
        self._progress = progress
        self._done_bytes = 0
        self._init: bytes | None = None
        self.chunks = 0

    def add(self, segment: SegmentReport, opener: KeyOpener) -> None:
        """Decrypt one verified segment."""
        if segment.first is None or segment.opening is None or not segment.chunks:
            raise StationError(f"{segment.path.name} was not verified")
        keys = SegmentOpener(opener, segment.first.place, segment.opening)
        with SegmentReader(segment.path) as reader:
            for checked in segment.chunks:
                header = checked.header
                if header.kind in (Kind.OPENING, Kind.MEDIA):
                    record = reader.at(checked.offset, header.record_bytes)
                    start = HEADER_BYTES + header.particulars_bytes
                    body = record[start : start + header.body_bytes]
                    room = self._pipeline.room(header.body_bytes)
                    plain = keys.open_into(header.chunk, record[:start], body, room)
                    if header.kind == Kind.MEDIA or self._is_first(plain):
                        self._pipeline.commit(len(plain))
                    self.chunks += header.kind == Kind.MEDIA
                self._done_bytes += header.record_bytes
                self._progress(self._done_bytes)

    def _is_first(self, init: memoryview) -> bool:
        if self._init is None:
            self._init = bytes(init)
            return True
        if self._init != init:
            raise StationError("the recording's segments do not share one MP4 header: export them one by one")
        return False


def sidecar(report: StoreReport, recording: RecordingReport, made: Export) -> dict[str, Any]:
    """Return the report that goes beside an exported MP4: what was verified, and what was written."""
    return {
        "schema": "getuige-export/1",
        "device": report.device.hex(),
        "verdict": recording.verdict.value,
        "recording": recording_as_json(recording),
        "chain": {
            "verdict": report.verdict.value,
            "scope": report.scope.value,
            "missing_segments": [list(item) for item in report.missing_segments],
            "findings": [item.text for item in report.findings],
        },
        "export": {
            "file": made.path.name,
            "bytes": made.size_bytes,
            "sha256": made.sha256,
            "media_chunks": made.chunks,
            "sound_prefix_only": made.prefix_only,
            "made": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        },
    }
