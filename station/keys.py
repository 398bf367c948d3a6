"""The unit's private key in a file: standard PEM (PKCS #8, RFC 5958) of ML-KEM-768 (RFC 9935) and X25519 (RFC 8410)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

from station.private_keys import Passphrases, encryption
from storage.durable import replace_file
from storage.envelope import Recipient
from storage.errors import KeyFileError
from storage.keyfiles import encode_recipient


@dataclass(frozen=True, slots=True)
class StationKey:
    """A recipient's private key; hybrid unless `mlkem` is None."""

    x25519: X25519PrivateKey = field(repr=False)
    mlkem: MLKEM768PrivateKey | None = field(repr=False)

    @classmethod
    def generate(cls, *, hybrid: bool = True) -> StationKey:
        """Make a new key."""
        return cls(X25519PrivateKey.generate(), MLKEM768PrivateKey.generate() if hybrid else None)

    @property
    def recipient(self) -> Recipient:
        """The public half, which devices seal to."""
        return Recipient(self.x25519.public_key(), self.mlkem.public_key() if self.mlkem else None)

    @property
    def hpke(self) -> X25519PrivateKey | MLKEM768X25519PrivateKey:
        """The key as HPKE takes it."""
        return self.x25519 if self.mlkem is None else MLKEM768X25519PrivateKey(self.mlkem, self.x25519)


def load_station_key(path: Path, passphrases: Passphrases | None = None) -> StationKey:
    """Read a private key file; `passphrases` open it where it is encrypted.

    Raises:
        KeyFileError: missing, unreadable, not such a key, or a wrong passphrase.
    """
    x25519: list[X25519PrivateKey] = []
    mlkem: list[MLKEM768PrivateKey] = []
    for key in (passphrases or Passphrases()).load(path, "station key"):
        if isinstance(key, X25519PrivateKey):
            x25519.append(key)
        elif isinstance(key, MLKEM768PrivateKey):
            mlkem.append(key)
        else:
            raise KeyFileError(f"the station key {path} holds a key that is neither X25519 nor ML-KEM-768")
    if len(x25519) != 1 or len(mlkem) > 1:
        raise KeyFileError(f"the station key {path} must hold one X25519 key and at most one ML-KEM-768 key")
    return StationKey(x25519[0], mlkem[0] if mlkem else None)


def encode_station_key(key: StationKey, passphrase: bytes = b"") -> bytes:
    """Return the PEM text of a private key, ML-KEM-768 first where it is hybrid: a secret without a passphrase."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption(passphrase))
    return (key.mlkem.private_bytes(*form) if key.mlkem else b"") + key.x25519.private_bytes(*form)


def write_new_key(path: Path, *, hybrid: bool = True, passphrase: bytes = b"") -> Path:
    """Make a key; write the private half to `path` (mode 0600) and the public one beside it as ``.pub``.

    The private half is encrypted unless `passphrase` is empty.

    Raises:
        KeyFileError: `path` or the .pub beside it exists already, is no name for a private key, or cannot be written.
    """
    public = place_for_pair(path, "a key that footage was sealed to must not be lost")
    key = StationKey.generate(hybrid=hybrid)
    write_pair(path, encode_station_key(key, passphrase), encode_recipient(key.recipient))
    return public


def place_for_pair(path: Path, loss: str) -> Path:
    """Return where the public half of a new private key in `path` goes; `loss` says why neither may be there.

    Raises:
        KeyFileError: one of them exists already, or `path` is no name for a private key.
    """
    if not path.name or path.suffix == ".pub":
        raise KeyFileError(f"{path} cannot be a private key: name a file that does not end in .pub")
    public = path.with_suffix(".pub")
    for file in (path, public):
        if file.exists():
            raise KeyFileError(f"{file} exists already: {loss}")
    return public


def write_pair(path: Path, private: bytes, public: bytes) -> None:
    """Write a private key to `path`, mode 0600, and the public one beside it as ``.pub``.

    Raises:
        KeyFileError: they cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, private, mode=0o600)
        replace_file(path.with_suffix(".pub"), public, mode=0o644)
    except OSError as error:
        raise KeyFileError(f"cannot write the key {path}: {error.strerror}") from None
