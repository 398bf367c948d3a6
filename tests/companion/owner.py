"""A main loop that goes round, until it is told to hang."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from drivers.companion.link import CompanionLink


class Owner:
    def __init__(self, link: CompanionLink) -> None:
        self._link = link
        self._hung = threading.Event()
        self._thread = threading.Thread(target=self._run, name="owner", daemon=True)

    def hang(self) -> None:
        """Refresh no more."""
        self._hung.set()
        self._thread.join(5)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.hang()

    def _run(self) -> None:
        while not self._hung.wait(0.1):
            self._link.refresh()
