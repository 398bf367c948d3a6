"""Commands light, buzzer and motor as the patterns say."""

from __future__ import annotations

import threading
from collections.abc import Callable

from drivers.buzzer.protocol import Buzzer
from drivers.errors import DriverError
from drivers.haptics.protocol import Haptics
from drivers.indicator.protocol import Indicator
from firmware.cues import Cue, Note
from firmware.errors import FirmwareError
from firmware.patterns import NIGHT_LEVEL
from firmware.player import MAX_WAITING, Output, Player

INDICATOR, BUZZER, HAPTICS, NOTES = "indicator", "buzzer", "haptics", "notes"
"""The parts that `on_fault` names."""

_LOOK_NS = 1_000_000_000
"""The thread looks this often at least; a part that failed is tried again then."""
_CLOSE_S = 5.0

FaultSink = Callable[[str, str], None]
"""Called with a part and what is wrong with it, or an empty text when it works again: once for each change, in order,
on any thread, with the signaller locked. It hands over and returns."""


class Signaller:
    """Says what the device is doing. Thread-safe.

    `show` and `play` command the first step themselves, on the caller's thread: when `show` returns, the light has been
    told. A thread named ``signaller`` commands the rest. A part that fails never stops the others. The drivers stay
    the caller's to close.
    """

    def __init__(
        self,
        indicator: Indicator,
        buzzer: Buzzer,
        haptics: Haptics,
        monotonic_ns: Callable[[], int],
        *,
        on_fault: FaultSink,
        night: bool = False,
        floor: float = NIGHT_LEVEL,
    ) -> None:
        """Command nothing yet; `floor` is what full light becomes at night.

        Raises:
            ValueError: `floor` is out of range (see `firmware.patterns.at_night`).
        """
        self._indicator = indicator
        self._buzzer = buzzer
        self._haptics = haptics
        self._now = monotonic_ns
        self._on_fault = on_fault
        self._player = Player(monotonic_ns(), night=night, floor=floor)
        self._told: dict[str, float] = {}
        self._faults: dict[str, str] = {}
        self._dropped = 0
        # Reentrant, for what is told of a fault may ask `sounding`.
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin(self) -> None:
        """Command what is to be shown now, silence the rest, and start the thread.

        Raises:
            FirmwareError: it was begun before, or closed.
        """
        with self._changed:
            self._require_open()
            if self._thread is not None:
                raise FirmwareError("signaller: it runs already; make another one")
            self.refresh()
            self._thread = threading.Thread(target=self._run, name="signaller", daemon=True)
            self._thread.start()

    def show(self, cue: Cue) -> None:
        """Let `cue` hold from now on; its first light has been commanded when this returns.

        Raises:
            FirmwareError: it was closed.
        """
        with self._changed:
            self._require_open()
            self._player.show(cue, self._now())
            self._refresh_and_wake()

    def play(self, note: Note) -> None:
        """Play `note` once, after those that wait. More than `MAX_WAITING`: it is dropped, counted and told as a fault.

        Raises:
            FirmwareError: it was closed.
        """
        with self._changed:
            self._require_open()
            if not self._player.play(note, self._now()):
                self._dropped += 1
                self._failed(NOTES, f"notes: {note.value!r} was not played, for {MAX_WAITING} wait; nothing to do")
            self._refresh_and_wake()

    def set_night(self, night: bool) -> None:
        """Go over to night or to day at once.

        Raises:
            FirmwareError: it was closed.
        """
        with self._changed:
            self._require_open()
            self._player.set_night(night)
            self._refresh_and_wake()

    @property
    def cue(self) -> Cue:
        """The standing cue."""
        with self._changed:
            return self._player.cue

    @property
    def alive(self) -> bool:
        """Whether its thread runs: between `begin` and `close`, unless a defect ended it."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def sounding(self) -> bool:
        """Whether the buzzer is believed to work: the board has one, and it took its last command."""
        with self._changed:
            return self._buzzer.present and BUZZER not in self._faults

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong now, by part."""
        with self._changed:
            return dict(self._faults)

    @property
    def dropped(self) -> int:
        """How many notes were dropped so far."""
        with self._changed:
            return self._dropped

    def refresh(self) -> int | None:
        """Command what is due now, and what failed before; return when the next change is due, or None."""
        with self._changed:
            now_ns = self._now()
            self._tell(self._player.at(now_ns))
            if self._player.idle:
                self._works(NOTES)
            return self._player.next_change_ns(now_ns)

    def close(self) -> None:
        """End the thread, and leave everything dark, silent and still. Final and idempotent.

        Raises:
            FirmwareError: a thread hangs in a driver.
        """
        if not self._changed.acquire(timeout=_CLOSE_S):
            raise FirmwareError(f"signaller: a driver did not return within {_CLOSE_S:g} s; restart the process")
        try:
            if not self._closed:
                self._closed = True
                self._tell(Output(0.0, 0, 0.0))
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        finally:
            self._changed.release()
        if thread is not None:
            thread.join(_CLOSE_S)  # it commands nothing any more

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                due_ns = self.refresh()
                wait_ns = _LOOK_NS if due_ns is None else min(due_ns - self._now(), _LOOK_NS)
                self._changed.wait(max(wait_ns, 0) / 1e9)

    def _refresh_and_wake(self) -> None:
        self.refresh()
        self._changed.notify_all()

    def _tell(self, output: Output) -> None:
        """Command each part that was not told so yet. The light comes first."""
        self._command(INDICATOR, output.level, self._indicator.light)
        self._command(BUZZER, output.tone_hz, lambda tone: self._buzzer.sound(int(tone)))
        self._command(HAPTICS, output.strength, self._haptics.drive)

    def _command(self, part: str, value: float, command: Callable[[float], None]) -> None:
        if self._told.get(part) == value:
            return
        try:
            command(value)
        except DriverError as error:
            self._told.pop(part, None)
            self._failed(part, str(error))
        else:
            self._told[part] = value
            self._works(part)

    def _failed(self, part: str, text: str) -> None:
        known, self._faults[part] = part in self._faults, text
        if not known:
            self._on_fault(part, text)

    def _works(self, part: str) -> None:
        if self._faults.pop(part, None) is not None:
            self._on_fault(part, "")

    def _require_open(self) -> None:
        if self._closed:
            raise FirmwareError("signaller: it was closed; make a new one")
