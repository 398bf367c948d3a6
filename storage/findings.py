"""What a verifier finds in a chain."""

from __future__ import annotations

from dataclasses import dataclass

from storage.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth saying about the chain, and what it makes of the verdict."""

    verdict: Verdict
    text: str
    segment: int | None = None
    link: bool = False
    """The segment does not follow the one before it."""
