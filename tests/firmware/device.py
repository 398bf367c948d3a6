"""A whole device in a process of its own, with simulated hardware, on a settings file of its own."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from firmware.board import BOARDS
from firmware.cli import main as firmware_main
from station.keys import load_station_key, write_new_key
from storage import cbor
from storage.keyfiles import encode_device_key
from storage.policy import sign_policy
from storage.reader import SegmentReader, TornError
from tests.firmware.policies import UNIT, policy_text

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0

SETTINGS = """
[store]
flash = "flash"
state = "state"
reserve_mib = 0

[recording]
segment_s = 60

[hardware]
board = "board.toml"
self_test = false
"""


@dataclass(frozen=True)
class Kit:
    """An enrolled device's folder."""

    base: Path

    @classmethod
    def make(cls, base: Path, profile: str = "480p30", **policy: str) -> Kit:
        """`policy` are keys of the unit's policy with the TOML text of their value."""
        kit = cls(base)
        base.mkdir(parents=True, exist_ok=True)
        kit.settings.write_text(SETTINGS, "utf-8")
        kit.board.write_text((BOARDS / "simulated.toml").read_text("utf-8"), "utf-8")
        write_new_key(kit.station_key, hybrid=False)
        (base / "unit.pub").write_bytes(encode_device_key(UNIT.public))
        values = {"video_profile": f'"{profile}"'} | policy
        text = policy_text([load_station_key(kit.station_key).recipient], **values)
        kit.policy.write_bytes(sign_policy(text, UNIT))
        assert firmware_main(kit.enrolment) == 0
        return kit

    @classmethod
    def in_tpm(cls, base: Path, uri: str) -> Kit:
        """Make one whose identity was born in the TPM that `uri` names, as its settings say."""
        kit = cls.make(base)
        for path in (base / "state").iterdir():
            path.unlink()
        with kit.settings.open("a", encoding="utf-8") as file:
            file.write(f'\n[enrolment]\nidentity = "{uri}"\n')
        assert firmware_main([*kit.enrolment, "--identity", uri]) == 0
        return kit

    @property
    def enrolment(self) -> list[str]:
        return [
            "enrol", "--settings", str(self.settings), "--unit", str(self.base / "unit.pub"),
            "--policy", str(self.policy),
        ]  # fmt: skip

    @property
    def policy(self) -> Path:
        return self.base / "policy.signed.toml"

    @property
    def board(self) -> Path:
        return self.base / "board.toml"

    def change_board(self, part: str, driver: str) -> None:
        """Give a part another driver."""
        text = self.board.read_text("utf-8")
        start = text.index(f"[{part}]")
        end = text.index("\n\n", start) if "\n\n" in text[start:] else len(text)
        self.board.write_text(text[:start] + f'[{part}]\ndriver = "{driver}"' + text[end:], "utf-8")

    def put_companion(self, port: str = "/dev/serial0") -> None:
        """Give light, button, camera power and battery to a companion controller at that port."""
        for part in ("indicator", "button", "camera_power", "battery"):
            self.change_board(part, "companion")
        section = f'\n[companion]\nport = "{port}"\nbaud = 115200\n'
        self.board.write_text(self.board.read_text("utf-8") + section, "utf-8")

    @property
    def settings(self) -> Path:
        return self.base / "device.toml"

    @property
    def flash(self) -> Path:
        return self.base / "flash"

    @property
    def station_key(self) -> Path:
        return self.base / "station.key"

    def secrets(self) -> list[str]:
        """The private keys in the keyring now, as text that must stand nowhere else."""
        fields = cbor.decode_map((self.base / "state" / "keyring").read_bytes(), "keyring")
        assert fields["seeds"]
        return [
            form
            for _position, seed in fields["seeds"]
            for form in (seed.hex(), repr(seed)[2:-1], base64.b64encode(seed).decode())
        ]

    def verify(self) -> tuple[int, dict[str, Any]]:
        done = python(
            "station", "verify", str(self.flash), "--device-key", str(self.base / "state" / "device.pub"), "--json"
        )
        return done.returncode, json.loads(done.stdout)

    def segments(self) -> list[Path]:
        return sorted((self.flash / "segments").glob("*.seg"))

    def await_media(self, after: int, chunks: int = 1) -> None:
        """Wait until the newest segment, which has to come after number `after`, holds that many chunks of media.

        Another process writes the file, so there is nothing to wait for but the file itself.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while len(self.segments()) <= after or _records(self.segments()[-1]) < 1 + chunks:
            assert time.monotonic() < deadline_s, "nothing was recorded"
            time.sleep(0.01)


def _records(path: Path) -> int:
    count = 0
    try:
        with SegmentReader(path) as reader:
            for _record in reader.records():
                count += 1
    except TornError:
        return count
    return count


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the project's programs to its end."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


class Held:
    """The device, running. A context manager that kills it if it still runs."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "firmware", *arguments],
            cwd=ROOT, env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self.lines: list[str] = []
        self._came = threading.Condition()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            with self._came:
                self.lines.append(line.decode().rstrip("\n"))
                self._came.notify_all()
        with self._came:
            self.lines.append("(end)")
            self._came.notify_all()

    @property
    def output(self) -> str:
        with self._came:
            return "\n".join(self.lines)

    def key(self, keys: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys)

    def until(self, text: str, count: int = 1) -> None:
        """Wait until a line is `text`, or has it at its end, for the `count`th time."""

        def came() -> bool:
            return sum(line == text or line.endswith(f": {text}") for line in self.lines) >= count

        with self._came:
            found = self._came.wait_for(lambda: came() or self.lines.count("(end)") == 2, PATIENCE_S)
            assert found and came(), f"no {text!r}: {self.lines}"  # noqa: PT018 - one message for both

    def end(self) -> int:
        """Wait until it has ended; return its exit status."""
        status = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return status

    def kill(self) -> float:
        """Kill it as a battery that is pulled does; return the wall-clock time just before."""
        now_s = time.time()
        self.process.send_signal(signal.SIGKILL)
        self.end()
        return now_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.end()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
