"""The device's own program: the rooms that belong on it, as they stand in the project at one commit."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardware.image.entries import Entry, file
from hardware.image.errors import ImageError

HOME = "/opt/getuige"
ROOMS = ("capture", "drivers", "firmware", "hardware/boards", "hardware/companion", "storage", "uplink", "wire")
"""What opens evidence (`station/`) is not among them, nor what only builds or tests."""
_MAKING = ("hardware", "requirements", "pyproject.toml")
"""What else an image is made by: units, rules, what is laid over the base, and the pins."""
_ALONE = ("LICENSE", "docs/SETTINGS.md", "docs/COMPANION.md", "docs/CONSOLE.md")


@dataclass(frozen=True, slots=True)
class Source:
    """Which state of the project it is."""

    folder: Path
    version: str
    commit: str
    """Hexadecimal; empty where the project is not in git."""
    changed: bool
    """Files that an image is made of, or by, differ from that commit."""
    commit_s: int
    """When it was made, seconds since 1970; 0 where that is not known."""


def source_of(folder: Path) -> Source:
    """Return what the project says about itself.

    Raises:
        ImageError: it is not the project, or git fails there.
    """
    try:
        version = str(tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        raise ImageError(f"{folder} is not the project: it has no pyproject.toml with a version") from None
    commit = (_git(folder, "rev-parse", "HEAD") or "").strip()
    if not commit:
        return Source(folder, version, "", changed=False, commit_s=0)
    # Files that git was not told of go into an image too, whatever this user's git shows.
    asked = ("status", "--porcelain", "--untracked-files=all", "--", *_paths(folder), *_MAKING)
    moment = _git(folder, "show", "--no-show-signature", "-s", "--format=%ct", "HEAD")
    status = _git(folder, *asked)
    if status is None or moment is None:
        raise ImageError(f"git does not say whether {folder} is as it was committed; does `git status` work there?")
    return Source(folder, version, commit, bool(status.strip()), int(moment))


def firmware_entries(source: Source) -> Iterator[Entry]:
    """Return its files.

    Raises:
        ImageError: a room is missing.
    """
    listed = _git(
        source.folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_paths(source.folder)
    )
    if source.commit and listed is None:
        raise ImageError(f"git does not say which files {source.folder} has; does `git status` work there?")
    if source.commit and listed:
        names = sorted(name for name in listed.split("\0") if name)
    else:
        names = sorted(_walk(source.folder))
    for room in ROOMS:
        if not any(name.startswith(f"{room}/") for name in names):
            raise ImageError(f"{source.folder} has no {room}/: it is not the whole project")
    for name in names:
        path = source.folder / name
        if path.is_symlink():
            raise ImageError(f"{path} is a link; the firmware has none")
        if path.is_file():
            yield file(f"{HOME}/{name}", path.read_bytes())
    yield file(
        f"{HOME}/VERSION", f"{source.version} {source.commit or 'unknown'}{' changed' if source.changed else ''}\n"
    )


def _paths(folder: Path) -> list[str]:
    return [name for name in (*ROOMS, *_ALONE) if (folder / name).exists()]


def _walk(folder: Path) -> Iterator[str]:
    for name in _paths(folder):
        path = folder / name
        if path.is_file():
            yield name
        for inner in path.rglob("*"):
            if inner.is_file() and "__pycache__" not in inner.parts:
                yield inner.relative_to(folder).as_posix()


def _git(folder: Path, *arguments: str) -> str | None:
    # None: not a repository, no git, or it fails.
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
