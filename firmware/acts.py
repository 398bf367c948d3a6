"""Acts of technicians at the console go on record in the chain, too: the console leaves a note, the recorder takes it.

The two are processes of their own, and share a folder: ``technician/`` in the state folder, a file an act, durable
before the act is done. The recorder puts each on record as the event ``technician``, renames the file, and removes it
once that has long been durable. After a crash between the two it is on record twice, with one `id`.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.durable import replace_file
from wire.errors import WireError
from wire.plain import decode, encode, expect, take_int, take_text

FOLDER = "technician"
_MOST_WAITING = 64
_MOST_BYTES = 4096
"""More than a note can have: a name's 80 characters take up to 12 bytes each when they are escaped."""
_EVERY_S = 0.5
_JOIN_S = 5.0
_DURABLE_NS = 30_000_000_000
"""An event is on flash within a second of being noted; thirty are enough even for a card that pauses."""
_NEW, _NOTED = ".act", ".noted"
_NAME = re.compile(r"\d{20}-[0-9a-f]{16}\.(act|noted)")
_log = logging.getLogger("getuige")


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody did something."""

    who: str
    """The name in their credential."""
    key: str
    """The first 16 hexadecimal digits of their public key."""
    act: str
    """The verb."""
    utc_s: int
    """When, by the console's clock, in seconds since 1970."""


_UNREADABLE = Act("", "", "unreadable", 0)
"""Something was done, and its note is damaged: that it was is on record all the same."""


class ActSpool:
    """Leaves notes; owned by the console."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    @property
    def waiting(self) -> int:
        """How many no recorder has taken yet."""
        return sum(path.suffix == _NEW for path in _found(self._folder))

    def leave(self, act: Act) -> bool:
        """Leave a note, durably; False where too many wait already, so that no recorder takes them.

        Raises:
            OSError: the medium refused.
        """
        if len(_found(self._folder)) >= _MOST_WAITING:
            return False
        self._folder.mkdir(mode=0o700, exist_ok=True)
        data = encode({"who": act.who, "key": act.key, "act": act.act, "utc_s": act.utc_s})
        # In the order in which they were done, as far as a clock can tell.
        replace_file(self._folder / f"{time.time_ns():020d}-{secrets.token_hex(8)}{_NEW}", data, mode=0o600)
        return True


class ActWatch:
    """Takes them, twice a second, on a thread of its own named "technician": a card that hangs delays nobody."""

    def __init__(self, state: Path, offer: Callable[..., bool], monotonic_ns: Callable[[], int]) -> None:
        """`offer`: see `firmware.recorder.Recorder.offer`."""
        self._folder = state / FOLDER
        self._offer = offer
        self._monotonic_ns = monotonic_ns
        self._noted: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="technician", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End it. Idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def look(self) -> None:
        """Put what is new on record, and remove what has long been."""
        now_ns = self._monotonic_ns()
        for path in _found(self._folder):
            noted_ns = self._noted.get(path.stem)
            if noted_ns is None:
                if not self._put_on_record(path):
                    continue  # the next recorder takes it
                self._noted[path.stem] = now_ns
                with suppress(OSError):  # it is on record either way
                    path.rename(path.with_suffix(_NOTED))
            elif now_ns - noted_ns >= _DURABLE_NS:
                self._remove(path)

    def ended(self) -> None:
        """The chain is closed in good order, and so is this: what was noted is in the chain."""
        for path in _found(self._folder):
            if path.stem in self._noted:
                self._remove(path)

    def _run(self) -> None:
        while True:
            self.look()
            if self._stop.wait(_EVERY_S):
                return

    def _put_on_record(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                act = _parse(file.read(_MOST_BYTES))
        except (OSError, WireError) as error:
            _log.warning("a technician's act cannot be read: %s", error)
            act = _UNREADABLE
        identity = path.name[21:37]
        return self._offer("technician", who=act.who, key=act.key, act=act.act, utc_s=act.utc_s, id=identity)

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("a technician's act stays although it is on record: %s", error.strerror)
            self._noted[path.stem] = self._monotonic_ns()
        else:
            self._noted.pop(path.stem, None)


def _found(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except OSError:
        return []


def _parse(data: bytes) -> Act:
    fields = decode(data, "the act")
    expect(fields, "an act", "who key act utc_s")
    return Act(
        take_text(fields, "who", 80), take_text(fields, "key", 16), take_text(fields, "act", 32),
        take_int(fields, "utc_s"),
    )  # fmt: skip
