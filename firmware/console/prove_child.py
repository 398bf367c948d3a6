"""A device's proof of who it is, made in a process of its own (`firmware.console.child`).

So the signing keys that it reads are gone from memory with it, while the console stays for months; and a TPM that
hangs hangs nobody else. It says the proof in pieces, ``{"proof":HEX}``, or ``{"trouble":...}``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from storage.errors import EnrolmentError, KeyFileError, StorageError
from storage.keyring_file import KeyringFile
from storage.prove import Proof, Proven, owed, prove, prove_keys
from storage.ratchet import Keyring
from storage.signer import standing_signer

_PIECE_BYTES = 1024
_LOOKS = 5
_PAUSE_S = 0.2

Emit = Callable[[Mapping[str, Any]], None]


def tell_proof(state: Path, identity: str, challenge: bytes, emit: Emit) -> None:
    """Say the proof, or why there is none; `identity` is the URI that the device's settings name."""
    try:
        data = make_proof(state, identity, challenge).encode()
    except StorageError as error:
        emit({"trouble": " ".join(str(error).split())})
        return
    for at in range(0, len(data), _PIECE_BYTES):
        emit({"proof": data[at : at + _PIECE_BYTES].hex()})


def make_proof(state: Path, identity: str, challenge: bytes, pause: Callable[[float], None] = time.sleep) -> Proof:
    """Return the best proof that a device with that identity can give.

    Raises:
        StorageError: no keyring, another challenge, or no TPM that holds the identity.
    """
    keyring = _keyring(KeyringFile(state), pause)
    if owed(keyring.identity) is Proven.KEYS:
        return prove_keys(keyring, challenge)
    signer = standing_signer(identity)
    if signer is None or signer.public != keyring.identity:
        raise KeyFileError(
            f"this device's identity was born in a TPM, and its settings' [enrolment] identity {identity!r} is not "
            "that key: nothing here can prove it"
        )
    return prove(signer, challenge)


def _keyring(file: KeyringFile, pause: Callable[[float], None]) -> Keyring:
    """Read it beside a recorder that may replace it just now, and overwrites the old one that was opened here."""
    for _ in range(_LOOKS - 1):
        try:
            return file.load()
        except EnrolmentError:
            pause(_PAUSE_S)
    return file.load()
