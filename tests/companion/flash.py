"""The controller's flash in a file: made, read and cut by a real MicroPython with its real LittleFS."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from drivers.companion_program.bundle import Program, read_program, read_starter

COMPANION = Path(__file__).resolve().parents[2] / "hardware" / "companion"
STUBS = Path(__file__).parent / "stubs"
INTERPRETER = Path(sys.executable).parent / "micropython"
HEAP = ("-X", "heapsize=160k")
"""Less than an RP2040 has, and with words of 64 bits: what runs in it has room to spare there."""
MAIN = "import flash; flash.mount(); import main"
SIZE_BYTES = 512 * 1024
_PUT = "import flash; flash.mount(); flash.take('{folder}')"
_GET = "import flash; flash.mount(); flash.give('{folder}')"


def carried() -> Program:
    """The program of this release."""
    return read_program(COMPANION / "program")


def installed(program: Program, slot: str = "a", config: Sequence[str] = ()) -> dict[str, bytes]:
    """What a controller's flash holds with that program on it."""
    files = read_starter(COMPANION)
    files["config.py"] += ("\n".join(config) + "\n").encode() if config else b""
    files |= {f"{slot}/{name}": data for name, data in program.files.items()}
    return files | {f"{slot}/manifest": program.manifest, "choice": slot.encode()}


class Flash:
    """A LittleFS of 512 KiB with the release's program in folder `a`, and `config` at the end of its config.py."""

    def __init__(self, path: Path, config: Sequence[str] = ()) -> None:
        self.path = path
        path.write_bytes(_installed(tuple(config)))

    @classmethod
    def at(cls, path: Path) -> Flash:
        """One that is there already."""
        made = cls.__new__(cls)
        made.path = path
        return made

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write files, by their paths on the controller."""
        write(self.path, files)

    def files(self) -> dict[str, bytes]:
        """Everything that is on it."""
        with tempfile.TemporaryDirectory() as folder:
            _run(self.path, _GET.format(folder=folder))
            found = [path for path in Path(folder).rglob("*") if path.is_file()]
            return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def write(path: Path, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).parent.mkdir(exist_ok=True)
            (Path(folder) / name).write_bytes(data)
        _run(path, _PUT.format(folder=folder))


def run_on(path: Path, code: str) -> str:
    """Run code in MicroPython, and return what it printed. `path` is for its module `flash`."""
    return _run(path, code).decode()


def choose(path: Path) -> list[tuple[str, str, bool]]:
    """What the starter would run now, and at the start after that."""
    code = "import flash; flash.mount(); import starter; print(repr([starter.choose(), starter.choose()]))"
    found: list[tuple[str, str, bool]] = ast.literal_eval(_run(path, code).decode())
    return found


@functools.cache
def _installed(config: tuple[str, ...]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flash"
        path.write_bytes(b"\xff" * SIZE_BYTES)
        write(path, installed(carried(), config=config))
        return path.read_bytes()


def _run(path: Path, code: str) -> bytes:
    environment = {"MICROPYPATH": f"{STUBS}:.frozen", "COMPANION_FLASH": str(path)}
    done = subprocess.run([INTERPRETER, "-c", code], env=environment, check=True, timeout=30, stdout=subprocess.PIPE)
    return done.stdout
