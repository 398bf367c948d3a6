"""The device's settings: one TOML file, checked as a whole before anything starts."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from firmware.board import Board, find_board, load_board
from firmware.errors import SettingsError
from storage.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where evidence, keys and policy are kept. Paths are relative to the settings file."""

    flash: Path
    state: Path
    reserve_mib: int = 64


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How evidence is cut."""

    segment_s: int = 60
    heartbeat_s: int = 10


@dataclass(frozen=True, slots=True)
class HardwareOptions:
    """Which board this is: the name of one of the project's own, or the path of a profile."""

    board: str = "zero2w"
    self_test: bool = True
    """Whether parts are tested at start-up."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The station's broker. Whether anything goes there is the policy's to say."""

    host: str = ""
    """Empty where there is none."""
    port: int = 8883
    previews: bool = True
    """Send key pictures and sound where the uplink cannot carry the recording."""


@dataclass(frozen=True, slots=True)
class DockOptions:
    """The link to the dock: the address is one of that link's own, so that no other network reaches the server."""

    address: str = ""
    """Empty where there is none."""
    port: int = 8443
    announce: bool = True
    """By mDNS, on that link."""


@dataclass(frozen=True, slots=True)
class EnrolmentOptions:
    """How the device is enrolled at the technician's cable."""

    identity: str = "memory:"
    """Where the identity is born: a URI of `storage.signer`."""
    serial_file: Path = Path("/proc/device-tree/serial-number")
    """Where the kernel says the board's serial number."""


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """What the technician's console can see and ask, beside the store."""

    status: str = ""
    """A file in memory (tmpfs) that the recorder keeps for the console; empty: it keeps none."""
    system: str = "none"
    """Who is asked to stop the recorder, set the clock and switch off: one of `SYSTEMS`."""
    unit: str = "getuige.service"
    """The recorder's service."""


SYSTEMS = ("none", "systemd", "simulated")


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS identity of the device; another key than the one that signs evidence."""

    authority: Path = Path("tls/ca.crt")
    certificate: Path = Path("tls/device.crt")
    key: Path = Path("tls/device.key")


_NO_TLS = TlsFiles(Path("tls/ca.crt"), Path("tls/device.crt"), Path("tls/device.key"))


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file."""

    store: StoreOptions
    recording: RecordingOptions
    board: Board
    self_test: bool
    live: LiveOptions = LiveOptions()
    dock: DockOptions = DockOptions()
    tls: TlsFiles = _NO_TLS
    enrolment: EnrolmentOptions = EnrolmentOptions()
    console: ConsoleOptions = ConsoleOptions()


_T = TypeVar("_T")
_ANY = (0, 2**31 - 1)
# A segment is at most a minute (docs/FORMAT.md); a heartbeat of zero would fill the journal.
_RANGES = {"segment_s": (1, 60), "heartbeat_s": (1, 3600), "port": (0, 65_535)}
_CALLED = {
    "Path": "a text that names a path",
    "str": "a text",
    "bool": "true or false",
    "int": "a whole number",
}


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        SettingsError: unreadable, not TOML, an unknown or missing key, a value of the wrong type; or so is
            the board's profile.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"the settings {path} are not TOML: {error}") from None
    for name in sorted(data.keys() - {"store", "recording", "hardware", "live", "dock", "tls", "enrolment", "console"}):
        raise SettingsError(f"{path}: unknown section {name!r}")
    store = _section(path, data, "store", StoreOptions)
    base = path.resolve().parent
    hardware = _section(path, data, "hardware", HardwareOptions)
    tls = _section(path, data, "tls", TlsOptions)
    enrolment = _section(path, data, "enrolment", EnrolmentOptions)
    return Settings(
        StoreOptions(
            flash=base / store.flash,
            state=base / store.state,
            reserve_mib=store.reserve_mib,
        ),
        _section(path, data, "recording", RecordingOptions),
        _board(base, hardware.board),
        hardware.self_test,
        _section(path, data, "live", LiveOptions),
        _section(path, data, "dock", DockOptions),
        TlsFiles(base / tls.authority, base / tls.certificate, base / tls.key),
        EnrolmentOptions(enrolment.identity, base / enrolment.serial_file),
        _console(path, _section(path, data, "console", ConsoleOptions)),
    )


def _console(path: Path, options: ConsoleOptions) -> ConsoleOptions:
    if options.system not in SYSTEMS:
        raise SettingsError(f"{path}: console.system: {options.system!r} is not one of {', '.join(SYSTEMS)}")
    if not options.unit or options.unit.startswith("-"):
        raise SettingsError(f"{path}: console.unit: {options.unit!r} names no service")
    return replace(options, status=str(path.resolve().parent / options.status) if options.status else "")


def _board(base: Path, named: str) -> Board:
    if named.endswith(".toml"):
        return load_board(base / named)
    return find_board(named)


def _section(path: Path, data: dict[str, Any], name: str, kind: type[_T]) -> _T:
    raw = data.get(name, {})
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: {name} is not a section")
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    for key in sorted(raw.keys() - known.keys()):
        raise SettingsError(f"{path}: [{name}] has no {key!r}; it may have {', '.join(known)}")
    values = {key: _convert(f"{path}: {name}.{key}", key, value, str(known[key].type)) for key, value in raw.items()}
    for key, item in known.items():
        if key not in values and item.default is MISSING and item.default_factory is MISSING:
            raise SettingsError(f"{path}: [{name}] lacks {key!r}")
    return kind(**values)


def _convert(where: str, key: str, value: object, kind: str) -> object:
    if "\0" in str(value):
        raise SettingsError(f"{where}: {value!r} holds a zero byte")
    if kind == "Path" and isinstance(value, str):
        return Path(value)
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        low, high = _RANGES.get(key, _ANY)
        if not low <= value <= high:
            raise SettingsError(f"{where}: {value} is not from {low} to {high}")
        return value
    raise SettingsError(f"{where}: {value!r} is not {_CALLED[kind]}")
