"""Makes what the guest boots: Debian's kernel, and a root in memory with this very interpreter and what it imports.

Needs root rights for apt alone. What is made is kept in `.cache/power/` until the code changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tools.soak.apt import AptError, install, which

_PACKAGES = {"qemu-system-x86_64": "qemu-system-x86", "mkfs.f2fs": "f2fs-tools", "mkfs.ext4": "e2fsprogs",
             "busybox": "busybox-static", "depmod": "kmod"}  # fmt: skip
_MODULES = ("virtio_pci", "virtio_blk", "ext4", "f2fs")
_INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
for module in {modules}; do /bin/busybox insmod /modules/$module || echo "BROKEN cannot load $module"; done
kind=$(/bin/busybox sed 's/.*getuige.filesystem=\\([a-z0-9]*\\).*/\\1/' /proc/cmdline)
# F2FS moves what a small file held in its inode into a block, and lets the inode reach the disk before that block does.
options=noatime; [ $kind = f2fs ] && options=noatime,noinline_data
/bin/busybox mount -t $kind -o $options /dev/vda /data || echo "BROKEN the disk does not mount any more"
cd {project}
{python} -B -m tools.soak.power.guest /data /dev/vdb || echo "ENDED $?"
/bin/busybox poweroff -f
"""


class MachineError(Exception):
    """The guest cannot be run here; the text says what is missing and what to do."""


def require_tools() -> None:
    """Install what is missing.

    Raises:
        MachineError: it cannot be installed, or this is no machine for it.
    """
    if platform.machine() != "x86_64":
        raise MachineError(f"the guest is for x86_64, and this machine is {platform.machine()}")
    try:
        install(_PACKAGES, "power")
    except AptError as error:
        raise MachineError(str(error)) from error


def make(cache: Path) -> tuple[Path, Path]:
    """Return kernel and initial root, made anew where the code or the interpreter has changed.

    Raises:
        MachineError: the kernel cannot be had.
    """
    cache.mkdir(parents=True, exist_ok=True)
    kernel = _kernel(cache)
    files = _imported()
    key = hashlib.sha256()
    for path in sorted(files):
        key.update(f"{path} {path.stat().st_mtime_ns}\n".encode())
    key.update(_INIT.encode())
    root = cache / f"root-{key.hexdigest()[:16]}.cpio"
    if not root.exists():
        for old in cache.glob("root-*.cpio"):
            old.unlink()
        _write_root(root, files, cache / "kernel")
    return kernel, root


def _kernel(cache: Path) -> Path:
    unpacked = cache / "kernel"
    found = sorted((unpacked / "boot").glob("vmlinuz-*"))
    if found:
        return found[-1]
    try:
        depends = subprocess.run(
            ["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=True
        ).stdout
        package = re.findall(r"Depends: (linux-image-\S+)", depends)[0]
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["apt-get", "-qq", "download", package], cwd=folder, check=True, capture_output=True)
            (deb,) = Path(folder).glob("*.deb")
            subprocess.run(["dpkg", "-x", str(deb), str(unpacked)], check=True)
        (version,) = [path.name for path in (unpacked / "lib" / "modules").iterdir()]
        subprocess.run([which("depmod") or "depmod", "-b", str(unpacked), version], check=True)
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError) as error:
        raise MachineError(f"cannot get Debian's kernel (linux-image-amd64): {error}; run apt-get update") from error
    return sorted((unpacked / "boot").glob("vmlinuz-*"))[-1]


def _modules(unpacked: Path) -> list[Path]:
    """Return the modules in the order in which they are to be loaded."""
    (folder,) = (unpacked / "lib" / "modules").iterdir()
    needs: dict[str, list[str]] = {}
    for line in (folder / "modules.dep").read_text("ascii").splitlines():
        name, _, rest = line.partition(":")
        needs[name] = rest.split()
    by_name = {Path(path).name.split(".")[0]: path for path in needs}
    order: list[str] = []

    def add(path: str) -> None:
        for need in needs[path]:
            add(need)
        if path not in order:
            order.append(path)

    for name in ("crc32c_generic", "crc32_generic", *_MODULES):
        if name in by_name:
            add(by_name[name])
    return [folder / path for path in order]


