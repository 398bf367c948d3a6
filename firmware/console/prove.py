"""``prove``: the device signs a challenge of the asking end's, with its identity or with the keys that this certified.

It goes on beside the recorder, which is not asked; a recording is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from firmware.console.handler import Access
from firmware.console.tools import Tools
from storage.prove import CHALLENGE_BYTES, MOST_BYTES
from wire.answering import Asked, Reply
from wire.bodies import BytesBody
from wire.errors import RefusedError
from wire.plain import expect, printable, take_bytes

_MOST_TEXT = 300


@dataclass(frozen=True, slots=True)
class Prove:
    """``prove``: `challenge` is 32 random bytes. The proof is the answer's body (`storage.prove`)."""

    tools: Tools
    verb: str = "prove"
    access: Access = Access.TECHNICIAN

    def handle(self, asked: Asked) -> Reply:
        """Have it made in a process of its own.

        Raises:
            RefusedError: there is no key that could.
        """
        expect(asked.fields, "a challenge", "challenge")
        challenge = take_bytes(asked.fields, "challenge", CHALLENGE_BYTES)
        heard = _Heard()
        self.tools.bench.run([self.verb, challenge.hex()], heard.hear, lambda: asked.tell({}), what="the proof")
        if heard.trouble or not heard.proof:
            raise RefusedError("failed", heard.trouble or "no proof came: ask for it again")
        return Reply(body=BytesBody(bytes(heard.proof)))


@dataclass(slots=True)
class _Heard:
    """What `firmware.console.prove_child` said, bounded."""

    proof: bytearray = field(default_factory=bytearray)
    trouble: str = ""

    def hear(self, fields: Mapping[str, Any]) -> None:
        if "trouble" in fields or "check" in fields:  # the second: the child could not even begin
            said = fields.get("trouble", fields.get("text"))
            self.trouble = printable(str(said), _MOST_TEXT) or "it failed"
        elif "proof" in fields and len(self.proof) < MOST_BYTES:
            try:
                self.proof += bytes.fromhex(str(fields["proof"]))
            except ValueError:
                self.trouble = "what came is no proof: ask for it again"
