"""Where the identities of an image's devices are born (docs/SETTINGS.md, "Identity"), and what that takes.

A TPM is the usual one of a Pi: an Infineon SLB 9670, or one that talks as it does, on SPI 0 at chip select 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hardware.image.base import Release
from hardware.image.board import Board
from hardware.image.debs import Deb, Package
from hardware.image.errors import ImageError

SPI_PINS = frozenset({7, 8, 9, 10, 11})
"""BCM numbers that a TPM's `config_txt` takes: two chip selects, data in and out, clock. No board has a part there."""
_LIBRARY = "python3-tpm2-pytss"
_LEAST = (2, 1)
"""The release of it that `storage/signer_tpm.py` can use."""
_OLD_RELEASE = "bookworm"
_VERSION = re.compile(r"(?:\d+:)?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Identity:
    """One way, and its traces in an image."""

    name: str
    """As ``IDENTITY=`` names it."""
    uri: str
    """``[enrolment] identity`` of the devices' settings."""
    config_txt: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    """Kernel modules to be loaded before any service."""
    packages: frozenset[str] = frozenset()
    """Debian packages."""

    def check_release(self, release: Release) -> None:
        """Refuse a base whose own packages will not do, before anything is fetched.

        Raises:
            ImageError: they are too old.
        """
        if self.packages and release.codename == _OLD_RELEASE:
            raise ImageError(
                f"IDENTITY={self.name} needs {_LIBRARY} {_text(_LEAST)}, and {_OLD_RELEASE} has 1.2: take a base of "
                "a later release (trixie), or IDENTITY=memory"
            )

    def check_packages(self, there: Iterable[Package], debs: Iterable[Deb]) -> None:
        """Check that what goes in, or is in the base already, is of a version that the program can use.

        Raises:
            ImageError: it is not.
        """
        if not self.packages:
            return
        versions = {package.name: package.version for package in there} | {deb.name: deb.version for deb in debs}
        found = versions.get(_LIBRARY, "")
        match = _VERSION.match(found)
        if match is None or (int(match[1]), int(match[2])) < _LEAST:
            raise ImageError(f"IDENTITY={self.name} needs {_LIBRARY} {_text(_LEAST)} or newer, and here is {found!r}")


_ALL = {
    made.name: made
    for made in (
        Identity("memory", "memory:"),
        Identity(
            "tpm", "tpm:0x81100001", ("dtparam=spi=on", "dtoverlay=tpm-slb9670"), ("tpm_tis_spi",),
            frozenset({_LIBRARY}),
        ),
    )
}  # fmt: skip


def identity_named(name: str, board: Board) -> Identity:
    """Return the way that a name stands for, for that board.

    Raises:
        ImageError: there is none of that name, or the board cannot have it.
    """
    made = _ALL.get(name)
    if made is None:
        raise ImageError(f"identity {name!r} is not known: IDENTITY is one of {', '.join(_ALL)}")
    if made.config_txt and not board.hardware:
        raise ImageError(f"board {board.name!r} has no TPM: IDENTITY={name} is for a Pi")
    return made


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
