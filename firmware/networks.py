"""The networks that the unit gave this device, in the state folder: ``networks``, mode 0600 (docs/ENROL.md).

It holds passphrases: whoever has the card has them. It is read at a start, by the recorder for the broker and by
`firmware.radio_command`, as root, for the system; so what stands there is taken for hostile.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from firmware.errors import EnrolError
from firmware.settings import LiveOptions
from storage.durable import replace_file
from wire.errors import MessageError
from wire.networks import MOST_TEXT_BYTES, NONE, Networks, parse_networks

_AGAIN = "enrol the device again, with its networks (station enrol --again --networks)"


class NetworksFile:
    """The file."""

    def __init__(self, state: Path) -> None:
        self._path = state / "networks"

    def load(self) -> Networks:
        """Return them; `NONE` where none were given.

        Raises:
            EnrolError: they are damaged, or cannot be read.
        """
        try:
            # Neither a link nor a pipe: who owns the folder is not to lead root astray.
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                text = os.read(fd, MOST_TEXT_BYTES + 1) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
            finally:
                os.close(fd)
        except FileNotFoundError:
            return NONE
        except OSError as error:
            raise EnrolError(f"cannot read {self._path}: {error.strerror}; {_AGAIN}") from None
        try:
            return parse_networks(text)
        except MessageError:
            raise EnrolError(f"{self._path} is damaged; {_AGAIN}") from None

    def save(self, networks: Networks) -> None:
        """Keep them, durably; what was there before is overwritten.

        Raises:
            OSError: the medium refused; the old ones stand.
        """
        # An enrolment that was cut may have left the one that was being written.
        if networks or self._path.exists() or self._path.with_name("networks.new").exists():
            replace_file(self._path, networks.encode(), erase_old=True)


def with_broker(live: LiveOptions, networks: Networks) -> LiveOptions:
    """Return the settings for live view with the unit's broker, unless they name one themselves, as on a bench."""
    return live if live.host or not networks else replace(live, host=networks.host, port=networks.port)
