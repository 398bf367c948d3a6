r"""An append-only file of signed lines, each bound to the one before (EU directive 2016/680, article 25).

A line is JSON (RFC 8259) with sorted keys. `signature` is the station's Ed25519 signature (RFC 8032) over
``"getuige/1 audit\0" ‖ chain``, where ``chain = SHA-256(chain before ‖ the line without its signature)``; the chain
before the first line is SHA-256 of ``"getuige/1 audit genesis\0"`` and the station's public key. A line that was
changed, taken out, put in or moved breaks the chain; who cuts off the end must also cut ``audit.head``, and what others
wrote down of it.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from station.errors import StationError
from storage.durable import replace_file, sync_directory
from storage.signer import Signer

_CONTEXT = b"getuige/1 audit\0"
_GENESIS = b"getuige/1 audit genesis\0"
_MAX_LINE_BYTES = 64 * 1024
_TEXT_CHARACTERS = 500


class AuditError(StationError):
    """The log cannot be written, or an act lacks what the law wants said about it: then it is not done."""


class Act(Enum):
    """What somebody does, or tries to do."""

    LOGIN = "login"
    VIEW = "view"
    DISCLOSE = "disclose"
    LIST = "list"
    KEEP = "keep"
    NOT_NEEDED = "not-needed"
    EXTEND = "extend"
    DESTROY = "destroy"
    REQUEST = "request"
    APPROVE = "approve"
    INGEST = "ingest"
    RECEIPT = "receipt"
    ALARM = "alarm"
    DEVICE = "device"
    PERSON = "person"
    FIGURES = "figures"
    AUDIT = "audit"


_NEEDS_PURPOSE = frozenset({Act.VIEW, Act.DISCLOSE, Act.EXTEND, Act.KEEP})


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written. `who` is a personnel number, or ``station`` for what it does by itself."""

    who: str
    role: str
    act: Act
    object: str
    outcome: str = "done"
    """``done``, or ``refused: why``: failed attempts are acts too."""
    purpose: str = ""
    """Why: the ground that was given. Viewing or disclosing without one is refused."""
    recipient: str = ""
    """To whom footage is disclosed."""
    details: Mapping[str, str | int | bool | None] | None = None


