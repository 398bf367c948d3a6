"""What the console's handlers need to know of the device they are on: its settings, its unit, its times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509

from drivers.clock.protocol import Clock
from firmware.settings import Settings
from firmware.version import VERSION
from storage.errors import StorageError
from storage.inventory import SEGMENTS, SUFFIX
from storage.keyfiles import device_id, load_device_key, load_signing_key
from storage.keyring_file import is_enrolled
from storage.layout import ClockSource
from storage.policy import parse_policy
from storage.policy_file import MAX_POLICY_BYTES
from storage.reader import SegmentReader

_MOST_SERIAL_BYTES = 64
_S = 1_000_000_000
_IN_STEP = frozenset({ClockSource.NTP, ClockSource.GNSS, ClockSource.DOCK})


class Place:
    """A device, as the console finds it. It holds nothing: all is read anew, as enrolment changes it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.settings.store.state

    @property
    def board(self) -> str:
        """The board's name."""
        return self.settings.board.name

    @property
    def serial(self) -> str:
        """The hardware's serial number; empty where the board says none."""
        try:
            with self.settings.enrolment.serial_file.open("rb") as file:
                text = file.read(_MOST_SERIAL_BYTES).decode("ascii", "replace").strip("\0 \n")
        except OSError:
            return ""
        return text if text.isprintable() and text.isascii() else ""

    def device(self) -> bytes | None:
        """Return the device's id, or None before it is enrolled."""
        if not is_enrolled(self.state):
            return None
        return device_id(load_device_key(self.state / "device.pub"))

    def unit(self) -> bytes:
        """Return the unit's raw public key.

        Raises:
            KeyFileError: there is none that can be read.
        """
        return load_signing_key(self.state / "unit.pub", "unit's key")

    def on_record_ns(self) -> int:
        """Return the latest time (ns since 1970) that the device has on record: it has been, whatever the clock says.

        Of its policy's issue, its TLS certificate, its newest segment, and what a station said at enrolment.
        """
        return max(self._policy_ns(), self._certificate_ns(), self._segment_ns(), _noted_ns(self.state))

    def greeting(self) -> Mapping[str, Any]:
        """Return what anybody is told: who this is, nothing of what it recorded."""
        try:
            device, unit = self.device(), self.unit().hex() if is_enrolled(self.state) else ""
        except StorageError:
            device, unit = None, ""
        reading = self.clock.read()
        return {
            "device": device.hex() if device else "",
            "unit": unit,
            "name": read_name(self.state) if device else "",
            "firmware": VERSION,
            "board": self.board,
            "serial": self.serial,
            "utc_s": max(0, reading.utc_ns // _S),
            "clock_known": reading.synchronised,
        }

    def _policy_ns(self) -> int:
        try:
            with (self.state / "policy.toml").open("rb") as file:
                return parse_policy(file.read(MAX_POLICY_BYTES + 1), self.unit()).issued_utc_ns
        except (OSError, StorageError):
            return 0

    def _certificate_ns(self) -> int:
        try:
            certificate = x509.load_pem_x509_certificate(self.settings.tls.certificate.read_bytes())
        except (OSError, ValueError):
            return 0
        return int(certificate.not_valid_before_utc.timestamp()) * _S

    def _segment_ns(self) -> int:
        """The wall clock of the newest segment's opening, where that clock was in step."""
        try:
            newest = max((self.settings.store.flash / SEGMENTS).glob(f"*{SUFFIX}"), default=None)
            if newest is None:
                return 0
            with SegmentReader(newest) as reader:
                stamp = next(iter(reader.records())).header.stamp
        except (OSError, StorageError, StopIteration):
            return 0
        return stamp.utc_ns if stamp.clock_source in _IN_STEP else 0


def read_name(state: Path) -> str:
    """Return the name that the unit gave the device; empty where there is none."""
    try:
        with (state / "name").open("rb") as file:
            text = file.read(400).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return text if text.isprintable() else ""


def _noted_ns(state: Path) -> int:
    try:
        with (state / "time.known").open("rb") as file:
            return min(int(file.read(20)), 2**63 - 1)
    except (OSError, ValueError):
        return 0
