"""Chooses which of two programs runs, and never runs half a one. An update over the line leaves this file alone.

A program is a folder, `a` or `b`, with its files and a `manifest`: a line for each file, its SHA-256 in hexadecimal,
two spaces, its name, in the order of the names, as sha256sum(1) writes it. The SHA-256 of the manifest is the
program's digest. `choice` names the folder that runs; `trial` names one that may run once.
"""

import binascii
import hashlib
import os

SLOTS = ("a", "b")
MANIFEST = "manifest"
PROGRAM = b"program.py"
_HASH = 64


def hash_file(path: str) -> str:
    """Return a file's SHA-256 in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    seen = hashlib.sha256()
    kept = bytearray(512)
    window = memoryview(kept)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(kept)
            if not count:
                return binascii.hexlify(seen.digest()).decode()
            seen.update(window[:count])


def names_in(slot: str) -> dict:
    """Return what a program's manifest says: names and SHA-256, as bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none.
    """
    found = {}
    with open(slot + "/" + MANIFEST, "rb") as file:
        for line in file:
            if len(line) < _HASH + 4 or line[_HASH : _HASH + 2] != b"  " or line[-1:] != b"\n":
                raise ValueError("manifest")
            found[line[_HASH + 2 : -1]] = line[:_HASH]
    return found


def digest_of(slot: str):
    """Return the digest of the program in a folder; None where it is not whole."""
    try:
        names = names_in(slot)
        for name, expected in names.items():
            if hash_file(slot + "/" + name.decode()).encode() != expected:
                return None
        return hash_file(slot + "/" + MANIFEST) if PROGRAM in names else None
    except (OSError, ValueError):
        return None


def put(name: str, text: str) -> None:
    """Write a small file so that after a power cut the old or the new text is there.

    Raises:
        OSError: the flash refused.
    """
    with open("new", "w") as file:
        file.write(text)
    os.rename("new", name)


def word_in(name: str) -> str:
    """Return what a small file says; an empty text where there is none."""
    try:
        with open(name, "rb") as file:
            return file.read(16).decode().strip()
    except (OSError, ValueError):
        return ""


def choose():
    """Return what is to run: its folder, its digest, and whether it is on trial. None: there is nothing whole.

    A trial is forgotten before it begins: whatever ends it, the program that was there before runs next.

    Raises:
        OSError: the flash refused.
    """
    trial = word_in("trial")
    if trial:
        os.remove("trial")
        digest = digest_of(trial) if trial in SLOTS else None
        if digest:
            return trial, digest, True
    choice = word_in("choice")
    for slot in (choice,) + SLOTS:  # noqa: RUF005 - MicroPython unpacks in calls only
        digest = digest_of(slot) if slot in SLOTS else None
        if digest:
            return slot, digest, False
    return None
