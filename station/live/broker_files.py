"""Writes what mosquitto needs into one folder: its configuration, the access rules, certificate and key."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from station.authority import Authority, encode_tls_key, new_key
from station.errors import StationError
from storage.durable import replace_file

_TEMPLATES = Path(__file__).resolve().parent.parent / "mosquitto"
_CERTIFICATE_DAYS = 825


def write_broker(
    folder: Path, authority: Authority, address: str, port: int, hosts: list[str], stations: list[str], now: datetime
) -> Path:
    """Write the files and return the configuration's path; `hosts` are the names devices know the broker by.

    Raises:
        StationError: a file cannot be written, or a station has no proper name.
    """
    key = new_key()
    certificate = authority.issue_station("broker", key.public_key(), hosts, _CERTIFICATE_DAYS, now)
    rules = (_TEMPLATES / "getuige.acl").read_text("utf-8")
    head, block = rules.split("user station\n")
    rules = head + "\n".join(f"user {name}\n{block}" for name in stations)
    settings = (_TEMPLATES / "mosquitto.conf").read_text("utf-8")
    for word, value in (("folder", str(folder)), ("port", str(port)), ("address", address)):
        settings = settings.replace("{" + word + "}", value)
    if os.geteuid() == 0:
        # Started by root it would become the user "mosquitto", who may not read the key.
        settings += "user root\n"
    configuration = folder / "mosquitto.conf"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data, mode in (
            ("broker.key", encode_tls_key(key), 0o600),
            ("broker.crt", certificate, 0o644),
            ("ca.crt", authority.pem, 0o644),
            ("getuige.acl", rules.encode(), 0o600),
            ("mosquitto.conf", settings.encode(), 0o600),
        ):
            replace_file(folder / name, data, mode=mode)
    except OSError as error:
        raise StationError(f"cannot write the broker's files into {folder}: {error.strerror}") from None
    return configuration
