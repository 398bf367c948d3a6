"""Takes a new program over the line, into the folder that does not run (docs/COMPANION.md, "Update").

Runs in MicroPython on the controller. Every file is written under another name, read back, compared and renamed; the
manifest comes last. What is there already is not sent again, so that an update which broke off goes on.
"""

import binascii
import os

from lines import LineError, number
from starter import MANIFEST, SLOTS, digest_of, hash_file, names_in, put

COMMANDS = ("update", "file", "piece", "finish", "restart", "keep", "slot")
MAX_FILE = 32_768
MAX_FILES = 24
MAX_PIECE = 120
"""Bytes: 160 letters in base64, which a line has room for."""
ROOM_LEFT = 16_384
"""So many bytes of the flash stay free."""
TRIAL_MS = 60_000
"""A program on trial that nobody keeps gives way to the old one after so long."""
_PART = "/part"
_NO_SPACE = 28
_HEX = "0123456789abcdef"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


class Receiver:
    """What the Pi may do with the controller's program. Each command returns what follows ``ok``, or raises why not."""

    def __init__(self, slot: str, digest: str, trial: bool, hold_ms, feed) -> None:
        """`slot` runs, and is never written to. `feed` feeds the watchdog, before each piece of work on the flash."""
        self._slot = slot
        self._other = SLOTS[1 - SLOTS.index(slot)]
        self._trial = trial
        self._hold_ms = hold_ms
        self._feed = feed
        self._restart = False
        self._held_since = None
        self._spoilt = False
        self._powered = False
        self._file = None
        self._name = ""
        self._size = 0
        self._written = 0
        self._expected = ""
        self.identity = f"digest={digest} config={hash_file('config.py')[:8]}"

    def ended(self, now: int) -> bool:
        """Whether this run is to end with a reset: a restart was asked for, or nobody kept what is on trial."""
        return self._restart or (self._trial and not self._powered and now > TRIAL_MS)

    def watch(self, pressed: bool, powered: bool, now: int) -> None:
        """Take how the button stands. A contact during which the camera had power does not count to its end."""
        self._powered = powered
        if not pressed:
            self._held_since = None
            self._spoilt = False
        elif powered or self._spoilt:
            self._held_since = None
            self._spoilt = True
        elif self._held_since is None:
            self._held_since = now

    def take(self, command: str, words, interlock, now: int) -> str:
        """Obey a command.

        Raises:
            LineError: it is refused.
        """
        self._feed()
        if interlock.camera:
            raise LineError("powered")  # the flash takes its time, and the light must be looked at meanwhile
        try:
            if command == "slot":
                _count(words, 0)
                return f"slot={self._slot} trial={int(self._trial)}"
            if command == "keep":
                _count(words, 0)
                return self._keep()
            if command == "update":
                return self._begin(words, interlock, now)
            if interlock.state != "update":
                raise LineError("update")
            why = interlock.update(now)
            if why:
                raise LineError(why)
            if command == "file":
                return self._open(words)
            if command == "piece":
                return self._piece(words)
            if command == "finish":
                return self._finish(words)
            return self._end(words)
        except OSError as error:
            self._drop()
            raise LineError("room" if error.errno == _NO_SPACE else "flash")

    def _begin(self, words, interlock, now: int) -> str:
        _count(words, 1)
        _hash(words[0])
        if self._hold_ms is None:
            raise LineError("never")
        if self._trial:
            raise LineError("trial")  # the other one is what a failed trial falls back to
        held = self._held_since is not None and now - self._held_since >= self._hold_ms
        if interlock.state != "update" and not held:
            raise LineError("button")
        why = interlock.update(now)
        if why:
            raise LineError(why)
        self._drop()
        if digest_of(self._other) == words[0]:
            return "have"
        self._feed()
        if self._other not in os.listdir(""):
            os.mkdir(self._other)
        elif MANIFEST in os.listdir(self._other):
            os.remove(self._other + "/" + MANIFEST)  # from here on it is no whole program
        return ""

    def _open(self, words) -> str:
        _count(words, 3)
        name, size = words[0], number(words[1], 1, MAX_FILE)
        _hash(words[2])
        if name != MANIFEST and not _is_module(name):
            raise LineError("name")
        self._drop()
        there = os.listdir(self._other)
        if name in there and hash_file(self._other + "/" + name) == words[2]:
            return "have"
        if len(there) > MAX_FILES + 2:
            raise LineError("room")
        room = os.statvfs("")
        if room[0] * room[3] < size + ROOM_LEFT:
            raise LineError("room")
        self._feed()
        self._file = open(self._other + _PART, "wb")
        self._name, self._size, self._expected = name, size, words[2]
        self._written = 0
        return ""

    def _piece(self, words) -> str:
        _count(words, 2)
        if self._file is None:
            raise LineError("file")
        if number(words[0], 0, MAX_FILE) != self._written:
            raise LineError("offset")
        try:
            data = binascii.a2b_base64(words[1])
        except ValueError:
            raise LineError("syntax")
        if not 1 <= len(data) <= min(MAX_PIECE, self._size - self._written):
            raise LineError("size")
        self._file.write(data)
        self._written += len(data)
        if self._written == self._size:
            self._close()
        return ""

    def _close(self) -> None:
        file, self._file = self._file, None
        file.close()
        self._feed()
        part = self._other + _PART
        if hash_file(part) != self._expected:
            os.remove(part)
            raise LineError("digest")
        os.rename(part, self._other + "/" + self._name)

    def _finish(self, words) -> str:
        _count(words, 1)
        _hash(words[0])
        self._drop()
        if digest_of(self._other) != words[0]:
            raise LineError("digest")
        self._feed()
        names = names_in(self._other)
        for name in os.listdir(self._other):
            if name != MANIFEST and name.encode() not in names:
                os.remove(self._other + "/" + name)
        put("trial", self._other)
        return ""

    def _end(self, words) -> str:
        _count(words, 0)
        self._restart = True
        return ""

    def _keep(self) -> str:
        if self._trial:
            put("choice", self._slot)
            self._trial = False
        return ""

    def _drop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                return  # what could not be written is not counted on


def _count(words, count: int) -> None:
    if len(words) != count:
        raise LineError("syntax")


def _hash(word: str) -> None:
    if len(word) != 64 or not all(letter in _HEX for letter in word):
        raise LineError("syntax")


def _is_module(name: str) -> bool:
    return (
        4 <= len(name) <= 24
        and name[-3:] == ".py"
        and all(letter in _LETTERS for letter in name[:-3])
        and name not in ("main.py", "boot.py", "config.py", "starter.py")
    )
