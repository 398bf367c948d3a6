"""The checks of what the device holds: flash, clock, keys, policy."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drivers.clock.protocol import Clock
from firmware.part_checks import Harmless
from firmware.patience import Patience
from firmware.policy_keeper import Kept
from firmware.selftest import Finding, failed, passed
from storage.durable import sync_directory, write_all
from storage.ratchet import Keyring

_MIB = 1024 * 1024
EARLIEST_UTC_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
"""This program did not exist before."""
LATEST_UTC_NS = int(datetime(2090, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000_000


class FlashCheck(Harmless):
    """Writes a small file to the flash, syncs it, reads it back, and removes it."""

    name = "flash"
    limit_s = 15.0

    _BYTES = 256 * 1024
    _NAME = "self-test.tmp"

    def __init__(self, folder: Path, *, reserve_bytes: int) -> None:
        """`folder` is the store's. Media is refused when no more than `reserve_bytes` are free."""
        self._folder = folder
        self._reserve_bytes = reserve_bytes

    def run(self, patience: Patience) -> Finding:
        """Write, sync, read, compare."""
        path = self._folder / self._NAME
        data = os.urandom(self._BYTES)
        begun_ns = patience.now_ns()
        try:
            try:
                path.unlink(missing_ok=True)  # a power cut may have left one
                _write(path, data)
                back = path.read_bytes()
            finally:
                path.unlink(missing_ok=True)
            sync_directory(self._folder)
            status = os.statvfs(self._folder)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return failed("no room is left on the flash; offload the device")
            return failed(f"{self._folder}: the flash refused a write or a read ({error.strerror}); replace the card")
        took_ms = (patience.now_ns() - begun_ns) // 1_000_000
        if back != data:
            return failed("the flash gave back something else than was written; replace the card")
        free_mib = status.f_bavail * status.f_frsize // _MIB
        if status.f_bavail * status.f_frsize <= self._reserve_bytes:
            return failed(f"{free_mib} MiB are free, of which {self._reserve_bytes // _MIB} are in reserve; offload it")
        return passed(f"written, synced and read back in {took_ms} ms; {free_mib} MiB are free")


class ClockCheck(Harmless):
    """The wall clock says a time that can be."""

    name = "clock"
    limit_s = 5.0

    def __init__(
        self, clock: Clock, *, earliest_utc_ns: int = EARLIEST_UTC_NS, latest_utc_ns: int = LATEST_UTC_NS
    ) -> None:
        """`earliest_utc_ns`: the last time that is on record, or another instant that has passed for certain."""
        self._clock = clock
        self._earliest_utc_ns = earliest_utc_ns
        self._latest_utc_ns = latest_utc_ns

    def run(self, _patience: Patience) -> Finding:
        """Read it."""
        reading = self._clock.read()
        now = utc_text(reading.utc_ns)
        if reading.utc_ns < self._earliest_utc_ns:
            return failed(f"it says {now}, and it was {utc_text(self._earliest_utc_ns)} before; set the clock")
        if reading.utc_ns > self._latest_utc_ns:
            return failed(f"it says {now}, which is too far ahead; set the clock")
        if not reading.synchronised:
            return passed(f"{now}, not synchronised")
        within = "" if reading.uncertainty_ms is None else f" within {reading.uncertainty_ms} ms"
        return passed(f"{now}, synchronised{within}")


class KeysCheck(Harmless):
    """The keyring is whole, and holds the key that signs next."""

    name = "keys"
    limit_s = 10.0

    _SETTLES_S = 2.0

    def __init__(self, load: Callable[[], Keyring], next_segment: Callable[[], int]) -> None:
        """`next_segment` says which segment will be opened next."""
        self._load = load
        self._next_segment = next_segment

    def run(self, patience: Patience) -> Finding:
        """Load it, which checks every certificate, and see that the next key is in it.

        The recorder may be opening a segment meanwhile, and so be going on to the next keys: looked at again.
        """
        found: list[int] = []

        def settled() -> bool:
            segment = self._next_segment()
            if segment in self._load().seeds:
                found.append(segment)
            return bool(found)

        if not patience.until(settled, self._SETTLES_S):
            return failed(
                f"the signing key of segment {self._next_segment()} is not in the keyring; take the device in"
            )
        return passed(f"device {self._load().device.hex()[:8]}, key of segment {found[0]} is there")


class PolicyCheck(Harmless):
    """The unit's policy is there, signed, and in date."""

    name = "policy"
    limit_s = 10.0

    def __init__(self, load: Callable[[], Kept], clock: Clock) -> None:
        self._load = load
        self._clock = clock

    def run(self, _patience: Patience) -> Finding:
        """Load it, which checks its signature and every field."""
        kept = self._load()
        if kept.policy is None or kept.trouble:
            return failed(kept.trouble or "there is none")
        policy = kept.policy
        if policy.expired_at(self._clock.read().utc_ns):
            return failed(f"serial {policy.serial} of {policy.unit} has expired; it stays in force, get a new one")
        return passed(f"serial {policy.serial} of {policy.unit}, until {policy.expires:%Y-%m-%d}")


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, [data])
        os.fdatasync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # so that reading asks the medium, and not the cache
    finally:
        os.close(fd)


def utc_text(utc_ns: int) -> str:
    """Return a wall-clock time in words; a clock that went astray may say what no calendar has."""
    try:
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=utc_ns // 1000)
    except OverflowError:
        return f"{utc_ns} ns since 1970"
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
