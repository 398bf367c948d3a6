"""The four verdicts of a verifier (ONVIF Media Signing), and how they add up."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Verdict(Enum):
    """What a verifier says. Exactly one of these, of a segment, a recording and a whole store."""

    AUTHENTIC = "authentic"
    MISSING_PARTS = "authentic with missing parts"
    NOT_SIGNED = "not signed"
    NOT_AUTHENTIC = "not authentic"

    @property
    def exit_status(self) -> int:
        """The exit status of a program that gives this verdict."""
        return {Verdict.AUTHENTIC: 0, Verdict.MISSING_PARTS: 3}.get(self, 1)


_WEIGHT = list(Verdict)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the gravest of several verdicts; *authentic* if there is none."""
    return max(verdicts, key=_WEIGHT.index, default=Verdict.AUTHENTIC)
