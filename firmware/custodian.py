"""Keeps no evidence for longer than the unit allows, on a thread of its own named "custodian".

It drives the age meter, and destroys what is too old: first on record, by the recorder, then on the flash. It works
only while nothing is recorded, a mebibyte at a time, so that no recording ever waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from drivers.clock.protocol import Clock, TimeSource
from firmware.former_stores import FormerStores
from firmware.inputs import Trouble
from storage.age_file import load_ages, save_ages
from storage.age_meter import AgeMeter, Reading
from storage.destroy import destroy, examine, finish
from storage.destruction import Destruction, Reason
from storage.errors import ReceiptError, StorageError, UnsoundError
from storage.inventory import SEGMENTS, segment_name
from storage.layout import ClockSource
from storage.receipt import parse_receipt, receipt_digest
from storage.retention import Due, due
from storage.segment_index import IndexedSegment, SegmentIndex

_PERIOD_S = 60.0
_JOIN_S = 10.0
_STATEMENT_S = 30.0
_SECOND_NS = 1_000_000_000
_SAVE_NS = 600 * _SECOND_NS
"""At most so much age is lost when the power goes."""
_DAY_NS = 86_400 * _SECOND_NS
_SOURCES = {
    TimeSource.NONE: ClockSource.NONE,
    TimeSource.RTC: ClockSource.RTC,
    TimeSource.NTP: ClockSource.NTP,
    TimeSource.GNSS: ClockSource.GNSS,
    TimeSource.DOCK: ClockSource.DOCK,
}
NO_RECORDING = bytes(16)


class Chronicler(Protocol):
    """What the custodian needs of the recorder."""

    def state_destruction(self, destruction: Destruction, timeout_s: float) -> bool:
        """Put a destruction on record; False if that did not become durable in time, or a recording is made."""
        ...

    @property
    def recording(self) -> bytes:
        """The id of the recording under way; zeros if none is."""
        ...

    def note(self, name: str, **details: str | int | bool | None) -> None:
        """Put an event on record."""
        ...


class Custodian:
    """Owned by the device; `begin` starts its thread."""

    def __init__(
        self,
        root: Path,
        state: Path,
        identity: bytes,
        device: bytes,
        boot: bytes,
        retention_days: int,
        receipt_keys: Sequence[str],
        clock: Clock,
        chronicler: Chronicler,
        open_segment: Callable[[], int | None],
        tell: Callable[[Trouble], None],
        *,
        period_s: float = _PERIOD_S,
    ) -> None:
        """`open_segment` is the number of the segment that is open now; `tell` reaches the main thread."""
        self._root = root
        self._path = state / "ages"
        self._identity = identity
        self._boot = boot
        self._limit_ns = retention_days * _DAY_NS
        self._clock = clock
        self._chronicler = chronicler
        self._open_segment = open_segment
        self._tell = tell
        self._period_s = period_s
        self._index = SegmentIndex(root, device)
        self._former = FormerStores(root, chronicler)
        self._trouble = ""
        self._saved_ns: int | None = None
        self._device = device
        self._receipt_keys = frozenset(map(bytes.fromhex, receipt_keys))
        self._lock = threading.Lock()
        """Held by whoever destroys: this thread, or the one that brings a receipt."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="custodian", daemon=True)
        ages, trouble = load_ages(self._path)
        self._meter = AgeMeter(ages)
        if trouble:
            self._say(trouble)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; what it was destroying is finished by the next run. Idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    @property
    def alive(self) -> bool:
        """Whether its thread runs, as it must until `close`."""
        return self._thread.is_alive()

    def look(self) -> None:
        """Drive the meter, and destroy what is due, if nothing is recorded."""
        try:
            with self._lock:
                self._tick()
                former = self._former.look()
                if not self._busy():
                    self._destroy()
        except StorageError as error:
            self._say(str(error))
        else:
            strange = self._index.strange
            self._say(f"segments {strange[:5]} are not this device's: nothing destroys them" if strange else former)

    def accept(self, data: bytes) -> str:
        """Destroy a segment on a station's receipt, journals too; return in one line what was done.

        Nothing is destroyed while a recording is made: the station offers its receipt again. A receipt for what is gone
        already is no error.

        Raises:
            ReceiptError: it destroys nothing, for the reason given.
            StorageError: the segment, or the medium, is not as it should be.
        """
        receipt = parse_receipt(data, self._receipt_keys)
        with self._lock:
            if receipt.device != self._device:
                raise ReceiptError(f"the receipt is refused: it is for device {receipt.device.hex()}")
            if receipt.segment >= (self._open_segment() or 0):
                raise ReceiptError(f"the receipt is refused: segment {receipt.segment} is not closed")
            if not (self._root / SEGMENTS / segment_name(receipt.segment)).exists():
                return f"segment {receipt.segment} is not here any more"
            what = examine(self._root, receipt.segment, self._identity)
            if why := receipt.confirms(self._device, what):
                raise ReceiptError(f"the receipt is refused: {why}")
            age_s = self._age_of(receipt.segment) // _SECOND_NS
            statement = Destruction(what, Reason.RECEIPT, age_s, receipt_digest(data))
            if self._busy() or not self._chronicler.state_destruction(statement, _STATEMENT_S):
                raise ReceiptError(f"segment {receipt.segment} is kept for now: the device records; offer it again")
            destroy(self._root, receipt.segment, stop=self._busy)
        return f"segment {receipt.segment} is destroyed"

    def _age_of(self, number: int) -> int:
        found = [item for item in self._index.refresh(number + 1) if item.number == number]
        return self._age_ns(found[0]) if found else 0

    def _run(self) -> None:
        while True:
            self.look()
            if self._stop.wait(self._period_s):
                return

    def _tick(self) -> None:
        reading = self._clock.read()
        source = ClockSource.NTP if reading.source is None and reading.synchronised else _SOURCES[
            reading.source or TimeSource.NONE
        ]  # fmt: skip
        changed = self._meter.tick(Reading(self._boot, reading.monotonic_ns, reading.utc_ns, source))
        passed_ns = reading.monotonic_ns - (self._saved_ns or 0)
        if changed or self._saved_ns is None or passed_ns >= _SAVE_NS:
            save_ages(self._path, self._meter.state)
            self._saved_ns = reading.monotonic_ns

    def _destroy(self) -> None:
        finish(self._root, stop=self._busy)
        closed = self._index.refresh(self._open_segment() or 0)
        if closed:
            self._meter.forget({item.boot for item in closed} | self._former.boots)
        unsound: UnsoundError | None = None
        for item in list(due(closed, self._age_ns, self._limit_ns, under_way=self._chronicler.recording)):
            try:
                if self._busy() or not self._destroy_one(item):
                    return
            except UnsoundError as error:  # for people to look at; the time of the others has come all the same
                unsound = unsound or error
        self._former.destroy(self._age_ns, self._limit_ns, self._busy)
        if unsound is not None:
            raise unsound

    def _destroy_one(self, item: Due) -> bool:
        what = examine(self._root, item.number, self._identity)
        statement = Destruction(what, Reason.RETENTION, item.age_ns // _SECOND_NS)
        if not self._chronicler.state_destruction(statement, _STATEMENT_S):
            return False
        return destroy(self._root, item.number, stop=self._busy) is not None

    def _age_ns(self, item: IndexedSegment) -> int:
        return self._meter.age_ns(item.boot, item.monotonic_ns)

    def _busy(self) -> bool:
        return self._stop.is_set() or self._chronicler.recording != NO_RECORDING

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._tell(Trouble("retention", trouble))
