"""The files that make up the controller's program, and the digest that names them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from drivers.errors import DriverError

MANIFEST = "manifest"
STARTER = ("starter.py", "config.py", "main.py")
"""Beside the program; put on by USB only."""
MAX_FILE_BYTES = 32_768
MAX_FILES = 24
MAX_BYTES = 131_072
_NAME = re.compile(r"[a-z0-9_]{1,21}\.py")
_VERSION = re.compile(rb'^VERSION = "([0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2})"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Program:
    """A whole program."""

    version: str
    files: Mapping[str, bytes]
    """By name, in the order of the names."""

    @property
    def manifest(self) -> bytes:
        """As ``LC_ALL=C sha256sum *.py`` writes it."""
        lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in self.files.items())
        return "".join(lines).encode("ascii")

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, hexadecimal: the program's name."""
        return hashlib.sha256(self.manifest).hexdigest()

    @property
    def size_bytes(self) -> int:
        """All that is to be sent."""
        return sum(map(len, self.files.values())) + len(self.manifest)


def make_program(files: Mapping[str, bytes]) -> Program:
    """Make a program of its files.

    Raises:
        DriverError: a controller would not take it.
    """
    for name, data in files.items():
        if not _NAME.fullmatch(name) or name in STARTER or not 1 <= len(data) <= MAX_FILE_BYTES:
            raise DriverError(
                f"companion program: {name}: a controller takes no such file; a name has at most 21 small letters, "
                f"digits or _, and .py; a file has 1 to {MAX_FILE_BYTES} bytes"
            )
    if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_BYTES:
        raise DriverError(f"companion program: more than {MAX_FILES} files or {MAX_BYTES} bytes; leave something out")
    version = _VERSION.search(files.get("session.py", b""))
    if "program.py" not in files or version is None:
        raise DriverError("companion program: program.py, or the VERSION in session.py, is missing; take a whole one")
    return Program(version[1].decode("ascii"), MappingProxyType(dict(sorted(files.items()))))


def read_program(folder: Path) -> Program:
    """Read the program in a folder: every ``.py`` in it.

    Raises:
        DriverError: it cannot be read, or is none.
    """
    try:
        return make_program({path.name: path.read_bytes() for path in sorted(folder.glob("*.py"))})
    except OSError as error:
        raise DriverError(f"companion program: {folder} cannot be read ({error.strerror}); install it anew") from error


def read_starter(folder: Path) -> dict[str, bytes]:
    """Read what stands beside the program on a controller: `STARTER`.

    Raises:
        DriverError: it cannot be read.
    """
    try:
        return {name: (folder / name).read_bytes() for name in STARTER}
    except OSError as error:
        raise DriverError(f"companion program: {folder} cannot be read ({error.strerror}); install it anew") from error
