"""The unit's signing key in a file: an Ed25519 private key as standard PEM (PKCS #8, RFC 5958, RFC 8410).

It signs policies. It is another key than the one that opens footage, and is better kept by another person.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from station.keys import place_for_pair, write_pair
from storage.errors import KeyFileError
from storage.keyfiles import encode_device_key, read_key_file
from storage.signer import MemorySigner, Signer


def write_new_unit_key(path: Path) -> Path:
    """Make a key; write the private half to `path` (mode 0600) and the public one beside it as ``.pub``.

    Raises:
        KeyFileError: `path` or the .pub beside it exists already, is no name for a private key, or cannot be written.
    """
    public = place_for_pair(path, "the key that devices trust must not be lost")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_pair(path, private, encode_device_key(key.public_key().public_bytes_raw()))
    return public


def load_unit_key(path: Path) -> Signer:
    """Read a private key file.

    Raises:
        KeyFileError: missing, unreadable, or not one such key.
    """
    blocks = read_key_file(path, "unit's private key")
    try:
        key = serialization.load_pem_private_key(blocks[0], password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"the unit's private key {path} is not an unencrypted PEM private key") from None
    if len(blocks) != 1 or not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"the unit's private key {path} is not one Ed25519 private key")
    return MemorySigner(key)
