"""``python -m firmware radio``: tells the system whether the unit's policy allows a radio.

A file stands for yes (hardware/systemd/getuige-radio.service). It is made only where a good policy of the device's own
unit allows live view; whatever else there is, or is not, means no.
"""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from firmware.errors import FirmwareError
from firmware.policy_keeper import PolicyKeeper
from storage.keyring_file import is_enrolled
from storage.policy_fields import Live


def tell_radio(state: Path, flag: Path, out: TextIO) -> int:
    """Make or remove the file, and say why; return exit status 0.

    Raises:
        FirmwareError: the file can be neither made nor removed.
    """
    allowed, why = _allowed(state)
    try:
        if allowed:
            flag.touch(mode=0o644)
        else:
            flag.unlink(missing_ok=True)
    except OSError as error:
        raise FirmwareError(f"cannot tell the system about the radio at {flag}: {error.strerror}") from None
    out.write(f"radio {'allowed' if allowed else 'off'}: {why}\n")
    return 0


def _allowed(state: Path) -> tuple[bool, str]:
    if not is_enrolled(state):
        return False, "the device has no unit"
    kept = PolicyKeeper(state).load()
    if kept.policy is None:
        return False, kept.trouble
    live = kept.policy.recording.live
    return live is not Live.OFF, f"the policy says live = {live.value}"
