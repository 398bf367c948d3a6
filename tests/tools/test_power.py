"""The disk that forgets, its server, and the tables of the power cuts. The cuts themselves are in `make soak`."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.soak.power.__main__ import Cut, page
from tools.soak.power.disk import SECTOR_BYTES, ForgetfulDisk
from tools.soak.power.guest import main as guest_main
from tools.soak.power.image import MachineError, require_tools
from tools.soak.power.nbd import NbdServer

SIZE = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def disk(image: Path) -> Iterator[ForgetfulDisk]:
    made = ForgetfulDisk(image, random.Random(1))
    yield made
    made.close()
    made.close()


def sectors(count: int, byte: bytes = b"x") -> bytes:
    return byte * (count * SECTOR_BYTES)


def test_what_is_flushed_stays_and_what_is_not_may_go(disk: ForgetfulDisk, image: Path) -> None:
    disk.write(0, sectors(64, b"a"))
    disk.flush()
    disk.write(SECTOR_BYTES * 32, sectors(64, b"b"))
    assert disk.read(0, SECTOR_BYTES * 96) == sectors(32, b"a") + sectors(64, b"b")
    kept, lost = disk.cut()
    assert kept + lost == 64
    assert kept > 0
    assert lost > 0
    found = image.read_bytes()
    assert found[: SECTOR_BYTES * 32] == sectors(32, b"a")
    rest = {found[at : at + SECTOR_BYTES] for at in range(SECTOR_BYTES * 32, SECTOR_BYTES * 96, SECTOR_BYTES)}
    assert rest == {sectors(1, b"a"), sectors(1, b"b"), sectors(1, b"\0")}, "sectors are whole, old or new"


def test_a_disk_that_does_not_tear_keeps_whole_pages(image: Path) -> None:
    whole = ForgetfulDisk(image, random.Random(1), tears=False)
    whole.write(0, sectors(512, b"a"))
    kept, lost = whole.cut()
    whole.close()
    assert kept % 8 == lost % 8 == 0
    assert 0 < kept < 512


def test_after_the_cut_nothing_is_taken(disk: ForgetfulDisk, image: Path) -> None:
    disk.cut()
    disk.write(0, sectors(1))
    disk.flush()
    assert image.read_bytes() == bytes(SIZE)
    assert disk.flushes == 0


def test_what_comes_during_a_flush_is_not_flushed_by_it(image: Path) -> None:
    slow = ForgetfulDisk(image, random.Random(1), slowest_flush_s=0.01)
    slow.write(0, sectors(8, b"a"))
    slow.flush()
    assert image.read_bytes()[: SECTOR_BYTES * 8] == sectors(8, b"a")
    slow.close()


class Client:
    """Speaks as much of the protocol as QEMU does."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        assert self.take(18)[:16] == b"NBDMAGICIHAVEOPT"
        self.socket.sendall(struct.pack(">I", 3))

    def take(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            assert part
            data += part
        return data

    def option(self, number: int, data: bytes = b"") -> None:
        self.socket.sendall(b"IHAVEOPT" + struct.pack(">II", number, len(data)) + data)

    def reply(self) -> tuple[int, bytes]:
        magic, _option, kind, length = struct.unpack(">QIII", self.take(20))
        assert magic == 0x3E889045565A9
        return kind, self.take(length)

    def ask(self, kind: int, offset: int = 0, length: int = 0, data: bytes = b"", flags: int = 0) -> tuple[int, bytes]:
        self.socket.sendall(struct.pack(">IHH8sQI", 0x25609513, flags, kind, b"handle.!", offset, length) + data)
        magic, error, handle = struct.unpack(">II8s", self.take(16))
        assert (magic, handle) == (0x67446698, b"handle.!")
        return error, self.take(length) if kind == 0 and not error else b""


def test_the_server_speaks_the_protocol(disk: ForgetfulDisk, image: Path, tmp_path: Path) -> None:
    with NbdServer(disk, tmp_path / "socket"):
        client = Client(tmp_path / "socket")
        client.option(8)  # structured replies
        assert client.reply()[0] == 0x80000001
        client.option(7, b"\0\0\0\0\0\0")
        kind, info = client.reply()
        assert (kind, struct.unpack(">HQH", info)) == (3, (0, SIZE, 1 | 4 | 8))
        assert client.reply() == (1, b"")
        assert client.ask(1, 512, 1024, sectors(2)) == (0, b"")
        assert client.ask(0, 0, 2048) == (0, bytes(512) + sectors(2) + bytes(512))
        assert image.read_bytes() == bytes(SIZE)
        assert client.ask(3) == (0, b"")
        assert image.read_bytes()[512:1536] == sectors(2)
        assert client.ask(1, 4096, 512, sectors(1, b"f"), flags=1) == (0, b"")
        assert image.read_bytes()[4096:4608] == sectors(1, b"f")
        assert client.ask(4, 0, 512)[0] == 22
        client.socket.close()


def test_the_old_way_to_begin(disk: ForgetfulDisk, tmp_path: Path) -> None:
    with NbdServer(disk, tmp_path / "socket"):
        client = Client(tmp_path / "socket")
        client.option(1, b"any")
        assert struct.unpack(">QH", client.take(10)) == (SIZE, 13)
        client.socket.close()


def test_a_server_that_nobody_came_to_ends(disk: ForgetfulDisk, tmp_path: Path) -> None:
    with NbdServer(disk, tmp_path / "socket"):
        pass


def test_the_guests_job_on_this_machine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The very job, without a guest: enrol, record, check, and find out what is not there."""
    import json

    from station.keys import StationKey, encode_station_key

    key = encode_station_key(StationKey.generate(hybrid=False)).decode()
    orders = tmp_path / "orders"
    data = tmp_path / "data"
    data.mkdir()

    def run(reported: list[list[object]], turns: int) -> tuple[int, list[str]]:
        text = json.dumps({"key": key, "reported": reported, "turns": turns})
        orders.write_bytes(text.encode().ljust(1 << 16, b"\0"))
        status = guest_main([str(data), str(orders)])
        return status, capfd.readouterr().out.splitlines()

    assert run([], 0) == (0, ["OK new 0 0"])
    status, said = run([], 0)
    assert (status, said[0].split()[:2]) == (0, ["OK", "new"])
    status, said = run([[1, 9, "ab" * 32]], 0)
    assert status == 1
    assert said[0].startswith("BROKEN chunk 9 of segment 1 was reported durable and is not there")


def test_the_page() -> None:
    cuts = [
        Cut("f2fs", 1, 2.0, 30, 5, 7, "cut 100 20"),
        Cut("ext4", 1, 1.0, 10, 1, 2, "cut 0 5"),
        Cut("ext4", 2, 3.0, 20, 0, 0, "", "BROKEN lost"),
    ]
    text = page(cuts)
    assert "| ext4 | 2 | 30 | 1, 2 | 1 |" in text
    assert "| f2fs | 1 | 30 | 5, 7 | 0 |" in text
    assert "| ext4 | 2 | 3.0 s | 20 | 0 | 0 | BROKEN lost |" in text


def test_a_machine_that_cannot_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(MachineError, match="this machine is riscv64"):
        require_tools()
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("shutil.which", lambda *_arguments, **_more: None)

    def refuse(*_arguments: object, **_more: object) -> None:
        raise subprocess.CalledProcessError(100, "apt-get")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(MachineError, match="cannot install busybox-static, e2fsprogs, f2fs-tools"):
        require_tools()
