"""The errors of the storage room. No other exception type leaves its public functions on bad input."""

from __future__ import annotations


class StorageError(Exception):
    """Root of all errors here. The text is one line: what, where, and what to do."""


class FormatError(StorageError):
    """Bytes that are not what docs/FORMAT.md says. Never leaves the verifier: it becomes part of the verdict."""


class ForeignError(FormatError):
    """Bytes that are not of this format at all, in any version."""


class UnsignedError(FormatError):
    """A segment of this format that carries no signature at all."""


class InputError(StorageError):
    """What was given to verify or export is not there, cannot be read, or holds no segment."""


class KeyFileError(StorageError):
    """A key file is missing, unreadable, or not the key that was asked for."""


class TpmError(KeyFileError):
    """The TPM, or the key in it, cannot be used."""


class EnrolmentError(StorageError):
    """The device has no signing keys, or already has some."""


class StoreError(StorageError):
    """The store cannot be used: not a store, in use by another recorder, or its state contradicts the flash."""


class UnsoundError(StoreError):
    """A segment is not what it should be. It is left for people to look at; nothing is wrong with the medium."""


class StoreFullError(StoreError):
    """No room is left for more evidence. What was written stays; nothing is overwritten."""


class StoreFailedError(StoreError):
    """The medium refused a write or a sync. What was not reported durable must be taken as lost."""


class PolicyError(StorageError):
    """A unit policy is refused, or cannot be kept: not signed by the unit, malformed, out of date, or replayed."""


class ReceiptError(StorageError):
    """A station's receipt destroys nothing: it is malformed, forged, foreign, or for something else."""
