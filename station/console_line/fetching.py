"""A device's log as a file: what came stays in ``FILE.part`` where the cable is pulled, and is gone on with."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from station.errors import StationError
from storage.durable import replace_file
from wire.bodies import Described, Gathering, described
from wire.errors import WireError
from wire.plain import decode, encode

_MOST_BYTES = 16 * 1024 * 1024
_MOST_HEAD_BYTES = 200


class Fetching:
    """Where the log goes, and what of it is there already. A part file begins with a line that says of what it is."""

    def __init__(self, output: Path) -> None:
        """Look what is there.

        Raises:
            StationError: the file exists, or is no name for one.
        """
        if not output.name or output.is_dir():
            raise StationError(f"{output} is a folder: name the file to write")
        if output.exists():
            raise StationError(f"{output} exists already: name another file")
        self._output = output
        self._part = output.with_name(output.name + ".part")
        self._gathered = _load(self._part)

    @property
    def of(self) -> dict[str, str]:
        """What to ask the device for: the rest of what was begun, or all."""
        return {"of": self._gathered.of.digest.hex()} if self._gathered is not None else {}

    @property
    def begun_bytes(self) -> int:
        """How much was there already."""
        return self._gathered.size_bytes if self._gathered is not None else 0

    def gather(self, of: Described) -> Gathering:
        """Return what is there of that log, or room for a new one."""
        if self._gathered is None or self._gathered.of != of:
            self._gathered = Gathering(of)
        return self._gathered

    def keep(self) -> str:
        """Keep what came so far; return a few words about it.

        Raises:
            StationError: it cannot be written.
        """
        if self._gathered is None or not self._gathered.size_bytes:
            return "nothing of it came"
        of, size_bytes = self._gathered.of, self._gathered.size_bytes
        self._write(self._part, encode(of.fields) + b"\n" + self._gathered.data)
        return f"{size_bytes} of {of.size_bytes} bytes are in {self._part}: the same command goes on from there"

    def done(self, data: bytes) -> None:
        """Write the whole of it.

        Raises:
            StationError: it cannot be written.
        """
        self._write(self._output, data)
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            replace_file(path, data, mode=0o600)
        except OSError as error:
            raise StationError(f"cannot write {path}: {error.strerror}") from None


def _load(path: Path) -> Gathering | None:
    """Return what a part file holds; None where there is none, or it is none."""
    try:
        with path.open("rb") as file:
            of = described(decode(file.readline(_MOST_HEAD_BYTES).rstrip(b"\n")), _MOST_BYTES)
            gathered = Gathering(of)
            gathered.add(0, file.read(_MOST_BYTES + 1))
    except (OSError, WireError):
        return None
    return gathered
