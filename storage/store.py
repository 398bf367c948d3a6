"""The device's store: opens segments, seals what is appended, makes it durable, and ratchets the keys on.

The order in which a segment is opened is what makes a crash at any instant harmless:

1. the segment before is closed and durable;
2. the keyring with the keys that this segment certifies is durable (its own private key is still in it);
3. the opening chunk is durable, and so is the file's name;
4. the keyring without this segment's private key is durable, the old one overwritten.

A crash before 3 leaves a torn opening, set aside at the next boot, which uses the same key and number again; a crash
between 3 and 4 leaves a key that the next boot erases first of all.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.buffers import BufferPool
from storage.destruction import Destruction
from storage.durable import sync_directory
from storage.envelope import CONTENT_KEY_BYTES, Cipher, Recipient
from storage.errors import EnrolmentError, StoreError, StoreFailedError, StoreFullError
from storage.flash import DurableSink, FlashWriter
from storage.inventory import SEGMENTS, TORN, segment_name
from storage.keyring_file import KeyringFile
from storage.layout import Flags, Kind, Place, Stamp
from storage.particulars import Gap, Opening, Previous, encode_closing, encode_gaps
from storage.recovery import Recovery, recover
from storage.room import JournalRoom, journal_room
from storage.seal import SealedChunk, SegmentSealer
from storage.signer import Signer

JOURNAL = bytes(16)
"""The recording id of journal segments."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What the unit's policy says about the store."""

    recipients: Sequence[Recipient]
    cipher: Cipher = Cipher.CHACHA20_POLY1305
    reserve_bytes: int = 64 * 1024 * 1024
    """Media is refused when less than this is free; closings and the journal may still be written."""
    queue_bytes: int = 16 * 1024 * 1024
    wait_s: float = 30.0


def _ignore(_chunk: SealedChunk) -> None:
    """Nobody listens."""


