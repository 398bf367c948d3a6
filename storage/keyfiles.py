"""Public keys in files: the device's identity and the unit's recipients, in standard PEM encodings.

`device.pub` is one SubjectPublicKeyInfo block: Ed25519 (RFC 8410), or P-256 as a named curve (RFC 5480). A recipient
is one X25519 block (RFC 8410), after one ML-KEM-768 block (RFC 9935) where it is hybrid.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from storage.envelope import Recipient
from storage.errors import KeyFileError
from storage.identity import parse_identity, raw_identity

_MAX_FILE_BYTES = 64 * 1024
_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\s*", re.DOTALL)


def device_id(identity: bytes) -> bytes:
    """Return the 16-byte device id of a raw identity key: the start of its SHA-256."""
    return hashlib.sha256(identity).digest()[:16]


def read_key_file(path: Path, what: str) -> list[bytes]:
    """Return the PEM blocks of a key file.

    Raises:
        KeyFileError: missing, unreadable, too large, or without a PEM block.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot read the {what} {path}: {error.strerror}") from None
    return _blocks(data, f"the {what} {path}")


def _blocks(data: bytes, what: str) -> list[bytes]:
    blocks = [match.group() for match in _BLOCK.finditer(data)]
    if not blocks or len(data) > _MAX_FILE_BYTES:
        raise KeyFileError(f"{what} is not a PEM key file")
    return blocks


def load_device_key(path: Path) -> bytes:
    """Return the raw identity key in `device.pub`: 32 bytes of Ed25519, or 33 of P-256.

    Raises:
        KeyFileError: missing, unreadable, or not one public key of either kind.
    """
    raw = raw_identity(_load_public(path, "device key"))
    if raw is None:
        raise KeyFileError(f"the device key {path} is neither an Ed25519 nor a P-256 public key")
    return raw


def load_signing_key(path: Path, what: str) -> bytes:
    """Return the raw 32-byte Ed25519 public key in a file; `what` names it in errors.

    Raises:
        KeyFileError: missing, unreadable, or not one Ed25519 public key.
    """
    key = _load_public(path, what)
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"the {what} {path} is not an Ed25519 public key")
    return key.public_bytes_raw()


def _load_public(path: Path, what: str) -> object:
    blocks = read_key_file(path, what)
    try:
        key = serialization.load_pem_public_key(blocks[0])
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"the {what} {path} is not a PEM public key") from None
    if len(blocks) != 1:
        raise KeyFileError(f"the {what} {path} is not one public key")
    return key


def encode_device_key(identity: bytes) -> bytes:
    """Return the PEM text of a raw public key: a device's identity, or another Ed25519 key.

    Raises:
        FormatError: not a raw key of either kind.
    """
    key = parse_identity(identity)
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_recipient(path: Path) -> Recipient:
    """Return the recipient in a station's public key file.

    Raises:
        KeyFileError: missing, unreadable, or not an X25519 key with at most one ML-KEM-768 key.
    """
    return _recipient(read_key_file(path, "recipient key"), f"the recipient key {path}")


def parse_recipient(data: bytes, what: str) -> Recipient:
    """Return the recipient in the bytes of such a file; `what` names it in errors.

    Raises:
        KeyFileError: not an X25519 key with at most one ML-KEM-768 key.
    """
    return _recipient(_blocks(data, what), what)


def _recipient(blocks: list[bytes], what: str) -> Recipient:
    x25519: list[X25519PublicKey] = []
    mlkem: list[MLKEM768PublicKey] = []
    for block in blocks:
        try:
            key = serialization.load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFileError(f"{what} holds something that is not a public key") from None
        if isinstance(key, X25519PublicKey):
            x25519.append(key)
        elif isinstance(key, MLKEM768PublicKey):
            mlkem.append(key)
        else:
            raise KeyFileError(f"{what} holds a key that is neither X25519 nor ML-KEM-768")
    if len(x25519) != 1 or len(mlkem) > 1:
        raise KeyFileError(f"{what} must hold one X25519 key and at most one ML-KEM-768 key")
    return Recipient(x25519[0], mlkem[0] if mlkem else None)


def encode_recipient(recipient: Recipient) -> bytes:
    """Return the PEM text of a recipient, ML-KEM-768 first where it is hybrid."""
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    first = recipient.mlkem.public_bytes(*form) if recipient.mlkem else b""
    return first + recipient.x25519.public_bytes(*form)
