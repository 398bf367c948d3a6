"""What the device does while it is docked: the offload server is up, and takes what a station of the unit gives.

Thread "docking" starts and stops the server, as the dock says; announcing may take a second, and nobody waits for it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path

from drivers.clock.protocol import Clock
from drivers.clock.referenced import ReferencedClock
from firmware.custodian import Custodian
from firmware.inputs import Trouble
from firmware.live_uplink import Put
from firmware.live_view import Notes
from firmware.policy_keeper import PolicyKeeper
from firmware.settings import DockOptions
from storage.durable import replace_file
from storage.store import Store
from storage.tls import TlsFiles
from uplink.offload.announce import Announcement
from uplink.offload.application import Application, Duties
from uplink.offload.catalogue import Catalogue
from uplink.offload.errors import OffloadError, RefusedError
from uplink.offload.server import OffloadServer

_JOIN_S = 20.0
_EARLIEST_NS = 1_750_000_000 * 1_000_000_000
_LATEST_NS = 4_000_000_000 * 1_000_000_000
_OFFICER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{1,39}")


class Docking:
    """Owned by the device. `docked` may be called on any thread."""

    def __init__(
        self,
        options: DockOptions,
        tls: TlsFiles,
        flash: Path,
        state: Path,
        store: Store,
        keeper: PolicyKeeper,
        custodian: Custodian,
        clock: Clock,
        note: Notes,
        put: Put,
    ) -> None:
        self._options = options
        self._state = state
        self._store = store
        self._keeper = keeper
        self._clock = clock
        self._note = note
        self._put = put
        duties = Duties(self._status, custodian.accept, self._policy, self._time, self._assignment)
        catalogue = Catalogue(flash, lambda: store.open_segment)
        self._server = OffloadServer(Application(catalogue, duties), tls, options.address, options.port)
        self._announcement: Announcement | None = None
        self._lock = threading.Lock()
        """Held while a policy is taken: the keeper is for one thread at a time."""
        kept = keeper.load().policy
        self._serial = kept.serial if kept else 0
        self._wanted = False
        self._changed = threading.Event()
        self._stop = threading.Event()
        self.port = 0
        """Where it listens; 0 while it does not."""
        self._thread = threading.Thread(target=self._run, name="docking", daemon=True)

    def begin(self) -> None:
        """Start the thread, where the settings name a dock's link."""
        if self._options.address:
            self._thread.start()

    def docked(self, docked: bool) -> None:
        """Take note that the device was put into its dock, or taken out."""
        self._wanted = docked
        self._changed.set()

    def close(self) -> None:
        """Stop the server and the thread. Idempotent."""
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                # The time-out only guards against a lost wake-up.
                self._changed.wait(60.0)
                self._changed.clear()
                if self._wanted and not self._stop.is_set():
                    self._open()
                else:
                    self._shut()
        finally:
            self._shut()

    def _open(self) -> None:
        try:
            self.port = self._server.begin()
            if self._options.announce and self._announcement is None:
                self._announcement = Announcement(self._store.device, self._options.address, self.port)
        except OffloadError as error:
            self._put(Trouble("dock", str(error)))

    def _shut(self) -> None:
        if self._announcement is not None:
            self._announcement.close()
            self._announcement = None
        self._server.close()
        self.port = 0

    def _status(self) -> Mapping[str, object]:
        previous = self._store.previous
        return {
            "device": self._store.device.hex(),
            "closed_segment": previous.segment,
            "chain": previous.tip.chain.hex(),
            "utc_ns": max(0, self._clock.read().utc_ns),
            "policy_serial": self._serial,
        }

    def _policy(self, data: bytes) -> str:
        reading = self._clock.read()
        with self._lock:
            policy = self._keeper.offer(data, reading.utc_ns, clock_known=reading.synchronised)
            self._serial = policy.serial
        self._note("policy-taken", serial=policy.serial, digest=policy.digest.hex())
        return f"policy {policy.serial} is in force from the next start on"

    def _time(self, data: bytes) -> str:
        utc_ns = _fields(data, {"utc_ns"})["utc_ns"]
        if not isinstance(utc_ns, int) or isinstance(utc_ns, bool) or not _EARLIEST_NS <= utc_ns <= _LATEST_NS:
            raise RefusedError("the time is refused: it lies before this program was written, or a century ahead")
        if not isinstance(self._clock, ReferencedClock):
            raise RefusedError("the time is refused: this device's clock takes none")
        by_ns = self._clock.dock(utc_ns)
        self._note("dock-time", by_ms=by_ns // 1_000_000)
        return f"the clock was {abs(by_ns) / 1e9:.1f} s {'behind' if by_ns > 0 else 'ahead'}"

    def _assignment(self, data: bytes) -> str:
        officer = _fields(data, {"officer"})["officer"]
        if not isinstance(officer, str) or not _OFFICER.fullmatch(officer):
            raise RefusedError("the assignment is refused: it names no personnel number")
        try:
            replace_file(self._state / "assignment", officer.encode("ascii"), mode=0o600)
        except OSError as error:
            raise RefusedError(f"the assignment is not kept: {error.strerror}") from None
        self._note("assignment", officer=officer)
        return "taken"


def _fields(data: bytes, names: set[str]) -> dict[str, object]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise RefusedError("that is not JSON") from None
    if not isinstance(fields, dict) or fields.keys() != names:
        raise RefusedError(f"that does not hold exactly {', '.join(sorted(names))}")
    return fields
