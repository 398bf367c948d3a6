"""A real mosquitto on a free port, with a throw-away authority; it can be stopped, frozen and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from station.authority import Authority, encode_tls_key, new_authority, new_key
from station.live.broker_files import write_broker
from station.live.link import BrokerEnd
from storage.tls import TlsFiles
from uplink.live.broker import Broker

_START_S = 20.0


def mosquitto() -> str:
    """The program's path: Debian keeps it where a user's own PATH does not look."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/sbin")
    assert found, "mosquitto is missing: run `make setup`"
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class TestBroker:
    """One broker and its authority, in a folder."""

    __test__ = False

    def __init__(
        self, folder: Path, *, stations: tuple[str, ...] = ("station",), authority: Authority | None = None
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.now = datetime.now(UTC)
        self.authority = authority or new_authority("test unit", self.now)
        self.configuration = write_broker(
            folder, self.authority, "127.0.0.1", self.port, ["127.0.0.1", "localhost"], list(stations), self.now
        )
        self._process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []

    def start(self) -> None:
        process = subprocess.Popen(
            [mosquitto(), "-c", str(self.configuration)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self._process = process

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                self.lines.append(line)

        threading.Thread(target=read, name="mosquitto-log", daemon=True).start()
        wait_for(lambda: process.poll() is not None or self._answers(), _START_S)
        assert process.poll() is None, "".join(self.lines)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(_START_S)
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def device_files(self, device: bytes, *, authority: Authority | None = None, days: int = 30) -> TlsFiles:
        key = new_key()
        issuer = authority or self.authority
        return self._files(f"{device.hex()}-{days}", issuer.issue_device(device, key.public_key(), days, self.now), key)

    def station_files(self, name: str = "station") -> TlsFiles:
        key = new_key()
        return self._files(name, self.authority.issue_station(name, key.public_key(), [], 30, self.now), key)

    def for_device(self, device: bytes, port: int | None = None) -> Broker:
        return Broker("127.0.0.1", port or self.port, self.device_files(device))

    def for_station(self, name: str = "station") -> BrokerEnd:
        return BrokerEnd("127.0.0.1", self.port, name, self.station_files(name))

    def _files(self, name: str, certificate: bytes, key: object) -> TlsFiles:
        crt, private = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        crt.write_bytes(certificate)
        private.touch(mode=0o600)
        private.write_bytes(encode_tls_key(key))  # type: ignore[arg-type]
        return TlsFiles(self.folder / "ca.crt", crt, private)


def wait_for(condition: object, timeout_s: float = 20.0, what: str = "") -> None:
    """Wait until `condition()` is true; fails with `what` where it does not become so in time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what or "it did not happen in time"
        pause.wait(0.005)
