"""What must hold of a store after its recorder was stopped, however it was: the promises, each looked at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from station.keys import StationKey
from station.opener import FileKeyOpener, SegmentOpener
from storage.envelope import Recipient
from storage.errors import InputError, StorageError
from storage.inventory import SEGMENTS, TORN, segment_name
from storage.layout import ClockSource, Flags, Light, Stamp
from storage.particulars import parse_opening
from storage.reader import SegmentReader, TornError
from storage.segment_report import Status, verify_segment
from storage.store import Store, StoreSettings
from storage.verdict import Verdict
from storage.verify import verify


class BrokenPromiseError(Exception):
    """A promise does not hold; the text says which, and where."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a store that keeps its promises."""

    how: str
    """How the recovery says that the last run ended."""
    torn_bytes: int
    opened: int
    """Chunks that were decrypted."""


def check_store(
    base: Path, identity: bytes, key: StationKey, reported: Mapping[tuple[int, int], str], *, open_from: int = 0
) -> Found:
    """Look at the store in `base`/flash with the keyring in `base`/state, after a stop.

    Args:
        base: The folder; the store is recovered and recorded into.
        identity: The device's raw public key.
        key: Opens what was sealed.
        reported: Chain value in hex of each chunk (segment, number) that had been reported durable.
        open_from: Segments from this number on are decrypted too.

    Raises:
        BrokenPromiseError: a promise does not hold.
    """
    flash = base / "flash"
    before = _bytes_of(flash)
    try:
        first = _recover(base, key.recipient)
        again = _recover(base, key.recipient)
    except StorageError as error:
        raise BrokenPromiseError(f"the store does not open any more: {error}") from error
    if (again[0], again[2]) != (first[0], 0):
        raise BrokenPromiseError(f"a second recovery finds something else: {first}, then {again}")
    if _bytes_of(flash) != before:
        raise BrokenPromiseError(f"recovery kept {_bytes_of(flash)} of {before} bytes")
    opened = _check_reported(flash, identity, key, reported, open_from)
    try:
        new = _record(base, key.recipient)
    except StorageError as error:
        raise BrokenPromiseError(f"the next recording fails: {error}") from error
    report = verify(flash, identity, workers=1)
    if report.verdict not in (Verdict.AUTHENTIC, Verdict.MISSING_PARTS):
        texts = [finding.text for finding in report.findings if finding.verdict is not Verdict.AUTHENTIC]
        raise BrokenPromiseError(f"the chain is {report.verdict.value}: {texts[:3]}")
    if not any(item.id == new and item.verdict is Verdict.AUTHENTIC for item in report.recordings):
        raise BrokenPromiseError("the next recording is not authentic")
    return Found(first[1], first[2], opened)


def _bytes_of(flash: Path) -> int:
    return sum(
        path.stat().st_size
        for folder in (SEGMENTS, TORN)
        if (flash / folder).is_dir()
        for path in (flash / folder).iterdir()
        if path.suffix != ".gone"
    )


def _recover(base: Path, recipient: Recipient) -> tuple[object, str, int]:
    with Store(base / "flash", base / "state", _settings(recipient), b"next boot id....") as store:
        return store.previous, store.recovery.how, store.recovery.torn_bytes


def _settings(recipient: Recipient) -> StoreSettings:
    return StoreSettings([recipient], reserve_bytes=0)


def _check_reported(
    flash: Path, identity: bytes, key: StationKey, reported: Mapping[tuple[int, int], str], open_from: int
) -> int:
    destroyed = _destroyed(flash, identity)
    opened = 0
    for number in sorted({segment for segment, _ in reported}):
        path = flash / SEGMENTS / segment_name(number)
        if not path.exists():
            if number not in destroyed:
                raise BrokenPromiseError(f"segment {number} was reported durable and is not there")
            continue
        report = verify_segment(path, identity, keep_chunks=True)
        if report.status not in (Status.CLOSED, Status.CUT):
            raise BrokenPromiseError(f"segment {number} is {report.status.value}: {report.error}")
        chains = {chunk.header.chunk: chunk.tip.chain.hex() for chunk in report.chunks}
        for (segment, chunk), chain in reported.items():
            if segment == number and chains.get(chunk) != chain:
                raise BrokenPromiseError(
                    f"chunk {chunk} of segment {number} was reported durable and is not there: {report.error}"
                )
        if number >= open_from:
            opened += _open(path, key)
    return opened


def _destroyed(flash: Path, identity: bytes) -> set[int]:
    try:
        return {item.number for item in verify(flash, identity, workers=1).destroyed}
    except InputError:
        return set()  # stopped before there was a segment


def _open(path: Path, key: StationKey) -> int:
    opener: SegmentOpener | None = None
    count = 0
    try:
        with SegmentReader(path) as reader:
            for record in reader.records():
                header = record.header
                if opener is None:
                    opening = parse_opening(record.head[-header.particulars_bytes :])
                    opener = SegmentOpener(FileKeyOpener(key), header.place, opening)
                opener.open_into(header.chunk, record.head, record.body, memoryview(bytearray(header.body_bytes)))
                count += 1
    except TornError:
        return count
    return count


def _record(base: Path, recipient: Recipient) -> bytes:
    """Make a small recording, as the next run would; return its id."""
    new = os.urandom(16)
    stamp = Stamp(1, 2, 0, ClockSource.NONE, 0xFFFF_FFFF, Light.LIT, Light.LIT)
    with Store(base / "flash", base / "state", _settings(recipient), os.urandom(16)) as store:
        store.begin(stamp).close("recording", stamp)
        segment = store.begin(stamp, recording=new, profile="480p30", init=b"init")
        segment.media(stamp._replace(duration_ns=5), b"footage", Flags.KEY)
        segment.close("stop", stamp)
        store.begin(stamp).close("power-off", stamp)
    return new
