"""Finds and fetches the Debian packages that a base lacks: with this machine's apt, the base's own archives and keys.

apt runs as if it were the base's, in folders of its own; nothing of this machine's apt is used or changed but the
programs and its way out (proxies). Signatures are checked with the keys that the base holds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from hardware.image.debs import Package
from hardware.image.errors import ImageError
from hardware.image.ext4 import Ext4

WANTED = ("nftables", "polkitd", "rfkill", "iproute2")
"""What every image has."""
ON_A_PI = (
    "libcamera-ipa", "python3-libcamera", "python3-lgpio", "python3-pidng", "python3-prctl", "python3-pyaudio",
)  # fmt: skip
"""What only a Pi has or needs: what `requirements/device.lock` has no wheels of, and libcamera."""
_SOURCES = ("/etc/apt/sources.list",)
_SOURCE_FOLDERS = ("/etc/apt/sources.list.d",)
_KEY_FOLDERS = ("/etc/apt/trusted.gpg.d", "/usr/share/keyrings", "/etc/apt/keyrings")
_PREFERENCES = ("/etc/apt/preferences", "/etc/apt/preferences.d")
_STATUS = "/var/lib/dpkg/status"
_LIMIT_S = 3600


def fetch(root: Ext4, wanted: Iterable[str], folder: Path) -> None:
    """Fetch what is wanted and all that it depends on, as far as the base has it not, into `folder`, which is new.

    Raises:
        ImageError: an archive cannot be reached, is not signed by a key of the base, or has no such package.
    """
    if shutil.which("apt-get") is None:
        raise ImageError("this machine has no apt-get: make images on Debian or Raspberry Pi OS, or give --debs")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as held:
        place = Path(held).resolve()
        options = _lay_out(root, place)
        _apt(place, [*options, "update"], "the base's package lists could not be fetched")
        _apt(
            place,
            [*options, "--yes", "--no-install-recommends", "--download-only", "install", *sorted(wanted)],
            "the packages could not be fetched",
        )
        ready = place / "ready"
        ready.mkdir()
        for path in (place / "cache" / "archives").glob("*.deb"):
            path.replace(ready / path.name.replace("%3a", "_"))
        ready.replace(folder)


def lacking(there: Iterable[Package], wanted: Iterable[str]) -> list[str]:
    """Return those that are not there."""
    return sorted(set(wanted) - {package.name for package in there})


def _lay_out(root: Ext4, place: Path) -> list[str]:
    for name in ("state/lists/partial", "cache/archives/partial", "etc/sources", "etc/keys", "etc/preferences"):
        (place / name).mkdir(parents=True)
    (place / "state" / "status").write_bytes(root.read(_STATUS) or b"")
    keys = _keys(root, place / "etc" / "keys")
    listed = [(path, root.read(path)) for path in _SOURCES]
    for folder in _SOURCE_FOLDERS:
        listed += [(f"{folder}/{name}", root.read(f"{folder}/{name}")) for name in root.names(folder)]
    count = 0
    for path, data in listed:
        if data and path.endswith((".list", ".sources")):
            text = data.decode("utf-8", "replace")
            for old, new in keys.items():
                text = text.replace(old, new)
            (place / "etc" / "sources" / Path(path).name).write_text(text, "utf-8")
            count += 1
    if not count:
        raise ImageError("the base names no package archive (/etc/apt/sources.list): give --debs")
    for path in _PREFERENCES:
        for number, name in enumerate(root.names(path) or [""]):
            if (data := root.read(f"{path}/{name}".rstrip("/"))) is not None:
                (place / "etc" / "preferences" / f"{number}-{name or 'main'}").write_bytes(data)
    given = {
        "Dir::State": place / "state", "Dir::State::status": place / "state" / "status", "Dir::Cache": place / "cache",
        "Dir::Etc::SourceList": "/dev/null", "Dir::Etc::SourceParts": place / "etc" / "sources",
        "Dir::Etc::TrustedParts": place / "etc" / "keys", "Dir::Etc::Trusted": "/dev/null",
        "Dir::Etc::PreferencesParts": place / "etc" / "preferences", "Dir::Etc::Preferences": "/dev/null",
        "APT::Architecture": "arm64", "APT::Architectures::": "arm64", "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "", "Acquire::Languages": "none", "Debug::NoLocking": "true",
    }  # fmt: skip
    return [f"--option={key}={value}" for key, value in given.items()]


def _keys(root: Ext4, folder: Path) -> dict[str, str]:
    """Copy the base's keys; return where each is now, by where it was."""
    moved = {}
    for where in _KEY_FOLDERS:
        for name in root.names(where):
            data = root.read(f"{where}/{name}")
            if data is None or not name.endswith((".gpg", ".asc", ".pgp")):
                continue
            # Older versions of apt know these two endings alone.
            kind = "asc" if data.startswith(b"-----BEGIN") else "gpg"
            copy = folder / f"{where.strip('/').replace('/', '-')}-{Path(name).stem}.{kind}"
            copy.write_bytes(data)
            moved[f"{where}/{name}"] = str(copy)
    # The longest first: a path may be the beginning of another.
    return dict(sorted(moved.items(), key=lambda pair: -len(pair[0])))


def _apt(place: Path, arguments: list[str], trouble: str) -> None:
    environment = dict(os.environ, LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive", TMPDIR=str(place))
    try:
        done = subprocess.run(
            ["apt-get", "-q", "-q", *arguments], capture_output=True, text=True, timeout=_LIMIT_S, env=environment,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"{trouble}: {error}") from None
    said = [re.sub(r"^[EW]: ", "", line) for line in done.stderr.splitlines() if line.startswith(("E:", "W:", "Err:"))]
    if done.returncode or any("Failed to fetch" in line for line in said):
        raise ImageError(f"{trouble}: {said[0][:300] if said else 'apt-get said nothing'}")
