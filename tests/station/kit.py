"""A device's store, keys in files, and the station's command line run in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from station.cli import app, main
from station.keys import encode_station_key
from tests.storage.forge import split
from tests.storage.kit import Device


@dataclass
class Answer:
    """How the command line ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass
class Bench:
    """A device that recorded, beside the files that the station needs."""

    device: Device
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __post_init__(self) -> None:
        self.key = self.folder / "station.key"
        self.key.write_bytes(encode_station_key(self.device.station))
        self.device_key = self.device.state / "device.pub"
        self.output = self.folder / "out" / "film.mp4"
        self.output.parent.mkdir()

    @property
    def flash(self) -> Path:
        return self.device.flash

    def seg(self, number: int) -> Path:
        return self.flash / "segments" / f"{number:010d}.seg"

    def run(self, *arguments: object) -> Answer:
        """Run the command line as ``python -m station`` would."""
        self.capsys.readouterr()
        try:
            status = main(lambda: app([str(item) for item in arguments], prog_name="station"))
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = self.capsys.readouterr()
        return Answer(status, said.out, said.err)

    def verify(self, *more: object, path: Path | None = None) -> Answer:
        return self.run("verify", path or self.flash, "--device-key", self.device_key, *more)

    def export(self, *more: object, path: Path | None = None) -> Answer:
        return self.run(
            "export", path or self.flash, "--key", self.key, "--output", self.output, "--device-key", self.device_key,
            *more,
        )  # fmt: skip

    def left(self) -> list[str]:
        """Return the names of what was written."""
        return sorted(path.name for path in self.output.parent.iterdir())

    def cut(self, number: int, chunks: int) -> None:
        """Leave only the first chunks of a segment."""
        self.seg(number).write_bytes(b"".join(split(self.seg(number).read_bytes())[:chunks]))

    def spoil(self, number: int, offset: int = -1) -> None:
        """Turn a bit of a segment."""
        data = bytearray(self.seg(number).read_bytes())
        data[offset] ^= 1
        self.seg(number).write_bytes(data)


def one_clear_line(answer: Answer, *says: str) -> None:
    """An error: status 2, one line on stderr that says what and where, and nothing else."""
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("station: ")
    assert answer.err.count("\n") == 1
    assert answer.err.endswith("\n")
    assert "Traceback" not in answer.err
    for text in says:
        assert text in answer.err
