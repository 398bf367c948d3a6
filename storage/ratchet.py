"""The forward-secure signing keys: which are still to come, and none that is past (docs/FORMAT.md, "Signing keys").

Nothing here does I/O. A keyring at any moment holds the private keys of positions after the last opened segment and
no other, so whoever copies the flash can sign what comes, and nothing that came before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage import cbor
from storage.errors import EnrolmentError, FormatError
from storage.fields import as_bytes, as_int, as_list, expect_keys
from storage.identity import P256_BYTES, parse_identity
from storage.keyfiles import device_id
from storage.keypath import Certificate, ancestry, check_path, children, statement
from storage.layout import MAX_SEGMENT, SIGNATURE_BYTES
from storage.signer import MemorySigner, Signer

_KEYS = frozenset({"v", "identity", "seeds", "certificates"})


@dataclass(frozen=True, slots=True)
class Keyring:
    """The device's public identity, the private keys of segments to come, and the certificates that lead to them."""

    identity: bytes
    seeds: Mapping[int, bytes] = field(repr=False)
    certificates: Mapping[int, Certificate]

    @property
    def device(self) -> bytes:
        """The 16-byte device id."""
        return device_id(self.identity)

    def signer(self, segment: int) -> MemorySigner:
        """Return the key of a segment that has not been opened yet.

        Raises:
            EnrolmentError: that key is erased, or was never made.
        """
        try:
            return MemorySigner.from_seed(self.seeds[segment])
        except KeyError:
            raise EnrolmentError(f"the signing key of segment {segment} is not in the keyring") from None

    def path(self, segment: int) -> tuple[Certificate, ...]:
        """Return the certificates from the identity down to `segment`."""
        return tuple(self.certificates[position] for position in ancestry(segment))

    def prepared(self, segment: int) -> Keyring:
        """Return the keyring with the keys that `segment`'s key certifies, each new."""
        signer = self.signer(segment)
        seeds, certificates = dict(self.seeds), dict(self.certificates)
        for position in children(segment):
            if position not in seeds:
                _add(seeds, certificates, signer, self.device, position)
        return Keyring(self.identity, seeds, certificates)

    def retired(self, segment: int) -> Keyring:
        """Return the keyring without the keys up to and including `segment`."""
        seeds = {position: seed for position, seed in self.seeds.items() if position > segment}
        needed = {step for position in seeds for step in ancestry(position)}
        return Keyring(self.identity, seeds, {step: self.certificates[step] for step in sorted(needed)})

    def encode(self) -> bytes:
        """Return the keyring as deterministic CBOR. It holds secrets."""
        return cbor.encode(
            {
                "v": 1,
                "identity": self.identity,
                "seeds": [[position, self.seeds[position]] for position in sorted(self.seeds)],
                "certificates": [[step.position, step.public, step.signature] for step in self.certificates.values()],
            }
        )


def enrol(identity: Signer) -> Keyring:
    """Return a new keyring, its first keys certified by `identity`, which is not needed afterwards."""
    seeds: dict[int, bytes] = {}
    certificates: dict[int, Certificate] = {}
    for position in children(0):
        _add(seeds, certificates, identity, device_id(identity.public), position)
    return Keyring(identity.public, seeds, certificates)


def decode(data: bytes) -> Keyring:
    """Parse what `Keyring.encode` wrote.

    Every key is checked against the certificates that lead to it: a keyring that rotted on flash would otherwise
    sign what no verifier accepts.

    Raises:
        FormatError: something else.
    """
    fields = cbor.decode_map(data, "the keyring")
    expect_keys(fields, "the keyring", _KEYS)
    if as_int(fields["v"], "keyring version", 255) != 1:
        raise FormatError("the keyring's version is unknown to this program, which reads version 1")
    seeds = {}
    for item in as_list(fields["seeds"], "seeds", 1024):
        position, seed = _items(item, "a seed", 2)
        seeds[as_int(position, "position", MAX_SEGMENT)] = as_bytes(seed, "seed", 32)
    certificates = {}
    for item in as_list(fields["certificates"], "certificates", 2048):
        position, public, signature = _items(item, "a certificate", 3)
        certificates[as_int(position, "position", MAX_SEGMENT)] = Certificate(
            position, as_bytes(public, "key", 32), as_bytes(signature, "signature", SIGNATURE_BYTES)
        )
    identity = as_bytes(fields["identity"], "identity", most=P256_BYTES)
    parse_identity(identity)
    keyring = Keyring(identity, seeds, certificates)
    for position in seeds:
        _check_seed(keyring, position)
    return keyring


def _items(value: object, what: str, count: int) -> list[Any]:
    items = as_list(value, what, count)
    if len(items) != count:
        raise FormatError(f"{what} does not have {count} items")
    return items


def _check_seed(keyring: Keyring, position: int) -> None:
    if not position or any(step not in keyring.certificates for step in ancestry(position)):
        raise FormatError(f"no certificates lead to the key at position {position}")
    path = keyring.path(position)
    check_path(keyring.identity, keyring.device, position, path)
    if keyring.signer(position).public != path[-1].public:
        raise FormatError(f"the key at position {position} is not the certified one")


def _add(
    seeds: dict[int, bytes],
    certificates: dict[int, Certificate],
    parent: Signer,
    device: bytes,
    position: int,
) -> None:
    key = MemorySigner.generate()
    seeds[position] = key.seed
    signature = parent.sign(statement(device, position, key.public))
    certificates[position] = Certificate(position, key.public, signature)
