"""Installs the programs that a long test needs and this machine lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping


class AptError(Exception):
    """They cannot be installed; the text says which."""


def which(program: str) -> str | None:
    """Return where a program is; Debian keeps some where a user's own PATH does not look."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def install(programs: Mapping[str, str], who: str) -> None:
    """Install the packages of those `programs` (program: package) that are missing; `who` says so.

    Raises:
        AptError: apt refuses, or there is none.
    """
    missing = sorted({package for program, package in programs.items() if which(program) is None})
    if not missing:
        return
    sys.stderr.write(f"{who}: installing {', '.join(missing)} with apt\n")
    command = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid():
        command.insert(0, "sudo")
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise AptError(f"cannot install {', '.join(missing)}: {error}") from error
