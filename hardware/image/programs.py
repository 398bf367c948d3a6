"""Runs the programs that an image is made with: in one locale, one time zone and one moment, whatever the machine's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hardware.image.errors import ImageError

PACKAGES: Mapping[str, str] = {
    "debugfs": "e2fsprogs", "e2fsck": "e2fsprogs", "mkfs.ext4": "e2fsprogs", "resize2fs": "e2fsprogs",
    "qemu-aarch64-static": "qemu-user-static",
    "mcopy": "mtools", "mdel": "mtools", "mtype": "mtools", "fsck.vfat": "dosfstools", "dpkg-deb": "dpkg",
}  # fmt: skip
"""Program and the Debian package that has it."""
_LIMIT_S = 1800


def require(programs: Mapping[str, str] = PACKAGES) -> None:
    """See that all of them are there.

    Raises:
        ImageError: some are missing; the text is the line that installs them.
    """
    missing = sorted({package for program, package in programs.items() if _find(program) is None})
    if missing:
        raise ImageError(f"programs are missing on this machine: apt install {' '.join(missing)}")


def versions(epoch_s: int, *, compiled: bool) -> dict[str, str]:
    """Return the versions of those that lay out an image's bytes, as they say them."""
    asked = {"e2fsprogs": ["mkfs.ext4", "-V"], "mtools": ["mcopy", "-V"]}
    if compiled:
        asked["qemu"] = ["qemu-aarch64-static", "--version"]
    found = {}
    for name, command in asked.items():
        done = run(command, epoch_s, ok=tuple(range(256)))
        number = re.search(rb"\d+\.\d[\w.+-]*", done.stdout + done.stderr)
        found[name] = number[0].decode("ascii") if number else "unknown"
    return found


def run(
    command: Sequence[str | Path], epoch_s: int, *, ok: tuple[int, ...] = (0,), more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run one, at the moment `epoch_s` (seconds since 1970, UTC).

    Raises:
        ImageError: it is not there, takes longer than half an hour, or its exit status is not one of `ok`.
    """
    name = str(command[0])
    program = _find(name)
    if program is None:
        raise ImageError(f"{name} is missing on this machine: apt install {PACKAGES.get(name, name)}")
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TZ": "UTC", "SOURCE_DATE_EPOCH": str(epoch_s),
        "E2FSPROGS_FAKE_TIME": str(epoch_s), "MKE2FS_CONFIG": "/dev/null", "MTOOLSRC": "/dev/null",
        **(more or {}),
    }  # fmt: skip
    try:
        done = subprocess.run(
            [program, *map(str, command[1:])], capture_output=True, env=environment, timeout=_LIMIT_S,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"{name} could not be run: {error}") from None
    if done.returncode not in ok:
        raise ImageError(f"{name} failed (status {done.returncode}): {last_line(done.stderr or done.stdout)}")
    return done


def last_line(output: bytes) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")
