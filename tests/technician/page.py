"""docs/TECHNICIAN.md as a list of steps: commands to give, and what they print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "TECHNICIAN.md"
_FENCE = re.compile(r"^```(\w*)(?: (\w+))?$")
_COMMENT = re.compile(r"^<!-- walk: (.+) -->$")


@dataclass(frozen=True)
class Step:
    """`commands` are given one after another; `prints` is what the page says that they print, or None.

    A step with `happens` and without commands is something that a person does with their hands.
    """

    commands: tuple[str, ...] = ()
    prints: tuple[str, ...] | None = None
    values: bool = False
    """These are the reader's own to change."""
    happens: str = ""
    shown: tuple[str, ...] = ()
    """Lines of a block that is not for giving."""


def steps(text: str) -> list[Step]:
    """Read the page."""
    found: list[Step] = []
    fence, kind, lines = "", "", list[str]()
    for line in text.splitlines():
        if match := _FENCE.match(line):
            if not fence:
                fence, kind, lines = match[1] or "plain", match[2] or "", []
                continue
            if fence == "sh":
                found.append(Step(_commands(lines), values=kind == "values"))
            elif fence == "text" and kind != "plain":
                last = found.pop()
                assert last.commands, "what is printed stands under its commands"
                assert last.prints is None
                found.append(Step(last.commands, tuple(lines), last.values))
            else:
                found.append(Step(shown=tuple(lines)))
            fence = ""
        elif fence:
            lines.append(line)
        elif match := _COMMENT.match(line):
            found.append(Step(happens=match[1]))
    assert not fence
    return found


def _commands(lines: list[str]) -> tuple[str, ...]:
    return tuple(re.sub(r"\\\n", "", "\n".join(lines)).splitlines())


def unlike(said: list[str], prints: tuple[str, ...]) -> str:
    """Return the first line of the page that was not said, in order; an empty text if all were.

    ``…`` stands for any characters; a line that is ``…`` alone, for any lines.
    """
    at = 0
    for line in prints:
        if line.strip() == "…":
            continue
        pattern = re.compile(re.escape(line.strip()).replace("…", ".*"))
        for number in range(at, len(said)):
            if pattern.fullmatch(said[number].strip()):
                at = number + 1
                break
        else:
            return line
    return ""
