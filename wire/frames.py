r"""Frames on a serial line: printable lines that a person can read in any terminal and noise cannot make.

``\n@LLLL CCCCCCCC TEXT\n``: length of the text in hexadecimal, its CRC-32 (ISO-HDLC, as in zlib), the text in printable
ASCII. The line's end before it ends whatever noise came, so a reader is in step again with the next frame. What is no
frame is passed over and counted: a login prompt, a kernel's message, an echo cut in half. A CRC finds noise, not
malice: who may ask what is a matter of signatures (`wire.credential`).
"""

from __future__ import annotations

import re
import zlib

from wire.errors import MessageError

MAX_TEXT_BYTES = 8192
MAX_LINE_BYTES = MAX_TEXT_BYTES + 15
_FRAME = re.compile(rb"@(?P<length>[0-9A-F]{4}) (?P<crc>[0-9A-F]{8}) (?P<text>[ -~]+)")
_ENDS = re.compile(rb"[\r\n]")


def frame(text: bytes) -> bytes:
    """Return a text as a frame.

    Raises:
        MessageError: it is empty, too long, or not printable ASCII.
    """
    made = b"@%04X %08X %s" % (len(text), zlib.crc32(text), text)
    if len(text) > MAX_TEXT_BYTES or not _FRAME.fullmatch(made):
        raise MessageError(f"a message has 1 to {MAX_TEXT_BYTES} printable characters, not {len(text)}")
    return b"\n" + made + b"\n"


class FrameReader:
    """Cuts what comes in into frames. Keeps at most `MAX_LINE_BYTES` and what it was given last."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._skipping = False
        self.refused = 0
        """Lines that were no sound frame."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the texts of the frames that are complete now."""
        texts = []
        *ended, rest = _ENDS.split(data)
        for part in ended:
            self._keep(part)
            if self._kept or self._skipping:
                text = _text(bytes(self._kept))
                if text is None:
                    self.refused += 1
                else:
                    texts.append(text)
            self._kept.clear()
            self._skipping = False
        self._keep(rest)
        return texts

    @property
    def kept_bytes(self) -> int:
        """How much is held for a frame that is not complete."""
        return len(self._kept)

    def _keep(self, part: bytes) -> None:
        if self._skipping:
            return
        if len(self._kept) + len(part) > MAX_LINE_BYTES:
            self._kept.clear()
            self._skipping = True
        else:
            self._kept += part


def _text(line: bytes) -> bytes | None:
    match = _FRAME.fullmatch(line)
    if match is None:
        return None
    text = match["text"]
    sound = int(match["length"], 16) == len(text) <= MAX_TEXT_BYTES and int(match["crc"], 16) == zlib.crc32(text)
    return text if sound else None
