"""Which devices are the unit's: a folder of their public identity keys, ``*.pub``, read anew when it changes."""

from __future__ import annotations

from pathlib import Path

from station.errors import StationError
from storage.errors import KeyFileError
from storage.keyfiles import device_id, load_device_key


class DeviceRegister:
    """Enrolled devices. A key that is taken out of the folder is a device that is no longer taken from."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            StationError: it cannot be read.
        """
        self._folder = folder
        self._stamp: tuple[tuple[str, int, int], ...] | None = None
        self._keys: dict[bytes, bytes] = {}
        self.troubles: tuple[str, ...] = ()
        self.refresh()

    def identity(self, device: bytes) -> bytes | None:
        """Return the raw public identity key of a device, or None if it is not enrolled."""
        return self._keys.get(device)

    @property
    def devices(self) -> tuple[bytes, ...]:
        """The ids of all."""
        return tuple(self._keys)

    def refresh(self) -> None:
        """Read the folder if it changed. Errors as in the constructor."""
        try:
            if not self._folder.is_dir():
                raise StationError(f"{self._folder} is no folder of devices' public keys")
            paths = sorted(self._folder.glob("*.pub"))
            stamp = tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
        except OSError as error:
            raise StationError(f"cannot read the devices' keys in {self._folder}: {error.strerror}") from None
        if stamp == self._stamp:
            return
        keys, troubles = {}, []
        for path in paths:
            try:
                identity = load_device_key(path)
            except KeyFileError as error:
                troubles.append(str(error))
            else:
                keys[device_id(identity)] = identity
        self._stamp, self._keys, self.troubles = stamp, keys, tuple(troubles)
