"""A device that lies: it says whatever a test likes, on a pseudo-terminal."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Callable
from typing import Any

from wire.bodies import PART_BYTES, BytesBody, Described, pack
from wire.frames import FrameReader, frame
from wire.messages import Answer, Ask, parse

DEVICE = bytes([0x11]) * 16

Say = Callable[[Ask], list[bytes]]


class Liar:
    """A device on a pseudo-terminal that says what it likes to each request. A context manager."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._slave = slave
        self.port = os.ttyname(slave)
        self._thread = threading.Thread(target=self._run, name="liar", daemon=True)

    def _run(self) -> None:
        reader = FrameReader()
        while True:
            try:
                texts = reader.feed(os.read(self._master, 4096))
            except OSError:
                return
            for text in texts:
                ask = parse(text)
                if not isinstance(ask, Ask):
                    return
                for data in self._say(ask):
                    try:
                        os.write(self._master, data)
                    except OSError:
                        return

    def __enter__(self) -> Liar:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._slave)
        os.close(self._master)
        self._thread.join(10)


def greeted(then: Say, device: bytes = DEVICE) -> Say:
    """Say a proper hello first."""

    def say(ask: Ask) -> list[bytes]:
        if ask.verb == "hello":
            hello = {"device": device.hex(), "challenge": "22" * 32, "name": "\x1b[2J"}
            return [frame(Answer(ask.session, 0, hello).encode())]
        return then(ask)

    return say


def answer(**fields: Any) -> Say:
    return greeted(lambda ask: [frame(Answer(ask.session, ask.number, fields).encode())])


def body(data: bytes, device: bytes = DEVICE) -> Say:
    """Answer with that body."""
    return bodies(lambda _ask: data, device)


def bodies(made: Callable[[Ask], bytes], device: bytes = DEVICE) -> Say:
    """Answer each request with a body made for it."""
    data = b""

    def say(ask: Ask) -> list[bytes]:
        nonlocal data
        if ask.verb == "part":
            at = int(ask.fields["at"])
            fields: dict[str, Any] = {"at": at, "data": pack(data[at : at + PART_BYTES])}
        else:
            data = made(ask)
            of = BytesBody(data)
            fields = {"body": Described(of.size_bytes, of.digest).fields}
        return [frame(Answer(ask.session, ask.number, fields).encode())]

    return greeted(say, device)
