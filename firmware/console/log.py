"""``journal`` and ``export-log``: the system's log of the device's own services. It holds no footage and no place.

The evidence's own journal is sealed: the device itself cannot read it back, so no cable can. The firmware writes no
place and no officer's number into the system's log; `told` is the second wall, for what a library might say.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.system.protocol import LogLine
from firmware.console.chain import tail
from firmware.console.handler import Access
from firmware.console.tools import Tools
from wire.answering import Asked, Reply
from wire.bodies import BytesBody
from wire.plain import encode, expect, printable, take_bytes, take_int

MOST_LINES = 500
MOST_EXPORTED = 20_000
_MOST_TEXT = 400
_HIDDEN = (
    # NMEA 0183 sentences; numbers with four and more decimals, as degrees have, alone or as NMEA writes them.
    re.compile(r"\$[A-Z]{2}[A-Z]{3},\S*"),
    re.compile(r"\d{1,5}\.\d{4,}"),
    # Whatever follows on such a word.
    re.compile(r"(?i)(latitude|longitude|altitude|officer|assignment|personnel).*"),
)
_INSTEAD = "[hidden]"


def told(line: LogLine) -> Mapping[str, Any]:
    """Return a line of the log as it is told: four fields, printable, without places and officers."""
    text = line.text
    for pattern in _HIDDEN:
        text = pattern.sub(_INSTEAD, text)
    return {
        "utc_us": line.utc_us,
        "unit": printable(line.unit, 64),
        "priority": line.priority,
        "text": printable(text, _MOST_TEXT),
    }


@dataclass(frozen=True, slots=True)
class Journal:
    """``journal``: the newest lines of the log, and the newest segments as they stand in the clear, as a body."""

    tools: Tools
    verb: str = "journal"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Read both."""
        expect(asked.fields, "a look at the journal", "lines")
        most = take_int(asked.fields, "lines", MOST_LINES, 1)
        lines = [told(line) for line in self.tools.log.newest(most)] if self.tools.log.present else []
        segments = tail(self.tools.settings.store.flash, min(most, 50))
        body = encode({"lines": lines, "segments": segments})
        return Reply({"lines": len(lines), "log": self.tools.log.present}, BytesBody(body))


@dataclass(slots=True)
class _Kept:
    """The last export, so that fetching it goes on where it stopped."""

    body: BytesBody = field(default_factory=lambda: BytesBody(b""))
    lines: int = 0


@dataclass(frozen=True, slots=True)
class ExportLog:
    """``export-log``: the whole of it, a JSON object a line (gzip, RFC 1952), as a body.

    With `of`, the SHA-256 of an export that was begun in an earlier session, the very same bytes are given, if this
    process still has them; otherwise a new one.
    """

    tools: Tools
    verb: str = "export-log"
    access: Access = Access.TECHNICIAN
    kept: _Kept = field(default_factory=_Kept)

    def handle(self, asked: Asked) -> Reply:
        """Give it."""
        expect(asked.fields, "a log's export", "", "of")
        wanted = take_bytes(asked.fields, "of", 32) if "of" in asked.fields else b""
        if not wanted or not self.kept.body.data or self.kept.body.digest != wanted:
            asked.tell({"say": "reading the log"})
            lines = self.tools.log.newest(MOST_EXPORTED)
            text = "".join(json.dumps(told(line), sort_keys=True) + "\n" for line in lines)
            self.kept.body = BytesBody(gzip.compress(text.encode("ascii"), mtime=0))
            self.kept.lines = len(lines)
        return Reply({"lines": self.kept.lines}, self.kept.body)
