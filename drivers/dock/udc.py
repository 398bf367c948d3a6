"""The dock as the USB device controller knows it: docked when a host has configured the gadget."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.dock.protocol import DockSink

_ROOT = Path("/sys/class/udc")
_PERIOD_S = 0.5
_JOIN_S = 5.0


class UdcDock:
    """Looks every half second, on a thread named ``dock``. Implements `drivers.dock.protocol.Dock`."""

    def __init__(self, root: Path = _ROOT, *, period_s: float = _PERIOD_S) -> None:
        self._root = root
        self._period_s = period_s
        self._lock = threading.Lock()
        self._sink: DockSink | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """``udc``."""
        return "udc"

    @property
    def present(self) -> bool:
        """True."""
        return True

    @property
    def docked(self) -> bool:
        """Whether a host has configured the gadget. No controller, or one that cannot be read: not docked."""
        for state in self._root.glob("*/state"):
            try:
                if state.read_text("ascii").strip() == "configured":
                    return True
            except (OSError, UnicodeDecodeError):
                continue
        return False

    def watch(self, sink: DockSink | None) -> None:
        """Report every change to `sink`; None stops it, and after that it is not called again."""
        with self._lock:
            self._sink = sink
            thread = self._thread
            if sink is not None and thread is None:
                self._stop.clear()
                self._thread = threading.Thread(target=self._run, args=(self.docked,), name="dock", daemon=True)
                self._thread.start()
                return
            if sink is not None:
                return
            self._stop.set()
            self._thread = None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_S)

    def close(self) -> None:
        """Stop watching. Idempotent."""
        self.watch(None)

    def _run(self, docked: bool) -> None:
        while not self._stop.wait(self._period_s):
            now = self.docked
            if now is not docked:
                docked = now
                with self._lock:
                    if self._sink is not None:
                        self._sink(docked)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()
