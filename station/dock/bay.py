"""One bay: what is done with a device from the moment it answers, and what the bay shows meanwhile."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from station.custody.intake import AlarmError, Received, Shown
from station.dock.client import DeviceClient, Listed
from station.dock.errors import DeviceGoneError, DeviceLiesError
from station.dock.fetch import Fetcher, Shelf
from station.dock.turns import Turns
from station.errors import RefusedError, StationError
from storage.errors import KeyFileError
from storage.tls import TlsFiles
from wire.plain import printable

_POLL_S = 2.0
_AGAIN_S = 10.0
_TURN_S = 1.0
_MOST_TEXT = 500
_log = logging.getLogger("getuige.dock")


class BayState(Enum):
    """What a bay shows."""

    WAITING = "waiting"
    """Nothing is in it."""
    CHECKING = "checking"
    RECEIVING = "receiving"
    RECEIPTING = "receipting"
    """All is here; the device is told, and destroys."""
    DONE = "done"
    """It may be taken out; all that it had is here."""
    KEPT = "kept on the device"
    """All is here, and the device did not take every receipt: it is tried again."""
    PULLED = "pulled"
    """It was taken out in the middle; the next time goes on there."""
    REFUSED = "refused"
    """Nothing is taken from it, for the reason given."""
    ALARM = "alarm"
    """It was rolled back, forked, or lies."""
    TROUBLE = "trouble"
    """This station cannot take it now; it is tried again."""


@dataclass(slots=True)
class BayStatus:
    """One bay, as it stands."""

    name: str
    state: str = BayState.WAITING.value
    device: str = ""
    text: str = ""
    segments: int = 0
    segments_done: int = 0
    bytes: int = 0
    bytes_done: int = 0
    resumed_bytes: int = 0
    from_shelf_bytes: int = 0
    receipts: int = 0
    holes: list[tuple[int, int]] = field(default_factory=list)


class Custody(Protocol):
    """What a bay needs of the custody store: `station.custody.intake.Intake`."""

    def identity(self, device: bytes) -> bytes:
        """Return an enrolled device's identity key, or raise with the reason."""
        ...

    def check_shown(self, device: bytes, shown: Shown) -> None:
        """Raise AlarmError where its chain was rolled back or forked."""
        ...

    def held(self, device: bytes, number: int, digest: bytes) -> bytes | None:
        """Return the receipt for what is here already."""
        ...

    def take(self, device: bytes, number: int, received: Path, checked: Received | None = None) -> bytes:
        """Take a segment in and return its receipt."""
        ...

    def report_holes(self, device: bytes) -> list[tuple[int, int]]:
        """Put holes in its chain on record, and return them."""
        ...


class ShelfOfMany(Shelf, Protocol):
    """The shelf, which also forgets."""

    def forget(self, device: bytes, segment: int) -> None:
        """Remove a segment that is in custody now."""
        ...


@dataclass(frozen=True, slots=True)
class Handed:
    """What a station gives to a device beside receipts."""

    policy: Callable[[bytes], tuple[int, bytes] | None] = lambda _device: None
    """Serial and bytes of the unit's newest policy for a device."""
    assignment: Callable[[bytes], bytes | None] = lambda _device: None
    """Who carries it next, as the device takes it."""