def _imported() -> set[Path]:
    """Rehearse what the guest does, in a process of its own, and return every file that it imported."""
    script = (
        "import json, sys, pathlib, encodings.idna\n"
        "from tools.soak.power import guest\n"
        "status = guest.main(sys.argv[1:3])\n"
        "status = status or guest.main(sys.argv[1:3])\n"
        "files = {f for m in list(sys.modules.values()) for f in (getattr(m, '__file__', None),) if f}\n"
        "pathlib.Path(sys.argv[3]).write_text(json.dumps(sorted(files)))\n"
        "sys.exit(status)\n"
    )
    from station.keys import StationKey, encode_station_key

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        orders = {"key": encode_station_key(StationKey.generate(hybrid=False)).decode(), "reported": [], "turns": 1}
        (base / "orders").write_text(json.dumps(orders))
        (base / "data").mkdir()
        command = [sys.executable, "-c", script, str(base / "data"), str(base / "orders"), str(base / "files")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MachineError(f"the guest's job fails on this machine: {done.stderr[-500:]}")
        return {Path(name) for name in json.loads((base / "files").read_text())}


def _write_root(root: Path, files: set[Path], kernel: Path) -> None:
    project = Path.cwd()
    files = files | _library()
    everything = set(files)
    for path in files:
        cached = path.parent / "__pycache__"
        everything |= set(cached.glob(f"{path.stem}.*.pyc")) if path.suffix == ".py" else set()
    python = Path(sys.executable)
    links: set[Path] = set()
    step = python
    while step.is_symlink():
        links.add(step)
        step = step.parent / step.readlink()
    binary = python.resolve()
    everything |= {binary, *_libraries([binary, *(path for path in files if ".so" in path.name)])}
    config = python.parent.parent / "pyvenv.cfg"
    everything |= {config} if config.exists() else set()
    modules = _modules(kernel)
    init = _INIT.format(
        modules=" ".join(f"{number:02d}.ko" for number in range(len(modules))), project=project, python=python
    )
    temporary = root.with_suffix(".new")
    with temporary.open("wb") as out:
        archive = Cpio(out)
        for folder in ("/proc", "/sys", "/dev", "/data", "/tmp", "/modules", "/bin"):  # noqa: S108 - the guest's own
            archive.folder(Path(folder))
        archive.file(Path("/init"), init.encode(), 0o755)
        archive.file(Path("/bin/busybox"), Path(which("busybox") or "").read_bytes(), 0o755)
        for number, module in enumerate(modules):
            archive.file(Path(f"/modules/{number:02d}.ko"), module.read_bytes(), 0o644)
        for link in sorted(links):
            archive.link(link.absolute(), str(link.readlink()))
        lib = Path(os.__file__).parent
        archive.folder(lib / "lib-dynload")
        for path in sorted(everything):
            archive.file(path.absolute(), path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        archive.end()
    temporary.replace(root)


def _library() -> set[Path]:
    """Return the interpreter's own library, but for what only people use: what starts it is not told as imported."""
    lib = Path(os.__file__).parent
    left_out = {
        "test",
        "tests",
        "idlelib",
        "tkinter",
        "ensurepip",
        "lib2to3",
        "site-packages",
        "turtledemo",
        "pydoc_data",
    }
    return {
        path
        for suffix in ("py", "so")
        for path in lib.rglob(f"*.{suffix}")
        if not left_out & set(path.relative_to(lib).parts)
    }


def _libraries(binaries: Iterable[Path]) -> set[Path]:
    found: set[Path] = set()
    for binary in binaries:
        told = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
        found |= {Path(path) for path in re.findall(r"(/\S+)(?= \(0x)", told)}
    return found


class Cpio:
    """Writes an archive that the kernel unpacks (the "newc" format)."""

    def __init__(self, out: object) -> None:
        self._out = out
        self._count = 0
        self._made: set[Path] = {Path("/")}

    def folder(self, path: Path) -> None:
        """Add a folder and those above it."""
        if path not in self._made:
            self.folder(path.parent)
            self._made.add(path)
            self._entry(path, b"", stat.S_IFDIR | 0o755)

    def file(self, path: Path, data: bytes, mode: int) -> None:
        """Add a file."""
        self.folder(path.parent)
        self._entry(path, data, stat.S_IFREG | mode)

    def link(self, path: Path, target: str) -> None:
        """Add a symbolic link."""
        self.folder(path.parent)
        self._entry(path, target.encode(), stat.S_IFLNK | 0o777)

    def end(self) -> None:
        """Close the archive."""
        self._entry(Path("/TRAILER!!!"), b"", 0)

    def _entry(self, path: Path, data: bytes, mode: int) -> None:
        name = str(path).lstrip("/").encode() + b"\0"
        self._count += 1
        fields = (self._count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(f"{field:08x}".encode() for field in fields) + name
        write = self._out.write  # type: ignore[attr-defined]
        write(head + bytes(-len(head) % 4))
        write(data + bytes(-len(data) % 4))
