"""What is on its way: ``enrolling/`` in the state folder, mode 0700, beside what is in force.

- ``keyring``, ``tls.key``: the new keys; no keyring for a renewal
- ``request``: the signed request. Written last: without it nothing is staged, and what is there is erased
- ``grant``: what the station gave, checked. From then on the device finishes by itself, whatever happens

Secrets are overwritten before they are removed; on flash memory docs/FORMAT.md says what that is worth.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firmware.errors import EnrolError
from storage.durable import replace_file, sync_directory
from wire.bodies import MOST_GIVEN_BYTES
from wire.enrolment import Grant, Request, parse_grant, parse_request
from wire.errors import MessageError, RefusedError
from wire.plain import decode, encode

_log = logging.getLogger("getuige")
_MOST_BYTES = 1024 * 1024
_FILES = ("request", "grant", "keyring", "tls.key")
"""In the order in which they are erased: what gives the others their meaning first."""


class Staging:
    """The folder. For one process at a time: hold `locked`."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "enrolling"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep console and recorder from finishing the same enrolment at once.

        Raises:
            RefusedError: the other one is at it.
            OSError: the folder cannot be made.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RefusedError("busy", "an enrolment is just being finished: try again in a moment") from None
            yield
        finally:
            os.close(fd)

    @property
    def granted(self) -> bool:
        """Whether there is something to finish."""
        return (self._folder / "grant").exists()

    @property
    def replaces(self) -> bool:
        """Whether what is to be finished is a new identity."""
        return self.granted and (self._folder / "keyring").exists()

    @property
    def keyring(self) -> bytes:
        """The new keyring."""
        return (self._folder / "keyring").read_bytes()

    @property
    def tls_key(self) -> bytes:
        """The new TLS key (PEM)."""
        return (self._folder / "tls.key").read_bytes()

    def request(self) -> Request | None:
        """Return the request that is staged, or None. A damaged one is none: nobody can log in to remove it."""
        data = self._read("request")
        try:
            return None if data is None else parse_request(decode(data, "the staged request"))
        except MessageError as error:
            _log.warning("%s: %s; it counts as not there", self._folder / "request", error)
            return None

    def grant(self) -> Grant | None:
        """Return the grant that is staged, or None. A damaged one is none, as in `request`."""
        data = self._read("grant")
        try:
            return None if data is None else parse_grant(data)
        except MessageError as error:
            _log.warning("%s: %s; it counts as not there", self._folder / "grant", error)
            return None

    def stage(self, request: Request, tls_key: bytes, keyring: bytes | None) -> None:
        """Keep new keys, and last the request.

        Raises:
            OSError: the medium refused; nothing is staged.
        """
        self.clear()
        if keyring is not None:
            replace_file(self._folder / "keyring", keyring)
        replace_file(self._folder / "tls.key", tls_key)
        replace_file(self._folder / "request", encode(request.fields))

    def accept(self, grant: bytes) -> None:
        """Keep a grant that was checked. Raises OSError as `stage`."""
        replace_file(self._folder / "grant", grant)

    def clear(self) -> None:
        """Erase all of it. Raises OSError where the medium refuses; it may be called again."""
        if not self._folder.is_dir():
            return
        for name in _FILES:
            for path in (self._folder / name, self._folder / f"{name}.new"):
                _erase(path)
        sync_directory(self._folder)

    def _read(self, name: str) -> bytes | None:
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(max(_MOST_BYTES, MOST_GIVEN_BYTES))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EnrolError(f"cannot read {self._folder / name}: {error.strerror}") from None


def _erase(path: Path) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        os.pwrite(fd, bytes(os.fstat(fd).st_size), 0)
        os.fdatasync(fd)
    finally:
        os.close(fd)
    path.unlink()
