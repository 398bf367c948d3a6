"""The base image: opened, checked to be a Raspberry Pi OS Lite for 64 bit, and never changed."""

from __future__ import annotations

import hashlib
import lzma
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from hardware.image.disk import Partition, parse_table
from hardware.image.errors import ImageError
from hardware.image.ext4 import Ext4
from hardware.image.fat import Fat, check_fat

_XZ = b"\xfd7zXZ\0"
_CHUNK_BYTES = 4 * 1024 * 1024
_MAX_BYTES = 32 * 1024**3
_ELF_AARCH64 = 183
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""The releases that are known, and each one's Python."""
_VENDOR = "/etc/rpi-issue"


@dataclass(frozen=True, slots=True)
class Base:
    """What a base image turned out to be."""

    digest: str
    """SHA-256 of the file as it was given, hexadecimal."""
    size_bytes: int
    """Of the image in it."""
    boot: Partition
    root: Partition


@dataclass(frozen=True, slots=True)
class Release:
    """What its root says about itself."""

    codename: str
    python: str
    """Such as ``3.13``."""
    raspberry: bool
    """It is Raspberry Pi OS, and not plain Debian."""
    description: str


def unpack(path: Path, target: Path) -> tuple[str, int]:
    """Copy the image, unpacking xz; return the file's SHA-256 and the image's size.

    Raises:
        ImageError: it cannot be read, is empty, cut short, or larger than any base image.
    """
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as source, target.open("wb") as out:
            head = source.read(len(_XZ))
            source.seek(0)
            unxz = lzma.LZMADecompressor() if head == _XZ else None
            while block := source.read(_CHUNK_BYTES):
                digest.update(block)
                data = block
                if unxz is not None:
                    data = unxz.decompress(block)
                size += len(data)
                if size > _MAX_BYTES:
                    raise ImageError(f"{path} holds more than {_MAX_BYTES >> 30} GiB: it is not a base image")
                if data.strip(b"\0"):
                    out.write(data)
                else:
                    out.seek(len(data), 1)
            out.truncate(size)
    except OSError as error:
        raise ImageError(f"cannot copy the base image {path}: {error.strerror}") from None
    except (lzma.LZMAError, EOFError):
        raise ImageError(f"{path} is damaged: it does not unpack; fetch it again") from None
    if unxz is not None and not unxz.eof:
        raise ImageError(f"{path} is cut short: it does not unpack to its end; fetch it again")
    if not size:
        raise ImageError(f"{path} is empty")
    return digest.hexdigest(), size


def look_at(image: Path, digest: str, size_bytes: int, name: str, epoch_s: int) -> Base:
    """Check partition table and boot partition of an unpacked image.

    Raises:
        ImageError: it is no image of Raspberry Pi OS Lite; `name` says which file.
    """
    with image.open("rb") as disk:
        boot, root = parse_table(disk.read(512), size_bytes, name)
    check_fat(image, boot.start_bytes, boot.size_bytes, epoch_s, name)
    fat = Fat(image, boot.start_bytes, epoch_s)
    for wanted in ("config.txt", "cmdline.txt"):
        if fat.read(wanted) is None:
            raise ImageError(f"{name} is not Raspberry Pi OS: there is no {wanted} on its boot partition")
    return Base(digest, size_bytes, boot, root)


def release_of(root: Ext4, name: str) -> Release:
    """Return what is installed there.

    Raises:
        ImageError: another system, another processor, a release that is not known, or no Python.
    """
    raw = root.read("/etc/os-release")
    if raw is None:
        raise ImageError(f"{name} is not Raspberry Pi OS: there is no /etc/os-release in it")
    fields: dict[str, str] = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', raw.decode("utf-8", "replace"), re.MULTILINE))
    codename = fields.get("VERSION_CODENAME", "")
    python = PYTHONS.get(codename)
    if fields.get("ID") not in ("debian", "raspbian") or python is None:
        known = ", ".join(PYTHONS)
        raise ImageError(
            f"{name} holds {fields.get('PRETTY_NAME', 'something else')}: take {known}, Raspberry Pi OS Lite"
        )
    path = root.resolve("/usr/bin/python3")
    program = root.read(path)
    if program is None:
        raise ImageError(f"{name} has no Python (/usr/bin/python3): take Raspberry Pi OS Lite")
    machine = struct.unpack_from("<H", program, 18)[0] if len(program) >= 20 else 0
    if program[:5] != b"\x7fELF\x02" or machine != _ELF_AARCH64:
        raise ImageError(f"{name} is not for 64-bit ARM: take Raspberry Pi OS Lite (64-bit)")
    if path != f"/usr/bin/python{python}":
        raise ImageError(
            f"{name}: its Python is {Path(path).name}, and {codename} has python{python}; take it unchanged"
        )
    issue = root.read(_VENDOR)
    if issue is not None and b"stage4" in issue:
        raise ImageError(f"{name} has a desktop, which has no place on a device: take Raspberry Pi OS Lite")
    return Release(codename, python, issue is not None, fields.get("PRETTY_NAME", codename))
