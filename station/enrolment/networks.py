"""The unit's networks file, which the station gives its devices at enrolment (docs/ENROL.md, "Networks").

It is read once, whole, before a device is met. It holds passphrases: nobody else may be able to read it, and no error
has a word of it.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from station.errors import StationError
from wire.errors import MessageError
from wire.networks import Networks, Security, check_networks

_MOST_BYTES = 64 * 1024
_PORT = 8883
_WIFI = {"ssid", "ssid_hex", "security", "passphrase", "server", "authority"}


def load_networks(path: Path) -> Networks:
    """Read and check it; an empty file means that devices are to have no network any more.

    Raises:
        StationError: others can read it, or it is not as it must be; where, and never what.
    """
    try:
        data = tomllib.loads(_read(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        # What the parser says of a line may show a part of it.
        place = re.search(r"\(at line \d+, column \d+\)", str(error))
        raise StationError(f"{path} is not TOML {place[0] if place else ''}".rstrip()) from None
    _known(path, "it", data, {"live", "wifi"})
    live, listed = data.get("live", {}), data.get("wifi", [])
    if not isinstance(live, dict) or not isinstance(listed, list):
        raise StationError(f"{path}: it has one [live], and a [[wifi]] for each network")
    _known(path, "[live]", live, {"host", "port"})
    broker = {"host": live.get("host", ""), "port": live.get("port", _PORT if live else 0)}
    wifi = [_wifi(path, f"network {number}", item) for number, item in enumerate(listed, 1)]
    try:
        return check_networks({"v": 1, "broker": broker, "wifi": wifi})
    except MessageError as error:
        raise StationError(f"{path}: {error}") from None


def _read(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
                raise StationError(f"{path} is no file of up to {_MOST_BYTES // 1024} KiB")
            if status.st_mode & 0o077:
                raise StationError(f"{path} holds passphrases and can be read by others: chmod 600 {path}")
            return os.read(fd, _MOST_BYTES)
        finally:
            os.close(fd)
    except OSError as error:
        raise StationError(f"cannot read {path}: {error.strerror}") from None


def _wifi(path: Path, what: str, item: object) -> dict[str, Any]:
    """Return a network as it stands in the text that goes to the device; what it holds is judged there."""
    if not isinstance(item, dict):
        raise StationError(f"{path}: {what} is no [[wifi]]")
    _known(path, what, item, _WIFI)
    made: dict[str, Any] = {"ssid": _ssid(path, what, item), "security": item.get("security", Security.WPA.value)}
    if made["security"] != Security.EAP_TLS.value:
        return made | {"passphrase": item.get("passphrase")} | _foreign(item, "server", "authority")
    authority = _authority(path, what, item["authority"]) if "authority" in item else b""
    return made | {"server": item.get("server"), "authority": authority.hex()} | _foreign(item, "passphrase")


def _foreign(item: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return what this kind of network does not have: it is refused with the rest."""
    return {key: None for key in keys if key in item}


def _ssid(path: Path, what: str, item: Mapping[str, Any]) -> str:
    text, digits = item.get("ssid"), item.get("ssid_hex")
    if isinstance(text, str) and digits is None:
        return text.encode("utf-8").hex()
    if text is None and isinstance(digits, str) and re.fullmatch("([0-9A-Fa-f]{2})+", digits):
        return digits.lower()
    raise StationError(f"{path}: {what} has either ssid, a text, or ssid_hex, its bytes in hexadecimal")


def _authority(path: Path, what: str, named: object) -> bytes:
    if not isinstance(named, str) or not named or "\0" in named:
        raise StationError(f"{path}: {what}: authority names a file (PEM)")
    file = path.parent / named
    try:
        with file.open("rb") as opened:
            return x509.load_pem_x509_certificate(opened.read(_MOST_BYTES)).public_bytes(Encoding.DER)
    except OSError as error:
        raise StationError(f"{path}: {what}: cannot read {file}: {error.strerror}") from None
    except (ValueError, x509.InvalidVersion):
        raise StationError(f"{path}: {what}: {file} is not a certificate (PEM)") from None


def _known(path: Path, what: str, values: Mapping[str, Any], keys: set[str]) -> None:
    # Not the key that is wrong: it may be a passphrase in the wrong place.
    if values.keys() - keys:
        raise StationError(f"{path}: {what} has a key that is none of {', '.join(sorted(keys))}")
