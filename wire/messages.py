"""Three sorts of message: somebody asks, the device answers, and while it works it may tell how far it is.

- ``{"ask":VERB,"n":N,"session":S,"with":{...}}``, with ``"by"`` and ``"signature"`` where a technician signs
- ``{"answer":N,"session":S,"with":{...}}`` or ``{"answer":N,"refused":{"code":...,"text":...},"session":S}``
- ``{"note":N,"session":S,"with":{...}}``: may be lost; nobody answers it

`S` is 8 random bytes that the asking end chose, in hexadecimal; `N` counts up from 0 in a session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wire.errors import MessageError
from wire.plain import decode, encode, expect, printable, take_bytes, take_int, take_map, take_text

PROTOCOL = 1
SESSION_BYTES = 8
_VERB = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MOST_NUMBER = 2**53


@dataclass(frozen=True, slots=True)
class Ask:
    """A request."""

    session: bytes
    number: int
    verb: str
    fields: Mapping[str, Any]
    by: Mapping[str, Any] | None = None
    """The credential of the technician who signs (`wire.credential`)."""
    signature: bytes = b""

    @property
    def core(self) -> bytes:
        """What is signed: the request without who signs it."""
        return encode(self._core)

    @property
    def _core(self) -> dict[str, Any]:
        return {"ask": self.verb, "session": self.session.hex(), "n": self.number, "with": self.fields}

    def encode(self) -> bytes:
        """Return the message's text."""
        signed = {"by": self.by, "signature": self.signature.hex()} if self.by is not None else {}
        return encode(self._core | signed)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the request with that number."""

    session: bytes
    number: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    """Empty unless it is refused."""
    text: str = ""

    def encode(self) -> bytes:
        """Return the message's text."""
        said = {"refused": {"code": self.code, "text": self.text}} if self.code else {"with": self.fields}
        return encode({"answer": self.number, "session": self.session.hex()} | said)


@dataclass(frozen=True, slots=True)
class Note:
    """How far the request with that number is."""

    session: bytes
    number: int
    fields: Mapping[str, Any]

    def encode(self) -> bytes:
        """Return the message's text."""
        return encode({"note": self.number, "session": self.session.hex(), "with": self.fields})


def parse(text: bytes) -> Ask | Answer | Note:
    """Read a message.

    Raises:
        MessageError: it is none.
    """
    fields = decode(text)
    session = take_bytes(fields, "session", SESSION_BYTES)
    if "ask" in fields:
        return _ask(fields, session)
    if "answer" in fields:
        number = take_int(fields, "answer", _MOST_NUMBER)
        if "refused" not in fields:
            expect(fields, "an answer", "answer session with")
            return Answer(session, number, take_map(fields, "with"))
        expect(fields, "an answer", "answer session refused")
        refused = take_map(fields, "refused")
        expect(refused, "a refusal", "code text")
        code = take_text(refused, "code", 32)
        if not _VERB.fullmatch(code):
            raise MessageError("a refusal has no code")
        if not isinstance(refused["text"], str):
            raise MessageError("a refusal has no text")
        return Answer(session, number, {}, code, printable(refused["text"]))
    expect(fields, "a note", "note session with")
    return Note(session, take_int(fields, "note", _MOST_NUMBER), take_map(fields, "with"))


def _ask(fields: Mapping[str, Any], session: bytes) -> Ask:
    signed = "by" in fields
    expect(fields, "a request", "ask session n with" + (" by signature" if signed else ""))
    verb = take_text(fields, "ask", 32)
    if not _VERB.fullmatch(verb):
        raise MessageError("a request has no verb")
    number, given = take_int(fields, "n", _MOST_NUMBER), take_map(fields, "with")
    if not signed:
        return Ask(session, number, verb, given)
    return Ask(session, number, verb, given, take_map(fields, "by"), take_bytes(fields, "signature", 64))
