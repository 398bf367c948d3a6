"""Debian packages put into a root without running anything of them: unpacked, and on dpkg's record as *unpacked*.

What their scripts would do, this image does itself (users, enabled units) or does not need (compiled Python, caches).
``dpkg --configure -a`` on a root made writable would finish them.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import re
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hardware.image.entries import Entry, file, folder, link
from hardware.image.errors import ImageError

_LEFT_OUT = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/info/", "/usr/share/locale/", "/usr/share/lintian/")
_KEPT = "/copyright"
_MAX_BYTES = 300 * 1024 * 1024
_LIMIT_S = 300
_INFO = "/var/lib/dpkg/info"
_THERE = re.compile(r"\S+ ok (installed|unpacked|half-configured|triggers-awaited|triggers-pending)")
"""dpkg(1): in these states a package's files are there."""
_STATUS = "/var/lib/dpkg/status"


@dataclass(frozen=True, slots=True)
class Deb:
    """One package."""

    name: str
    version: str
    architecture: str
    filename: str
    digest: str
    """SHA-256, hexadecimal."""
    control: str
    members: tuple[tuple[str, bytes], ...]
    """The control files: name and content."""
    entries: tuple[Entry, ...]


def load_deb(path: Path) -> Deb:
    """Read a package.

    Raises:
        ImageError: it is none, is damaged, or is not for 64-bit ARM.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise ImageError(f"{path} is too large to be a package of ours")
    members = {
        posixpath.normpath(info.name): archive_read
        for info, archive_read in _members(path, "--ctrl-tarfile")
        if info.isfile()
    }
    control = members.get("control", b"").decode("utf-8", "replace")
    fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", control, re.MULTILINE))
    try:
        name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
    except KeyError as error:
        raise ImageError(f"{path} is no Debian package: it does not say its {error}") from None
    if architecture not in ("arm64", "all"):
        raise ImageError(f"{path} is for {architecture}, and a Pi is arm64")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Deb(
        name, version, architecture, path.name, digest, control, tuple(sorted(members.items())), tuple(_unpack(path))
    )  # fmt: skip


def _members(path: Path, which: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    try:
        done = subprocess.run(
            ["dpkg-deb", which, str(path)], capture_output=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"{path} cannot be unpacked: {error}") from None
    if done.returncode:
        raise ImageError(f"{path} is no Debian package, or damaged: remove it")
    try:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            for info in archive:
                content = archive.extractfile(info) if info.isfile() or info.islnk() else None
                yield info, content.read() if content is not None else b""
    except (tarfile.TarError, KeyError, OSError) as error:
        raise ImageError(f"{path} is damaged: {error}") from None


def _unpack(path: Path) -> Iterator[Entry]:
    for info, data in _members(path, "--fsys-tarfile"):
        where = posixpath.normpath(f"/{info.name}")
        if where == "/" or (where.startswith(_LEFT_OUT) and not where.endswith(_KEPT)) or f"{where}/" in _LEFT_OUT:
            continue
        mode = stat.S_IMODE(info.mode)
        if info.isdir():
            yield folder(where, mode, info.uid, info.gid)
        elif info.issym():
            yield link(where, info.linkname)
        elif info.isfile() or info.islnk():
            yield file(where, data, mode, info.uid, info.gid)
        else:
            raise ImageError(f"{path} holds a device or a pipe ({info.name}), which no package of ours does")


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One that is there."""

    name: str
    version: str
    architecture: str


def packages_of(status: str) -> list[Package]:
    """Return the packages that a dpkg status says are there, sorted."""
    found = set()
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", stanza, re.MULTILINE))
        if "Package" in fields and _THERE.fullmatch(fields.get("Status", "")):
            found.add(Package(fields["Package"], fields.get("Version", ""), fields.get("Architecture", "")))
    return sorted(found)


def package_entries(debs: Iterable[Deb], status: str) -> Iterator[Entry]:
    """Return all their files, and dpkg's record of them beside what `status`, the base's, says."""
    text = status.rstrip("\n") + "\n\n" if status.strip() else ""
    for deb in sorted(debs, key=lambda deb: deb.name):
        yield from deb.entries
        # A new version takes the place of an old one.
        text = re.sub(rf"^Package: {re.escape(deb.name)}\n(?:.+\n)*\n?", "", text, flags=re.MULTILINE)
        same = re.search(r"^Multi-Arch: same$", deb.control, re.MULTILINE)
        called = f"{deb.name}:{deb.architecture}" if same else deb.name
        for name, data in deb.members:
            if name != "control":
                yield file(f"{_INFO}/{called}.{name}", data, 0o755 if data.startswith(b"#!") else 0o644)
        yield file(f"{_INFO}/{called}.list", "/.\n" + "".join(f"{entry.path}\n" for entry in deb.entries))
        head, _, rest = deb.control.strip().partition("\n")
        text += f"{head}\nStatus: install ok unpacked\n{rest}\n\n"
    yield file(_STATUS, text)