class Bay:
    """One bay, on a thread of its own named "bay-NAME"."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        tls: TlsFiles,
        custody: Custody,
        folder: Path,
        *,
        shelf: ShelfOfMany | None = None,
        handed: Handed = Handed(),
        turns: Turns | None = None,
        on_change: Callable[[BayStatus], None] = lambda _status: None,
        utc_ns: Callable[[], int] = time.time_ns,
        poll_s: float = _POLL_S,
        again_s: float = _AGAIN_S,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._custody = custody
        self._folder = folder
        self._shelf = shelf
        self._handed = handed
        self._turns = turns or Turns()
        self._on_change = on_change
        self._utc_ns = utc_ns
        self._poll_s = poll_s
        self._again_s = again_s
        self._status = BayStatus(name)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bay-{name}", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread after the block that it is reading. Idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30.0)

    def move(self, host: str, port: int) -> None:
        """Look elsewhere from now on, if nobody was found where it looked."""
        with self._lock:
            if self._status.state == BayState.WAITING.value:
                self._host, self._port = host, port

    def status(self) -> dict[str, Any]:
        """Return how the bay stands."""
        with self._lock:
            return asdict(self._status)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                wait_s = self.visit()
            except Exception as error:  # noqa: BLE001 - whatever a device makes of this, its bay must not go dead
                _log.error("bay %s: %s: %s", self._status.name, type(error).__name__, error)
                self._set(
                    BayState.TROUBLE, text=f"this station failed at it ({type(error).__name__}): look into its log"
                )
                wait_s = self._again_s
            self._stop.wait(wait_s)

    def visit(self) -> float:
        """Look whether a device is there, and do all that is to be done; return how long to wait before the next."""
        try:
            with DeviceClient(self._host, self._port, self._tls) as client:
                if self._status.state == BayState.DONE.value and self._status.device == client.device.hex():
                    return self._poll_s  # it is still there, and has nothing new
                self._begin(client.device)
                self._offload(client)
        except DeviceGoneError as error:
            if self._status.state in (BayState.WAITING.value, BayState.DONE.value):
                self._set(BayState.WAITING, device="", text="")
            else:
                self._set(BayState.PULLED, text=str(error))
            return self._poll_s
        except (AlarmError, DeviceLiesError) as error:
            self._set(BayState.ALARM, text=str(error))
        except RefusedError as error:
            self._set(BayState.REFUSED, text=str(error))
        except (StationError, KeyFileError) as error:
            self._set(BayState.TROUBLE, text=str(error))
        return self._again_s

    def _begin(self, device: bytes) -> None:
        with self._lock:
            self._status = BayStatus(self._status.name, BayState.CHECKING.value, device.hex())
        self._on_change(self._status)

    def _offload(self, client: DeviceClient) -> None:
        device = client.device
        try:
            identity = self._custody.identity(device)
        except StationError as error:
            raise RefusedError(str(error)) from None
        status = client.status()
        self._custody.check_shown(device, Shown(status.closed_segment, status.chain))
        items = client.segments()
        self._set(
            BayState.RECEIVING, segments=len(items), bytes=sum(item.size_bytes for item in items), text="",
        )  # fmt: skip
        receipts = self._receive(client, identity, items)
        # Before anything is erased: what ought to be here and is not.
        holes = self._custody.report_holes(device)
        self._set(BayState.RECEIPTING, holes=holes)
        self._hand(client, status.policy_serial)
        kept = self._receipt(client, receipts)
        text = f"segments {holes} are nowhere: look at the audit log" if holes else ""
        self._set(BayState.KEPT if kept else BayState.DONE, text=kept or text)

    def _receive(self, client: DeviceClient, identity: bytes, items: list[Listed]) -> dict[int, bytes]:
        fetcher = Fetcher(client, identity, self._folder, self._shelf, self._arrived)
        receipts = {}
        for item in items:
            if self._stop.is_set():
                raise DeviceGoneError("this station is being stopped")
            receipt = self._custody.held(client.device, item.number, item.digest)
            if receipt is None:
                receipt = self._bring(client, fetcher, item)
            else:
                self._arrived(item.size_bytes)
            receipts[item.number] = receipt
            if self._shelf is not None:
                self._shelf.forget(client.device, item.number)
            self._set(
                BayState.RECEIVING, segments_done=len(receipts), resumed_bytes=fetcher.resumed_bytes,
                from_shelf_bytes=fetcher.from_shelf_bytes,
            )  # fmt: skip
        return receipts

    def _bring(self, client: DeviceClient, fetcher: Fetcher, item: Listed) -> bytes:
        while not self._stop.is_set():
            with self._turns.turn(_TURN_S) as mine:
                if mine:
                    found = fetcher.fetch(item, threads=self._turns.alone)
                    return self._custody.take(client.device, item.number, found.path, found)
            # A device hangs up on who says nothing for 10 s, and one that is pulled while it waits is to be seen so.
            client.status()
        raise DeviceGoneError("this station is being stopped")

    def _hand(self, client: DeviceClient, policy_serial: int) -> None:
        """Give the time, a newer policy and the next assignment; a device that refuses one of them says why."""
        refused = []
        given = [("/1/time", json.dumps({"utc_ns": self._utc_ns()}).encode())]
        policy = self._handed.policy(client.device)
        if policy is not None and policy[0] > policy_serial:
            given.append(("/1/policy", policy[1]))
        assignment = self._handed.assignment(client.device)
        if assignment is not None:
            given.append(("/1/assignment", assignment))
        for path, body in given:
            try:
                client.post(path, body)
            except RefusedError as error:
                refused.append(f"{path}: {error}")
        if refused:
            self._set(BayState.RECEIPTING, text="; ".join(refused))

    def _receipt(self, client: DeviceClient, receipts: dict[int, bytes]) -> str:
        """Give the receipts, the oldest first; return why the device kept something, or an empty text."""
        kept = ""
        for count, number in enumerate(sorted(receipts), 1):
            try:
                client.post("/1/receipts", receipts[number])
            except RefusedError as error:
                kept = kept or str(error)
            self._set(BayState.RECEIPTING, receipts=count)
        return kept

    def _arrived(self, count: int) -> None:
        if self._stop.is_set():
            raise DeviceGoneError("this station is being stopped")
        with self._lock:
            self._status.bytes_done += count

    def _set(self, state: BayState, **changes: Any) -> None:
        with self._lock:
            self._status.state = state.value
            for name, value in changes.items():
                # A text may be the device's own words.
                setattr(self._status, name, printable(value, _MOST_TEXT) if isinstance(value, str) else value)
        self._on_change(self._status)