class AuditLog:
    """Writes and continues one log. Thread-safe; several processes may write in turns."""

    def __init__(self, folder: Path, signer: Signer, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`folder` holds ``audit.log`` and ``audit.head``."""
        self._folder = folder
        self._path = folder / "audit.log"
        self._head = folder / "audit.head"
        self._signer = signer
        self._now = now
        self._lock = threading.Lock()

    def write(self, entry: Entry) -> None:
        """Append an entry, durably. Whatever it tells of is done only after this returned.

        Raises:
            AuditError: it lacks a purpose or a recipient, or the log cannot be written.
        """
        done = entry.outcome == "done"
        if done and entry.act in _NEEDS_PURPOSE and not entry.purpose.strip():
            raise AuditError(f"{entry.act.value} is refused: say why, the log of consultations needs the reason")
        if done and entry.act is Act.DISCLOSE and not entry.recipient.strip():
            raise AuditError("disclose is refused: say to whom, the log of disclosures names the recipient")
        with self._lock:
            try:
                self._append(entry)
            except OSError as error:
                raise AuditError(
                    f"nothing is done: the audit log {self._path} is not writable: {error.strerror}"
                ) from None

    def _append(self, entry: Entry) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            number, chain = self._end(fd)
            fields = {
                "n": number + 1,
                "utc": self._now().isoformat(timespec="milliseconds"),
                "who": _short(entry.who),
                "role": _short(entry.role),
                "act": entry.act.value,
                "object": _short(entry.object),
                "outcome": _short(entry.outcome),
                "purpose": _short(entry.purpose),
                "recipient": _short(entry.recipient),
                "details": dict(entry.details or {}),
                "previous": chain.hex(),
            }
            chain = _link(chain, fields)
            signature = self._signer.sign(_CONTEXT + chain)
            line = _encode(fields | {"signature": base64.b64encode(signature).decode()}) + b"\n"
            written = os.write(fd, line)
            if written != len(line):
                os.ftruncate(fd, os.fstat(fd).st_size - written)
                raise OSError(28, "no room is left for the audit log")
            os.fsync(fd)
            if number == 0:
                sync_directory(self._folder)
            replace_file(self._head, f"{number + 1} {chain.hex()}\n".encode(), mode=0o600)
        finally:
            os.close(fd)

    def _end(self, fd: int) -> tuple[int, bytes]:
        """Return the number and the chain value of the last whole line; set a torn one aside."""
        size = os.fstat(fd).st_size
        if not size:
            return 0, genesis(self._signer.public)
        tail = os.pread(fd, min(size, 2 * _MAX_LINE_BYTES), max(0, size - 2 * _MAX_LINE_BYTES))
        if not tail.endswith(b"\n"):
            # A power cut in the middle of a line: what it told of was not done, as `write` had not returned.
            torn = tail[tail.rfind(b"\n") + 1 :]
            aside = self._path.with_suffix(f".torn-{size}")
            replace_file(aside, torn, mode=0o600)
            os.ftruncate(fd, size - len(torn))
            return self._end(fd)
        line = tail.rstrip(b"\n").rsplit(b"\n", 1)[-1]
        try:
            fields = json.loads(line)
            signature = base64.b64decode(fields.pop("signature"), validate=True)
            chain = _link(bytes.fromhex(fields["previous"]), fields)
            Ed25519PublicKey.from_public_bytes(self._signer.public).verify(signature, _CONTEXT + chain)
            return int(fields["n"]), chain
        except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature):
            raise AuditError(
                f"nothing is done: the last line of {self._path} is not this station's; keep the file, and find out why"
            ) from None


@dataclass(frozen=True, slots=True)
class Checked:
    """What a verification of a log found."""

    entries: int
    chain: bytes
    trouble: str
    """Where and how it is broken; empty where it is sound."""


def verify_log(path: Path, public: bytes) -> Checked:
    """Check every line of a log against the station's raw public key; with it alone, offline.

    Raises:
        AuditError: the file cannot be read.
    """
    chain, count = genesis(public), 0
    key = Ed25519PublicKey.from_public_bytes(public)
    try:
        with path.open("rb") as file:
            for line in iter(lambda: file.readline(_MAX_LINE_BYTES + 1), b""):
                where = f"line {count + 1}"
                if not line.endswith(b"\n"):
                    return Checked(count, chain, f"{where} is torn, or longer than any")
                trouble, chain = _check(line, chain, count + 1, key)
                if trouble:
                    return Checked(count, chain, f"{where}: {trouble}")
                count += 1
    except OSError as error:
        raise AuditError(f"cannot read the audit log {path}: {error.strerror}") from None
    head = path.with_name("audit.head")
    if head.exists():
        said = head.read_text("ascii", "replace").split()
        if len(said) != 2 or not said[0].isdigit():
            return Checked(count, chain, f"{head} is damaged")
        if int(said[0]) > count:
            return Checked(count, chain, f"the end is missing: {head} knows of {said[0]} entries, {count} are here")
        if int(said[0]) == count and said[1] != chain.hex():
            return Checked(count, chain, f"{head} and the log do not agree")
    return Checked(count, chain, "")


def _check(line: bytes, chain: bytes, number: int, key: Ed25519PublicKey) -> tuple[str, bytes]:
    try:
        fields: dict[str, Any] = json.loads(line)
        signature = base64.b64decode(fields.pop("signature"), validate=True)
        said = bytes.fromhex(fields["previous"]), int(fields["n"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "it is not an entry", chain
    if _encode(fields | {"signature": base64.b64encode(signature).decode()}) + b"\n" != line:
        return "it is not written as this program writes", chain
    if said != (chain, number):
        return "it does not follow on the line before: something was taken out, put in or moved", chain
    found = _link(chain, fields)
    try:
        key.verify(signature, _CONTEXT + found)
    except InvalidSignature:
        return "its signature is not good: it was changed, or is another station's", chain
    return "", found


def genesis(public: bytes) -> bytes:
    """Return the chain value before the first line of a station's log."""
    return hashlib.sha256(_GENESIS + public).digest()


def _link(chain: bytes, fields: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(chain + _encode(fields)).digest()


def _encode(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _short(text: str) -> str:
    """Return a text for the log: one line, of bounded length, without characters that a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)[:_TEXT_CHARACTERS]
