"""The dock: one device against a bare TLS socket and against rsync over ssh, in turns; then 1, 4 and 16 at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from station.audit.log import AuditLog
from station.authority import encode_tls_key, new_authority, new_key
from station.custody.bodies import FolderBodies
from station.custody.database import Database
from station.custody.devices import Devices
from station.custody.intake import Intake
from station.dock.bay import Bay
from station.dock.client import DeviceClient
from station.dock.turns import Turns
from storage.keyfiles import device_id, load_device_key
from storage.signer import MemorySigner
from storage.tls import TlsFiles, client_context
from tools.bench.scratch import TMPFS, Scratch
from tools.bench.table import Row

_MIB = 1024 * 1024
_CHUNK = os.urandom(333_000)
_ONE_BYTES = 360 * _MIB
_MANY_BYTES = 60 * _MIB
_RUNS = 3
_ROUNDS = 7


def docking_rows(base: Path = TMPFS / "getuige-bench-dock") -> Iterator[Row]:
    """Measure."""
    shutil.rmtree(base, ignore_errors=True)
    try:
        with _Unit(base) as unit:
            unit.make(1, _ONE_BYTES)
            ours, moved, raw, tool, rsync = [], [], [], [], []
            for _ in range(_RUNS):
                ours.append(unit.dock(1))
                moved.append(unit.transfer())
                tool.append(unit.openssl())
                raw.append(unit.raw_tls())
                if (found := unit.rsync()) is not None:
                    rsync.append(found)
            rate, limit = statistics.median(ours), statistics.median(raw)
            moving = statistics.median(moved)
            stock = statistics.median(tool)
            text = (
                f"{rate / _MIB:.0f} MiB/s: every signature, two SHA-256 of every byte, durable, on record; "
                f"s_server to s_client to a file: {stock / _MIB:.0f} MiB/s"
            )
            yield Row("dock, one device", rate / stock, "of openssl", text, 0.7)
            text = f"its sender and receiver in Python, nothing checked or written: {limit / _MIB:.0f} MiB/s"
            yield Row("dock, one device", rate / limit, "of a bare TLS socket", text)
            text = f"{moving / _MIB:.0f} MiB/s: the same bytes to disk, nothing checked"
            yield Row("dock, transfer alone", moving / limit, "of a bare TLS socket", text)
            if rsync:
                other = statistics.median(rsync)
                text = f"rsync: {other / _MIB:.0f} MiB/s, nothing verified"
                yield Row("dock, one device", rate / other, "of rsync over ssh", text, 1.5)
            unit.clear()
            unit.make(16, _MANY_BYTES)
            rates, memory = unit.together((1, 4, 16))
            text = ", ".join(f"{count}: {rates[count] / _MIB:.0f} MiB/s" for count in rates)
            yield Row("dock, 16 devices at once", rates[16] / rates[1], "of one", text, 1.0)
            text = ", ".join(f"{count}: {memory[count]:.0f} MiB" for count in memory)
            yield Row("dock, station's peak RSS", memory[16] - memory[1], "MiB more", text, 64.0, at_most=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)


class _Unit:
    """A station, its devices, and what they are compared with."""

    def __init__(self, base: Path) -> None:
        self._base = base
        base.mkdir(parents=True)
        self._authority = new_authority("bench", datetime.now(UTC))
        self._tls = self._identity(base / "tls", None)
        self._devices: list[Path] = []
        self._stack = ExitStack()
        self._runs = 0

    def __enter__(self) -> _Unit:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def make(self, count: int, size: int) -> None:
        """Make devices with full stores."""
        for number in range(count):
            folder = self._base / f"device{number}"
            scratch = Scratch.make(folder)
            with scratch.open() as store:
                scratch.record(store, size, _CHUNK, os.urandom(16))
            identity = load_device_key(folder / "state" / "device.pub")
            self._identity(folder / "tls", device_id(identity))
            self._devices.append(folder)

    def clear(self) -> None:
        """Forget the devices."""
        for folder in self._devices:
            shutil.rmtree(folder)
        self._devices.clear()

    def dock(self, count: int, first: int = 0) -> float:
        """Take `count` devices off at once, into a new custody store; return the bytes a second of all.

        They are those from number `first` on, and after the last one the first again.
        """
        self._runs += 1
        place = self._base / f"station{self._runs}"
        place.mkdir()
        database = Database(f"sqlite:///{place / 'db'}")
        signer = MemorySigner.generate()
        audit = AuditLog(place / "audit", signer)
        intake = Intake(database, FolderBodies(place / "bodies"), audit, signer, time.time_ns)
        devices = Devices(database, audit, time.time_ns)
        try:
            with ExitStack() as stack:
                bays = []
                turns = Turns()
                for number in range(first, first + count):
                    folder = self._devices[number % len(self._devices)]
                    devices.enrol("bench", load_device_key(folder / "state" / "device.pub"), "")
                    port = stack.enter_context(
                        _child(str(folder / "flash"), str(folder / "state"), str(folder / "tls"))
                    )
                    bays.append(Bay(folder.name, "127.0.0.1", port, self._tls, intake, place / "incoming", turns=turns))
                threads = [threading.Thread(target=bay.visit, name=bay.status()["name"]) for bay in bays]
                begin_s = time.perf_counter()
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                took_s = time.perf_counter() - begin_s
                for bay in bays:
                    status = bay.status()
                    if status["state"] != "done":
                        raise RuntimeError(f"bench: bay {status['name']}: {status['state']}: {status['text']}")
                return float(sum(bay.status()["bytes"] for bay in bays)) / took_s
        finally:
            database.close()
            shutil.rmtree(place)

    def together(self, counts: tuple[int, ...]) -> tuple[dict[int, float], dict[int, float]]:
        """Take off so many devices at once, in turns; return bytes a second of all, and the peak RSS (MiB) after each.

        The first round is not counted: memory that this machine has never used before costs its host a fault a page,
        and the files of sixteen devices are the first to use so much.
        """
        memory = {}
        for count in counts:
            _forget_peak()
            self.dock(count)
            memory[count] = _peak_mib()
        rates: dict[int, list[float]] = {count: [] for count in counts}
        for number in range(_ROUNDS):
            for count in counts:
                # Each round others, so that no device's files are still in the processor's cache from the last one.
                rates[count].append(self.dock(count, first=number * count))
        return {count: statistics.median(found) for count, found in rates.items()}, memory

    def transfer(self) -> float:
        """Bring the first device's segments to disk, as a bay does, and check nothing."""
        folder = self._devices[0]
        place = self._base / "moved"
        with (
            _child(str(folder / "flash"), str(folder / "state"), str(folder / "tls")) as port,
            DeviceClient("127.0.0.1", port, self._tls) as client,
        ):
            items = client.segments()
            begin_s = time.perf_counter()
            for item in items:
                with place.open("wb", buffering=0) as file:
                    for block in client.read(item.number, 0, item.size_bytes, item.size_bytes):
                        file.write(block)
                    os.fsync(file.fileno())
            took_s = time.perf_counter() - begin_s
        place.unlink()
        return sum(item.size_bytes for item in items) / took_s

    def raw_tls(self) -> float:
        """Receive the first device's largest file six times over a bare TLS socket, and throw it away."""
        folder = self._devices[0]
        path = max((folder / "flash" / "segments").iterdir(), key=lambda item: item.stat().st_size)
        context = client_context(self._tls)
        context.check_hostname = False
        buffer = memoryview(bytearray(_MIB))
        size, took_s = 0, 0.0
        with _child("raw", str(path), str(folder / "tls")) as port:
            for _ in range(6):
                with socket.create_connection(("127.0.0.1", port)) as sock, context.wrap_socket(sock) as end:
                    begin_s = time.perf_counter()
                    while count := end.recv_into(buffer):
                        size += count
                    took_s += time.perf_counter() - begin_s
        return size / took_s

    def openssl(self) -> float:
        """Bring the first device's segments to disk with `openssl s_server` and `s_client`, one connection for all."""
        folder = self._devices[0]
        paths = sorted((folder / "flash" / "segments").iterdir())
        size = sum(path.stat().st_size for path in paths)
        whole, place = self._base / "whole", self._base / "moved"
        with whole.open("wb") as target:
            for path in paths:
                target.write(path.read_bytes())
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        tls = folder / "tls"
        with place.open("wb") as target:
            server = subprocess.Popen(
                ["openssl", "s_server", "-accept", str(port), "-cert", str(tls / "device.crt"), "-key",
                 str(tls / "device.key"), "-tls1_3", "-quiet", "-HTTP"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._base,
            )  # fmt: skip
            _await_listener(port)
            begin_s = time.perf_counter()
            client = subprocess.Popen(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-quiet"],
                stdin=subprocess.PIPE, stdout=target, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            assert client.stdin is not None
            client.stdin.write(b"GET /whole HTTP/1.0\r\n\r\n")
            client.stdin.flush()
            end_s = time.monotonic() + 120
            while place.stat().st_size < size and time.monotonic() < end_s:
                time.sleep(0.002)
            took_s = time.perf_counter() - begin_s
            client.stdin.close()
            for process in (client, server):
                process.terminate()
                process.wait(10)
        got = place.stat().st_size
        whole.unlink()
        place.unlink()
        if got != size:
            raise RuntimeError(f"bench: openssl brought {got} of {size} bytes")
        return size / took_s

    def rsync(self) -> float | None:
        """Copy the same bytes with rsync over ssh; None where the two are not installed."""
        sshd = shutil.which("sshd", path="/usr/sbin:/sbin")
        if sshd is None or shutil.which("rsync") is None or shutil.which("ssh") is None:
            return None
        place = self._base / "ssh"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        for name in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
        shutil.copyfile(place / "client.pub", place / "authorized")
        Path("/run/sshd").mkdir(exist_ok=True)
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        options = [
            f"-oHostKey={place / 'host'}", f"-oAuthorizedKeysFile={place / 'authorized'}", "-oStrictModes=no",
            "-oUsePAM=no", f"-oPidFile={place / 'pid'}", "-oListenAddress=127.0.0.1",
        ]  # fmt: skip
        server = subprocess.Popen([sshd, "-D", "-e", "-p", str(port), *options], stderr=subprocess.DEVNULL)
        try:
            _await_port(port)
            source = self._devices[0] / "flash" / "segments"
            size = sum(path.stat().st_size for path in source.iterdir())
            shell = (
                f"ssh -p {port} -i {place / 'client'} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                "-o LogLevel=ERROR"
            )
            begin_s = time.perf_counter()
            subprocess.run(
                ["rsync", "-a", "--whole-file", "-e", shell, f"127.0.0.1:{source}/", str(place / "copy") + "/"],
                check=True,
            )
            return size / (time.perf_counter() - begin_s)
        finally:
            server.terminate()
            server.wait(10)
            shutil.rmtree(place, ignore_errors=True)

    def _identity(self, folder: Path, device: bytes | None) -> TlsFiles:
        folder.mkdir()
        key, now = new_key(), datetime.now(UTC)
        if device is None:
            certificate = self._authority.issue_station("station", key.public_key(), [], 2, now)
        else:
            certificate = self._authority.issue_device(device, key.public_key(), 2, now)
        files = TlsFiles(folder / "ca.crt", folder / "device.crt", folder / "device.key")
        files.authority.write_bytes(self._authority.pem)
        files.certificate.write_bytes(certificate)
        files.key.write_bytes(encode_tls_key(key))
        return files


def _forget_peak() -> None:
    """Let the peak of this process begin anew (proc(5), clear_refs): measurements before this one had others."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def _peak_mib() -> float:
    """Return this process's peak RSS since then, in MiB."""
    for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("bench: the kernel does not tell the peak of a process's memory")


@contextmanager
def _child(*arguments: str) -> Iterator[int]:
    """Run a device, or a raw sender; give its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.bench.dock_device", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        process.stdout.close()


def _await_listener(port: int) -> None:
    """Wait until somebody listens, without connecting: the server takes one connection alone."""
    end_s = time.monotonic() + 10
    wanted = f":{port:04X} 00000000:0000 0A"
    while time.monotonic() < end_s:
        tables = [Path("/proc/net/tcp").read_text(), Path("/proc/net/tcp6").read_text()]
        if any(wanted in line or (f":{port:04X} " in line and " 0A " in line) for text in tables for line in
               text.splitlines()):  # fmt: skip
            return
        time.sleep(0.02)
    raise RuntimeError("bench: openssl did not start")


def _await_port(port: int) -> None:
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise RuntimeError("bench: sshd did not start")
