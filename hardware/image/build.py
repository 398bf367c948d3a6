"""Makes an image: opens the base, gathers what goes in, lays it over, reads it back, and names it at the end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hardware.image import packages, wheels
from hardware.image.accounts import Accounts, harden
from hardware.image.base import Base, Release, look_at, release_of, unpack
from hardware.image.board import Board, board_named
from hardware.image.boot_text import cmdline_txt, config_txt
from hardware.image.compiled import EMULATOR, compiled_entries
from hardware.image.debs import Deb, Package, load_deb, package_entries, packages_of
from hardware.image.disk import SECTOR_BYTES, Partition, disk_id, with_table
from hardware.image.entries import Overlay
from hardware.image.errors import ImageError
from hardware.image.ext4 import Ext4, make_data
from hardware.image.fat import Fat, check_fat
from hardware.image.firmware_files import Source, firmware_entries, source_of
from hardware.image.identity import Identity, identity_named
from hardware.image.programs import PACKAGES, require, versions
from hardware.image.sbom import bill
from hardware.image.system import EMPTIED, LABEL, REMOVED, system_entries

_LINUX = 0x83
_ALIGN_SECTORS = 8192
"""4 MiB: where cards have the edges of what they erase at once."""
_DATA_BYTES = 64 * 1024 * 1024
"""Of the data partition in the image; on the device it fills the card."""
_STATUS = "/var/lib/dpkg/status"
_SYSTEM_USERS = ("polkitd", "tss")
_NAMESPACE = uuid.UUID("7c5b6f63-3f4e-5a38-8f0a-5d1f2f9f3c01")
_LEFTOVERS = ("ssh", "ssh.txt", "userconf", "userconf.txt", "firstrun.sh", "wpa_supplicant.conf", "user-data",
              "network-config", "meta-data")  # fmt: skip
"""Files of the boot partition by which somebody prepares a Raspberry Pi OS."""
_COPY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made, and of what."""

    base: Path
    board: str
    output: Path
    project: Path
    cache: Path
    """Where what was fetched is kept; a second time nothing is fetched."""
    wheels: Path | None = None
    """Take the wheels from here, and fetch none."""
    debs: Path | None = None
    """Take the Debian packages from here, all of them, and fetch none."""
    leave_out: frozenset[str] = frozenset()
    """Debian packages that are not wanted: the manifest says so."""
    compile: bool = True
    """Compile the Python ahead; the manifest says so."""
    identity: str = "memory"
    """Where the identities of its devices are born: `hardware.image.identity`."""
    epoch_s: int | None = None
    """The moment at which everything is made; by default that of the project's commit."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made."""

    image: Path
    size_bytes: int
    digest: str
    wheels: int
    debs: int
    beside: tuple[Path, ...]


