"""Runs the built root's own Python by user-mode emulation, as if its root were this machine's (``qemu-aarch64 -L``).

What is not in that root is this machine's: the tests, put beside it, and a folder for what they write. Nothing is
mounted.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hardware.image import wheels
from hardware.image.disk import SECTOR_BYTES, parse_three
from tools.soak.arm.base import ArmError
from tools.soak.arm.card import run

HOME = "/opt/getuige"
_TESTERS = frozenset(
    {
        *("hypothesis", "iniconfig", "packaging", "pluggy", "pygments", "pytest", "pytest-timeout", "sortedcontainers"),
        # What the station's command line stands on, which some tests call.
        *("annotated-types", "pydantic", "pydantic-core", "typing-inspection"),
        *("alembic", "annotated-doc", "anyio", "argon2-cffi", "argon2-cffi-bindings", "click", "defusedxml"),
        *("fonttools", "fpdf2", "h11", "idna", "jinja2", "mako", "markdown-it-py", "markupsafe", "mdurl", "rich"),
        *("segno", "shellingham", "sqlalchemy", "starlette", "typer", "typing-extensions", "uvicorn"),
    }
)
_BESIDE = ("tests/storage", "tests/vectors", "tests/firmware", "station", "tools", "docs/FORMAT.md", "pyproject.toml")


def take_root(image: Path, root: Path) -> None:
    """Read the root partition's files out of an image.

    Raises:
        ArmError: they cannot be read.
    """
    with image.open("rb") as disk:
        part = parse_three(disk.read(SECTOR_BYTES))[1]
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    try:
        run(["debugfs", "-R", f"rdump / {root}", f"{image}?offset={part.start_bytes}"])
    except subprocess.SubprocessError as error:
        raise ArmError(f"the built root cannot be read: {error}") from error


class Guest:
    """The Python of a root, as a command of this machine."""

    def __init__(self, root: Path, work: Path, python: str) -> None:
        self.root = root
        self.work = work
        self._program = work / "python"
        emulator = shutil.which("qemu-aarch64-static")
        if emulator is None:
            raise ArmError("qemu-aarch64-static is missing: apt install qemu-user-static")
        self._emulator = emulator
        # Also what the tests start as sys.executable: a script, for the kernel here knows no such programs.
        text = (
            f"#!/bin/sh\nexport QEMU_CPU=cortex-a72\n"
            f'exec {emulator} -L {root} -0 {HOME}/.venv/bin/python {root}/usr/bin/python{python} "$@"\n'
        )
        self._program.write_text(text, "ascii")
        self._program.chmod(self._program.stat().st_mode | stat.S_IXUSR)

    @property
    def program(self) -> Path:
        """A command that is this Python."""
        return self._program

    def run(
        self, arguments: Sequence[str], *, cwd: Path, more: Mapping[str, str] | None = None, limit_s: float = 7200
    ) -> subprocess.CompletedProcess[str]:
        """Run it with the arguments; its output is kept."""
        return self._run([str(self._program), *arguments], cwd, more or {}, limit_s)

    def command(
        self, program: str, arguments: Sequence[str], *, cwd: Path, limit_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run another program of the root, named by its path there."""
        command = [self._emulator, "-L", str(self.root), str(self.root / program), *arguments]
        return self._run(command, cwd, {"QEMU_CPU": "cortex-a72"}, limit_s)

    def _run(
        self, command: list[str], cwd: Path, more: Mapping[str, str], limit_s: float
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ.get("PATH", ""), "HOME": str(self.work), "LC_ALL": "C.UTF-8", "TMPDIR": str(self.work),
            "PYTHONDONTWRITEBYTECODE": "1", **more,
        }  # fmt: skip
        return subprocess.run(
            ["nice", "-n", "5", *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False,
            timeout=limit_s,
        )  # fmt: skip


def put_beside(project: Path, beside: Path, root: Path, python: str, cache: Path) -> None:
    """Lay out what tests the device's program and does not belong on it: the tests, the station, pytest.

    The rooms of the device are the root's own; some tests look into them as files, by a link.
    """
    shutil.rmtree(beside, ignore_errors=True)
    for name in _BESIDE:
        source, target = project / name, beside / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (beside / "firmware").symlink_to(root / HOME.lstrip("/") / "firmware")
    wanted = [pin for pin in wheels.pins((project / "requirements" / "dev.lock").read_text("utf-8"), python)
              if pin.name in _TESTERS]  # fmt: skip
    wheels.fetch(wanted, python, cache)
    for wheel in wheels.load(wanted, python, cache):
        for name, data, _ in wheels.unpacked(wheel):
            path = beside / "site" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
