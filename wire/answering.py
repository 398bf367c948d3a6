"""The end that answers: one session at a time, one request at a time; a request that comes again is answered as before.

No I/O but the `send` that it is given. What it keeps is bounded: a line, the last answer, one body each way. A session
in which nothing was answered for some minutes is over: a request that somebody on the line held back is good no more.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wire.bodies import MOST_GIVEN_BYTES, PART_BYTES, Body, Gathering, described, pack, unpack
from wire.credential import CHALLENGE_BYTES
from wire.errors import CredentialError, LineLostError, MessageError, RefusedError, WireError
from wire.frames import FrameReader, frame
from wire.messages import PROTOCOL, Answer, Ask, Note, parse
from wire.plain import expect, printable, take_int, take_map

_IDLE_NS = 300_000_000_000
Tell = Callable[[Mapping[str, Any]], None]
"""Tells the asking end how far a request is: a sign of life for what takes longer than some seconds."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered with."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    body: Body | None = None
    """Fetched in parts. It is held until the next request that gives one, or the next session."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a handler gets it."""

    ask: Ask
    challenge: bytes
    body: bytes
    """What was given for it beforehand, whole and with its digest checked; empty where nothing was."""
    tell: Tell

    @property
    def fields(self) -> Mapping[str, Any]:
        """What goes with it, but for the description of its body."""
        return {key: value for key, value in self.ask.fields.items() if key != "body"}


@dataclass(slots=True)
class _Session:
    """What is known of the session under way."""

    id: bytes
    challenge: bytes
    answered_ns: int
    """When something was last answered in it."""
    number: int = 0
    asked: bytes = b""
    """SHA-256 of the last request."""
    answer: bytes = b""
    body: Body | None = None
    given: Gathering | None = None


class Answering:
    """Owned by one thread."""

    def __init__(
        self,
        greet: Callable[[], Mapping[str, Any]],
        handle: Callable[[Asked], Reply],
        *,
        challenge: Callable[[], bytes] = lambda: secrets.token_bytes(CHALLENGE_BYTES),
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`greet` says who this is; `handle` does what is asked, or raises `WireError`."""
        self._greet = greet
        self._handle = handle
        self._challenge = challenge
        self._monotonic_ns = monotonic_ns
        self._reader = FrameReader()
        self._session: _Session | None = None
        self.ignored = 0
        """Messages that were not for this end, or made no sense."""

    def take(self, data: bytes, send: Callable[[bytes], None]) -> None:
        """Take bytes from the line, and send what is to be answered.

        Raises:
            LineLostError: `send` does.
        """
        for text in self._reader.feed(data):
            try:
                ask = parse(text)
            except MessageError:
                self.ignored += 1
                continue
            if not isinstance(ask, Ask):
                self.ignored += 1  # an echo of our own
                continue
            if answer := self._answer(ask, hashlib.sha256(text).digest(), send):
                send(answer)
            else:
                self.ignored += 1

    def _answer(self, ask: Ask, digest: bytes, send: Callable[[bytes], None]) -> bytes:
        session = self._session
        if session is not None and self._monotonic_ns() - session.answered_ns > _IDLE_NS:
            session = self._session = None
        if session is None or session.id != ask.session:
            if ask.verb != "hello" or ask.number != 0:
                return _framed(
                    Answer(ask.session, ask.number, code="no-session", text="there is no such session: begin anew")
                )
            session = self._session = _Session(ask.session, self._challenge(), self._monotonic_ns(), number=-1)
        if ask.number == session.number:
            # It came twice because our answer was lost; a different one under the same number is not answered.
            return session.answer if digest == session.asked else b""
        if ask.number < session.number:
            return b""  # late, from before
        session.number, session.asked, session.answer = ask.number, digest, b""
        session.answer = self._do(session, ask, send)
        session.answered_ns = self._monotonic_ns()
        return session.answer

    def _do(self, session: _Session, ask: Ask, send: Callable[[bytes], None]) -> bytes:
        lost = False

        def tell(fields: Mapping[str, Any]) -> None:
            nonlocal lost
            if lost:
                return  # a line that takes nothing takes its time to refuse, each time
            try:
                send(frame(Note(ask.session, ask.number, fields).encode()))
            except LineLostError:
                lost = True  # what is being done goes on; the answer is kept, and meets the same line

        try:
            match ask.verb:
                case "hello":
                    fields = self._hello(session, ask)
                case "part":
                    fields = _part(session, ask)
                case "give":
                    fields = _give(session, ask)
                case _:
                    fields = self._ask(session, ask, tell)
            return _framed(Answer(ask.session, ask.number, fields))
        except RefusedError as error:
            return _framed(Answer(ask.session, ask.number, code=error.code, text=printable(str(error))))
        except CredentialError as error:
            return _framed(Answer(ask.session, ask.number, code="not-allowed", text=printable(str(error))))
        except WireError as error:
            return _framed(Answer(ask.session, ask.number, code="malformed", text=printable(str(error))))

    def _hello(self, session: _Session, ask: Ask) -> Mapping[str, Any]:
        expect(ask.fields, "a hello", "v")
        if take_int(ask.fields, "v") != PROTOCOL:
            raise RefusedError("version", f"this device speaks version {PROTOCOL} of the console's protocol")
        return {**self._greet(), "v": PROTOCOL, "challenge": session.challenge.hex()}

    def _ask(self, session: _Session, ask: Ask, tell: Tell) -> Mapping[str, Any]:
        body = b""
        if "body" in ask.fields:
            of = described(take_map(ask.fields, "body"), MOST_GIVEN_BYTES)
            if session.given is None or session.given.of != of:
                raise RefusedError("no-body", "the body was not given before the request that is about it")
            body = session.given.take()
        reply = self._handle(Asked(ask, session.challenge, body, tell))
        if body:
            session.given = None
        if reply.body is None:
            return reply.fields
        session.body = reply.body
        about = {"bytes": reply.body.size_bytes, "sha256": reply.body.digest.hex()}
        return {**reply.fields, "body": about}


def _part(session: _Session, ask: Ask) -> Mapping[str, Any]:
    expect(ask.fields, "a part's request", "at")
    if session.body is None:
        raise RefusedError("no-body", "there is no body to fetch")
    at = take_int(ask.fields, "at", session.body.size_bytes)
    return {"at": at, "data": pack(session.body.read(at, PART_BYTES))}


def _give(session: _Session, ask: Ask) -> Mapping[str, Any]:
    expect(ask.fields, "a given part", "at body data")
    of = described(take_map(ask.fields, "body"), MOST_GIVEN_BYTES)
    if session.given is None or session.given.of != of:
        session.given = Gathering(of)
    session.given.add(take_int(ask.fields, "at", MOST_GIVEN_BYTES), unpack(ask.fields["data"]))
    return {"have": session.given.size_bytes}


def _framed(answer: Answer) -> bytes:
    """Return an answer as a frame; one that does not fit is an error of the handler's, and said to be so."""
    try:
        return frame(answer.encode())
    except MessageError as error:
        text = f"the answer cannot be sent: {error}"
        return frame(Answer(answer.session, answer.number, code="unsendable", text=text).encode())