def build(order: Order, say: Callable[[str], None]) -> Made:
    """Make the image, and the files beside it.

    Raises:
        ImageError: it cannot be made; nothing was left under the output's name.
    """
    require({name: package for name, package in PACKAGES.items() if order.compile or name != EMULATOR})
    board = board_named(order.board)
    identity = identity_named(order.identity, board)
    source = source_of(order.project)
    epoch_s = source.commit_s if order.epoch_s is None else order.epoch_s
    if epoch_s <= 0:
        raise ImageError("the project has no commit that says when it is of: set SOURCE_DATE_EPOCH")
    _check_output(order)
    with (
        _disk_errors(),
        tempfile.TemporaryDirectory(prefix=".image-", dir=order.output.parent) as held,
    ):
        return _Job(order, board, identity, source, epoch_s, Path(held), say).run()


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Make one line of what the disk refuses."""
    try:
        yield
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        raise ImageError(f"the image cannot be made: {error.strerror or error}{where}") from None


class _Job:
    def __init__(
        self,
        order: Order,
        board: Board,
        identity: Identity,
        source: Source,
        epoch_s: int,
        held: Path,
        say: Callable[[str], None],
    ) -> None:
        self._order = order
        self._board = board
        self._identity = identity
        self._source = source
        self._epoch_s = epoch_s
        self._held = held
        self._say = say

    def run(self) -> Made:
        order, name = self._order, str(self._order.base)
        image, root_file = self._held / "image", self._held / "root"
        self._say(f"opening {name}")
        digest, size = unpack(order.base, image)
        _check_room(order.output.parent, 2 * size)
        base = look_at(image, digest, size, name, self._epoch_s)
        _cut_out(image, base.root, root_file)
        root = Ext4(root_file, self._epoch_s)
        root.check(name)
        release = release_of(root, name)
        if self._board.hardware and not release.raspberry:
            raise ImageError(f"{name} is {release.description}, which starts on no Pi: take Raspberry Pi OS Lite")
        self._identity.check_release(release)
        pins = wheels.pins((order.project / "requirements" / "device.lock").read_text("utf-8"), release.python)
        chosen = self._wheels(pins, release)
        status = (root.read(_STATUS) or b"").decode("utf-8", "replace")
        there = packages_of(status)
        debs, lacking = self._debs(root, base, there)
        self._identity.check_packages(there, debs)
        with image.open("rb") as disk:
            first = disk.read(SECTOR_BYTES)
        signature = f"{disk_id(first):08x}"
        overlay, accounts = self._gather(root, release, chosen, debs, status, signature)
        if self._order.compile:
            self._say("compiling the Python in it, by emulation (a minute or two)")
            overlay.add(list(compiled_entries(root, overlay, release.python, self._held, self._epoch_s)))
        self._say(f"putting in {overlay.count} files, {overlay.size_bytes >> 20} MiB")
        overlay = root.settle(overlay)
        root.resize(_aligned(root.room_for(overlay)))
        root.apply(overlay)
        self._say("reading it back")
        root.verify(overlay)
        _check_emptied(root, overlay)
        root.check("the image")
        self._assemble(image, root_file, base, first, accounts)
        self._boot(image, base, signature)
        return self._finish(image, base, release, there, chosen, debs, lacking)

    def _wheels(self, pins: list[wheels.Pin], release: Release) -> list[wheels.Wheel]:
        folder = self._order.wheels
        if folder is None:
            folder = self._order.cache / "wheels"
            self._say(f"{len(pins)} wheels for Python {release.python} (fetched once, kept in {folder})")
            wheels.fetch(pins, release.python, folder)
        return wheels.load(pins, release.python, folder)

    def _debs(self, root: Ext4, base: Base, there: list[Package]) -> tuple[list[Deb], list[str]]:
        wanted = set(packages.WANTED) | (set(packages.ON_A_PI) if self._board.hardware else set())
        wanted |= self._identity.packages
        if needed := sorted(self._order.leave_out & self._identity.packages):
            raise ImageError(f"{needed[0]} cannot be left out: IDENTITY={self._identity.name} needs it")
        if unknown := sorted(self._order.leave_out - {*packages.WANTED, *packages.ON_A_PI}):
            raise ImageError(f"{unknown[0]} is not among the packages that an image has: {', '.join(sorted(wanted))}")
        missing = packages.lacking(there, wanted - self._order.leave_out)
        folder = self._order.debs
        if folder is None:
            # The set that was once fetched for this very base is taken again: an archive moves on.
            key = hashlib.sha256(" ".join([base.digest, *missing]).encode()).hexdigest()[:16]
            folder = self._order.cache / "debs" / key
            if missing and not folder.exists():
                self._say(f"Debian packages: {', '.join(missing)} (fetched once, kept in {folder})")
                packages.fetch(root, missing, folder)
        debs = [load_deb(path) for path in sorted(folder.glob("*.deb"))] if folder.exists() else []
        debs.sort(key=lambda deb: deb.name)
        names = [deb.name for deb in debs]
        if len(set(names)) != len(names):
            raise ImageError(f"{folder} holds a package twice, in two versions: remove one")
        lost = sorted(set(missing) - set(names))
        if lost:
            raise ImageError(f"{folder} lacks {', '.join(lost)}, and so does the base")
        return debs, sorted(wanted & self._order.leave_out)

    def _gather(
        self, root: Ext4, release: Release, chosen: list[wheels.Wheel], debs: list[Deb], status: str, signature: str
    ) -> tuple[Overlay, Accounts]:
        overlay = Overlay()
        if debs:
            overlay.add(package_entries(debs, status))
        overlay.add(wheels.environment_entries(chosen, release.python))
        overlay.add(firmware_entries(self._source))
        texts = [
            (root.read(f"/etc/{name}") or b"").decode("utf-8", "replace")
            for name in ("passwd", "shadow", "group", "gshadow")
        ]
        if not texts[0] or not texts[2]:
            raise ImageError("the base has no /etc/passwd or /etc/group; take it unchanged")
        accounts = harden(Accounts(*texts), users=_SYSTEM_USERS)
        overlay.add(system_entries(self._board, self._identity, signature, accounts))
        overlay.remove(path for path in REMOVED if overlay.get(path) is None)
        keys = [f"/etc/ssh/{name}" for name in root.names("/etc/ssh") if name.startswith("ssh_host_")]
        emptied = [f"{place}/{name}" for place in EMPTIED for name in root.names(place)]
        overlay.remove(path for path in [*keys, *emptied] if overlay.get(path) is None)
        return overlay, accounts

    def _assemble(self, image: Path, root_file: Path, base: Base, first: bytes, accounts: Accounts) -> None:
        """Put root and data partitions behind one another, and the table before them."""
        root = Partition(_LINUX, base.root.start, root_file.stat().st_size // SECTOR_BYTES)
        start = -(-root.end // _ALIGN_SECTORS) * _ALIGN_SECTORS
        data = Partition(_LINUX, start, _DATA_BYTES // SECTOR_BYTES)
        owner = accounts.ids()
        data_file = self._held / "data"
        make_data(data_file, _DATA_BYTES, LABEL, str(uuid.uuid5(_NAMESPACE, base.digest)), self._epoch_s, owner)
        with image.open("r+b") as disk:
            disk.truncate(base.root.start_bytes)
            disk.truncate(data.end * SECTOR_BYTES)
            disk.write(with_table(first, [base.boot, root, data]))
            for part, content in ((root, root_file), (data, data_file)):
                disk.seek(part.start_bytes)
                _copy(content, disk)
        root_file.unlink()
        data_file.unlink()

    def _boot(self, image: Path, base: Base, signature: str) -> None:
        fat = Fat(image, base.boot.start_bytes, self._epoch_s)
        name = str(self._order.base)
        config = (fat.read("config.txt") or b"").decode("utf-8", "replace")
        line = cmdline_txt((fat.read("cmdline.txt") or b"").decode("utf-8", "replace"), name)
        if f"root=PARTUUID={signature}-02 " not in line:
            raise ImageError(f"{name}: its cmdline.txt names the root of another card; take it unchanged")
        fat.write("config.txt", config_txt(config, (*self._board.config_txt, *self._identity.config_txt)).encode())
        fat.write("cmdline.txt", line.encode())
        # What would change a device at its first start, were it still looked at.
        for leftover in _LEFTOVERS:
            fat.remove(leftover)
        check_fat(image, base.boot.start_bytes, base.boot.size_bytes, self._epoch_s, "the image")

    def _finish(
        self, image: Path, base: Base, release: Release, there: list[Package], chosen: list[wheels.Wheel],
        debs: list[Deb], lacking: list[str],
    ) -> Made:  # fmt: skip
        with image.open("rb") as made:
            digest = hashlib.file_digest(made, "sha256").hexdigest()
            os.fsync(made.fileno())
        output, board = self._order.output, self._board
        size = image.stat().st_size
        manifest = {
            "format": 1, "image": {"name": output.name, "sha256": digest, "size_bytes": size}, "board": board.name,
            "identity": self._identity.name,
            "version": self._source.version, "commit": self._source.commit, "changed": self._source.changed,
            "epoch_s": self._epoch_s, "base": {"sha256": base.digest, "release": release.codename,
            "python": release.python}, "left_out": lacking, "compiled": self._order.compile,
            "tools": versions(self._epoch_s, compiled=self._order.compile),
            "wheels": {wheel.filename: wheel.digest for wheel in chosen},
            "debs": {f"{deb.name}_{deb.version}_{deb.architecture}": deb.digest for deb in debs},
        }  # fmt: skip
        sbom = bill(
            board.name, self._identity.name, self._source, base, release, there, chosen, debs, digest, self._epoch_s
        )
        beside = {
            ".sha256": f"{digest}  {output.name}\n",
            ".manifest.json": json.dumps(manifest, indent=2, sort_keys=True) + "\n",
            ".cdx.json": sbom,
        }
        written = []
        for suffix, text in beside.items():
            path = self._held / f"out{suffix}"
            path.write_text(text, "utf-8")
            written.append((path, output.with_name(output.name + suffix)))
        # The image last: where it is, what belongs to it is there as well.
        for path, target in written:
            _publish(path, target)
        _publish(image, output)
        return Made(output, size, digest, len(chosen), len(debs), tuple(target for _, target in written))


def _check_output(order: Order) -> None:
    if not order.base.is_file():
        raise ImageError(f"{order.base}: there is no such file; give the base image as BASE=")
    if not order.output.parent.is_dir():
        raise ImageError(f"{order.output.parent} is no folder to write the image to")
    if order.output.exists() and (order.output.samefile(order.base) or not order.output.is_file()):
        raise ImageError(f"{order.output} is the base image or no file: give another OUTPUT=")
    # How large a compressed one becomes is known once it is unpacked.
    _check_room(order.output.parent, 3 * order.base.stat().st_size)


def _check_room(folder: Path, need: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < need:
        raise ImageError(f"{folder} has {free >> 20} MiB free, and about {need >> 20} are needed: make room")


def _check_emptied(root: Ext4, overlay: Overlay) -> None:
    """See that what would let somebody in is gone, whatever it was called."""
    for place in EMPTIED:
        left = [name for name in root.names(place) if overlay.get(f"{place}/{name}") is None]
        if left:
            raise ImageError(f"{place}/{left[0]} of the base cannot be removed; take it unchanged")


def _cut_out(image: Path, part: Partition, target: Path) -> None:
    with image.open("rb") as disk, target.open("wb") as out:
        disk.seek(part.start_bytes)
        left = part.size_bytes
        while left and (block := disk.read(min(_COPY_BYTES, left))):
            left -= len(block)
            if block.strip(b"\0"):
                out.write(block)
            else:
                out.seek(len(block), 1)
        out.truncate(part.size_bytes)


def _copy(source: Path, disk: BinaryIO) -> None:
    with source.open("rb") as content:
        while block := content.read(_COPY_BYTES):
            if block.strip(b"\0"):
                disk.write(block)
            else:
                disk.seek(len(block), 1)


def _aligned(size_bytes: int) -> int:
    unit = _ALIGN_SECTORS * SECTOR_BYTES
    return -(-size_bytes // unit) * unit


def _publish(path: Path, target: Path) -> None:
    path.chmod(0o644)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            os.fsync(folder)
    finally:
        os.close(folder)
