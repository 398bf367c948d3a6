"""Opening what a device sealed: the half of sealing that no device has (docs/FORMAT.md, "Opening")."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag

from station.errors import OpenError
from station.keys import StationKey
from storage.envelope import Envelope, envelope_info
from storage.layout import TAG_BYTES, Place
from storage.particulars import Opening
from storage.preview import preview_key
from storage.seal import aead, nonce


class KeyOpener(Protocol):
    """Something that can unwrap a content key: a key file today, a hardware module as a driver."""

    @property
    def recipient_id(self) -> bytes:
        """The 16-byte id by which envelopes name this key."""
        ...

    def unwrap(self, envelope: Envelope, info: bytes) -> bytes:
        """Return the content key.

        Raises:
            OpenError: the envelope is not for this key, or was changed.
        """
        ...


class FileKeyOpener:
    """Unwraps with a private key from a file."""

    def __init__(self, key: StationKey) -> None:
        self._key = key
        self._recipient = key.recipient

    @property
    def recipient_id(self) -> bytes:
        """The 16-byte id by which envelopes name this key."""
        return self._recipient.id

    def unwrap(self, envelope: Envelope, info: bytes) -> bytes:
        """Return the content key; HPKE base mode, RFC 9180."""
        if envelope.kem is not self._recipient.kem:
            raise OpenError(
                f"the envelope is for a {envelope.kem.value} key, the station key is {self._recipient.kem.value}"
            )
        try:
            return envelope.kem.suite.decrypt(envelope.sealed, self._key.hpke, info=info)
        except (InvalidTag, ValueError):
            raise OpenError("the envelope does not open with the station key") from None


class LateOpener:
    """Another opener, made when something is to be opened: who does other things is asked for no passphrase."""

    def __init__(self, make: Callable[[], KeyOpener]) -> None:
        self._make = make
        self._made: KeyOpener | None = None
        self._lock = threading.Lock()

    def open(self) -> KeyOpener:
        """Make it now, and return it. Errors are `make`'s."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    @property
    def recipient_id(self) -> bytes:
        """The 16-byte id by which envelopes name its key."""
        return self.open().recipient_id

    def unwrap(self, envelope: Envelope, info: bytes) -> bytes:
        """Return the content key."""
        return self.open().unwrap(envelope, info)


def content_key(opener: KeyOpener, place: Place, opening: Opening) -> bytes:
    """Return a segment's content key: what opens that one segment and nothing else.

    Raises:
        OpenError: none of the envelopes is for this key.
    """
    for envelope in opening.envelopes:
        if envelope.recipient == opener.recipient_id:
            return opener.unwrap(envelope, envelope_info(place, opening.path[-1].public))
    raise OpenError(
        f"segment {place.segment} was not sealed to this station key: use the key of the unit that enrolled "
        f"device {place.device.hex()}"
    )


class SegmentOpener:
    """Opens the chunks of one segment."""

    def __init__(self, opener: KeyOpener, place: Place, opening: Opening) -> None:
        """Unwrap the segment's content key.

        Raises:
            OpenError: none of the envelopes is for this key.
        """
        key = content_key(opener, place, opening)
        self._segment = place.segment
        self._history = opening.previous.tip.chain
        self._decrypt_into = aead(opening.cipher, key).decrypt_into
        self._decrypt_preview = aead(opening.cipher, preview_key(key, place.device, place.segment)).decrypt

    def open_into(self, chunk: int, head: bytes | memoryview, body: bytes | memoryview, out: memoryview) -> memoryview:
        """Decrypt a body into `out` and return the part of it that was filled.

        Args:
            chunk: The chunk's number.
            head: The chunk's header and particulars.
            body: Ciphertext and tag.
            out: At least as long as the plaintext.

        Raises:
            OpenError: the body is not what was sealed.
        """
        plain = out[: len(body) - TAG_BYTES]
        try:
            self._decrypt_into(nonce(chunk), body, self._history + bytes(head), plain)
        except InvalidTag:
            raise OpenError(f"chunk {chunk} of segment {self._segment} does not open: its body was changed") from None
        return plain

    def open_preview(self, chunk: int, head: bytes | memoryview, body: bytes | memoryview) -> bytes:
        """Return the plaintext of a preview. Errors as in `open_into`."""
        try:
            return self._decrypt_preview(nonce(chunk), body, self._history + bytes(head))
        except InvalidTag:
            raise OpenError(f"the preview of chunk {chunk} of segment {self._segment} does not open") from None
