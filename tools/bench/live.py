"""Live view: from the chunk handed to the store to the chunk verified and decrypted at the station."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from station.authority import Authority, encode_tls_key, new_authority, new_key
from station.keys import load_station_key, write_new_key
from station.live.broker_files import write_broker
from station.live.hub import Viewer
from station.live.link import BrokerEnd
from station.live.receiver import LiveReceiver
from station.live.register import DeviceRegister
from station.live.shelf import LiveShelf
from station.opener import FileKeyOpener
from storage.keyfiles import device_id, encode_device_key
from storage.keyring_file import enrol_device
from storage.signer import MemorySigner
from storage.tls import TlsFiles, client_context, server_context
from tools.bench.table import Row
from tools.live import free_port, mosquitto, running

_CHUNKS_PER_S = 3
_MIB = 1024 * 1024
_BULK_BYTES = 256 * 1024
_BULK_CHUNKS = 400
_MANY = (50, 35, 25, 16, 8)


@dataclass(frozen=True)
class _Outcome:
    latencies_ms: list[float]
    sent: int
    arrived: int
    dropped: int
    bytes_per_s: float
    device_cpu: float
    """Of one core, by all devices together."""
    receiver_cpu: float


def live_rows(base: Path = Path("build/bench/live"), seconds: float = 20.0) -> Iterator[Row]:
    """Measure one device at 8 Mbit/s, one at full speed against raw TLS, and many at 2 Mbit/s."""
    shutil.rmtree(base, ignore_errors=True)
    try:
        with _Unit(base.absolute()) as unit:
            chunks = int(seconds * _CHUNKS_PER_S)
            one = unit.stream(1, chunks, 8_000_000 // 8 // _CHUNKS_PER_S, 1 / _CHUNKS_PER_S, sync=True)
            detail = f"1 device, 8 Mbit/s, {one.arrived} of {one.sent} chunks, synced to disk first"
            yield Row("live latency, p50", _percentile(one, 50), "ms", detail, 30.0, at_most=True)
            yield Row("live latency, p99", _percentile(one, 99), "ms", detail, 150.0, at_most=True)
            bulk = unit.stream(1, _BULK_CHUNKS, _BULK_BYTES, 0.0, sync=False)
            raw = _raw_tls(unit.station_files, _BULK_BYTES * _BULK_CHUNKS)
            yield Row(
                "live throughput", bulk.bytes_per_s / raw, "of raw TLS",
                f"{bulk.bytes_per_s / _MIB:.0f} MiB/s through the broker, verified and opened; "
                f"a bare TLS socket {raw / _MIB:.0f} MiB/s",
            )  # fmt: skip
            yield _many(unit, seconds)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _many(unit: _Unit, seconds: float) -> Row:
    """Find how many devices at 2 Mbit/s one broker and one receiver carry without a loss."""
    tried: list[str] = []
    for count in _MANY:
        chunks = int(seconds * _CHUNKS_PER_S)
        found = unit.stream(count, chunks, 2_000_000 // 8 // _CHUNKS_PER_S, 1 / _CHUNKS_PER_S, sync=False)
        lost = found.sent - found.arrived
        text = (
            f"p50 {_percentile(found, 50):.0f} ms, p99 {_percentile(found, 99):.0f} ms, {lost} of {found.sent} lost; "
            f"{found.device_cpu:.0%} of a core for the devices, {found.receiver_cpu:.0%} for the receiver"
        )
        if not lost and not found.dropped:
            more = f"; {', '.join(tried)} lost some" if tried else ""
            return Row("live devices at once", count, "", f"2 Mbit/s each, {text}{more}", 50.0)
        tried.append(str(count))
    return Row("live devices at once", 0, "", f"2 Mbit/s each; even {_MANY[-1]} lost some", 50.0)


def _percentile(outcome: _Outcome, percent: int) -> float:
    return statistics.quantiles(outcome.latencies_ms, n=100)[percent - 1]


class _Unit:
    """A broker, an authority, and devices enrolled as they are needed."""

    def __init__(self, base: Path) -> None:
        self._base = base
        base.mkdir(parents=True)
        now = datetime.now(UTC)
        self._authority: Authority = new_authority("bench", now)
        self._port = free_port()
        self._configuration = write_broker(
            base / "broker", self._authority, "127.0.0.1", self._port, ["127.0.0.1"], ["station"], now
        )
        write_new_key(base / "station.key")
        (base / "keys").mkdir()
        self.station_files = self._files("station")
        self._devices: list[Path] = []
        self._runs = 0

    def __enter__(self) -> _Unit:
        self._broker = running([mosquitto(), "-c", str(self._configuration)], self._base / "broker.log")
        self._broker.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._broker.__exit__()

    def stream(self, count: int, chunks: int, chunk_bytes: int, period_s: float, *, sync: bool) -> _Outcome:
        """Stream from `count` devices, and wait until all has arrived that will."""
        while len(self._devices) < count:
            self._enrol()
        self._runs += 1
        job = self._base / f"job{self._runs}.json"
        folders = self._devices[:count]
        fields = {
            "devices": [str(folder) for folder in folders], "port": self._port, "chunks": chunks, "sync": sync,
            "chunk_bytes": chunk_bytes, "period_s": period_s, "recipient": str(self._base / "station.pub"),
            "ca": str(self._base / "broker" / "ca.crt"),
        }  # fmt: skip
        job.write_text(json.dumps(fields), "utf-8")
        arrived: dict[tuple[str, int, int], int] = {}
        with self._receiver() as receiver:
            for folder in folders:
                _Watcher(receiver, bytes.fromhex(folder.name), arrived)
            devices = subprocess.Popen(
                [sys.executable, "-m", "tools.bench.live_devices", str(job)], stdout=subprocess.PIPE, text=True
            )
            assert devices.stdout is not None
            if devices.stdout.readline() != "ready\n":
                raise RuntimeError("bench: the devices did not start")
            cpu_s, begin_s = sum(os.times()[:2]), time.monotonic()
            devices.wait(600)
            receiver_cpu = (sum(os.times()[:2]) - cpu_s) / (time.monotonic() - begin_s)
            devices.stdout.close()
            done = json.loads(job.with_suffix(".done").read_text("utf-8"))
            sent = {(name, part, number): at for name, times in done["times"].items() for part, number, at in times}
            end_s = time.monotonic() + 10.0
            while len(arrived) < len(sent) - done["dropped"] and time.monotonic() < end_s:
                time.sleep(0.01)
        here = {key: at for key, at in arrived.items() if key in sent}
        span_s = (max(here.values()) - min(sent.values())) / 1e9
        return _Outcome(
            [(at - sent[key]) / 1e6 for key, at in here.items()],
            len(sent), len(here), done["dropped"], len(here) * chunk_bytes / span_s,
            done["cpu_s"] / done["wall_s"], receiver_cpu,
        )  # fmt: skip

    @contextmanager
    def _receiver(self) -> Iterator[LiveReceiver]:
        shelf = self._base / f"shelf{self._runs}"
        receiver = LiveReceiver(
            BrokerEnd("127.0.0.1", self._port, "station", self.station_files),
            DeviceRegister(self._base / "keys"),
            FileKeyOpener(load_station_key(self._base / "station.key")),
            LiveShelf(shelf, 10**10),
        )
        receiver.begin()
        try:
            end_s = time.monotonic() + 20.0
            while not receiver.connected:
                if time.monotonic() > end_s:
                    raise RuntimeError(f"bench: the receiver did not reach the broker: {receiver.trouble}")
                time.sleep(0.01)
            yield receiver
        finally:
            receiver.close()
            shutil.rmtree(shelf, ignore_errors=True)

    def _enrol(self) -> None:
        scratch = self._base / "new"
        identity = enrol_device(scratch / "state", MemorySigner.generate())
        device = device_id(identity)
        folder = self._base / device.hex()
        scratch.rename(folder)
        (self._base / "keys" / f"{device.hex()}.pub").write_bytes(encode_device_key(identity))
        key = new_key()
        (folder / "device.key").write_bytes(encode_tls_key(key))
        certificate = self._authority.issue_device(device, key.public_key(), 2, datetime.now(UTC))
        (folder / "device.crt").write_bytes(certificate)
        self._devices.append(folder)

    def _files(self, name: str) -> TlsFiles:
        key = new_key()
        files = TlsFiles(
            self._base / "broker" / "ca.crt", self._base / f"{name}-tls.crt", self._base / f"{name}-tls.key"
        )
        certificate = self._authority.issue_station(name, key.public_key(), ["127.0.0.1"], 2, datetime.now(UTC))
        files.certificate.write_bytes(certificate)
        files.key.write_bytes(encode_tls_key(key))
        return files


class _Watcher:
    """Notes when each chunk of a device was ready to be shown."""

    def __init__(self, receiver: LiveReceiver, device: bytes, arrived: dict[tuple[str, int, int], int]) -> None:
        self._name = device.hex()
        self._arrived = arrived
        self._viewer = Viewer(self._wake)
        receiver.watch(device, self._viewer)

    def _wake(self) -> None:
        now_ns = time.monotonic_ns()
        for frame in self._viewer.take():
            if frame.data:
                self._arrived.setdefault((self._name, frame.segment, frame.chunk), now_ns)


def _raw_tls(files: TlsFiles, size: int) -> float:
    """Return the bytes a second of a bare TLS 1.3 socket over loopback, one end a thread, the other another."""
    data = memoryview(os.urandom(_MIB))
    context = client_context(files)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        received = threading.Event()

        def receive() -> None:
            sock, _ = listener.accept()
            with server_context(files).wrap_socket(sock, server_side=True) as end:
                buffer, left = bytearray(_MIB), size
                while left > 0:
                    left -= end.recv_into(buffer)
                received.set()

        thread = threading.Thread(target=receive, name="raw-tls", daemon=True)
        thread.start()
        with (
            socket.create_connection(listener.getsockname()) as sock,
            context.wrap_socket(sock, server_hostname="127.0.0.1") as end,
        ):
            begin_s = time.perf_counter()
            for _ in range(size // len(data)):
                end.sendall(data)
            if not received.wait(60.0):
                raise ssl.SSLError("the other end received nothing")
            return size / (time.perf_counter() - begin_s)
