"""Which key signs which segment's key: the key path (docs/FORMAT.md, "Signing keys").

Segment keys stand at positions 1, 2, 3 ...; the device's identity is position 0. The key at position p is certified
by the key at ``p`` without its lowest set bit, so that the path from any segment to the identity has at most 32
steps and stands in that segment's own opening chunk, and so that no key certifies anything at or before itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from storage.errors import FormatError
from storage.identity import is_signed
from storage.layout import MAX_SEGMENT

_CONTEXT = b"getuige/1 key\0"
_BITS = MAX_SEGMENT.bit_length()


def parent(position: int) -> int:
    """Return the position of the key that certifies `position`."""
    return position & (position - 1)


def children(position: int) -> list[int]:
    """Return the positions that the key at `position` certifies, ascending; those of 0 are the identity's."""
    reach = _BITS if position == 0 else (position & -position).bit_length() - 1
    return [position + (1 << bit) for bit in range(reach) if position + (1 << bit) <= MAX_SEGMENT]


def ancestry(position: int) -> list[int]:
    """Return the positions on the path from the identity (left out) down to `position`."""
    path = []
    while position:
        path.append(position)
        position = parent(position)
    return path[::-1]


def statement(device: bytes, position: int, public: bytes) -> bytes:
    """Return the bytes signed to certify `public` (raw, 32 bytes) at `position` of `device` (16 bytes)."""
    return _CONTEXT + device + position.to_bytes(8, "big") + public


@dataclass(frozen=True, slots=True)
class Certificate:
    """A segment key, certified by the key at its parent's position."""

    position: int
    public: bytes
    signature: bytes


def check_path(identity: bytes, device: bytes, segment: int, path: Sequence[Certificate]) -> None:
    """Check that `path` leads from the identity (raw public key, of either kind) to the Ed25519 key of `segment`.

    Raises:
        FormatError: a step is missing, out of place, or signed by another key.
    """
    if [step.position for step in path] != ancestry(segment):
        raise FormatError(f"the key path of segment {segment} does not lead there from the device's identity")
    for above, step in itertools.pairwise([Certificate(0, identity, b""), *path]):
        if not _certifies(above, step, device):
            raise FormatError(
                f"the key at position {step.position} on the path of segment {segment} is not signed by the key "
                f"at position {above.position}"
            )


def _certifies(above: Certificate, step: Certificate, device: bytes) -> bool:
    certified = statement(device, step.position, step.public)
    if above.position == 0:
        return is_signed(above.public, step.signature, certified)
    try:
        Ed25519PublicKey.from_public_bytes(above.public).verify(step.signature, certified)
    except (InvalidSignature, ValueError):
        return False
    return True
