"""Faults of the medium, injected by strace into the real recorder: kills, errors, short writes, a slow card."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.inventory import SEGMENTS
from storage.layout import Kind
from storage.segment_report import verify_segment
from tools.soak.checking import BrokenPromiseError, check_store
from tools.soak.crash.points import Place, Subject
from tools.soak.crash.trace import run

_ERRORS = ("EIO", "ENOSPC", "EROFS", "EDQUOT")
_TARGETS = ("writev", "fdatasync", "fsync", "openat", "rename")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    name: str
    options: tuple[str, ...]
    """For strace."""
    survives: bool = False
    """The recorder is to go on to its end all the same."""
    writer: tuple[str, ...] = ()
    """For the writer."""


@dataclass(slots=True)
class Result:
    """What came of a fault."""

    fault: str
    said: str
    """What the recorder said of it, or how it ended."""
    reported: int
    """Chunks that had been reported durable."""
    broken: str = ""


def kills(base: Path, count: int, dice: random.Random) -> Iterator[Fault]:
    """Yield kills at the n-th call of each kind, on files of the store only."""
    highest = {"writev": 110, "fdatasync": 110, "fsync": 36, "openat": 30, "rename": 14, "pwrite64": 14, "unlink": 1}
    for _ in range(count):
        call = dice.choice(list(highest))
        when = dice.randint(1, highest[call])
        yield Fault(f"killed at {call} number {when}", _inject(base, call, f"signal=KILL:when={when}"))


def errors(base: Path, dice: random.Random, each: int = 1) -> Iterator[Fault]:
    """Yield every error at every kind of call: once, and from then on."""
    for call in _TARGETS:
        for error in _ERRORS:
            for _ in range(each):
                when = dice.randint(2, 12 if call in ("rename", "openat") else 30)
                for lasting in ("", "+"):
                    name = f"{error} from {call} number {when}{' on' if lasting else ''}"
                    yield Fault(name, _inject(base, call, f"error={error}:when={when}{lasting}"))


def slow(base: Path) -> Iterator[Fault]:
    """Yield a card whose sync pauses for two seconds now and then."""
    yield Fault(
        "a sync that takes 2 s, every twentieth time",
        _inject(base, "fdatasync", "delay_enter=2000000:when=10+20"),
        survives=True,
    )


def short(dice: random.Random) -> Iterator[Fault]:
    """Yield a write that is cut short, after which the medium takes no more: a limit on the length of files."""
    limit = dice.randint(3000, 40_000)
    yield Fault(
        f"a write cut short at byte {limit} of a file, then EFBIG",
        ("-e", "trace=none", "-o", "/dev/null"),
        writer=("--longest-file", str(limit)),
    )


def _inject(base: Path, call: str, what: str) -> tuple[str, ...]:
    # Only calls on these files: the interpreter opens and writes others.
    paths = [base / "flash" / SEGMENTS, base / "state", base / "flash"]
    segments = [base / "flash" / SEGMENTS / f"{number:010d}.seg" for number in range(1, 12)]
    files = [*paths, *segments, base / "state" / "keyring", base / "state" / "keyring.new"]
    given = [option for path in files for option in ("-P", str(path))]
    return (*given, "-e", f"trace={call}", "-e", f"inject={call}:{what}", "-o", "/dev/null")


def apply(work: Path, fault: Callable[[Path], Fault]) -> Result:
    """Let the recorder run into a fault in an empty folder `work`, and look at what is left.

    Raises:
        TraceError: the recorder cannot be traced.
    """
    subject = Subject.make(work / "subject")
    what = fault(subject.base)
    done = run(subject.base, what.options, *what.writer)
    reported: dict[Place, str] = {}
    said = f"ended by signal {-done.returncode}" if done.returncode < 0 else f"ended with status {done.returncode}"
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word == "D" and len(rest.split()) == 3:
            segment, chunk, chain = rest.split()
            reported[int(segment), int(chunk)] = chain
        elif word == "E":
            said = rest
        elif word == "K":
            said = "went on to its end"
    result = Result(what.name, said, len(reported))
    if "Traceback" in done.stderr:
        result.broken = f"a traceback: {done.stderr[-500:]}"
        return result
    try:
        if what.survives:
            _check_survived(subject, said)
        check_store(subject.base, subject.identity, subject.key, reported)
    except BrokenPromiseError as error:
        result.broken = str(error)
    return result


def _check_survived(subject: Subject, said: str) -> None:
    """No frame is lost: media follow one another without a hole, in every recording."""
    if said != "went on to its end":
        raise BrokenPromiseError(f"the recorder was to go on, and {said}")
    ends: dict[bytes, int] = {}
    for path in sorted((subject.base / "flash" / SEGMENTS).glob("*.seg")):
        for chunk in verify_segment(path, subject.identity, keep_chunks=True).chunks:
            header = chunk.header
            if header.kind != Kind.MEDIA:
                continue
            begin_ns = header.stamp.monotonic_ns
            if chunk.gaps or begin_ns != ends.get(header.place.recording, begin_ns):
                raise BrokenPromiseError(f"segment {header.place.segment} has a gap before chunk {header.chunk}")
            ends[header.place.recording] = begin_ns + header.stamp.duration_ns
