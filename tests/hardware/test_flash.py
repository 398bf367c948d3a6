"""Flashing: what is refused, what is written, and what a card that fails looks like. Files stand for cards."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hardware.flash.__main__ import main
from hardware.flash.errors import FlashError
from hardware.flash.target import Places, Target, look_at
from hardware.flash.writer import Image, load_image, write
from hardware.image.disk import Partition, with_table

SIZE = 9 * 1024 * 1024 + 512


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "bodycam.img"
    made = bytearray(os.urandom(SIZE))
    made[:512] = table(3)
    path.write_bytes(made)
    return path


def table(count: int) -> bytes:
    parts = [Partition(0x0C, 2048, 8192), Partition(0x83, 10240, 4096), Partition(0x83, 14336, 4096)]
    return with_table(os.urandom(446).ljust(512, b"\0"), parts[:count])


def card(tmp_path: Path, name: str = "card", size: int = 12 * 1024 * 1024) -> Path:
    path = tmp_path / name
    path.write_bytes(b"\xff" * size)
    return path


class Kernel:
    """A sysfs and a procfs with one card, sdz with two partitions, in them."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places = Places(base / "sys", base / "proc")
        self.card = base / "sys" / "block" / "sdz"
        for name, files in {
            "": {"ro": "0", "size": "25000", "dev": "8:400", "device/model": "Card Reader", "device/vendor": "ACME",
                 "device/serial": "0815"},
            "sdz1": {"partition": "1", "dev": "8:401"},
            "sdz2": {"partition": "2", "dev": "8:402"},
        }.items():  # fmt: skip
            for file, text in files.items():
                path = self.card / name / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text + "\n")
        links = base / "sys" / "dev" / "block"
        links.mkdir(parents=True)
        (links / "8:400").symlink_to(self.card)
        (links / "8:401").symlink_to(self.card / "sdz1")
        (base / "proc" / "self").mkdir(parents=True)
        self.mounts = base / "proc" / "self" / "mountinfo"
        self.mounts.write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
        self.swaps = base / "proc" / "swaps"
        self.swaps.write_text("Filename Type Size Used Priority\n")
        numbers = {"sdz": os.makedev(8, 400), "sdz1": os.makedev(8, 401), "sdy": os.makedev(8, 999)}
        real = Path.stat

        def stats(path: Path, **more: Any) -> Any:
            if path.parent == Path("/dev") and path.name in numbers:
                return SimpleNamespace(st_mode=stat.S_IFBLK | 0o660, st_rdev=numbers[path.name], st_size=0)
            return real(path, **more)

        monkeypatch.setattr(Path, "stat", stats)

    def refuses(self, says: str, path: str = "/dev/sdz") -> None:
        with pytest.raises(FlashError, match=says):
            look_at(Path(path), 1000, self.places)


def test_a_card_is_described_and_what_must_not_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(tmp_path, monkeypatch)
    found = look_at(Path("/dev/sdz"), 1000, kernel.places)
    assert found.described == "/dev/sdz: ACME Card Reader, 0.0 GB, serial 0815"
    assert found.size_bytes == 25_000 * 512
    kernel.refuses("is a partition: name the whole card, /dev/sdz", "/dev/sdz1")
    kernel.refuses("knows no such", "/dev/sdy")
    with pytest.raises(FlashError, match="too small: it has 12800000 bytes, the image 99000000"):
        look_at(Path("/dev/sdz"), 99_000_000, kernel.places)
    kernel.mounts.write_text("30 22 8:402 / /media/card rw - ext4 /dev/sdz2 rw\n")
    kernel.refuses("is mounted at /media/card: unmount it first; nothing was written")
    kernel.mounts.write_text("30 22 8:402 / / rw - ext4 /dev/sdz2 rw\n")
    kernel.refuses("holds this computer's system")
    kernel.mounts.write_text("")
    kernel.swaps.write_text("Filename Type Size Used Priority\n/dev/sdz1 partition 1 0 -2\n")
    kernel.refuses("swap")
    kernel.swaps.write_text("")
    (kernel.card / "holders" / "dm-0").mkdir(parents=True)
    kernel.refuses("part of something larger")
    (kernel.card / "holders" / "dm-0").rmdir()
    (kernel.card / "ro").write_text("1\n")
    kernel.refuses("read-only: slide the card's lock")
    (kernel.card / "ro").write_text("0\n")
    (kernel.card / "size").write_text("0\n")
    kernel.refuses("no card in the reader")


