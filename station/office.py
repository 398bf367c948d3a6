"""A whole station in one folder: keys, database, bodies, audit log, TLS identity (docs/CUSTODY.md, "The folder")."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from station.audit.log import Act, AuditLog
from station.authority import Authority, encode_tls_key, load_authority, new_authority, new_key, save_authority
from station.custody.bodies import BodyStore, open_bodies
from station.custody.database import Database
from station.custody.devices import Devices
from station.custody.intake import Intake
from station.custody.purposes import reader_with
from station.custody.review import Review, Rules
from station.errors import StationError
from station.keys import load_station_key, write_new_key
from station.opener import FileKeyOpener, LateOpener
from station.people.accounts import Accounts
from station.private_keys import Ask, Passphrases
from station.signing import open_signer, write_new_signing_key
from storage.durable import replace_file
from storage.signer import Signer
from storage.tls import TlsFiles

_SETTINGS = """\
# A station: see docs/CUSTODY.md. Paths are relative to this file.
name = "{name}"
# file:PATH, or pkcs11:token=LABEL;object=LABEL?module-path=FILE
signing_key = "file:signing.key"
# sqlite:///PATH, or postgresql+psycopg://USER@HOST/NAME
database = "sqlite:///custody.db"
# A folder, or s3://bucket/prefix
bodies = "bodies"
keep_days = 28
# Acts on a single recording that need two persons: "extend", "disclose", both, or none.
dual_control = []
"""
_STATION_DAYS = 825
_DUAL = {"extend": Act.EXTEND, "disclose": Act.DISCLOSE}


@dataclass(frozen=True, slots=True)
class OfficeSettings:
    """``station.toml``."""

    name: str
    signing_key: str
    database: str
    bodies: str
    keep_days: int = 28
    dual_control: frozenset[Act] = field(default_factory=frozenset)


def make_office(
    folder: Path, name: str, unit: str, hosts: list[str], passphrase: bytes, opening: bytes | None = None
) -> None:
    """Make a station's folder, with keys, an authority for TLS, and settings to change.

    Its two private keys are encrypted with `passphrase`, unless that is empty; the one that opens footage with
    `opening` where that is given.

    Raises:
        StationError: it holds a station already, or cannot be written.
        KeyFileError: so does a key.
    """
    settings = folder / "station.toml"
    if settings.exists():
        raise StationError(f"{folder} is a station already")
    write_new_key(folder / "station.key", passphrase=passphrase if opening is None else opening)
    write_new_signing_key(folder / "signing.key", passphrase)
    authority = new_authority(unit, datetime.now(UTC))
    save_authority(folder / "authority", authority)
    write_station_tls(folder / "tls", authority, name, hosts)
    try:
        replace_file(settings, _SETTINGS.format(name=name).encode(), mode=0o600)
    except OSError as error:
        raise StationError(f"cannot write {settings}: {error.strerror}") from None


def write_station_tls(folder: Path, authority: Authority, name: str, hosts: list[str]) -> None:
    """Write a station's TLS identity: ``ca.crt``, ``station.crt``, ``station.key``.

    Raises:
        StationError: no name for a station, or it cannot be written.
    """
    key = new_key()
    certificate = authority.issue_station(name, key.public_key(), hosts, _STATION_DAYS, datetime.now(UTC))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(folder / "station.key", encode_tls_key(key), mode=0o600)
        replace_file(folder / "station.crt", certificate, mode=0o644)
        replace_file(folder / "ca.crt", authority.pem, mode=0o644)
    except OSError as error:
        raise StationError(f"cannot write into {folder}: {error.strerror}") from None


def load_office_settings(folder: Path) -> OfficeSettings:
    """Read ``station.toml``.

    Raises:
        StationError: missing, not TOML, or a value that will not do.
    """
    path = folder / "station.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StationError(f"{folder} is no station: cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StationError(f"{path} is not TOML: {error}") from None
    known: dict[str, type] = {
        "name": str, "signing_key": str, "database": str, "bodies": str, "keep_days": int, "dual_control": list,
    }  # fmt: skip
    for key, value in data.items():
        if key not in known or not isinstance(value, known[key]) or isinstance(value, bool):
            raise StationError(f"{path}: {key} = {value!r} is not what a station has")
    dual: list[Any] = data.get("dual_control", [])
    if any(item not in _DUAL for item in dual) or not 1 <= data.get("keep_days", 28) <= 28:
        raise StationError(f"{path}: dual_control takes extend and disclose, keep_days is from 1 to 28")
    try:
        return OfficeSettings(
            data["name"], data["signing_key"], data["database"], data["bodies"], data.get("keep_days", 28),
            frozenset(_DUAL[item] for item in dual),
        )  # fmt: skip
    except KeyError as error:
        raise StationError(f"{path} lacks {error}") from None


class Office:
    """An open station. A context manager."""

    def __init__(self, folder: Path, ask: Ask, utc_ns: Callable[[], int] = time.time_ns) -> None:
        """Open everything but `opener`, which opens when it is used; `ask` is asked for passphrases.

        Raises:
            StationError, KeyFileError: something is missing, damaged or not reachable.
        """
        self.folder = folder = folder.absolute()
        self.settings = settings = load_office_settings(folder)
        passphrases = Passphrases(ask)
        self.signer: Signer = open_signer(settings.signing_key, folder, ask, passphrases)
        # What opens footage is for those who look at it, and for the dock; a technician has no use for it.
        self.opener = LateOpener(lambda: FileKeyOpener(load_station_key(folder / "station.key", passphrases)))
        self.database = Database(_absolute(settings.database, folder))
        bodies = settings.bodies
        self.bodies: BodyStore = open_bodies(bodies if "://" in bodies else str(folder / bodies))
        self.audit = AuditLog(folder / "audit", self.signer)
        self.intake = Intake(
            self.database, self.bodies, self.audit, self.signer, utc_ns, keep_days=settings.keep_days,
            purposes=reader_with(self.opener),
        )  # fmt: skip
        self.review = Review(
            self.database,
            self.bodies,
            self.audit,
            self.signer,
            utc_ns,
            Rules(settings.dual_control, settings.keep_days),
        )
        self.devices = Devices(self.database, self.audit, utc_ns)
        self.accounts = Accounts(self.database, self.audit, utc_ns)
        self.tls = TlsFiles(folder / "tls" / "ca.crt", folder / "tls" / "station.crt", folder / "tls" / "station.key")

    @property
    def authority(self) -> Authority:
        """The unit's TLS authority. Errors as in `load_authority`."""
        return load_authority(self.folder / "authority")

    def close(self) -> None:
        """Let go of the database. Idempotent."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _absolute(url: str, folder: Path) -> str:
    head, separator, path = url.partition("sqlite:///")
    return f"sqlite:///{folder / path}" if separator and not head else url
