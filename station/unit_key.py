"""The unit's signing key in a file: an Ed25519 private key as standard PEM (PKCS #8, RFC 5958, RFC 8410).

It signs policies. It is another key than the one that opens footage, and is better kept by another person.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from station.keys import place_for_pair, write_pair
from station.private_keys import Passphrases, encryption
from storage.errors import KeyFileError
from storage.keyfiles import encode_device_key
from storage.signer import MemorySigner, Signer


def write_new_unit_key(path: Path, passphrase: bytes = b"") -> Path:
    """Make a key; write the private half to `path` (mode 0600) and the public one beside it as ``.pub``.

    The private half is encrypted unless `passphrase` is empty.

    Raises:
        KeyFileError: `path` or the .pub beside it exists already, is no name for a private key, or cannot be written.
    """
    public = place_for_pair(path, "the key that devices trust must not be lost")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption(passphrase))
    write_pair(path, private, encode_device_key(key.public_key().public_bytes_raw()))
    return public


def load_unit_key(path: Path, passphrases: Passphrases | None = None) -> Signer:
    """Read a private key file; `passphrases` open it where it is encrypted.

    Raises:
        KeyFileError: missing, unreadable, not one such key, or a wrong passphrase.
    """
    keys = (passphrases or Passphrases()).load(path, "unit's private key")
    if len(keys) != 1 or not isinstance(keys[0], Ed25519PrivateKey):
        raise KeyFileError(f"the unit's private key {path} is not one Ed25519 private key")
    return MemorySigner(keys[0])
