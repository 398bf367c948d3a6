"""The light is lit for as long as camera or microphone run: in a test, too."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from drivers.indicator.protocol import Indicator
from firmware.errors import FirmwareError
from firmware.patience import Patience

LIT_S = 0.5
"""A light that is not sensed lit so long after its command is broken."""


class DarkError(FirmwareError):
    """The light is dark, or went dark."""


class Lighted:
    """A context manager: inside it the light was commanded on and, where the board can sense it, seen to be lit."""

    def __init__(self, indicator: Indicator, patience: Patience) -> None:
        self._indicator = indicator
        self._patience = patience

    def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """As `Patience.until`.

        Raises:
            DarkError: the light went dark meanwhile.
            GaveUpError: the work is no longer wanted.
        """
        return self._patience.until(lambda: self._still_lit() and condition(), within_s)

    def stay(self, seconds: float) -> None:
        """Wait that long.

        Raises:
            DarkError: the light went dark meanwhile.
            GaveUpError: the work is no longer wanted.
        """
        self.until(lambda: False, seconds)

    def _still_lit(self) -> bool:
        if not self._indicator.state().lit:
            raise DarkError("the light went dark; ended at once")
        return True

    def __enter__(self) -> Self:
        lit = False
        try:
            self._indicator.light(1.0)
            lit = self._patience.until(lambda: self._indicator.state().lit, LIT_S)
        finally:
            if not lit:
                self._indicator.light(0.0)
        if not lit:
            raise DarkError("not tried: the light stays dark; mend the light first")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._indicator.light(0.0)
