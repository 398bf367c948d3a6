"""The end that asks: begins a session, asks again until it is answered, sends and fetches bodies.

Asking again is harmless: the device does what is asked once, and repeats its answer (`wire.answering`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from wire.bodies import MOST_FETCHED_BYTES, PART_BYTES, Body, Described, Gathering, described, pack, unpack
from wire.credential import CHALLENGE_BYTES, Technician
from wire.errors import BodyError, LineLostError, MessageError, RefusedError
from wire.frames import FrameReader, frame
from wire.messages import PROTOCOL, SESSION_BYTES, Answer, Ask, Note, parse
from wire.plain import take_bytes, take_int, take_map

AGAIN_S = 1.0
PATIENCE_S = 15.0
LONGEST_S = 900.0
"""However often a device says that it works on it: so long, and no longer, is one answer waited for."""


class Line(Protocol):
    """A serial line, opened."""

    def read(self, timeout_s: float) -> bytes:
        """Return what came, or nothing once the time is over. Raise LineLostError where the line is gone."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of it. Raise LineLostError where the line is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the device said of itself. It is a claim, no more."""

    device: bytes
    """Device id, or 16 zero bytes before it has one."""
    challenge: bytes
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Got:
    """An answer."""

    fields: Mapping[str, Any]
    body: bytes = field(default=b"", repr=False)


class Calling:
    """A session with a device. For one thread."""

    def __init__(
        self,
        line: Line,
        *,
        on_note: Callable[[Mapping[str, Any]], None] = lambda _fields: None,
        monotonic_s: Callable[[], float] = time.monotonic,
        again_s: float = AGAIN_S,
        patience_s: float = PATIENCE_S,
        longest_s: float = LONGEST_S,
    ) -> None:
        """`on_note` hears how far a request is; `patience_s` is how long a device may be silent."""
        self._line = line
        self._on_note = on_note
        self._monotonic_s = monotonic_s
        self._again_s = again_s
        self._patience_s = patience_s
        self._longest_s = longest_s
        self._reader = FrameReader()
        self._session = secrets.token_bytes(SESSION_BYTES)
        self._number = 0
        self._noted = False
        self._greeting: Greeting | None = None

    @property
    def greeting(self) -> Greeting:
        """What the device said of itself; `hello` asks for it."""
        return self._greeting or self.hello()

    def hello(self) -> Greeting:
        """Begin a session, once.

        Raises:
            LineLostError: nobody answers.
            RefusedError, MessageError: something else answers.
        """
        fields = self._exchange(Ask(self._session, 0, "hello", {"v": PROTOCOL}))
        said = fields.get("device")
        device = take_bytes(fields, "device", 16) if said else bytes(16)
        self._greeting = Greeting(device, take_bytes(fields, "challenge", CHALLENGE_BYTES), fields)
        return self._greeting

    def call(
        self,
        verb: str,
        fields: Mapping[str, Any] | None = None,
        *,
        body: Body | None = None,
        technician: Technician | None = None,
        most_bytes: int = MOST_FETCHED_BYTES,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        gather: Callable[[Described], Gathering] = Gathering,
    ) -> Got:
        """Ask, with the technician's signature where one is given; give and fetch bodies.

        `gather` returns what a body is gathered in: one that holds the beginning of that very body has the rest
        fetched alone, and keeps what came where the line is lost.

        Raises:
            LineLostError: the line is gone, or the device has been silent for too long. Ask again, in a new session.
            RefusedError: the device refuses, and says why.
            MessageError, BodyError: what it answered is not of this protocol.
        """
        greeting = self.greeting
        given = dict(fields or {})
        if body is not None:
            given["body"] = self._give(body)
        ask = self._next(verb, given)
        if technician is not None:
            ask = technician.signed(ask, greeting.device, greeting.challenge)
        answer = dict(self._exchange(ask))
        if "body" not in answer:
            return Got(answer)
        of = described(take_map(answer, "body"), most_bytes)
        del answer["body"]
        return Got(answer, self._fetch(gather(of), progress))

    def _give(self, body: Body) -> dict[str, Any]:
        of = Described(body.size_bytes, body.digest).fields
        have = 0
        while True:
            part = body.read(have, PART_BYTES)
            answer = self._exchange(self._next("give", {"at": have, "body": of, "data": pack(part)}))
            now = take_int(answer, "have", body.size_bytes)
            if now == body.size_bytes:
                return of
            if now <= have:
                raise MessageError("the device does not take the body")
            have = now

    def _fetch(self, gathered: Gathering, progress: Callable[[int, int], None]) -> bytes:
        size_bytes = gathered.of.size_bytes
        while not gathered.whole:
            have = gathered.size_bytes
            answer = self._exchange(self._next("part", {"at": have}))
            part = unpack(answer.get("data"))
            # Every part is full but the last: a device cannot make this go on for ever.
            if take_int(answer, "at") != have or len(part) != min(PART_BYTES, size_bytes - have):
                raise BodyError("the device gives other parts than it was asked for")
            gathered.add(have, part)
            progress(gathered.size_bytes, size_bytes)
        return gathered.take()

    def _next(self, verb: str, fields: Mapping[str, Any]) -> Ask:
        self._number += 1
        return Ask(self._session, self._number, verb, fields)

    def _exchange(self, ask: Ask) -> Mapping[str, Any]:
        """Send a request until its answer comes."""
        sent = frame(ask.encode())
        now_s = self._monotonic_s()
        longest_s = now_s + self._longest_s
        ends_s, again_s = now_s + self._patience_s, now_s
        while now_s < min(ends_s, longest_s):
            if now_s >= again_s:
                self._line.write(sent)
                again_s = now_s + self._again_s
            for text in self._reader.feed(self._line.read(max(0.0, min(again_s, ends_s) - now_s))):
                answer = self._read(text, ask)
                if answer is not None:
                    if answer.code:
                        raise RefusedError(answer.code, answer.text)
                    return answer.fields
            now_s = self._monotonic_s()
            if self._noted:  # it works on it: neither silent nor in need of being asked again
                self._noted = False
                ends_s, again_s = now_s + self._patience_s, now_s + self._again_s
        raise LineLostError(
            "the device does not answer: is it the right port, is the cable in, has the device started? Try again"
        )

    def _read(self, text: bytes, ask: Ask) -> Answer | None:
        try:
            found = parse(text)
        except MessageError:
            return None
        if isinstance(found, Ask) or found.session != ask.session or found.number != ask.number:
            return None  # an echo, or late
        if isinstance(found, Note):
            self._noted = True
            self._on_note(found.fields)
            return None
        return found
