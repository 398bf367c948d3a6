"""The errors of the wire room. Nothing else leaves it, whatever the other end sends."""

from __future__ import annotations


class WireError(Exception):
    """Root of all errors here. The text is one line: what, where, and what to do."""


class MessageError(WireError):
    """What came is no message of this protocol, or lacks what it must have."""


class LineLostError(WireError):
    """The cable was pulled, or nobody answers. Trying again is safe."""


class BodyError(WireError):
    """A body is not what its digest says, or longer than this end takes."""


class CredentialError(WireError):
    """Somebody is not who may ask this, by what was sent."""


class RefusedError(WireError):
    """The other end refuses, and says why. `code` is for programs."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
