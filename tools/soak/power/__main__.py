"""``python -m tools.soak.power``: cut the power of a recording machine again and again, on ext4 and on F2FS.

After each cut the machine boots from what the disk then holds; everything that had been reported durable must be there,
be authentic, open, and be recorded on from. Writes ``build/soak/power.json``, and with ``--write`` the table of
docs/faults/power.md.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from station.keys import StationKey, encode_station_key
from tools.soak.power.disk import ForgetfulDisk
from tools.soak.power.image import MachineError, make, require_tools
from tools.soak.power.nbd import NbdServer

_DOCS = Path("docs/faults/power.md")
_DISK_BYTES = 192 * 1024 * 1024
_BOOT_S = 240.0
_CUTS_A_DISK = 6
_ORDER_BYTES = 1 << 20
_FILESYSTEMS = ("ext4", "f2fs")
_SLOWEST_FLUSH_S = 0.08
"""As slow as a poor card, so that most cuts find something that was not flushed."""
_TEARING = frozenset({"ext4"})
"""F2FS takes its 4 KiB blocks for atomic: its node blocks have no checksum of their own."""
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|c)")
"""What a firmware clears the console with."""
_WORD = re.compile(r"(?:OK|BROKEN) \S.*")


@dataclass(slots=True)
class Cut:
    """One power cut, and what the next boot found."""

    filesystem: str
    number: int
    after_s: float = 0.0
    """How long the machine had recorded."""
    reported: int = 0
    """Chunks reported durable on this disk until the cut."""
    kept_sectors: int = 0
    lost_sectors: int = 0
    found: str = ""
    """What the next boot says: how the last run ended, bytes set aside, chunks opened."""
    broken: str = ""


@dataclass(slots=True)
class _Machine:
    """A disk with its history."""

    filesystem: str
    image: Path
    dice: random.Random
    key: StationKey = field(default_factory=lambda: StationKey.generate(hybrid=False))
    reported: dict[tuple[int, int], str] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 if every promise held, 1 if one did not, 2 if this machine cannot run the guest."""
    parser = argparse.ArgumentParser(prog="power", description=__doc__)
    parser.add_argument("--cuts", type=int, default=30, help="on each file system")
    parser.add_argument("--filesystem", choices=(*_FILESYSTEMS, "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".cache/power"))
    parser.add_argument("--output", type=Path, default=Path("build/soak/power.json"))
    parser.add_argument("--write", action="store_true", help="write the table into docs/")
    options = parser.parse_args(arguments)
    chosen = _FILESYSTEMS if options.filesystem == "both" else (options.filesystem,)
    try:
        require_tools()
        kernel, root = make(options.cache)
    except MachineError as error:
        sys.stderr.write(f"power: {error}\n")
        return 2
    with ThreadPoolExecutor(len(chosen)) as pool:
        runs = [pool.submit(_cuts, name, kernel, root, options) for name in chosen]
        cuts = [cut for run in runs for cut in run.result()]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([asdict(cut) for cut in cuts], indent=1), "utf-8")
    sys.stdout.write(page(cuts))
    if options.write:
        _DOCS.write_text(page(cuts), "utf-8")
    return 1 if any(cut.broken for cut in cuts) else 0


def _cuts(filesystem: str, kernel: Path, root: Path, options: argparse.Namespace) -> list[Cut]:
    return list(_cut_again_and_again(filesystem, kernel, root, options))


def _cut_again_and_again(filesystem: str, kernel: Path, root: Path, options: argparse.Namespace) -> Iterator[Cut]:
    dice = random.Random(f"{options.seed} {filesystem}")  # noqa: S311 - cuts that can be had again
    work = Path(tempfile.mkdtemp(prefix="getuige-power-"))
    try:
        machine: _Machine | None = None
        last: Cut | None = None
        for number in range(1, options.cuts + 2):
            if machine is None:
                machine = _Machine(filesystem, _new_disk(work, filesystem), dice)
            cut = Cut(filesystem, number)
            said = _run(machine, kernel, root, work, cut, final=number == options.cuts + 1)
            if not said.startswith("OK "):
                shutil.copyfile(machine.image, options.output.with_name(f"broken-{filesystem}-{number}.img"))
            if last is not None:
                last.found, last.broken = said.removeprefix("OK "), said if not said.startswith("OK ") else ""
                sys.stdout.write(f"{_line(last)}\n")
                sys.stdout.flush()
                yield last
            last = cut
            if said.startswith("OK ") and number % _CUTS_A_DISK:
                continue
            if number % _CUTS_A_DISK == 0 and number <= options.cuts:
                # The last cut of this disk is looked at by one more boot, and then a new disk begins.
                cut_again = Cut(filesystem, number)
                final = _run(machine, kernel, root, work, cut_again, final=True)
                last.found, last.broken = final.removeprefix("OK "), final if not final.startswith("OK ") else ""
                sys.stdout.write(f"{_line(last)}\n")
                yield last
                last = None
            machine = None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _new_disk(work: Path, filesystem: str) -> Path:
    image = work / "disk"
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(_DISK_BYTES)
    tool = {"ext4": ["/sbin/mkfs.ext4", "-q", "-F"], "f2fs": ["/sbin/mkfs.f2fs", "-q", "-f"]}[filesystem]
    subprocess.run([*tool, str(image)], check=True, capture_output=True)
    return image


def _run(machine: _Machine, kernel: Path, root: Path, work: Path, cut: Cut, *, final: bool) -> str:
    """Boot, let it check and record, cut the power; return what the guest said of the disk it found."""
    orders = work / "orders"
    told = {
        "key": encode_station_key(machine.key).decode(),
        "reported": [[*place, chain] for place, chain in machine.reported.items()],
        "turns": 0 if final else 1000,
    }
    orders.write_bytes(json.dumps(told).encode().ljust(_ORDER_BYTES, b"\0"))
    disk = ForgetfulDisk(
        machine.image, machine.dice, slowest_flush_s=_SLOWEST_FLUSH_S, tears=machine.filesystem in _TEARING
    )
    path = work / "nbd"
    path.unlink(missing_ok=True)
    try:
        with NbdServer(disk, path):
            guest = _boot(kernel, root, path, orders, machine.filesystem)
            try:
                said = _listen(guest, machine, cut, machine.dice.uniform(0.3, 9.0), final=final)
            finally:
                guest.kill()
                guest.wait()
            cut.kept_sectors, cut.lost_sectors = disk.cut()
    finally:
        disk.close()
    return said


def _boot(kernel: Path, root: Path, socket: Path, orders: Path, filesystem: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-m", "640", "-nographic", "-no-reboot",
         "-nodefaults", "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(root),
         "-append", f"console=ttyS0 quiet loglevel=0 panic=-1 random.trust_cpu=on getuige.filesystem={filesystem}",
         "-drive", f"file=nbd:unix:{socket},format=raw,if=virtio,cache=writeback",
         "-drive", f"file={orders},format=raw,if=virtio,readonly=on"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _listen(guest: subprocess.Popen[bytes], machine: _Machine, cut: Cut, record_s: float, *, final: bool) -> str:
    """Take what the guest says until its time has come; return its word on the disk."""
    said = ""
    other: list[str] = []
    cut_at: float | None = None
    begin_s = time.monotonic()
    killer: threading.Timer | None = None
    assert guest.stdout is not None
    while True:
        ready, _, _ = select.select([guest.stdout], [], [], 1.0)
        if not ready:
            if time.monotonic() - begin_s > _BOOT_S:
                return said or "BROKEN the machine said nothing any more"
            continue
        line = guest.stdout.readline()
        if not line:
            break
        text = _ESCAPE.sub("", line.decode("utf-8", "replace"))
        # The firmware's last line may have no end.
        found = _WORD.search(text) if not said else None
        words = (text[found.start() :] if found else text).split()
        if words[:1] in (["OK"], ["BROKEN"]) and not said:
            said = " ".join(words)
            if final or words[0] == "BROKEN":
                break
        elif words[:1] == ["B"] and killer is None:
            cut_at = time.monotonic()
            killer = threading.Timer(record_s, guest.kill)
            killer.start()
        elif words[:1] == ["D"] and len(words) == 4 and len(words[3]) == 64:
            machine.reported[int(words[1]), int(words[2])] = words[3]
        elif words[:1] in (["E"], ["ENDED"]):
            said = f"BROKEN the recorder failed: {' '.join(words[1:])} {other[-1:]}"
            break
        elif words[:1] != ["C"]:
            other.append(" ".join(words)[:200])
    if killer is not None:
        killer.cancel()
        cut.after_s = time.monotonic() - (cut_at or begin_s)
    cut.reported = len(machine.reported)
    return said or f"BROKEN the machine did not come up: {other[-3:]}"


def _line(cut: Cut) -> str:
    return (
        f"| {cut.filesystem} | {cut.number} | {cut.after_s:.1f} s | {cut.reported} | {cut.kept_sectors} | "
        f"{cut.lost_sectors} | {cut.broken or cut.found} |"
    )


def page(cuts: list[Cut]) -> str:
    """Write what was found as Markdown."""
    lines = [
        "<!-- Written by `python -m tools.soak.power --write`; do not edit. -->",
        "",
        "| file system | cuts | chunks reported durable | sectors of the disk's cache kept, lost | promises broken |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in sorted({cut.filesystem for cut in cuts}):
        mine = [cut for cut in cuts if cut.filesystem == name]
        lines.append(
            f"| {name} | {len(mine)} | {sum(cut.reported for cut in mine)} | {sum(cut.kept_sectors for cut in mine)}, "
            f"{sum(cut.lost_sectors for cut in mine)} | {sum(bool(cut.broken) for cut in mine)} |"
        )
    lines += [
        "",
        "| file system | cut | recorded | reported | kept | lost | next boot: last run, set aside, opened |",
        "|---|---:|---:|---:|---:|---:|---|",
        *map(_line, cuts),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
