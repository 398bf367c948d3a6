"""Where sealed bytes are kept: a folder by default, S3 with object lock by URL. Nothing here can open them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from station.errors import StationError
from storage.destroy import shred
from storage.durable import sync_directory
from storage.errors import FormatError
from storage.layout import HEADER_BYTES, parse_header


class BodyError(StationError):
    """The bytes cannot be kept, read or destroyed; nothing half-written counts as there."""


class BodyStore(Protocol):
    """Keeps files under names of the form ``DEVICE/NUMBER-DIGEST.seg``."""

    def put(self, name: str, source: Path, keep_until: datetime) -> None:
        """Keep a copy of `source`, durably; the same name again is the same content. `source` may be taken away.

        Raises:
            BodyError: it is not kept.
        """
        ...

    def local(self, name: str) -> Any:
        """Return a context manager that gives a file with the bytes, for reading.

        Raises:
            BodyError: it is not there.
        """
        ...

    def destroy(self, name: str) -> None:
        """Destroy what opens the content first, then the content. Idempotent.

        Raises:
            BodyError: it may still be there.
        """
        ...


def open_bodies(url: str) -> BodyStore:
    """Return the store that a URL names: a path or ``file:///path``, or ``s3://bucket/prefix?endpoint=URL``.

    Raises:
        BodyError: it names none.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "s3":
        # Only here: its library is large, and few stations need it.
        from station.custody.bodies_s3 import S3Bodies

        query = dict(urllib.parse.parse_qsl(parts.query))
        return S3Bodies(parts.netloc, parts.path.strip("/"), query.get("endpoint"))
    if parts.scheme in ("", "file"):
        return FolderBodies(Path(parts.path))
    raise BodyError(f"{parts.scheme}: is no place for bodies: give a folder, or s3://bucket/prefix")


class FolderBodies:
    """A folder: files of mode 0600 in folders of mode 0700."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BodyError(f"cannot use {root}: {error.strerror}") from None

    def put(self, name: str, source: Path, keep_until: datetime) -> None:  # noqa: ARG002 - a folder has no lock
        """Move or copy `source` into place: synced, renamed, the folder synced."""
        path = self._path(name)
        # A name of its own: another station may be putting the same into the same folder.
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            sync_directory(self._root)
            try:
                source.rename(part)
            except OSError:
                shutil.copyfile(source, part)  # another file system
            fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.fchmod(fd, 0o600)
                os.fsync(fd)
            finally:
                os.close(fd)
            part.rename(path)
            sync_directory(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise BodyError(f"cannot keep {path}: {error.strerror}") from None

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """The file itself."""
        path = self._path(name)
        if not path.is_file():
            raise BodyError(f"{path} is not there")
        yield path

    def destroy(self, name: str) -> None:
        """Overwrite the opening, and with it every envelope of the content key, durably; then the rest; then unlink."""
        path = self._path(name)
        gone = path.with_suffix(".gone")
        try:
            if path.exists():
                path.rename(gone)
                sync_directory(path.parent)
            if gone.exists():
                _overwrite_opening(gone)
                shred(gone)
        except OSError as error:
            raise BodyError(f"cannot destroy {path}: {error.strerror}") from None

    def _path(self, name: str) -> Path:
        return self._root / name


def opening_bytes(path: Path) -> int:
    """Return the length of the first record."""
    with path.open("rb") as file:
        try:
            return parse_header(file.read(HEADER_BYTES)).record_bytes
        except FormatError:
            return 0


def _overwrite_opening(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size = min(opening_bytes(path), os.fstat(fd).st_size)
        os.pwrite(fd, bytes(size), 0)
        os.fsync(fd)
    finally:
        os.close(fd)
