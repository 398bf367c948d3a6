"""Every crash point of one traced recording: each call, and each thing that a disk may hold just after it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from station.keys import StationKey
from storage.inventory import SEGMENTS
from storage.keyring_file import enrol_device
from storage.layout import Kind
from storage.segment_report import verify_segment
from storage.signer import MemorySigner
from tools.soak.checking import BrokenPromiseError, check_store
from tools.soak.crash.model import Disk, Snapshot
from tools.soak.crash.trace import Call, record

Place = tuple[int, int]


@dataclass(slots=True)
class Tally:
    """What was looked at, for one kind of state."""

    states: int = 0
    torn: int = 0
    """States in which something had to be set aside."""


@dataclass(slots=True)
class Outcome:
    """What came of all of them."""

    calls: int = 0
    """Write-side system calls on the store and the state folder."""
    points: int = 0
    """States of the disk that were looked at."""
    kinds: dict[str, Tally] = field(default_factory=dict)
    worst_loss_s: float = 0.0
    """Footage that was captured, and not durable when the power went, at most."""
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Subject:
    """A recorder's folder and what opens it."""

    base: Path
    key: StationKey
    identity: bytes

    @classmethod
    def make(cls, base: Path) -> Subject:
        """Enrol a device in an empty folder."""
        base.mkdir(parents=True)
        key = StationKey.generate(hybrid=False)
        (base / "recipient").write_bytes(key.recipient.raw)
        return cls(base, key, enrol_device(base / "state", MemorySigner.generate()))


def snapshot(folder: Path) -> Snapshot:
    """Read every file in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def lay_out(files: Snapshot, folder: Path) -> None:
    """Make a folder hold exactly these files."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("state", "flash/segments", "flash/torn"):
        (folder / part).mkdir(parents=True)
    for path, data in files.items():
        (folder / path).write_bytes(data)


def run_points(
    work: Path, *, seed: int, most: int | None, writer_options: tuple[str, ...] = (), variants: int = 3,
    observe: Callable[[Outcome], None] = lambda _outcome: None,
) -> Outcome:  # fmt: skip
    """Record under the tracer in `work`, and look at the states of the disk after each call; at `most` so many.

    Raises:
        TraceError: the recorder cannot be traced.
    """
    subject = Subject.make(work / "subject")
    start = snapshot(subject.base)
    calls = record(subject.base, work / "trace", *writer_options)
    ends = _media_ends(subject)
    outcome = Outcome()
    points = list(_points(calls, subject.base, start))
    outcome.calls = len(points)
    share = 1.0 if most is None else most / max(1, len(points) * (2 + 2 * variants))
    dice = random.Random(seed)  # noqa: S311 - points that can be had again
    disk = Disk(str(subject.base), start)
    reported: dict[Place, str] = {}
    durable_ns = 0
    chosen = {number for number in points if dice.random() < share}
    for number, call in enumerate(calls):
        if disk.is_stdout(call):
            for line in call.data.decode().splitlines():
                word, *rest = line.split()
                if word == "B":
                    durable_ns = int(rest[0])
                elif word == "C":
                    # Just before the next one is durable is the worst moment.
                    outcome.worst_loss_s = max(outcome.worst_loss_s, (int(rest[0]) - durable_ns) / 1e9)
                elif word == "D":
                    reported[int(rest[0]), int(rest[1])] = rest[2]
                    durable_ns = max(durable_ns, ends.get((int(rest[0]), int(rest[1])), 0))
        disk.take(call)
        if number in chosen:
            for name, files in disk.states(dice, variants):
                _look(outcome, name, files, work / "state", subject, reported, f"{number} ({call.name})")
            observe(outcome)
    return outcome


def _points(calls: list[Call], base: Path, start: Snapshot) -> Iterator[int]:
    disk = Disk(str(base), start)
    for number, call in enumerate(calls):
        if disk.take(call):
            yield number


def _media_ends(subject: Subject) -> dict[Place, int]:
    """Return when each chunk of media ended, from what the recorder left in the end."""
    ends: dict[Place, int] = {}
    for path in (subject.base / "flash" / SEGMENTS).glob("*.seg"):
        for chunk in verify_segment(path, subject.identity, keep_chunks=True).chunks:
            header = chunk.header
            if header.kind == Kind.MEDIA:
                ends[header.place.segment, header.chunk] = header.stamp.monotonic_ns + header.stamp.duration_ns
    return ends


def _look(
    outcome: Outcome, name: str, files: Snapshot, folder: Path, subject: Subject, reported: dict[Place, str], where: str
) -> None:
    lay_out(files, folder)
    tally = outcome.kinds.setdefault(name, Tally())
    tally.states += 1
    outcome.points += 1
    newest = max((segment for segment, _ in reported), default=0)
    try:
        found = check_store(folder, subject.identity, subject.key, reported, open_from=newest)
    except BrokenPromiseError as error:
        outcome.broken.append(f"call {where}, {name}: {error}")
        return
    tally.torn += found.torn_bytes > 0
