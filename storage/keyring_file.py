"""The keyring on flash: read, replaced whole, and erased as it ratchets on."""

from __future__ import annotations

import os
from pathlib import Path

from storage.durable import replace_file
from storage.errors import EnrolmentError, FormatError, StoreFailedError
from storage.keyfiles import encode_device_key
from storage.ratchet import Keyring, decode, enrol
from storage.signer import Signer

_NAME = "keyring"
_PUBLIC = "device.pub"


class KeyringFile:
    """The keyring in a device's state folder, mode 0600."""

    def __init__(self, state: Path) -> None:
        self._path = state / _NAME

    def load(self) -> Keyring:
        """Read the keyring.

        Raises:
            EnrolmentError: there is none, or it cannot be read.
        """
        try:
            return decode(self._path.read_bytes())
        except FileNotFoundError:
            raise EnrolmentError(f"this device is not enrolled: no keyring at {self._path}; enrol it first") from None
        except OSError as error:
            raise EnrolmentError(f"cannot read the keyring {self._path}: {error.strerror}") from None
        except FormatError as error:
            raise EnrolmentError(f"the keyring {self._path} is damaged ({error}); enrol the device anew") from None

    def save(self, keyring: Keyring) -> None:
        """Replace the keyring durably and overwrite the old one.

        Raises:
            StoreFailedError: the medium refused; the old keyring stands.
        """
        try:
            replace_file(self._path, keyring.encode(), erase_old=True)
        except OSError as error:
            raise StoreFailedError(f"cannot write the keyring {self._path}: {error.strerror}") from error


def is_enrolled(state: Path) -> bool:
    """Whether a keyring stands in `state`; whether it is sound shows when it is loaded."""
    return (state / _NAME).exists()


def enrol_device(state: Path, identity: Signer) -> bytes:
    """Make a device's keyring and `device.pub` in `state`; return the raw identity key.

    Raises:
        EnrolmentError: the device is enrolled already.
        StoreFailedError: the state folder cannot be written.
    """
    file = KeyringFile(state)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (state / _NAME).exists():
            raise EnrolmentError(f"this device is enrolled already: {state / _NAME} exists; its chain would end")
        replace_file(state / _PUBLIC, encode_device_key(identity.public), mode=0o644)
        os.chmod(state, 0o700)  # noqa: PTH101 - a folder made by others may be wider
    except OSError as error:
        raise StoreFailedError(f"cannot write the device's state in {state}: {error.strerror}") from error
    file.save(enrol(identity))
    return identity.public
