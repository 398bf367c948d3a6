"""Stands for systemd: programs of its programs' names on a path, asking a manager that runs a real recorder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.firmware.device import PATIENCE_S, ROOT

_PROGRAM = """#!{python}
import json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
line.sendall(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]).encode() + b"\\n")
status, output = json.loads(line.makefile("rb").readline())
sys.stdout.write(output)
sys.exit(status)
"""


class Manager:
    """Owns the recorder's process. A context manager; `path` is what PATH begins with."""

    def __init__(self, base: Path, settings: Path) -> None:
        self._settings = settings
        self.path = base / "programs"
        self.path.mkdir()
        self.asked: list[list[str]] = []
        self.log: list[str] = []
        self._changed = threading.Condition()
        self._recorder: subprocess.Popen[str] | None = None
        self._before = 0
        """How many lines there were when it was started."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(base / "manager.sock"))
        self._socket.listen(4)
        for name in ("systemctl", "busctl", "journalctl"):
            program = self.path / name
            program.write_text(_PROGRAM.format(python=sys.executable, address=str(base / "manager.sock")), "utf-8")
            program.chmod(0o755)
        self._thread = threading.Thread(target=self._serve, name="manager", daemon=True)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"}

    def start(self) -> None:
        self._before = len(self.log)
        self._recorder = subprocess.Popen(
            [sys.executable, "-m", "firmware", "run", "--settings", str(self._settings)],
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, args=(self._recorder,), daemon=True).start()

    def stop(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.send_signal(signal.SIGTERM)
            status = recorder.wait(PATIENCE_S)
            # One that is still starting knows no signals yet; to systemd that is a clean end, too.
            assert status == 0 or (status == -signal.SIGTERM and not self._is_up()), self.log

    def until_ended(self) -> None:
        """Wait for a recorder that ends by itself, in good order."""
        recorder, self._recorder = self._recorder, None
        assert recorder is not None
        assert recorder.wait(PATIENCE_S) == 0

    def _is_up(self) -> bool:
        return any("standby" in line or "unenrolled" in line for line in self.log[self._before :])

    def until_said(self, text: str, count: int = 1) -> None:
        with self._changed:
            found = self._changed.wait_for(lambda: sum(text in line for line in self.log) >= count, PATIENCE_S)
        assert found, self.log

    def _read(self, recorder: subprocess.Popen[str]) -> None:
        assert recorder.stderr is not None
        with recorder.stderr as stream:
            for line in stream:
                with self._changed:
                    self.log.append(line.rstrip("\n"))
                    self._changed.notify_all()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            with line:
                data = line.makefile("rb").readline()
                if not data:
                    return
                line.sendall(json.dumps(self._obey(json.loads(data))).encode() + b"\n")

    def _obey(self, words: list[str]) -> tuple[int, str]:
        self.asked.append(words)
        match words:
            case ["systemctl", *_, "stop", _]:
                self.stop()
            case ["systemctl", *_, "start" | "restart" as verb, _]:
                if verb == "restart":
                    self.stop()
                self.start()
            case ["journalctl", *_]:
                now = str(time.time_ns() // 1000)
                entries = [
                    {"__REALTIME_TIMESTAMP": now, "_SYSTEMD_UNIT": "getuige.service", "MESSAGE": line}
                    for line in reversed(self.log)
                ]
                return 0, "".join(json.dumps(entry) + "\n" for entry in entries)
        return 0, ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._thread.join(PATIENCE_S)
