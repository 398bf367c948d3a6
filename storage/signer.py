"""Keys that sign, behind one small protocol and chosen by a URI. Ed25519 is RFC 8032."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storage.errors import KeyFileError, TpmError


class Signer(Protocol):
    """A private key that can sign and need not be seen."""

    @property
    def public(self) -> bytes:
        """The raw public key: 32 bytes of Ed25519, or, of an identity alone, 33 of P-256 (storage/identity.py)."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature over `data`."""
        ...


class MemorySigner:
    """An Ed25519 key in memory. Segment keys are of this sort: born to be forgotten."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key().public_bytes_raw()
        self.sign = key.sign

    @classmethod
    def generate(cls) -> MemorySigner:
        """Make a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> MemorySigner:
        """Make the key of a 32-byte seed."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> bytes:
        """The raw 32-byte Ed25519 public key."""
        return self._public

    @property
    def seed(self) -> bytes:
        """The raw 32-byte private key."""
        return self._key.private_bytes_raw()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(public={self._public.hex()})"


def signer_from_uri(uri: str, *, anew: bool = False) -> Signer:
    """Return the signer that a URI names.

    ``memory:`` makes a key that is never written anywhere; ``file:PATH`` reads an Ed25519 private key (PKCS #8 PEM);
    ``tpm:HANDLE`` is a key of P-256 in a TPM 2.0, made there if the handle is free (docs/SETTINGS.md, "Identity").

    With `anew`, an identity that stands at that handle is erased for a new one: one identity has one chain, so that
    whoever enrols a device asks for this. A file is read as ever.

    Raises:
        KeyFileError: unknown scheme, no such key there, or the TPM cannot be used.
    """
    scheme, _, rest = uri.partition(":")
    if scheme == "memory" and not rest:
        return MemorySigner.generate()
    if scheme == "tpm" and rest:
        return _in_tpm(rest, anew=anew)
    if scheme != "file" or not rest:
        raise KeyFileError(f"signer {uri!r} is not understood: use memory:, file:PATH or tpm:HANDLE")
    path = Path(rest)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not an unencrypted PEM private key"
        raise KeyFileError(f"cannot read the signing key {path}: {reason}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"the signing key {path} is not an Ed25519 key")
    return MemorySigner(key)


def standing_signer(uri: str) -> Signer | None:
    """Return the signer that a URI names as it stands, and make none; None where none ever stays (``memory:``).

    Raises:
        KeyFileError: as `signer_from_uri`, or nothing stands there.
    """
    scheme, _, rest = uri.partition(":")
    if scheme == "memory" and not rest:
        return None
    if scheme == "tpm" and rest:
        return _in_tpm(rest, make=False)
    return signer_from_uri(uri)


def _in_tpm(rest: str, *, anew: bool = False, make: bool = True) -> Signer:
    # Not every device has a TPM, and the package needs C libraries that only those that do have.
    try:
        from storage.signer_tpm import TpmPlace, TpmSigner, erase
    except ImportError as error:
        raise TpmError(
            f"a key in a TPM needs the package tpm2-pytss (Debian: python3-tpm2-pytss): {str(error).splitlines()[0]}"
        ) from None
    place = TpmPlace.parse(rest)
    if not make:
        return TpmSigner.find(place)
    if anew:
        erase(place)
    return TpmSigner.find_or_make(place)
