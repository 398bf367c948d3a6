"""A station, a device fresh from its card, and a cable between them; the device's program on a thread here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.clock.simulated import SimulatedClock
from firmware.board import BOARDS
from firmware.console.dispatcher import Dispatcher
from firmware.console.gate import Gate
from firmware.console.handlers import make_handlers
from firmware.console.place import Place
from firmware.settings import Settings, load_settings
from station.enrolment.conversation import Conversation, Ended
from station.enrolment.desk import Agreement, Desk
from station.enrolment.papers import Papers, load_papers
from station.enrolment.records import Granted, Records
from station.office import Office, make_office
from station.people.roles import Person, Role
from station.unit_key import load_unit_key
from storage.keyfiles import encode_device_key, load_recipient
from storage.policy import sign_policy
from tests.firmware.policies import UNIT, policy_text
from tests.station.offices import Desk as Folder
from tests.station.offices import make_desk
from wire.answering import Answering
from wire.calling import Calling
from wire.enrolment import Kind
from wire.errors import LineLostError

NOW_NS = int(datetime(2026, 11, 28, tzinfo=UTC).timestamp()) * 10**9
TECHNICIAN = Person("T1", "T1", frozenset({Role.TECHNICIAN}))
SERIAL = "10000000abcdef01"
SETTINGS = """
[store]
flash = "flash"
state = "state"
reserve_mib = 0
[hardware]
board = "board.toml"
self_test = false
[enrolment]
serial_file = "serial"
"""


@dataclass
class Camera:
    """A device's folder, and the console on it as if it had just been started."""

    base: Path
    serial: str = SERIAL
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(utc_ns=NOW_NS))

    def __post_init__(self) -> None:
        self.base.mkdir(parents=True, exist_ok=True)
        (self.base / "device.toml").write_text(SETTINGS, "utf-8")
        (self.base / "board.toml").write_text((BOARDS / "simulated.toml").read_text("utf-8"), "utf-8")
        (self.base / "serial").write_text(self.serial + "\0", "ascii")

    @property
    def settings_file(self) -> Path:
        return self.base / "device.toml"

    @property
    def settings(self) -> Settings:
        return load_settings(self.settings_file)

    @property
    def state(self) -> Path:
        return self.base / "state"

    @property
    def place(self) -> Place:
        return Place(self.settings, self.clock)

    def answering(self) -> Answering:
        place = self.place
        gate = Gate(place.device, place.unit, place.on_record_ns, place.clock)
        return Answering(place.greeting, Dispatcher(make_handlers(place), gate).handle)

    def secrets(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.state.rglob("*") if path.is_file())


class Direct:
    """A line without a cable: what is written is answered at once. `left` bytes pass, both ways; then it is lost."""

    def __init__(self, answering: Answering, left: int | None = None) -> None:
        self.answering = answering
        self.left = left
        self.passed = 0
        self.came = bytearray()
        self.heard = bytearray()

    def write(self, data: bytes) -> None:
        self.heard += data
        self.answering.take(self._through(data), self._back)
        if self.left == 0:
            raise LineLostError("the cable was pulled")

    def _back(self, data: bytes) -> None:
        self.heard += data
        self.came += self._through(data)

    def read(self, timeout_s: float) -> bytes:
        del timeout_s
        data, self.came = bytes(self.came), bytearray()
        if not data:
            raise LineLostError("the cable was pulled")
        return data

    def _through(self, data: bytes) -> bytes:
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        self.passed += len(data)
        return data


@dataclass
class Bench:
    """The station's side, and devices that come and go."""

    base: Path
    folder: Folder
    office: Office
    now_ns: int = NOW_NS

    @property
    def station(self) -> Path:
        return self.folder.station

    @property
    def records(self) -> Records:
        return Records(self.station)

    def sign_policy(self, **changes: str) -> None:
        recipient = load_recipient(self.station / "station.pub")
        values = {"receipt_keys": f'["{self.office.signer.public.hex()}"]', "video_profile": '"480p30"'} | changes
        (self.station / "policy.toml").write_bytes(sign_policy(policy_text([recipient], **values), UNIT))

    def papers(self, days: int = 100, networks: Path | None = None) -> Papers:
        return load_papers(
            self.station, self.station / "unit.pub", self.station / "policy.toml", self.office.signer.public, days,
            self.now_ns, networks,
        )  # fmt: skip

    def desk(
        self, name: str = "", agreement: Agreement | None = None, *, days: int = 100, networks: Path | None = None
    ) -> Desk:
        return Desk(self.office, TECHNICIAN, self.papers(days, networks), name, lambda: self.now_ns, agreement)

    def agreement(self, kind: Kind = Kind.AGAIN) -> Agreement:
        return Agreement(kind, "screen broken, new board", load_unit_key(self.base / "unit.key"))

    def enrol(
        self,
        camera: Camera,
        desk: Desk | None = None,
        *,
        line: Direct | None = None,
        pause: Callable[[float], None] = lambda _s: None,
        patience_s: float = 0.0,
    ) -> Ended:
        calling = Calling(line or Direct(camera.answering()))
        return Conversation(calling, desk or self.desk(), pause=pause, patience_s=patience_s).run()

    def registered(self) -> dict[str, str]:
        """Ids and why they were revoked."""
        return {item.id: item.revoked for item in self.office.devices.all()}

    def audit(self, what: str) -> list[dict[str, Any]]:
        lines = (self.station / "audit" / "audit.log").read_text().splitlines()
        return [entry for line in lines if (entry := json.loads(line))["details"].get("what") == what]


@contextmanager
def bench(base: Path, *, people: bool = False) -> Iterator[Bench]:
    """Make a station; `people` are needed by its command line alone."""
    with ExitStack() as stack:
        if people:
            folder = make_desk(base)
        else:
            folder = Folder(base)
            make_office(folder.station, "station", "unit", [], b"")
        office = stack.enter_context(Office(folder.station, lambda _what: b"", lambda: NOW_NS))
        (folder.station / "unit.pub").write_bytes(encode_device_key(UNIT.public))
        (base / "unit.key").write_bytes(_pem(UNIT.seed))
        made = Bench(base, folder, office)
        made.sign_policy()
        yield made


def _pem(seed: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


__all__ = ["NOW_NS", "SERIAL", "Bench", "Camera", "Direct", "Granted", "Mapping", "bench", "replace"]
