"""Both ends of a cable in one thread, with whatever happens to the bytes between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wire.answering import Answering, Asked, Reply
from wire.calling import Calling
from wire.errors import LineLostError

DEVICE = bytes(range(16))
Harm = Callable[[bytes], bytes]


def whole(data: bytes) -> bytes:
    return data


@dataclass
class Pair:
    """A `wire.calling.Line`: what is written is answered at once; time passes only while somebody waits."""

    handle: Callable[[Asked], Reply]
    up: Harm = whole
    down: Harm = whole
    now_s: float = 0.0
    came: bytearray = field(default_factory=bytearray)
    greeting: dict[str, Any] = field(default_factory=lambda: {"device": DEVICE.hex()})
    told: list[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answering = Answering(lambda: self.greeting, self.handle)

    def write(self, data: bytes) -> None:
        self.answering.take(self.up(data), lambda answer: self.came.extend(self.down(answer)))

    def read(self, timeout_s: float) -> bytes:
        if not self.came:
            self.now_s += timeout_s
        data, self.came = bytes(self.came), bytearray()
        return data

    def calling(self, patience_s: float = 15.0) -> Calling:
        return Calling(self, monotonic_s=lambda: self.now_s, on_note=self.told.append, patience_s=patience_s)


class Cut:
    """Lets so many bytes through, in both directions together, and then loses the line."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, data: bytes) -> bytes:
        passed = data[: self.left]
        self.left -= len(passed)
        return passed

    def gone(self) -> None:
        if self.left <= 0:
            raise LineLostError("cut")
