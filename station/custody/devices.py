"""Which devices are the unit's, and who carries them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select

from station.audit.log import Act, AuditLog, Entry
from station.custody.database import Database
from station.custody.tables import AssignmentRow, DeviceRow
from station.errors import StationError
from storage.keyfiles import device_id

_NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A device of the unit."""

    id: str
    name: str
    identity: bytes
    revoked: str
    seen_segment: int


class Devices:
    """Enrolls, revokes, assigns; each on the audit log first. Thread-safe."""

    def __init__(self, database: Database, audit: AuditLog, utc_ns: Callable[[], int]) -> None:
        self._database = database
        self._audit = audit
        self._utc_ns = utc_ns

    def enrol(self, by: str, identity: bytes, name: str) -> str:
        """Take a device in by its raw public identity key; return its id. One that was revoked is taken in again.

        Raises:
            StationError: a name that will not do.
        """
        if len(name) > _NAME_CHARACTERS or not name.isprintable():
            raise StationError(f"a device's name has up to {_NAME_CHARACTERS} printable characters")
        device = device_id(identity).hex()
        self._audit.write(Entry(by, "", Act.DEVICE, device, details={"what": "enrolled", "name": name}))
        with self._database.session() as session:
            row = session.get(DeviceRow, device)
            if row is None:
                session.add(DeviceRow(id=device, identity=identity, name=name, revoked="", seen_segment=0,
                                      seen_chain=b""))  # fmt: skip
            else:
                row.name, row.revoked = name or row.name, ""
        return device

    def revoke(self, by: str, device: str, reason: str) -> None:
        """Take nothing from a device any more; what is here stays.

        Raises:
            StationError: not known, or no reason.
        """
        if not reason.strip():
            raise StationError("say why it is revoked")
        with self._database.session() as session:
            row = session.get(DeviceRow, device)
            if row is None:
                raise StationError(f"device {device} is not known here")
            self._audit.write(Entry(by, "", Act.DEVICE, device, purpose=reason, details={"what": "revoked"}))
            row.revoked = reason[:200]

    def assign(self, by: str, device: str, officer: str) -> None:
        """Say who carries a device from now on.

        Raises:
            StationError: not known.
        """
        with self._database.session() as session:
            if session.get(DeviceRow, device) is None:
                raise StationError(f"device {device} is not known here")
            self._audit.write(Entry(by, "", Act.DEVICE, device, details={"what": "assigned", "officer": officer}))
            session.add(AssignmentRow(device=device, from_utc_ns=self._utc_ns(), officer=officer))

    def carrier(self, device: bytes) -> str:
        """Return who carries a device now, or an empty text."""
        with self._database.session() as session:
            found = session.scalars(
                select(AssignmentRow)
                .where(AssignmentRow.device == device.hex())
                .order_by(AssignmentRow.from_utc_ns.desc())
                .limit(1)
            ).first()
        return found.officer if found else ""

    def all(self) -> list[KnownDevice]:
        """Return all of them."""
        with self._database.session() as session:
            rows = session.scalars(select(DeviceRow).order_by(DeviceRow.name, DeviceRow.id)).all()
        return [KnownDevice(row.id, row.name, row.identity, row.revoked, row.seen_segment) for row in rows]
