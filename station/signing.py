"""The station's own signing key: receipts, audit log, proofs and bundles are signed with it. Ed25519 (RFC 8032).

It is named by a URI: ``file:PATH``, PEM (PKCS #8), with a passphrase where it has one; or ``pkcs11:`` (RFC 7512) for a
hardware security module, from which the key cannot be taken.
"""

from __future__ import annotations

import threading
import urllib.parse
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from station.errors import StationError
from station.keys import place_for_pair, write_pair
from station.private_keys import Ask, Passphrases, encryption
from storage.errors import KeyFileError
from storage.keyfiles import encode_device_key
from storage.signer import MemorySigner, Signer

_PUBLIC_BYTES = 32
_MAX_PIN_BYTES = 256


def write_new_signing_key(path: Path, passphrase: bytes) -> Path:
    """Make a key: the private half in `path` (0600), encrypted unless `passphrase` is empty, the public one beside it.

    Raises:
        KeyFileError: it exists already, or cannot be written.
    """
    public = place_for_pair(path, "what was signed with it could not be checked any more")
    key = Ed25519PrivateKey.generate()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption(passphrase))
    private = key.private_bytes(*form)
    write_pair(path, private, encode_device_key(key.public_key().public_bytes_raw()))
    return public


def open_signer(uri: str, base: Path, ask: Ask, passphrases: Passphrases | None = None) -> Signer:
    """Return the signer that a URI names; `ask` asks somebody for a PIN, `passphrases` open a file (else `ask` does).

    Raises:
        StationError: it names none, or the key does not open.
    """
    scheme, _, rest = uri.partition(":")
    if scheme == "file":
        return _from_file(base / rest, passphrases or Passphrases(ask))
    if scheme == "pkcs11":
        return Pkcs11Signer(rest, base, ask)
    raise StationError(f"{scheme}: is no place for a signing key: file:PATH, or pkcs11:token=...;object=...")


def _from_file(path: Path, passphrases: Passphrases) -> Signer:
    keys = passphrases.load(path, "signing key")
    if len(keys) != 1 or not isinstance(keys[0], Ed25519PrivateKey):
        raise KeyFileError(f"the signing key {path} is not an Ed25519 key")
    return MemorySigner(keys[0])


class Pkcs11Signer:
    """An Ed25519 key in a token. Thread-safe."""

    def __init__(self, path: str, base: Path, ask: Ask) -> None:
        """Open the token that the path of an RFC 7512 URI names.

        Raises:
            StationError: no such module, token or key, or a wrong PIN.
        """
        import pkcs11
        from pkcs11.exceptions import PKCS11Error, UserAlreadyLoggedIn

        self._lock = threading.Lock()
        attributes, module, pin_source = _parse(path)
        try:
            token = pkcs11.lib(module).get_token(token_label=attributes.get("token"))
            pin = _pin(pin_source, base) if pin_source else ask(f"PIN of token {attributes.get('token', '')}")
            try:
                self._session: Any = token.open(user_pin=pin.decode("utf-8", "replace"))
            except UserAlreadyLoggedIn:
                self._session = token.open()  # a login is the whole process's
            label = attributes.get("object")
            self._key: Any = self._session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=label)
            public = self._session.get_key(pkcs11.ObjectClass.PUBLIC_KEY, label=label)
            self._public = bytes(public[pkcs11.Attribute.EC_POINT])[-_PUBLIC_BYTES:]
        except (PKCS11Error, RuntimeError, OSError) as error:
            why = str(error) or type(error).__name__
            raise StationError(f"the token does not open: {why.splitlines()[0]} (module {module})") from None
        self._mechanism = pkcs11.Mechanism.EDDSA

    @property
    def public(self) -> bytes:
        """The raw 32-byte public key."""
        return self._public

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature.

        Raises:
            StationError: the token does not answer.
        """
        from pkcs11.exceptions import PKCS11Error

        with self._lock:
            try:
                return bytes(self._key.sign(data, mechanism=self._mechanism))
            except PKCS11Error as error:
                raise StationError(f"the token does not sign: {type(error).__name__}") from None


def _parse(path: str) -> tuple[dict[str, str], str, str]:
    head, _, query = path.partition("?")
    attributes = {}
    for part in filter(None, head.split(";")):
        name, _, value = part.partition("=")
        attributes[name] = urllib.parse.unquote(value)
    options = dict(urllib.parse.parse_qsl(query))
    module = options.get("module-path", "")
    if not module or "object" not in attributes or "pin-value" in options:
        raise StationError(
            "a token is named as pkcs11:token=LABEL;object=LABEL?module-path=FILE[&pin-source=FILE]; its PIN never"
            " stands in there"
        )
    return attributes, module, options.get("pin-source", "")


def _pin(source: str, base: Path) -> bytes:
    path = base / source.removeprefix("file:")
    if path.stat().st_mode & 0o077:
        raise StationError(f"{path} holds a PIN and can be read by others: chmod 600 {path}")
    return path.read_bytes()[:_MAX_PIN_BYTES].strip()
