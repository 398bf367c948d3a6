"""Bodies: what is longer than a message, in parts, each by its offset, the whole by its SHA-256 (FIPS 180-4).

The device gives a body with an answer; the asking end fetches it with ``part``. The other way it is put with ``give``
before the request that is about it. Parts are asked for one at a time, so that neither end ever queues any.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wire.errors import BodyError, MessageError
from wire.plain import expect, take_bytes, take_int

PART_BYTES = 4096
MOST_GIVEN_BYTES = 256 * 1024
"""The largest body that a device takes."""
MOST_FETCHED_BYTES = 64 * 1024 * 1024
"""The largest body that a station takes."""


class Body(Protocol):
    """Something to be read in parts; it must not change meanwhile."""

    @property
    def size_bytes(self) -> int:
        """Its length."""
        ...

    @property
    def digest(self) -> bytes:
        """Its SHA-256."""
        ...

    def read(self, at: int, count: int) -> bytes:
        """Return up to `count` bytes from an offset; fewer only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class BytesBody:
    """A body in memory."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return len(self.data)

    @property
    def digest(self) -> bytes:
        """Its SHA-256."""
        return hashlib.sha256(self.data).digest()

    def read(self, at: int, count: int) -> bytes:
        """Return a part."""
        return self.data[at : at + count]


@dataclass(frozen=True, slots=True)
class Described:
    """What is said of a body before it comes."""

    size_bytes: int
    digest: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """As it stands in a message."""
        return {"bytes": self.size_bytes, "sha256": self.digest.hex()}


def described(fields: Mapping[str, Any], most: int) -> Described:
    """Read the description of a body.

    Raises:
        MessageError: it is none, or of more than `most` bytes.
    """
    expect(fields, "a body's description", "bytes sha256")
    return Described(take_int(fields, "bytes", most), take_bytes(fields, "sha256", 32))


def pack(data: bytes) -> str:
    """Return a part as it stands in a message."""
    return base64.b64encode(data).decode("ascii")


def unpack(value: object) -> bytes:
    """Read a part.

    Raises:
        MessageError: it is none.
    """
    if isinstance(value, str) and len(value) <= 2 * PART_BYTES:
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if len(data) <= PART_BYTES and pack(data) == value:
            return data
    raise MessageError(f"a part is not the base64 of up to {PART_BYTES} bytes")


class Gathering:
    """A body on its way in: parts in order, one after the other, bounded."""

    def __init__(self, of: Described) -> None:
        self.of = of
        self._data = bytearray()

    @property
    def size_bytes(self) -> int:
        """How much of it is here."""
        return len(self._data)

    @property
    def data(self) -> bytes:
        """What of it is here."""
        return bytes(self._data)

    @property
    def whole(self) -> bool:
        """Whether all of it is here."""
        return len(self._data) == self.of.size_bytes

    def add(self, at: int, data: bytes) -> None:
        """Take a part. One that is here already changes nothing.

        Raises:
            BodyError: it leaves a hole, or goes beyond the end.
        """
        if at > len(self._data) or at + len(data) > self.of.size_bytes:
            raise BodyError(f"a part at {at} does not follow on the {len(self._data)} bytes that are here")
        self._data[at : at + len(data)] = data

    def take(self) -> bytes:
        """Return the whole body.

        Raises:
            BodyError: it is not whole, or not what its digest says.
        """
        data = bytes(self._data)
        if not self.whole or hashlib.sha256(data).digest() != self.of.digest:
            raise BodyError("the body is not what its digest says: send it again")
        return data
