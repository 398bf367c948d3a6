"""The controller's program put on over USB: mpremote's own transport, a raw prompt, MicroPython and its file system."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.companion_program.bundle import Program, make_program, read_starter
from drivers.companion_program.usb import UsbPrompt
from drivers.errors import DriverError, DriverUnavailableError
from tests.companion.flash import COMPANION, SIZE_BYTES, Flash, carried, choose
from tests.companion.prompt import UsbController

SMALL = make_program({"program.py": b"VALUE = 1\n" * 60, "session.py": b'VERSION = "9.9.9"\n'})
STARTER = read_starter(COMPANION)


def install(controller: UsbController, program: Program, *, config: bytes | None = None) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    starter = STARTER if config is None else STARTER | {"config.py": config}
    with UsbPrompt(controller.port, platform="linux", whole_s=30) as prompt:
        prompt.install(program, starter, lambda sent, whole: told.append((sent, whole)), config=config is not None)
    return told


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    path = tmp_path / "blank"
    path.write_bytes(b"\xff" * SIZE_BYTES)
    return path


@pytest.mark.parametrize("paste", [True, False])
def test_a_blank_controller_has_everything_afterwards(blank: Path, paste: bool) -> None:
    program = carried() if paste else SMALL
    with UsbController(blank, paste=paste) as controller:
        told = install(controller, program)
    assert controller.resets == 1
    assert told[-1][0] == told[-1][1] > program.size_bytes
    flash = Flash.at(blank)
    assert flash.files() == {
        **STARTER, "choice": b"a", "a/manifest": program.manifest,
        **{f"a/{name}": data for name, data in program.files.items()},
    }  # fmt: skip
    assert choose(blank) == [("a", program.digest, False)] * 2


def test_an_installation_over_another_keeps_the_boards_configuration(tmp_path: Path) -> None:
    flash = Flash(tmp_path / "flash", ["LAMP_FULL = 20_000"])
    # From before 1.1.0 the program lay beside main.py; and an update was broken off.
    flash.put({"session.py": b"old", "trial": b"b", "new": b"half", "b/part": b"half", "mine.txt": b"kept"})
    with UsbController(flash.path) as controller:
        install(controller, SMALL)
    files = flash.files()
    assert files["config.py"].endswith(b"LAMP_FULL = 20_000\n")
    assert files["mine.txt"] == b"kept"
    assert not {"session.py", "trial", "new", "b/part"} & set(files)
    assert choose(flash.path) == [("b", SMALL.digest, False)] * 2
    with UsbController(flash.path) as controller:
        install(controller, carried(), config=b"CAMERA_PIN = 3\n")
    assert flash.files()["config.py"] == b"CAMERA_PIN = 3\n"
    assert choose(flash.path)[0] == ("a", carried().digest, False)


def test_the_power_cut_all_along_the_way(tmp_path: Path) -> None:
    """What ran before runs, or the new program; and it can be done again."""
    flash = Flash(tmp_path / "flash")
    before = flash.path.read_bytes()
    cuts = tries = 0
    for cut_after in range(1, 400, 7):
        flash.path.write_bytes(before)
        with UsbController(flash.path, cut_after=cut_after) as controller:
            try:
                install(controller, SMALL)
            except DriverError:
                cuts += 1
        tries += 1
        if not controller.cut:
            break
        first, second = choose(flash.path)
        assert first == second
        assert first in [("a", carried().digest, False), ("b", SMALL.digest, False)]
        with UsbController(flash.path) as controller:
            install(controller, SMALL)
        assert choose(flash.path)[0][1:] == (SMALL.digest, False)
    assert cuts == tries - 1 >= 5, "no failure but for a cut"


def test_another_controller_is_left_alone(tmp_path: Path) -> None:
    flash = Flash(tmp_path / "flash")
    before = flash.path.read_bytes()
    with UsbController(flash.path) as controller, pytest.raises(DriverError, match="for 'linux' and not for 'rp2'"):
        UsbPrompt(controller.port)
    assert flash.path.read_bytes() == before


def test_a_flash_that_is_full(blank: Path) -> None:
    blank.write_bytes(b"\xff" * 32_768)
    with UsbController(blank) as controller, pytest.raises(DriverError, match=r"broke off.*ENOSPC|broke off.*28"):
        install(controller, carried())


def test_no_such_port(tmp_path: Path) -> None:
    with pytest.raises(DriverUnavailableError, match="cannot be opened"):
        UsbPrompt(str(tmp_path / "none"))


@contextmanager
def peer(answer: bytes, *, endless: bool = False) -> Iterator[str]:
    """Somebody at the port who says this, whatever is said to them."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    over = threading.Event()

    def talk() -> None:
        while not over.is_set():
            try:
                said = os.read(ours, 4096)
            except BlockingIOError:
                said = b""
            try:
                if said or endless:
                    os.write(ours, answer)
            except BlockingIOError:
                pass
            over.wait(0.002)

    thread = threading.Thread(target=talk, name="peer")
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        over.set()
        thread.join(10)
        os.close(ours)
        os.close(theirs)


BANNER = b"raw REPL; CTRL-B to exit\r\n>"


@pytest.mark.parametrize(
    ("answer", "endless"),
    [
        (b"\x00\xff" * 300, True),  # noise without end
        (b"=1 boot=118BBDEA seq=0*0000\n", True),  # a program that was not stopped
        (BANNER, False),  # a prompt that runs nothing
        (BANNER + b"R\x01\xff\xff\x04\x04", False),  # ends of everything, at once
        (BANNER + b"R\x01\x20\x00\x04(((\x04\x04>", False),  # an answer that is no value
        (BANNER + b"OK" + b"[" * 3000 + b"\x04\x04>", False),  # one that is too deep
    ],
)
def test_hostile_answers(answer: bytes, endless: bool) -> None:
    with peer(answer, endless=endless) as port, pytest.raises(DriverError, match="companion: ") as caught:
        UsbPrompt(port, whole_s=0.7)
    assert "\n" not in str(caught.value)
    assert "service jumper" in str(caught.value)
