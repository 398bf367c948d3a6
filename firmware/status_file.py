"""What the running recorder tells the technician's console: a small file, replaced at each change and as a beat.

It is in memory (tmpfs), so it costs no card anything and is gone after a power cut. It holds nothing about people: no
recording's id, no officer, no place. Its age is judged by the monotonic clock, which both processes share.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from drivers.clock.protocol import ClockReading
from drivers.companion.lines import Greeting
from firmware.appliance import Snapshot
from firmware.states import State
from firmware.version import VERSION
from wire.errors import WireError
from wire.plain import decode, encode, take_bytes, take_int

BEAT_NS = 2_000_000_000
FRESH_NS = 10_000_000_000
_MOST_BYTES = 4096
_MOST_TEXT = 200
_VERSION = 1
IDLE = frozenset({State.SELF_TEST, State.UNENROLLED, State.STANDBY, State.DOCKED, State.LOW_POWER, State.FAULT})
"""In any other state something is recorded, or is about to be, or is being closed."""
_log = logging.getLogger("getuige")


class StatusFile:
    """Written by the recorder's main thread."""

    def __init__(self, path: Path, boot: bytes, monotonic_ns: Callable[[], int]) -> None:
        self._path = path
        self._boot = boot
        self._monotonic_ns = monotonic_ns
        self._written_ns: int | None = None
        self._trouble = ""

    def write(self, fields: Mapping[str, Any]) -> None:
        """Replace it. Where that fails the log says so, once: a recorder does not end for it."""
        now_ns = self._monotonic_ns()
        self._written_ns = now_ns
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            data = encode({**fields, "v": _VERSION, "boot": self._boot.hex(), "monotonic_ns": now_ns})
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
            temporary.replace(self._path)
        except (OSError, WireError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            self._tell(f"the status file {self._path} cannot be written: {why}")
        else:
            self._tell("")

    def beat(self, fields: Callable[[], Mapping[str, Any]]) -> None:
        """Replace it if it is time."""
        if self._written_ns is None or self._monotonic_ns() - self._written_ns >= BEAT_NS:
            self.write(fields())

    def close(self) -> None:
        """Remove it: nobody runs any more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            _log.warning("%s", trouble)
        self._trouble = trouble


def read_status(path: Path, boot: bytes, now_ns: int) -> Mapping[str, Any] | None:
    """Return what a running recorder says, or None where none runs: no file, an old one, or none of this boot."""
    try:
        with path.open("rb") as file:
            fields = decode(file.read(_MOST_BYTES))
        said = take_int(fields, "monotonic_ns")
        same = take_bytes(fields, "boot", 16) == boot
    except (OSError, WireError):
        return None
    return fields if same and abs(now_ns - said) <= FRESH_NS else None


def status_of(
    snapshot: Snapshot,
    clock: ClockReading,
    *,
    policy_serial: int | None,
    segment_open: bool,
    companion: Greeting | None = None,
) -> dict[str, Any]:
    """Return what is told of a device; `companion` is what the controller says of itself, where there is one."""
    progress, health = snapshot.progress, snapshot.health
    percent = health.battery_percent if health is not None else None
    return {
        "firmware": VERSION,
        "companion": None
        if companion is None
        else {"version": companion.firmware, "digest": companion.digest or "", "config": companion.config or ""},
        "state": snapshot.state.value,
        "busy": snapshot.state not in IDLE,
        "fault": snapshot.fault[:_MOST_TEXT],
        "live": snapshot.live,
        "docked": snapshot.docked,
        "light": {"commanded": snapshot.light.commanded, "sensed": snapshot.light.sensed},
        "battery_percent": None if percent is None else round(percent),
        "charging": None if health is None else health.charging,
        "minutes_left": None if health is None else health.minutes_left,
        "policy_serial": policy_serial,
        "segment": progress.segment,
        "chunk": progress.chunk,
        "chain": progress.chain.hex(),
        "segment_open": segment_open,
        "clock": {
            "utc_s": max(0, clock.utc_ns // 1_000_000_000),
            "in_step": clock.synchronised,
            "source": clock.source.value if clock.source is not None else "",
            "uncertainty_ms": clock.uncertainty_ms,
        },
    }
