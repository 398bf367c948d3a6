"""How an enrolment ended: a line for people, an object for programs, a row for the list of serials."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from station.enrolment.conversation import Ended
from station.errors import StationError
from storage.durable import sync_directory, write_all
from wire.plain import printable

COLUMNS = ("utc", "port", "serial", "device", "fingerprint", "name", "result")
_CLOCK_OFF_S = 60


@dataclass(frozen=True, slots=True)
class Ending:
    """One attempt at one port."""

    port: str
    ended: Ended | None = None
    trouble: str = ""
    """Why not; empty where it ended well."""
    result: str = ""
    """``refused`` or ``unfinished`` where it did not end well."""

    @property
    def fields(self) -> dict[str, Any]:
        """For programs."""
        ended = self.ended
        if ended is None:
            return {"port": self.port, "outcome": self.result, "error": self.trouble}
        granted = ended.granted
        return {
            "port": self.port,
            "outcome": ended.outcome.value,
            "device": granted.device,
            "fingerprint": fingerprint(ended.identity),
            "name": granted.name,
            "serial": granted.serial,
            "board": granted.board,
            "firmware": granted.firmware,
            "replaces": granted.replaces,
            "clock_off_s": ended.clock_off_s,
            "left_segments": ended.left_segments,
            "left_bytes": ended.left_bytes,
            "networks": ended.networks,
        }

    @property
    def lines(self) -> list[str]:
        """For people."""
        ended = self.ended
        if ended is None:
            return [f"{self.port}: {self.result}: {printable(self.trouble)}"]
        granted = ended.granted
        lines = [f"{granted.name}: {ended.outcome.value}; device {granted.device}, serial {granted.serial or '-'}"]
        if ended.left_segments:
            mib = ended.left_bytes / 2**20
            lines.append(
                f"{granted.name}: {ended.left_segments} segments ({mib:.1f} MiB) of the old identity not receipted:"
                " set aside on the device"
            )
        if ended.networks is False:
            lines.append(
                f"{granted.name}: it was not given the networks, as it is enrolled: --again --keep-identity gives them"
            )
        off_s = ended.clock_off_s
        if off_s is not None and abs(off_s) > _CLOCK_OFF_S:
            side = "ahead of" if off_s > 0 else "behind"
            lines.append(f"{granted.name}: its clock is {abs(off_s)} s {side} this station's: set it at the console")
        return lines


def fingerprint(identity: bytes) -> str:
    """Return what stands on a device's label: SHA-256 of its raw public identity key."""
    return hashlib.sha256(identity).hexdigest()


class SerialsFile:
    """A CSV (RFC 4180) that is only added to, each row durable. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, ending: Ending, now_s: int) -> None:
        """Add a row.

        Raises:
            StationError: the disk does not take it.
        """
        found = ending.fields
        values = {key: found.get(key, "") for key in COLUMNS} | {
            "utc": datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "result": f"{found['outcome']}: {printable(ending.trouble)}" if ending.trouble else found["outcome"],
        }
        with self._lock:
            try:
                self._append([_cell(str(values[key])) for key in COLUMNS])
            except OSError as error:
                raise StationError(f"cannot write {self._path}: {error.strerror}") from None

    def _append(self, row: list[str]) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            text = io.StringIO()
            writer = csv.writer(text)
            if not os.fstat(fd).st_size:
                writer.writerow(COLUMNS)
            writer.writerow(row)
            write_all(fd, [text.getvalue().encode("utf-8")])
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_directory(self._path.parent)


def _cell(text: str) -> str:
    """A serial number is the device's to say: no spreadsheet is to take it for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
