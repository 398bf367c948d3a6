"""Lines of the protocol: CRC, sealing, and a reader that survives garbage.

Runs in MicroPython on the controller, and in CPython in the tests. Nothing here knows what a line means.
"""

MAX_LINE = 192
"""Bytes of a line without its end. What is longer is thrown away up to the next end of line."""

_TABLE = (
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50A5, 0x60C6, 0x70E7,
    0x8108, 0x9129, 0xA14A, 0xB16B, 0xC18C, 0xD1AD, 0xE1CE, 0xF1EF,
)  # fmt: skip
_HEX = b"0123456789ABCDEF"


class LineError(ValueError):
    """A line that does not count. The text says why, in one word."""


def crc16(data: bytes) -> int:
    """Return the CRC-16/CCITT-FALSE of `data`.

    Polynomial 0x1021, initial value 0xFFFF, not reflected, no final XOR; ``123456789`` gives 0x29B1. Four bits at a
    time: a table of 16 entries is quick enough, and small.
    """
    crc = 0xFFFF
    for byte in data:
        crc = ((crc << 4) & 0xFFFF) ^ _TABLE[(crc >> 12) ^ (byte >> 4)]
        crc = ((crc << 4) & 0xFFFF) ^ _TABLE[(crc >> 12) ^ (byte & 15)]
    return crc


def seal(text: str) -> bytes:
    """Return `text` as a line: with its CRC and its end."""
    body = text.encode()
    return body + b"*%04X\n" % crc16(body)


def unseal(line: bytes) -> str:
    """Return the text of a line (without its end).

    Raises:
        LineError: it has no CRC, a wrong one, or bytes that are not printable ASCII.
    """
    if len(line) < 6 or line[-5] != 42:
        raise LineError("unsealed")
    body = line[:-5]
    digits = line[-4:]
    for digit in digits:
        if digit not in _HEX:
            raise LineError("unsealed")
    if int(digits.decode(), 16) != crc16(body):
        raise LineError("crc")
    for byte in body:
        if not 32 <= byte <= 126:
            raise LineError("characters")
    return body.decode()


def number(word: str, low: int, high: int) -> int:
    """Read a decimal number: digits only.

    Raises:
        LineError: it is not one, or is out of range.
    """
    if not 1 <= len(word) <= 10:
        raise LineError("syntax")
    for letter in word:
        if letter not in "0123456789":
            raise LineError("syntax")
    value = int(word)
    if not low <= value <= high:
        raise LineError("range")
    return value


class LineReader:
    """Cuts what comes in into lines. Keeps at most `MAX_LINE` bytes."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._skipping = False
        self.overlong = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the lines that are complete now, without their ends (LF, CR or both). No empty lines."""
        lines = []
        for byte in data:
            if byte in (10, 13):
                if self._kept:
                    lines.append(bytes(self._kept))
                    self._kept = bytearray()
                self._skipping = False
            elif not self._skipping:
                if len(self._kept) < MAX_LINE:
                    self._kept.append(byte)
                else:
                    self.overlong += 1
                    self._kept = bytearray()
                    self._skipping = True
        return lines
