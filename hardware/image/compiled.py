"""Compiles the image's Python ahead, by the base's own interpreter under user-mode emulation.

The root is only read: without this a device would compile everything anew at each start, which is a third of the time
that its program takes to load. The files are of the unchecked kind (PEP 552): they hold no time, and the same sources
give the same bytes.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from hardware.image.entries import Entry, file
from hardware.image.errors import ImageError
from hardware.image.ext4 import Ext4
from hardware.image.programs import last_line, run

EMULATOR = "qemu-aarch64-static"
_LIBRARIES = ("ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1")
_LIBRARY_FOLDERS = ("/lib", "/usr/lib", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
_LEFT_OUT = ("tests", "test", "testing")
"""Folders of packages that no device imports."""
_SCRIPT = """\
import importlib._bootstrap_external as external, importlib.util, pathlib, sys
here = pathlib.Path(sys.argv[1])
count = 0
for line in (here / "list").read_text("utf-8").splitlines():
    number, _, name = line.partition(" ")
    data = (here / "in" / number).read_bytes()
    try:
        code = compile(data, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        continue  # templates and what is for other Pythons: never imported, or an error then as now
    made = external._code_to_hash_pyc(code, importlib.util.source_hash(data), False)
    (here / "out" / number).write_bytes(made)
    count += 1
print(count)
"""


def compiled_entries(root: Ext4, entries: Iterable[Entry], python: str, folder: Path, epoch_s: int) -> Iterator[Entry]:
    """Return the compiled form of every Python source among `entries`; `folder` is for files under way.

    Raises:
        ImageError: the interpreter does not run.
    """
    sources = [entry for entry in entries if entry.path.endswith(".py") and not entry.is_link and _wanted(entry.path)]
    tag = f"cpython-{python.replace('.', '')}"
    with tempfile.TemporaryDirectory(dir=folder) as held:
        place, job = Path(held) / "root", Path(held) / "job"
        _lay_out(root, python, place, epoch_s)
        for name in ("in", "out"):
            (job / name).mkdir(parents=True)
        for number, entry in enumerate(sources):
            (job / "in" / str(number)).write_bytes(entry.data)
        (job / "list").write_text("".join(f"{at} {entry.path}\n" for at, entry in enumerate(sources)), "utf-8")
        (job / "script.py").write_text(_SCRIPT, "utf-8")
        program = place / f"usr/bin/python{python}"
        # The emulated processor of the model is the quickest that there is; hashes are the same in every run.
        more = {"QEMU_CPU": "cortex-a72", "PYTHONHASHSEED": "0", "PYTHONHOME": "/usr", "PYTHONDONTWRITEBYTECODE": "1"}
        command: list[str | Path] = [EMULATOR, "-L", place, program, "-S", "-B", job / "script.py", job]
        done = run(command, epoch_s, more=more)
        if not done.stdout.strip().isdigit():
            raise ImageError(f"the base's Python does not run under emulation: {last_line(done.stderr)}")
        for number, entry in enumerate(sources):
            made = job / "out" / str(number)
            if made.exists():
                where, name = posixpath.split(entry.path)
                yield file(f"{where}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc", made.read_bytes())


def _wanted(path: str) -> bool:
    return not any(part in _LEFT_OUT for part in path.split("/")[:-1])


def _lay_out(root: Ext4, python: str, place: Path, epoch_s: int) -> None:
    """Take the interpreter, its library and what it is linked with out of the base."""
    for name in (f"usr/bin/python{python}", *_libraries(root)):
        data = root.read(f"/{name}")
        if data is None:
            raise ImageError(f"the base has no /{name}; take it unchanged")
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o755)
    run(["debugfs", "-R", f"rdump /usr/lib/python{python} {place / 'usr/lib'}", root.path], epoch_s)
    (place / "lib").mkdir(exist_ok=True)


def _libraries(root: Ext4) -> Iterator[str]:
    for name in _LIBRARIES:
        found = [folder for folder in _LIBRARY_FOLDERS if root.read(f"{folder}/{name}") is not None]
        if not found and name.startswith(("ld-", "libc.")):
            raise ImageError(f"the base has no {name}; take it unchanged")
        # At each place where it is: the loader knows one of them.
        yield from (f"{folder}/{name}".lstrip("/") for folder in found)
