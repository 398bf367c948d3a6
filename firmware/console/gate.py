"""Whether somebody may ask what needs a technician: the credential is the unit's, in date, and signed for this device.

What time it is, a device may not know. The end of a credential is judged by the latest time that is known to have
been: the clock's, or one that the device has on record where that is later. So a clock that fell back to 1970 makes
nothing good again that is over. The beginning is judged only by a clock that the system keeps in step, so that a clock
that fell back locks nobody out. A clock that runs ahead refuses whatever is over by it: start the device anew, or have
its clock set.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.clock.protocol import Clock
from wire.answering import Asked
from wire.credential import Credential, check_signed
from wire.errors import CredentialError

_S = 1_000_000_000


class Gate:
    """Asks for the device's id, its unit and the times anew at each request: enrolment may change them."""

    def __init__(
        self,
        device: Callable[[], bytes | None],
        unit: Callable[[], bytes],
        on_record_ns: Callable[[], int],
        clock: Clock,
    ) -> None:
        """`device` is None before enrolment; `on_record_ns` is the latest time on record, ns since 1970."""
        self._device = device
        self._unit = unit
        self._on_record_ns = on_record_ns
        self._clock = clock

    def check(self, asked: Asked) -> Credential:
        """Return the credential of who asks.

        Raises:
            CredentialError: nobody who may.
            MessageError: what stands there is no credential.
            StorageError: the unit's key cannot be read.
        """
        device = self._device()
        if device is None:
            raise CredentialError("this device belongs to no unit, so nobody can ask that of it: enrol it first")
        reading = self._clock.read()
        latest_s = max(reading.utc_ns, self._on_record_ns()) // _S
        clock_s = reading.utc_ns // _S if reading.synchronised else None
        return check_signed(asked.ask, device, asked.challenge, self._unit(), latest_s, clock_s)
