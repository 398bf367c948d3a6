"""Asks a person for a password or a passphrase, or reads it from a file; it never stands in an argument."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from station.errors import StationError
from station.private_keys import Passphrases

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="A file with the private key's passphrase, which nobody else can read; otherwise you are asked.",
    ),
]
Passphrase = Annotated[bool, typer.Option("--passphrase", help="Encrypt the private key; you are asked with what.")]


def secret(prompt: str, file: Path | None = None) -> bytes:
    """Return what somebody types, or what stands in a file of theirs.

    Raises:
        StationError: others can read the file, or nobody is there to ask.
    """
    if file is None:
        if not sys.stdin.isatty():
            raise StationError(f"{prompt}: nobody is there to ask; give it in a file")
        try:
            return getpass.getpass(f"{prompt}: ").encode()
        except (EOFError, UnicodeError):
            raise StationError(f"{prompt}: nothing was typed that could be read") from None
    try:
        if file.stat().st_mode & 0o077:
            raise StationError(f"{file} can be read by others: chmod 600 {file}")
        return file.read_bytes().split(b"\n", 1)[0]
    except OSError as error:
        raise StationError(f"cannot read {file}: {error.strerror}") from None


def new_passphrase(prompt: str, file: Path | None, *, wanted: bool) -> bytes:
    """Return the passphrase of a key that is to be made: typed twice, from a file, or empty where none is wanted.

    Raises:
        StationError: as in `secret`; or what was typed twice is not the same, or empty.
    """
    if file is None and not wanted:
        return b""
    found = secret(prompt, file)
    if not found:
        raise StationError(f"{prompt}: it is empty")
    if file is None and secret(f"{prompt}, again") != found:
        raise StationError(f"{prompt}: typed differently the second time; nothing was written")
    return found


def passphrases(file: Path | None) -> Passphrases:
    """Return what opens private keys, asking a person or reading `file`."""
    return Passphrases(lambda prompt: secret(prompt, file))
