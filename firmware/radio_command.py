"""``python -m firmware radio``: tells the system whether the policy allows a radio, and which networks it may join.

A file stands for yes (hardware/systemd/getuige-radio.service). It is made only where a good policy of the device's own
unit allows live view and the unit gave it a network; whatever else there is, or is not, means no. The networks become
NetworkManager's profiles, in memory and root's alone, before the file is there; where it means no they go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from firmware.errors import EnrolError, FirmwareError
from firmware.networks import NetworksFile
from firmware.policy_keeper import PolicyKeeper
from firmware.settings import Settings
from firmware.wifi_profiles import PREFIX, SUFFIX, Identity, profiles
from storage.durable import write_all
from storage.errors import KeyFileError
from storage.keyfiles import device_id, load_device_key
from storage.keyring_file import is_enrolled
from storage.policy_fields import Live
from wire.networks import NONE, Networks


def tell_radio(settings: Settings, flag: Path, folder: Path, out: TextIO) -> int:
    """Make or remove the file and the profiles in `folder`, and say why; return exit status 0.

    Raises:
        FirmwareError: they can be neither made nor removed; then there is no file that says yes.
    """
    networks, why = _allowed(settings.store.state)
    try:
        flag.unlink(missing_ok=True)
        _put(folder, profiles(networks, Identity(_device(settings.store.state), settings.tls)))
        if networks:
            flag.touch(mode=0o644)
    except OSError as error:
        where = error.filename or flag
        raise FirmwareError(f"cannot tell the system about the radio at {where}: {error.strerror}") from None
    out.write(f"radio {'allowed' if networks else 'off'}: {why}\n")
    return 0


def _allowed(state: Path) -> tuple[Networks, str]:
    """Return the networks that may be joined, and why these or none."""
    if not is_enrolled(state):
        return NONE, "the device has no unit"
    kept = PolicyKeeper(state).load()
    if kept.policy is None:
        return NONE, kept.trouble
    live = kept.policy.recording.live
    says = f"the policy says live = {live.value}"
    if live is Live.OFF:
        return NONE, says
    try:
        networks = NetworksFile(state).load()
    except EnrolError as error:
        return NONE, str(error)
    if not networks:
        return NONE, f"{says}, and the unit gave this device no network (station enrol --networks)"
    return networks, f"{says}; networks: {len(networks.wifi)}"


def _device(state: Path) -> str:
    try:
        return device_id(load_device_key(state / "device.pub")).hex()
    except KeyFileError:
        return ""  # a network that asks for it refuses; the others are joined all the same


def _put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make ours in `folder` these files and no others, mode 0600 from the beginning."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
        path.unlink()
    for name, data in files.items():
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, [data])
        finally:
            os.close(fd)
