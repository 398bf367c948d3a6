"""From a request to its handler, past the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from capture.errors import CaptureError
from drivers.errors import DriverError
from firmware.console.handler import Access, Handler
from firmware.errors import FirmwareError
from storage.errors import StorageError
from wire.answering import Asked, Reply
from wire.credential import Credential
from wire.errors import RefusedError


class Checks(Protocol):
    """`firmware.console.gate.Gate`."""

    def check(self, asked: Asked) -> Credential:
        """Return the credential of who asks, or raise `CredentialError`."""
        ...


class Dispatcher:
    """Takes whatever `wire.answering` hands on."""

    def __init__(
        self,
        handlers: Iterable[Handler],
        gate: Checks,
        on_record: Callable[[Credential, Asked], None] = lambda who, asked: None,  # noqa: ARG005
    ) -> None:
        """`on_record` is told what a technician asks before it is done."""
        self._handlers: dict[str, Handler] = {}
        for handler in handlers:
            if handler.verb in self._handlers:
                raise ValueError(f"two handlers for {handler.verb}")
            self._handlers[handler.verb] = handler
        self._gate = gate
        self._on_record = on_record

    def handle(self, asked: Asked) -> Reply:
        """Do what is asked.

        Raises:
            WireError: refused, failed, or not understood.
        """
        handler = self._handlers.get(asked.ask.verb)
        if handler is None:
            raise RefusedError("no-verb", f"this device cannot {asked.ask.verb}: has it an older firmware?")
        try:
            if handler.access is not Access.OPEN:
                self._on_record(self._gate.check(asked), asked)
            return handler.handle(asked)
        except (FirmwareError, StorageError) as error:
            # What a medium or a part refused may be mended, and tried again; a decision stands.
            code = "failed" if isinstance(error.__cause__, OSError) else "refused"
            raise RefusedError(code, str(error)) from None
        except (DriverError, CaptureError) as error:
            raise RefusedError("failed", str(error)) from None
        except OSError as error:
            raise RefusedError("failed", f"{handler.verb}: {error.strerror or error}") from None
