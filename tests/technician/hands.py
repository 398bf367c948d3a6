"""A person at a terminal: gives commands to a shell, answers what it asks, reads what it prints."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE_S = 180.0
_MARK = re.compile(r"\r?\n@@(\d+)@@\r?\n")


class Hands:
    """A shell at a pseudo-terminal. A context manager."""

    def __init__(self, folder: Path, env: Mapping[str, str], answers: Mapping[str, str]) -> None:
        """`answers`: what is typed when a line ends so (regular expressions)."""
        self._answers = [(re.compile(f"(?:{asked})$"), typed) for asked, typed in answers.items()]
        self.asked: list[str] = []
        self._main, other = pty.openpty()
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=folder, stdin=other, stdout=other, stderr=other,
            start_new_session=True, env={**env, "PS1": "", "PS2": "", "TERM": "dumb", "COLUMNS": "250"},
            preexec_fn=_own,
        )  # fmt: skip
        os.close(other)
        self.give("stty -echo -onlcr; bind 'set enable-bracketed-paste off' 2>/dev/null; PS1=; PS2=")

    def give(self, command: str) -> tuple[int, list[str]]:
        """Give a command; return its exit status and the lines that it printed, prompts and their answers included."""
        # One line: who asks for a password throws away what was typed ahead.
        os.write(self._main, f"{command}; printf '\\n@@%s@@\\n' $?\n".encode())
        said = ""
        unanswered = 0
        ends_s = time.monotonic() + PATIENCE_S
        while not (match := _MARK.search(said)):
            ready, _, _ = select.select([self._main], [], [], 1.0)
            if ready:
                said += os.read(self._main, 65_536).decode("utf-8", "replace").replace("\r", "")
            last = said[unanswered:].rsplit("\n", 1)[-1].rstrip()
            for asked, typed in self._answers:
                if last and asked.search(last):
                    self.asked.append(last)
                    os.write(self._main, typed.encode() + b"\n")
                    said += "\n"
                    unanswered = len(said)
                    break
            assert time.monotonic() < ends_s, f"{command}: still running after {PATIENCE_S:.0f} s:\n{said[-2000:]}"
        return int(match[1]), said[: match.start()].splitlines()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.kill()
        self._shell.wait(10)
        os.close(self._main)


def _own() -> None:
    """Make standard input the terminal of this session, where passwords are asked for."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
