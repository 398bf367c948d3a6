"""Lines of the companion's protocol as the Pi sees them: cut, sealed with a CRC, read strictly (docs/COMPANION.md)."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

MAX_LINE_BYTES = 192
PROTOCOL = 1
LAST_SEQ = 65_535

_PRINTABLE = re.compile(rb"[ -~]+")
_SEALED = re.compile(rb"(?P<body>.+)\*(?P<crc>[0-9A-F]{4})", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,15}")
_BOOT = re.compile(r"[0-9A-F]{8}")
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,16}")
_HASH = re.compile(r"[0-9a-f]+")
_WORD = re.compile(r"[a-z]{1,12}")


class LineRefusedError(ValueError):
    """A line that does not count: no or a wrong CRC, or content that means nothing."""


def seal(text: str) -> bytes:
    """Return `text` as a line, with its CRC-16/CCITT-FALSE (check value 0x29B1) and its end."""
    body = text.encode("ascii")
    return body + b"*%04X\n" % binascii.crc_hqx(body, 0xFFFF)


def unseal(line: bytes) -> str:
    """Return the text of a line (without its end).

    Raises:
        LineRefusedError: unsealed, a wrong CRC, or not printable ASCII.
    """
    match = _SEALED.fullmatch(line)
    if match is None:
        raise LineRefusedError("unsealed")
    body = match["body"]
    if int(match["crc"], 16) != binascii.crc_hqx(body, 0xFFFF):
        raise LineRefusedError("wrong CRC")
    if not _PRINTABLE.fullmatch(body):
        raise LineRefusedError("not printable")
    return body.decode("ascii")


class LineCutter:
    """Cuts what comes in into lines. Keeps at most `MAX_LINE_BYTES`."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._skipping = False
        self.overlong = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the lines that are complete now, without their ends. No empty lines."""
        lines = []
        *ended, rest = re.split(rb"[\r\n]", data)
        for part in ended:
            self._keep(part)
            if self._kept:
                lines.append(bytes(self._kept))
                self._kept.clear()
            self._skipping = False
        self._keep(rest)
        return lines

    def _keep(self, part: bytes) -> None:
        if self._skipping:
            return
        self._kept += part
        if len(self._kept) > MAX_LINE_BYTES:
            self.overlong += 1
            self._kept.clear()
            self._skipping = True


@dataclass(frozen=True, slots=True)
class Answer:
    """``<``: what became of a command."""

    seq: int
    ok: bool
    words: tuple[str, ...]
    """The reason where it is not ok; else what a hello is answered with."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The words of the answer to a hello."""

    protocol: int
    firmware: str
    boot: str
    reset: str
    time_ms: int
    acked: int
    audible: bool
    """The controller can be told that a sound stands in for the light."""
    digest: str | None = None
    """SHA-256 of its program, hexadecimal; None: a program before 1.1.0, which does not say."""
    config: str | None = None
    """The first eight digits of its configuration's."""


@dataclass(frozen=True, slots=True)
class EdgeLine:
    """``!``: the button went down or came up."""

    number: int
    pressed: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class Status:
    """``=``: how everything stands."""

    time_ms: int
    """Since the controller's start."""
    boot: str
    seq: int
    state: str
    """safe, live or idle."""
    level: int
    """As commanded, in thousandths."""
    lit: bool
    lamp: str
    """off, wait, ok, open, short or stuck."""
    camera: bool
    cut: str
    """Why the camera last lost its power."""
    audible: bool
    pressed: bool
    edge: int
    dropped: int
    voltage_mv: int
    charge_percent: int | None
    charging: bool | None
    refused: int


def parse(line: bytes) -> Answer | EdgeLine | Status | None:
    """Read a line of the controller's; None for a remark to people (``#``).

    Raises:
        LineRefusedError: it does not count.
    """
    if line[:1] == b"#":
        return None
    text = unseal(line)
    words = text[1:].split(" ")
    match text[0]:
        case "<":
            return _answer(words)
        case "!":
            if len(words) != 3 or words[1] not in ("down", "up"):
                raise LineRefusedError("no edge")
            return EdgeLine(_number(words[0]), words[1] == "down", _number(words[2]))
        case "=":
            return _status(words)
        case _:
            raise LineRefusedError("no such line")


def read_greeting(words: tuple[str, ...]) -> Greeting:
    """Read the words of the answer to a hello.

    Raises:
        LineRefusedError: one is missing or malformed.
    """
    values = _pairs(words)
    return Greeting(
        protocol=_number(_take(values, "proto")),
        firmware=_version(_take(values, "fw")),
        boot=_boot(_take(values, "boot")),
        reset=_word(_take(values, "reset")),
        time_ms=_number(_take(values, "t")),
        acked=_number(_take(values, "acked")),
        audible=_flag(_take(values, "audible")),
        digest=_hash(values.get("digest"), 64),
        config=_hash(values.get("config"), 8),
    )


def _answer(words: list[str]) -> Answer:
    if len(words) < 2 or words[1] not in ("ok", "no") or (words[1] == "no" and len(words) < 3):
        raise LineRefusedError("no answer")
    seq = _number(words[0])
    if seq > LAST_SEQ:
        raise LineRefusedError("no answer")
    return Answer(seq, words[1] == "ok", tuple(words[2:]))


def _status(words: list[str]) -> Status:
    values = _pairs(tuple(words[1:]))
    charge, charging = _take(values, "soc"), _take(values, "chg")
    return Status(
        time_ms=_number(words[0]),
        boot=_boot(_take(values, "boot")),
        seq=_number(_take(values, "seq")),
        state=_word(_take(values, "state")),
        level=_number(_take(values, "light")),
        lit=_flag(_take(values, "lit")),
        lamp=_word(_take(values, "lamp")),
        camera=_flag(_take(values, "cam")),
        cut=_word(_take(values, "cut")),
        audible=_flag(_take(values, "aud")),
        pressed=_flag(_take(values, "but")),
        edge=_number(_take(values, "edge")),
        dropped=_number(_take(values, "drop")),
        voltage_mv=_number(_take(values, "mv")),
        charge_percent=None if charge == "-" else _number(charge),
        charging=None if charging == "-" else _flag(charging),
        refused=_number(_take(values, "bad")),
    )


def _pairs(words: tuple[str, ...]) -> dict[str, str]:
    """Words that a later protocol adds are left alone."""
    values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key in values:
            raise LineRefusedError("no pairs")
        values[key] = value
    return values


def _take(values: dict[str, str], key: str) -> str:
    try:
        return values[key]
    except KeyError:
        raise LineRefusedError(f"{key} is missing") from None


def _number(word: str) -> int:
    if not _NUMBER.fullmatch(word):
        raise LineRefusedError("no number")
    return int(word)


def _flag(word: str) -> bool:
    if word not in ("0", "1"):
        raise LineRefusedError("no flag")
    return word == "1"


def _boot(word: str) -> str:
    if not _BOOT.fullmatch(word):
        raise LineRefusedError("no boot name")
    return word


def _version(word: str) -> str:
    if not _VERSION.fullmatch(word):
        raise LineRefusedError("no version")
    return word


def _hash(word: str | None, digits: int) -> str | None:
    if word is not None and not (len(word) == digits and _HASH.fullmatch(word)):
        raise LineRefusedError("no digest")
    return word


def _word(word: str) -> str:
    if not _WORD.fullmatch(word):
        raise LineRefusedError("no word")
    return word
