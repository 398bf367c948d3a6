"""What a process wrote, in order, from a system call trace by strace. Parsing is pure; `record` runs the process."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "openat,write,writev,pwrite64,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,"
    "ftruncate,fallocate,link,linkat"
)
"""All that changes what a disk holds. A call of another name would be missed: the writer uses none."""
_PATIENCE_S = 120
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_RETURNED = re.compile(r"\s= (-?\d+)(?:<.*?>(?:\(deleted\))?)?(?: [A-Z]+ \(.*\))?(?: \(INJECTED\))?(?: \(DELAYED\))?$")
_SPLIT = re.compile(r"^<\.\.\. (\w+) resumed>")


class TraceError(Exception):
    """The process cannot be traced, or did something that the model does not know."""


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that succeeded."""

    name: str
    paths: tuple[str, ...] = ()
    """Absolute; for calls on a descriptor that one's path as it was opened."""
    fd: int = -1
    data: bytes = b""
    offset: int = 0
    """Of a positioned write; of fallocate."""
    size: int = 0
    """What was written, or the new length."""
    flags: str = ""


def parse(lines: Iterable[str]) -> Iterator[Call]:
    """Yield the calls that succeeded, in the order in which they returned."""
    waiting: dict[str, str] = {}
    for line in lines:
        pid, _, rest = line.rstrip("\n").partition(" ")
        rest = rest.lstrip()
        if rest.endswith("<unfinished ...>"):
            waiting[pid] = rest.removesuffix("<unfinished ...>")
            continue
        if found := _SPLIT.match(rest):
            rest = waiting.pop(pid, f"{found[1]}(") + rest[found.end() :]
        call = _call(rest)
        if call is not None:
            yield call


def _call(text: str) -> Call | None:
    returned = _RETURNED.search(text)
    name, opened, arguments = text.partition("(")
    if not opened or returned is None or int(returned[1]) < 0:
        return None
    value = int(returned[1])
    texts = [bytes.fromhex(item.replace("\\x", "")) for item in _TEXT.findall(arguments)]
    fd = int(arguments.split("<", 1)[0]) if arguments[:1].isdigit() else -1
    match name:
        case "openat":
            flags = text[: returned.start()].rsplit('"', 1)[-1]
            return Call(name, (texts[0].decode(),), value, flags=flags)
        case "write" | "writev":
            return Call(name, fd=fd, data=b"".join(texts)[:value], size=value)
        case "pwrite64" | "pwritev":
            offset = int(arguments[: returned.start() - len(name) - 1].rstrip(")").rsplit(",", 1)[1])
            return Call(name, fd=fd, data=b"".join(texts)[:value], offset=offset, size=value)
        case "fsync" | "fdatasync":
            return Call(name, fd=fd)
        case "ftruncate":
            return Call(name, fd=fd, size=int(arguments.split(",")[1].split(")")[0]))
        case "fallocate":
            _, mode, offset_text, size = arguments[: returned.start() - len(name) - 1].rstrip(")").split(",")[-4:]
            return Call(name, fd=fd, offset=int(offset_text), size=int(size), flags=mode.strip())
        case "rename" | "unlink" | "mkdir":
            return Call(name, tuple(item.decode() for item in texts))
    raise TraceError(f"{name}: the model of the disk does not know this call")


def strace() -> str:
    """Return the tracer's path.

    Raises:
        TraceError: there is none.
    """
    found = shutil.which("strace")
    if found is None:
        raise TraceError("strace is not installed: apt install strace")
    return found


def record(folder: Path, trace: Path, *more: str) -> list[Call]:
    """Run the writer on `folder` under the tracer, and return what it did.

    Raises:
        TraceError: it did not come to its end.
    """
    done = run(folder, ["-xx", "-y", "-s", "10000000", "-o", str(trace), "-e", f"trace={CALLS}"], *more)
    if done.returncode or not done.stdout.endswith("K\n"):
        raise TraceError(f"the traced recorder did not come to its end: {done.stdout[-300:]} {done.stderr[-300:]}")
    with trace.open(encoding="ascii") as lines:
        return list(parse(lines))


def run(folder: Path, options: Sequence[str], *more: str) -> subprocess.CompletedProcess[str]:
    """Run the writer on `folder` under strace with these options."""
    return subprocess.run(
        [strace(), "-f", "-qq", *options, sys.executable, "-B", "-m", "tools.soak.crash.writer", str(folder), *more],
        capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
    )  # fmt: skip
