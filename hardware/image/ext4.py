"""Reads and changes an ext4 file system in a file, by debugfs(8): no mount, no root rights, and no clock of its own."""

from __future__ import annotations

import re
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hardware.image.entries import Entry, Overlay
from hardware.image.errors import ImageError
from hardware.image.programs import last_line, run

_SUPERBLOCK_AT, _MAGIC_AT, _MAGIC = 1024, 56, b"\x53\xef"
_KINDS = {"regular": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK, "FIFO": stat.S_IFIFO,
          "socket": stat.S_IFSOCK, "character": stat.S_IFCHR, "block": stat.S_IFBLK}  # fmt: skip
_MAX_LINKS = 10
_FAST_LINK_BYTES = 60
"""A link that is shorter stands in its inode."""
_LISTED = re.compile(r"/\d+/\d+/\d+/\d+/([^/]*)/\d*/")
# What a block group costs beside its blocks, and what the journal and the tables want.
_HEADROOM = 1.06
_SPARE_BYTES = 32 * 1024 * 1024
_INODE_BYTES = 16384


@dataclass(frozen=True, slots=True)
class Status:
    """What is at a path."""

    mode: int
    uid: int
    gid: int
    size: int
    target: str = ""


class Ext4:
    """One file system, in a file of its own."""

    def __init__(self, path: Path, epoch_s: int) -> None:
        """`epoch_s` is the moment at which everything is changed.

        Raises:
            ImageError: it is none.
        """
        self.path = path
        self._epoch_s = epoch_s
        with path.open("rb") as image:
            image.seek(_SUPERBLOCK_AT)
            if image.read(1024)[_MAGIC_AT : _MAGIC_AT + 2] != _MAGIC:
                raise ImageError("the root partition holds no ext4 file system")

    def check(self, what: str) -> None:
        """Check it as a whole, changing nothing.

        Raises:
            ImageError: it is damaged.
        """
        done = run(["e2fsck", "-fn", self.path], self._epoch_s, ok=tuple(range(256)))
        if done.returncode:
            raise ImageError(f"{what}: its root file system is damaged ({last_line(done.stdout)}); fetch it again")

    def room_for(self, overlay: Overlay) -> int:
        """Return how large, in bytes, it must be to hold all that as well."""
        found = run(["debugfs", "-R", "stats", self.path], self._epoch_s).stdout.decode("utf-8", "replace")
        block, blocks, free, inodes = (
            int(_one(rf"^{name}:\s+(\d+)", found))
            for name in ("Block size", "Block count", "Free blocks", "Free inodes")
        )
        folders = len(overlay.folders())
        need = sum(-(-len(entry.data) // block) * block for entry in overlay) + folders * 2 * block
        need = int(need * _HEADROOM) + _SPARE_BYTES
        short = max(0, need - free * block)
        # A larger file system has more inodes as well: as many as its groups bring.
        wanted = max(0, overlay.count + folders + 1000 - inodes) * _INODE_BYTES
        return blocks * block + max(short, wanted)

    def resize(self, size_bytes: int) -> None:
        """Let it fill the file, which has become larger.

        Raises:
            ImageError: it cannot.
        """
        with self.path.open("r+b") as image:
            image.truncate(size_bytes)
        run(["resize2fs", "-f", self.path], self._epoch_s)

    def look(self, paths: Sequence[str]) -> dict[str, Status]:
        """Return what is at these paths; what is not there is left out. Links are not followed at the end."""
        if not paths:
            return {}
        out = self._debugfs([f"stat {_quoted(path)}" for path in paths], missing_ok=True)
        found = {}
        blocks = out.split("debugfs: stat ")[1:]
        if len(blocks) != len(paths):
            raise ImageError("a name in the base's root cannot be told from what debugfs says; take it unchanged")
        for path, block in zip(paths, blocks, strict=True):
            head = re.search(r"^Inode: \d+\s+Type: (\S+).*?Mode:\s+(\d+)", block, re.MULTILINE)
            if head is None:
                continue
            owner = re.search(r"^User:\s+(\d+)\s+Group:\s+(\d+)", block, re.MULTILINE)
            size = re.search(r"\bSize: (\d+)", block)
            aim = re.search(r'^Fast link dest: "(.*)"$', block, re.MULTILINE)
            if owner is None or size is None or head[1] not in _KINDS:
                raise ImageError(f"debugfs says nothing that is understood about {path}")
            mode = _KINDS[head[1]] | int(head[2], 8)
            target = aim[1] if aim else ""
            if stat.S_ISLNK(mode) and not target:
                target = self._far_target(path, int(size[1]))
            found[path] = Status(mode, int(owner[1]), int(owner[2]), int(size[1]), target)
        return found

    def _far_target(self, path: str, size: int) -> str:
        """Return where a link leads whose target does not fit into its inode."""
        target = run(["debugfs", "-R", f"cat {_quoted(path)}", self.path], self._epoch_s).stdout
        if size < _FAST_LINK_BYTES or len(target) != size:
            raise ImageError(f"{path} of the base is a link that leads nowhere; take it unchanged")
        return target.decode("utf-8", "replace")

    def resolve(self, path: str) -> str:
        """Follow the links of a path, to what is there or would be.

        Raises:
            ImageError: they go round in a circle.
        """
        done, rest, links = "", path.strip("/").split("/"), 0
        while rest:
            name = rest.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                done = done.rpartition("/")[0]
                continue
            here = self.look([f"{done}/{name}"]).get(f"{done}/{name}")
            if here is None or not stat.S_ISLNK(here.mode):
                done = f"{done}/{name}"
                continue
            if here.target.startswith("/"):
                done = ""
            links += 1
            if links > _MAX_LINKS:
                raise ImageError(f"the links of {path} go round in a circle")
            rest = [*here.target.split("/"), *rest]
        return done or "/"

    def read(self, path: str) -> bytes | None:
        """Return what a file holds, following links; None if there is no such file."""
        path = self.resolve(path)
        status = self.look([path]).get(path)
        if status is None or not stat.S_ISREG(status.mode):
            return None
        return run(["debugfs", "-R", f"cat {_quoted(path)}", self.path], self._epoch_s).stdout

    def names(self, path: str) -> list[str]:
        """Return the names in a folder; none if it is not there.

        Raises:
            ImageError: one is such that it cannot be told where it ends.
        """
        path = self.resolve(path)
        status = self.look([path]).get(path)
        if status is None or not stat.S_ISDIR(status.mode):
            return []
        out = self._debugfs([f"ls -p {_quoted(path)}"])
        names = []
        for line in out.split("\n")[1:]:  # the first repeats the command
            listed = _LISTED.fullmatch(line)
            if listed is None and line.strip():
                raise ImageError(f"{path} of the base has a file of an impossible name; take it unchanged")
            names += [listed[1]] if listed else []
        return sorted(name for name in names if name not in ("", ".", ".."))

    def settle(self, overlay: Overlay) -> Overlay:
        """Return the overlay with its folders as they are here: ``/lib`` may be a link to ``/usr/lib``."""
        settled = Overlay()
        folders = overlay.folders()
        seen = self.look(folders)
        linked = {path for path, status in seen.items() if stat.S_ISLNK(status.mode)}
        where = {path: self.resolve(path) for path in sorted(linked)}

        def moved(path: str) -> str:
            for source in sorted(where, key=len):
                if path.startswith(f"{source}/"):
                    return moved(where[source] + path[len(source) :])
            return path

        settled.remove(map(moved, overlay.removed))
        for entry in overlay:
            if entry.is_folder and entry.path in linked:
                continue
            settled.add([Entry(moved(entry.path), entry.mode, entry.data, entry.uid, entry.gid)])
        return settled

    def apply(self, overlay: Overlay) -> None:
        """Lay it over what is there. It must be settled.

        Raises:
            ImageError: it does not take it all.
        """
        entries, folders = list(overlay), overlay.folders()
        there = self.look(sorted({*(entry.path for entry in entries), *folders, *overlay.removed}))
        named = {entry.path: entry for entry in entries if entry.is_folder}
        commands: list[str] = []
        for path in sorted(overlay.removed, reverse=True):
            if path in there:
                if stat.S_ISDIR(there[path].mode):
                    raise ImageError(f"{path} of the base is a folder, and was to be a file")
                commands.append(f"rm {_quoted(path)}")
        for path in folders:
            wanted = named.get(path)
            status = there.get(path)
            if status is not None and not stat.S_ISDIR(status.mode):
                raise ImageError(f"{path} of the base is no folder")
            if status is None:
                commands.append(f"mkdir {_quoted(path)}")
                if wanted is not None:
                    commands += _owned(wanted)
        with tempfile.TemporaryDirectory(dir=self.path.parent) as held:
            for number, entry in enumerate(entry for entry in entries if not entry.is_folder):
                commands += self._put(entry, there.get(entry.path), overlay, Path(held) / str(number))
            self._debugfs(commands, write=True)

    def _put(self, entry: Entry, status: Status | None, overlay: Overlay, held: Path) -> Iterable[str]:
        if status is not None and stat.S_ISDIR(status.mode):
            raise ImageError(f"{entry.path} of the base is a folder, and was to be a file")
        if status is not None and entry.path not in overlay.removed:
            yield f"rm {_quoted(entry.path)}"
        if entry.is_link:
            yield f"symlink {_quoted(entry.path)} {_quoted(entry.data.decode())}"
            return
        held.write_bytes(entry.data)
        yield f"write {_quoted(str(held))} {_quoted(entry.path)}"
        yield from _owned(entry)

    def verify(self, overlay: Overlay) -> None:
        """Read everything back and compare.

        Raises:
            ImageError: something is not there as it should be.
        """
        entries = list(overlay)
        seen = self.look([entry.path for entry in entries])
        files = [entry for entry in entries if stat.S_ISREG(entry.mode)]
        with tempfile.TemporaryDirectory(dir=self.path.parent) as held:
            back = [Path(held) / str(number) for number in range(len(files))]
            self._debugfs(
                [f"dump {_quoted(entry.path)} {_quoted(str(path))}" for entry, path in zip(files, back, strict=True)]
            )
            for entry, path in zip(files, back, strict=True):
                if not path.exists() or path.read_bytes() != entry.data:
                    raise ImageError(
                        f"{entry.path} does not read back as it was written; is this disk full or failing?"
                    )
        for entry in entries:
            status = seen.get(entry.path)
            if entry.is_folder and status is not None and stat.S_ISDIR(status.mode):
                continue
            wanted = (entry.mode, entry.uid, entry.gid, entry.data.decode() if entry.is_link else "")
            if status is None or (status.mode, status.uid, status.gid, status.target) != wanted:
                raise ImageError(
                    f"{entry.path} did not come into the image as it should; is this disk full or failing?"
                )

    def _debugfs(self, commands: Sequence[str], *, write: bool = False, missing_ok: bool = False) -> str:
        if not commands:
            return ""
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, suffix=".debugfs", encoding="utf-8") as script:
            script.write("".join(f"{command}\n" for command in commands))
            script.flush()
            done = run(["debugfs", *(["-w"] if write else []), "-f", script.name, self.path], self._epoch_s)
        # Its exit status is 0 whatever it could not do; what it says is all there is.
        said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        trouble = [
            line
            for line in said
            if not line.startswith("debugfs 1.") and not (missing_ok and "File not found by ext2_lookup" in line)
        ]
        if trouble:
            full = any("Could not allocate" in line for line in trouble)
            why = "its root file system is full" if full else "debugfs could not change or read its root file system"
            raise ImageError(f"{why}: {trouble[0][:300]}")
        return done.stdout.decode("utf-8", "replace")


def make_data(path: Path, size_bytes: int, label: str, uuid: str, epoch_s: int, owner: tuple[int, int]) -> None:
    """Make an empty ext4 file system, every bit of it following from what is given; `owner` is (uid, gid).

    Raises:
        ImageError: it cannot be made.
    """
    with path.open("wb") as image:
        image.truncate(size_bytes)
    # A journal large enough for a card, and room to grow to a terabyte while it is mounted.
    options = f"hash_seed={uuid},root_owner={owner[0]}:{owner[1]},resize=268435456,"
    options += "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    command = ["mkfs.ext4", "-q", "-F", "-b", "4096", "-L", label, "-U", uuid, "-m", "0", "-J", "size=16"]
    features = "has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,"
    features += "huge_file,dir_nlink,extra_isize,metadata_csum"
    run([*command, "-I", "256", "-i", "65536", "-O", f"none,{features}", "-E", options, path], epoch_s)


def _owned(entry: Entry) -> list[str]:
    path = _quoted(entry.path)
    commands = [f"sif {path} mode 0{entry.mode:o}"]
    if entry.uid:
        commands += [f"sif {path} uid {entry.uid}"]
    if entry.gid:
        commands += [f"sif {path} gid {entry.gid}"]
    return commands


def _quoted(text: str) -> str:
    if '"' in text or "\n" in text or not text:
        raise ImageError(f"{text!r} is no name for a file of the image")
    return f'"{text}"'


def _one(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ImageError("debugfs says nothing that is understood about the root file system")
    return found[1]
