"""A docked device that serves its store, a station with a custody store, and what stands between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from station.audit.log import AuditLog
from station.authority import Authority, encode_tls_key, new_authority, new_key
from station.custody.bodies import BodyStore, FolderBodies
from station.custody.database import Database
from station.custody.intake import Intake
from station.custody.review import Review, Rules
from station.custody.tables import DeviceRow
from station.dock.bay import Bay
from storage.signer import MemorySigner
from storage.store import Store
from storage.tls import TlsFiles
from tests.storage.kit import EPOCH_NS, Device
from uplink.offload.application import Application, Duties
from uplink.offload.catalogue import Catalogue
from uplink.offload.errors import RefusedError
from uplink.offload.server import OffloadServer

NOW_NS = EPOCH_NS + 3600 * 1_000_000_000


class Pki:
    """A throw-away authority and its files."""

    def __init__(self, folder: Path, authority: Authority | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.now = datetime.now(UTC)
        self.authority = authority or new_authority("test unit", self.now)
        (folder / "ca.crt").write_bytes(self.authority.pem)

    def device(self, device: bytes, *, authority: Authority | None = None) -> TlsFiles:
        key = new_key()
        return self._write(
            device.hex(), (authority or self.authority).issue_device(device, key.public_key(), 2, self.now), key
        )

    def station(self, name: str = "station", *, authority: Authority | None = None) -> TlsFiles:
        key = new_key()
        issued = (authority or self.authority).issue_station(name, key.public_key(), [], 2, self.now)
        return self._write(name, issued, key)

    def _write(self, name: str, certificate: bytes, key: object) -> TlsFiles:
        files = TlsFiles(self.folder / "ca.crt", self.folder / f"{name}.crt", self.folder / f"{name}.key")
        files.certificate.write_bytes(certificate)
        files.key.write_bytes(encode_tls_key(key))  # type: ignore[arg-type]
        return files


@dataclass
class Docked:
    """A device in a bay: its store, served; receipts are taken by whatever `accept` does."""

    base: Path
    pki: Pki
    device: Device = field(init=False)
    accept: Callable[[bytes], str] = field(init=False)
    receipts: list[bytes] = field(default_factory=list)
    given: list[tuple[str, bytes]] = field(default_factory=list)
    changes: dict[str, object] = field(default_factory=dict)
    """Of its status: lies."""

    def __post_init__(self) -> None:
        self.device = Device(self.base)
        self.accept = self._accept
        self.store: Store | None = None
        self.port = 0

    @property
    def id(self) -> bytes:
        from storage.keyfiles import device_id

        return device_id(self.device.identity)

    def _accept(self, receipt: bytes) -> str:
        self.receipts.append(receipt)
        return "taken"

    def _take(self, what: str) -> Callable[[bytes], str]:
        def taken(data: bytes) -> str:
            self.given.append((what, data))
            return "taken"

        return taken

    def _status(self) -> dict[str, object]:
        assert self.store is not None
        previous = self.store.previous
        return {
            "device": self.id.hex(),
            "closed_segment": previous.segment,
            "chain": previous.tip.chain.hex(),
            "utc_ns": NOW_NS,
            "policy_serial": 1,
        } | self.changes

    @contextmanager
    def served(self, files: TlsFiles | None = None) -> Iterator[OffloadServer]:
        """Serve what is there, with the store open as a docked device has it."""
        with self.device.open() as store:
            self.store = store
            catalogue = Catalogue(self.device.flash, lambda: store.open_segment)
            duties = Duties(
                self._status, lambda data: self.accept(data), self._take("policy"), self._take("time"),
                self._take("assignment"),
            )  # fmt: skip
            with OffloadServer(
                Application(catalogue, duties), files or self.pki.device(self.id), "127.0.0.1", 0
            ) as server:
                self.port = server.begin()
                yield server


@dataclass
class Station:
    """A station's custody store, its bays and its clock."""

    base: Path
    pki: Pki
    rules: Rules = field(default_factory=Rules)
    bodies: BodyStore | None = None
    url: str = ""

    def __post_init__(self) -> None:
        self.base.mkdir(parents=True, exist_ok=True)
        self.now_ns = NOW_NS
        self.signer = MemorySigner.generate()
        self.database = Database(self.url or f"sqlite:///{self.base / 'custody.db'}")
        self.store: BodyStore = self.bodies or FolderBodies(self.base / "bodies")
        self.audit = AuditLog(self.base / "audit", self.signer)
        self.intake = Intake(self.database, self.store, self.audit, self.signer, lambda: self.now_ns)
        self.review = Review(self.database, self.store, self.audit, self.signer, lambda: self.now_ns, self.rules)
        self.tls = self.pki.station()

    def enrol(self, docked: Docked) -> None:
        with self.database.session() as session:
            session.add(
                DeviceRow(
                    id=docked.id.hex(), identity=docked.device.identity, name="", revoked="", seen_segment=0,
                    seen_chain=b"",
                )
            )  # fmt: skip

    def bay(self, port: int, *, name: str = "1", **more: object) -> Bay:
        return Bay(
            name, "127.0.0.1", port, self.tls, self.intake, self.base / "incoming", utc_ns=lambda: self.now_ns,
            poll_s=0.01, again_s=0.01, **more,  # type: ignore[arg-type]
        )  # fmt: skip

    def lines(self) -> str:
        return (self.base / "audit" / "audit.log").read_text("utf-8")

    def close(self) -> None:
        self.database.close()


def refuse(reason: str) -> Callable[[bytes], str]:
    def refusing(_data: bytes) -> str:
        raise RefusedError(reason)

    return refusing