def test_what_is_no_card_is_refused(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none", "is the card in its reader"), (tmp_path, "neither a card nor a file"),
                       (Path("/dev/null"), "neither a card nor a file")):  # fmt: skip
        with pytest.raises(FlashError, match=says):
            look_at(path, 1)


def test_several_cards_are_written_at_once_and_read_back(
    tmp_path: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cards = [card(tmp_path, f"card{number}", SIZE + 512 * number) for number in range(3)]
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "yes"

    arguments = ["write", "--image", str(image), *(item for one in cards for item in ("--device", str(one)))]
    assert main(arguments, answer) == 0
    assert len(asked) == 1
    text = capsys.readouterr().out
    assert text.count("written, and read back the same") == 3
    assert text.index("serial") < text.index("written, and")
    for number, one in enumerate(cards):
        assert one.read_bytes() == image.read_bytes() + b"\xff" * 512 * number


def test_without_a_yes_nothing_is_written(tmp_path: Path, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = card(tmp_path)
    before = target.read_bytes()
    assert main(["write", "--image", str(image), "--device", str(target)], lambda _question: "y") == 2
    assert target.read_bytes() == before
    assert "nothing was written" in capsys.readouterr().err
    for arguments, says in (
        (["--image", str(tmp_path / "none"), "--device", str(target)], "cannot read the image"),
        (["--image", str(image), "--device", str(target), "--device", str(target)], "named twice"),
        (["--image", str(image), "--device", str(card(tmp_path, "small", 1000))], "too small"),
    ):
        assert main(["write", *arguments, "--yes"]) == 2
        assert says in capsys.readouterr().err


def test_a_card_that_is_pulled_or_lies_is_told_and_can_be_written_again(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = card(tmp_path, "good"), card(tmp_path, "bad")
    real = os.write
    numbers: dict[str, int] = {}

    def pulled(fd: int, data: Any) -> int:
        name = str(Path(f"/proc/self/fd/{fd}").readlink())
        numbers[name] = numbers.get(name, 0) + 1
        if name.endswith("bad") and numbers[name] > 1:
            raise OSError(5, "Input/output error")
        return real(fd, data)

    arguments = ["write", "--image", str(image), "--device", str(good), "--device", str(bad), "--yes"]
    with monkeypatch.context() as patch:
        patch.setattr("hardware.flash.writer.os.write", pulled)
        assert main(arguments) == 1
    text = capsys.readouterr().out
    assert f"{good}: written" in text
    assert f"{bad}: FAILED: {bad}: Input/output error: was the card pulled?" in text
    assert main(arguments) == 0
    capsys.readouterr()

    def forgets(fd: int, data: Any) -> int:
        return real(fd, bytes(len(data)))

    with monkeypatch.context() as patch:
        patch.setattr("hardware.flash.writer.os.write", forgets)
        with pytest.raises(FlashError, match="does not hold what was written"):
            write(load_image(image), look_at(bad, SIZE), lambda _what, _count: None)


def test_an_image_that_changes_meanwhile_is_noticed(tmp_path: Path, image: Path) -> None:
    loaded = load_image(image)
    image.write_bytes(bytes(SIZE))
    with pytest.raises(FlashError, match="changed while it was written"):
        write(loaded, look_at(card(tmp_path), SIZE), lambda _what, _count: None)


def test_what_is_no_image_of_a_card_is_not_written(
    tmp_path: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = card(tmp_path)
    before = target.read_bytes()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "spoilt.img").write_bytes(image.read_bytes())
    (tmp_path / "spoilt.img.sha256").write_text(f"{'0' * 64}  spoilt.img\n")
    os.link(target, tmp_path / "again")
    for name, data in {
        "empty": b"", "text": b"hello\n", "noise": bytes(1024), "packed": b"\xfd7zXZ\0" + bytes(1000),
        "base": table(2) + bytes(1000), "stick": table(1) + bytes(1000),
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
    for source, targets, says in (
        ("empty", ["card"], "no partition table"),
        ("text", ["card"], "no partition table"),
        ("noise", ["card"], "no partition table"),
        ("packed", ["card"], "is compressed: unpack it first"),
        ("base", ["card"], "give what `make image` made, not the base"),
        ("stick", ["card"], "is not an image of a device"),
        ("fifo", ["card"], "is no file"),
        (".", ["card"], "is no file"),
        ("none", ["card"], "cannot read the image"),
        ("spoilt.img", ["card"], "is not what spoilt.img.sha256 says"),
        ("bodycam.img", ["card", "again"], "the same card is named twice"),
        ("bodycam.img", ["bodycam.img"], "is the image itself"),
    ):
        named = [item for name in targets for item in ("--device", str(tmp_path / name))]
        assert main(["write", "--yes", "--image", str(tmp_path / source), *named]) == 2
        assert says in capsys.readouterr().err, source
    assert target.read_bytes() == before
    (tmp_path / "bodycam.img.sha256").write_text(f"{load_image(image).digest.hex()}  bodycam.img\n")
    assert load_image(image).size_bytes == SIZE


def test_only_a_card_that_was_read_back_is_called_written(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = card(tmp_path, "[red]odd")

    def fails(image: Image, target: Target, progress: Any) -> None:
        progress("[/y]", 1)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("hardware.flash.__main__.write", fails)
        assert main(["write", "--yes", "--image", str(image), "--device", str(odd)]) == 1
    assert f"{odd}: FAILED: MemoryError" in capsys.readouterr().out
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["write", "--yes", "--image", str(image), "--device", str(odd)]) == 0
    assert f"{odd}: written" in capsys.readouterr().out


class Reader:
    """Answers ioctl(2) as a card reader does; a file is what the card holds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, refuses: int = 0) -> None:
        self.asked: list[tuple[int, Any]] = []
        self._refuses = refuses
        monkeypatch.setattr("hardware.flash.writer.fcntl.ioctl", self.ioctl)
        monkeypatch.setattr("hardware.flash.__main__.look_at", self.look_at)

    def ioctl(self, fd: int, request: int, argument: Any = 0) -> int:
        self.asked.append((request, argument))
        if request == 0x1277:
            if self._refuses:
                raise OSError(self._refuses, os.strerror(self._refuses))
            at, count = struct.unpack("=QQ", argument)
            assert os.pwrite(fd, bytes(count), at) == count
        return 0

    def look_at(self, path: Path, _image_bytes: int) -> Target:
        return Target(path, path.stat().st_size, "", "", block=True)


def test_what_the_card_held_is_dropped_first(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, target = Reader(monkeypatch), card(tmp_path)
    assert main(["write", "--yes", "--image", str(image), "--device", str(target)]) == 0
    size = 12 * 1024 * 1024
    assert reader.asked[0] == (0x1277, (0).to_bytes(8, "little") + size.to_bytes(8, "little"))
    assert target.read_bytes() == image.read_bytes().ljust(size, b"\0"), "nothing of before is behind the image"
    assert capsys.readouterr().out.endswith(f"{target}: written, and read back the same\n")


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOTTY, errno.EREMOTEIO, errno.EIO])
def test_a_card_that_cannot_drop_what_it_held_is_written_and_named(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    Reader(monkeypatch, refuses=number)
    target = card(tmp_path)
    assert main(["write", "--yes", "--image", str(image), "--device", str(target)]) == 0
    assert target.read_bytes() == image.read_bytes().ljust(12 * 1024 * 1024, b"\xff")
    assert capsys.readouterr().out.endswith("; it cannot drop what it held before, and behind the image that is still "
                                            "there (docs/FLASH.md)\n")  # fmt: skip


def test_it_runs_as_a_program(tmp_path: Path, image: Path) -> None:
    target = card(tmp_path)
    for answer in ("no\n", ""):
        done = subprocess.run(
            [sys.executable, "-m", "hardware.flash", "write", "--image", str(image), "--device", str(target)],
            input=answer, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr == "flash: nothing was written\n"