class Store:
    """The evidence on one device's flash. One recorder at a time; a context manager."""

    def __init__(
        self,
        root: Path,
        state: Path,
        settings: StoreSettings,
        boot: bytes,
        on_durable: DurableSink = _ignore,
        *,
        sync: Callable[[int], None] | None = None,
    ) -> None:
        """Open the store in `root` with the keyring in `state`, and recover from how the last run ended.

        `sync` stands in for fdatasync(2) where the medium is simulated.

        Raises:
            EnrolmentError: the device is not enrolled.
            StoreError: in use by another recorder, no recipient to seal to, or the flash contradicts the keyring.
            StoreFailedError: the flash cannot be read or written.
        """
        if not settings.recipients:
            raise StoreError("there is no recipient to seal to: what would be recorded could never be opened")
        self._root = root
        self._settings = settings
        self._boot = boot
        self._keyring_file = KeyringFile(state)
        self._lock = self._prepare_folders()
        try:
            # After the lock: what a recorder that is just ending still saves must be seen.
            self._keyring = self._keyring_file.load()
            self.recovery: Recovery = recover(root, self._keyring.identity)
            self._previous = self.recovery.previous
            self._forget_used_keys()
        except BaseException:
            os.close(self._lock)
            raise
        self.pool = BufferPool()
        self._flash = FlashWriter(
            self.pool, on_durable, queue_bytes=settings.queue_bytes, wait_s=settings.wait_s, sync=sync
        )
        self._open: Segment | None = None

    @property
    def identity(self) -> bytes:
        """The device's raw public identity key."""
        return self._keyring.identity

    @property
    def device(self) -> bytes:
        """The 16-byte device id."""
        return self._keyring.device

    @property
    def previous(self) -> Previous:
        """The last chunk of the last closed segment."""
        return self._previous

    @property
    def open_segment(self) -> int | None:
        """The number of the segment that is open, or None."""
        segment = self._open
        return segment.number if segment is not None else None

    @property
    def queued_bytes(self) -> int:
        """How many sealed bytes wait to become durable."""
        return self._flash.queued_bytes

    def free_bytes(self) -> int:
        """Return how many bytes of media can still be recorded before the store refuses.

        Raises:
            StoreFailedError: the medium does not answer.
        """
        try:
            status = os.statvfs(self._root)
        except OSError as error:
            raise StoreFailedError(f"{self._root}: the medium does not answer ({error.strerror})") from error
        return max(0, status.f_bavail * status.f_frsize - self._settings.reserve_bytes)

    def journal_room(self) -> JournalRoom:
        """Return what the journal may still write. Errors as in `free_bytes`."""
        try:
            status = os.statvfs(self._root)
        except OSError as error:
            raise StoreFailedError(f"{self._root}: the medium does not answer ({error.strerror})") from error
        return journal_room(status.f_bavail * status.f_frsize, self._settings.reserve_bytes)

    def free_percent(self) -> float:
        """Return how much of the medium media may still take, in percent of the medium without the reserve.

        Raises:
            StoreFailedError: the medium does not answer.
        """
        free_bytes = self.free_bytes()
        try:
            status = os.statvfs(self._root)
        except OSError as error:
            raise StoreFailedError(f"{self._root}: the medium does not answer ({error.strerror})") from error
        return 100 * free_bytes / max(1, status.f_blocks * status.f_frsize - self._settings.reserve_bytes)

    def begin(
        self, stamp: Stamp, *, recording: bytes = JOURNAL, part: int = 0, profile: str = "", init: bytes = b""
    ) -> Segment:
        """Open the next segment: a journal, or part `part` of a recording whose media needs `init` (ftyp + moov).

        When it returns the opening is durable and the segment's private key is nowhere but in memory.

        Raises:
            StoreError: a segment is open, or the store is closed.
            StoreFullError: media, and no room beyond the reserve.
            StoreFailedError: the flash cannot be written.
        """
        if self._lock < 0:
            raise StoreError(f"the store {self._root} is closed")
        if self._open is not None:
            raise StoreError("a segment is open: close it first")
        media = recording != JOURNAL
        if media:
            self.require_room(len(init))
        number = self._previous.segment + 1
        prepared = self._keyring.prepared(number)
        if len(prepared.seeds) != len(self._keyring.seeds):
            self._keyring_file.save(prepared)
            self._keyring = prepared
        segment = Segment(self, self._flash, Place(self.device, number, recording, self._boot))
        opening = self._opening(number, media, part, profile)
        self._open = segment
        try:
            segment.open(self._root / SEGMENTS, opening, self._keyring.signer(number), stamp, init)
        except BaseException:
            # A write that hangs keeps its file, which stays the open one: its descriptor must not become another's.
            if not self._flash.queued_bytes:
                self._open = None
                segment.abandon()
            raise
        self._keyring = self._keyring.retired(number)
        self._keyring_file.save(self._keyring)
        return segment

    def require_room(self, size_bytes: int) -> None:
        """Check that `size_bytes` more of media leave the reserve untouched.

        Raises:
            StoreFullError: they do not.
        """
        if self.free_bytes() < size_bytes:
            raise StoreFullError(f"{self._root} is full: nothing is overwritten; offload the device")

    def close(self) -> None:
        """Let go of the store. A segment that is still open stays without a closing. Idempotent."""
        if not self._flash.close():
            return  # a thread hangs in a write: its file and the lock are not given to others while it may go on
        if self._open is not None:
            self._open.abandon()
            self._open = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ended(self, segment: Segment, previous: Previous) -> None:
        """Take note that `segment` is closed and durable. For `Segment` alone."""
        if segment is not self._open:
            raise StoreError("that segment is not the open one")
        self._open = None
        self._previous = previous

    @property
    def settings(self) -> StoreSettings:
        """What the policy says."""
        return self._settings

    def _opening(self, number: int, media: bool, part: int, profile: str) -> Opening:
        return Opening(
            media=media,
            part=part,
            profile=profile,
            cipher=self._settings.cipher,
            path=self._keyring.path(number),
            previous=self._previous,
            envelopes=(),
        )

    def _prepare_folders(self) -> int:
        try:
            for folder in (self._root, self._root / SEGMENTS, self._root / TORN):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self._root)
            lock = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreFailedError(f"cannot use {self._root} as a store: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise StoreError(f"the store {self._root} is in use by another recorder: stop that one first") from None
        return lock

    def _forget_used_keys(self) -> None:
        used = self._previous.segment
        if any(position <= used for position in self._keyring.seeds):
            self._keyring = self._keyring.retired(used)
            self._keyring_file.save(self._keyring)
        if used + 1 not in self._keyring.seeds:
            raise EnrolmentError(
                f"the keyring has no key for segment {used + 1}, and the flash ends with segment {used}: "
                "segments are gone or the keyring is another's; take the device in"
            )


class Segment:
    """The one open segment of a store."""

    def __init__(self, store: Store, flash: FlashWriter, place: Place) -> None:
        self._store = store
        self._flash = flash
        self._place = place
        self._sealer: SegmentSealer | None = None
        self._fd = -1
        self._path = ""
        self._size_bytes = 0

    @property
    def number(self) -> int:
        """The segment's number."""
        return self._place.segment

    @property
    def chunks(self) -> int:
        """How many chunks have been sealed into it, the opening included."""
        return self._sealer.chunks if self._sealer else 0

    @property
    def size_bytes(self) -> int:
        """Its length so far, including what is still queued."""
        return self._size_bytes

    @property
    def chain(self) -> bytes:
        """The chain value of the last signed chunk; chunks that are still queued come after it."""
        return self._sealer.tip.chain if self._sealer else bytes(32)

    def media(
        self, stamp: Stamp, body: bytes | bytearray | memoryview, flags: Flags, gaps: tuple[Gap, ...] = ()
    ) -> None:
        """Seal a chunk of media and queue it for flash; `body` may be reused when this returns.

        Raises:
            StoreFullError: no room beyond the reserve.
            StoreFailedError: the flash cannot be written.
        """
        self._store.require_room(len(body))
        self._append(Kind.MEDIA, stamp, body, flags, encode_gaps(gaps))

    def preview(self, stamp: Stamp, body: bytes, flags: Flags) -> bytes:
        """Seal a preview of the next media chunk and return its record; it does not go to flash.

        Raises:
            StoreError: the segment is not open, or that chunk has a preview already.
        """
        return self._require_open().preview(stamp, body, flags)

    def events(self, stamp: Stamp, body: bytes) -> None:
        """Seal encoded events and queue them. Errors as in `media`, but the reserve may be used."""
        self._append(Kind.EVENTS, stamp, body)

    def heartbeat(self, stamp: Stamp) -> None:
        """Seal "nothing happened" and queue it. Errors as in `events`."""
        self._append(Kind.HEARTBEAT, stamp, b"")

    def destruction(self, stamp: Stamp, destruction: Destruction) -> None:
        """State in the clear that another segment is destroyed; wait until that is durable. Errors as in `events`."""
        self._append(Kind.DESTRUCTION, stamp, b"", None, destruction.encode())
        self._flash.barrier()

    def close(self, reason: str, stamp: Stamp, gaps: tuple[Gap, ...] = ()) -> None:
        """Seal the closing chunk, with the gaps that no media chunk carries; wait until all is durable; drop the keys.

        Raises:
            StoreFullError: not even the reserve has room.
            StoreFailedError: the flash cannot be written.
        """
        self._append(Kind.CLOSING, stamp, b"", None, encode_closing(reason, gaps))
        self._flash.barrier()
        sealer = self._require_open()
        self._store.ended(self, Previous(self.number, sealer.chunks, sealer.tip))
        self.abandon()

    def open(self, folder: Path, opening: Opening, signer: Signer, stamp: Stamp, init: bytes) -> None:
        """Create the file and make its opening durable. For `Store` alone.

        Raises:
            StoreFailedError: the file cannot be made.
        """
        settings = self._store.settings
        content_key = secrets.token_bytes(CONTENT_KEY_BYTES)
        envelopes = tuple(item.wrap(content_key, self._place, signer.public) for item in settings.recipients)
        path = folder / segment_name(self.number)
        self._path = str(path)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(path, flags, 0o600)
            # The name first: a chunk that is reported durable can be found.
            sync_directory(folder)
        except OSError as error:
            raise StoreFailedError(f"cannot create {path}: {error.strerror}") from error
        self._sealer = SegmentSealer(
            self._place, signer, opening.cipher, content_key, opening.previous.tip, self._store.pool
        )
        self._append(Kind.OPENING, stamp, init, None, replace(opening, envelopes=envelopes).encode())
        self._flash.barrier()

    def abandon(self) -> None:
        """Drop the keys and the file as they are. Idempotent."""
        self._sealer = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(
        self,
        kind: Kind,
        stamp: Stamp,
        body: bytes | bytearray | memoryview,
        flags: Flags | None = None,
        particulars: bytes = b"",
    ) -> None:
        sealer = self._require_open()
        chunk = sealer.encrypt(kind, stamp, body, flags=flags, particulars=particulars)
        self._flash.put(self._fd, self._path, sealer, chunk)
        self._size_bytes += chunk.size_bytes

    def _require_open(self) -> SegmentSealer:
        if self._sealer is None:
            raise StoreError(f"segment {self.number} is not open")
        return self._sealer
