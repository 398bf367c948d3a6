"""Private keys in PEM files (PKCS #8, RFC 5958), with a passphrase (PBES2, RFC 8018) or without.

A passphrase is asked for once: what opened one key is tried on the next.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from storage.errors import KeyFileError
from storage.keyfiles import read_key_file

Ask = Callable[[str], bytes]
"""Asks somebody for a secret; it is told for which."""
_ENCRYPTED = b"ENCRYPTED PRIVATE KEY"


def encryption(passphrase: bytes) -> serialization.KeySerializationEncryption:
    """Return how a private key is to be written: in the clear where `passphrase` is empty."""
    if passphrase:
        return serialization.BestAvailableEncryption(passphrase)
    return serialization.NoEncryption()


def nobody(prompt: str) -> bytes:
    """Ask nobody.

    Raises:
        KeyFileError: always.
    """
    raise KeyFileError(f"{prompt}: nobody is there to ask")


class Passphrases:
    """Opens private keys, and remembers what opened one for as long as it lives."""

    def __init__(self, ask: Ask = nobody) -> None:
        self._ask = ask
        self._known: list[bytes] = []

    def load(self, path: Path, what: str) -> list[PrivateKeyTypes]:
        """Return the private keys of a file; `what` names it in errors.

        Raises:
            KeyFileError: missing, unreadable, no private keys, or a wrong passphrase.
        """
        return [self._open(block, path, what) for block in read_key_file(path, what)]

    def _open(self, block: bytes, path: Path, what: str) -> PrivateKeyTypes:
        if _ENCRYPTED not in block:
            try:
                return serialization.load_pem_private_key(block, None)
            except (ValueError, TypeError, UnsupportedAlgorithm):
                raise KeyFileError(f"the {what} {path} holds something that is not a private key") from None
        for passphrase in self._known:
            if (found := _try(block, passphrase)) is not None:
                return found
        passphrase = self._ask(f"Passphrase of {path}")
        found = _try(block, passphrase)
        if found is None:
            raise KeyFileError(f"the {what} {path} does not open: a wrong passphrase, or it is damaged")
        self._known.append(passphrase)
        return found


def _try(block: bytes, passphrase: bytes) -> PrivateKeyTypes | None:
    try:
        return serialization.load_pem_private_key(block, passphrase or b"\0")
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
