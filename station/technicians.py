"""Technicians' credentials: the unit says that a key is somebody's, for some time (`wire.credential`).

A technician has two files: the private key (PEM, mode 0600, with a passphrase where wanted) and the credential beside
it, ``.credential``. The station keeps a copy of each credential it issued in ``technicians/``, with no secret in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from station.errors import StationError
from station.signing import open_signer, write_new_signing_key
from storage.durable import replace_file
from storage.keyfiles import load_signing_key
from storage.signer import Signer
from wire.credential import Credential, Technician, parse_credential
from wire.errors import WireError
from wire.plain import decode, encode

_MOST_BYTES = 4096
_DAY_S = 24 * 3600
_BACKDATED_S = 3600
"""A device whose clock is a little behind must still take a new credential."""


def issue_credential(
    folder: Path, unit: Signer, name: str, days: int, path: Path, passphrase: bytes, now_s: int
) -> Credential:
    """Make a technician's key and credential; `folder` is the station's.

    Raises:
        StationError, KeyFileError: a name that will not do, the files exist already, or cannot be written.
    """
    if not name.strip() or not name.isprintable() or len(name) > 80:
        raise StationError("a technician has a name of up to 80 printable characters")
    beside = credential_path(path)
    if beside == path or beside.exists():
        what = "is a credential's name" if beside == path else "exists already"
        raise StationError(f"{beside} {what}: name a new file for the key, such as jansen.key")
    public = write_new_signing_key(path, passphrase)
    key = load_signing_key(public, "technician's key")
    made = Credential(name, key, now_s - _BACKDATED_S, now_s + days * _DAY_S)
    made = replace(made, signature=unit.sign(made.statement))
    data = encode(made.fields) + b"\n"
    kept = folder / "technicians"
    try:
        kept.mkdir(mode=0o700, exist_ok=True)
        replace_file(beside, data, mode=0o644)
        replace_file(kept / f"{_slug(name)}-{key.hex()[:8]}.credential", data, mode=0o644)
    except OSError as error:
        raise StationError(f"cannot write the credential {beside}: {error.strerror}") from None
    return made


def credential_path(key: Path) -> Path:
    """Return where the credential of a key stands."""
    return key.with_suffix(".credential")


def load_credential(path: Path) -> Credential:
    """Read a credential; who signed it is the device's to judge.

    Raises:
        StationError: missing, or none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
        return parse_credential(decode(data.removesuffix(b"\n"), f"{path}"))
    except OSError as error:
        raise StationError(f"cannot read the credential {path}: {error.strerror}") from None
    except WireError as error:
        raise StationError(f"{path} is not a technician's credential: {error}") from None


def load_technician(key: Path, ask: Callable[[str], bytes], credential_file: Path | None = None) -> Technician:
    """Return who asks, by a private key and its credential, which stands beside it unless `credential_file` is named.

    `ask` is asked for the passphrase.

    Raises:
        StationError, KeyFileError: one of them is missing, does not open, or they do not belong together.
    """
    path = credential_file or credential_path(key)
    credential = load_credential(path)
    signer = open_signer(f"file:{key.absolute()}", Path(), ask)
    if signer.public != credential.key:
        raise StationError(f"{path} is for another key than {key}")
    return Technician(credential, signer.sign)


def list_credentials(folder: Path) -> list[Credential]:
    """Return what a station has issued, by name."""
    found = [load_credential(path) for path in sorted((folder / "technicians").glob("*.credential"))]
    return sorted(found, key=lambda item: (item.name, item.until_s))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "technician"
