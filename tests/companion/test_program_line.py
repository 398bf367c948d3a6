"""The Pi's end of an update, against whoever may be at the other end of the line."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.companion.lines import MAX_LINE_BYTES, LineCutter, LineRefusedError, parse, read_greeting, seal, unseal
from drivers.companion_program.bundle import MAX_FILE_BYTES, Program, make_program, read_program, read_starter
from drivers.companion_program.line import CompanionLine
from drivers.companion_program.protocol import Running
from drivers.companion_program.simulated import SimulatedController
from drivers.errors import DriverError, DriverUnavailableError
from tests.companion.flash import COMPANION, carried

Answerer = Callable[[list[str]], str | bytes]
DIGEST = "0" * 64
HELLO = f"ok proto=1 fw=1.1.0 boot=118BBDEA reset=power t=430 acked=0 audible=1 digest={DIGEST} config=01234567"
OLD = "ok proto=1 fw=1.0.0 boot=118BBDEA reset=power t=430 acked=0 audible=1"


@contextmanager
def peer(answer: Answerer) -> Iterator[str]:
    """Somebody who answers a command's words with what follows the number, or with bytes as they are."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    over = threading.Event()
    os.set_blocking(ours, False)

    def talk() -> None:
        cutter = LineCutter()
        while not over.wait(0.001):
            try:
                lines = cutter.feed(os.read(ours, 4096))
            except BlockingIOError:
                continue
            for line in lines:
                seq, *words = unseal(line)[1:].split(" ")
                said = answer(words)
                os.write(ours, said if isinstance(said, bytes) else seal(f"<{seq} {said}"))

    thread = threading.Thread(target=talk, name="peer")
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        over.set()
        thread.join(10)
        os.close(ours)
        os.close(theirs)


def answers(**said: str | bytes) -> Answerer:
    return lambda words: said.get(words[0], "ok")


def update(port: str, program: Program | None = None) -> Running:
    with CompanionLine(port, answer_s=0.03, hello_s=0.1, hold_s=0.1, restart_s=0.3) as line:
        return line.update(program or carried(), lambda sent, of: None, lambda text: None)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ({"hello": OLD, "update": "no unknown"}, "older than updates over the line; install this one over USB"),
        ({"hello": "no proto 2"}, "it speaks protocol 2, and this 1"),
        ({"hello": "no token"}, "no answer; nothing comes"),
        ({"hello": "ok"}, "its hello is malformed (proto is missing)"),
        ({"hello": HELLO.replace(DIGEST, "0" * 63)}, "its hello is malformed (no digest)"),
        ({"hello": HELLO.replace("1.1.0", "\x1b[31m")}, "no answer"),
        ({"hello": b"\x00\xff*0000\n" * 40}, "lines came that mean nothing: check speed, wiring and ground"),
        ({"hello": b"x" * 4000}, "lines came that mean nothing"),
        ({"hello": b""}, "nothing comes: check wiring and power, and that the service jumper is out"),
        ({"hello": HELLO, "slot": "ok"}, "its answer to slot means nothing"),
        ({"hello": HELLO, "slot": "ok slot=/ trial=0"}, "its answer to slot means nothing"),
        ({"hello": HELLO, "slot": "ok slot=a trial=0", "update": "no powered"}, "stop the recorder first"),
        ({"hello": HELLO, "slot": "ok slot=a trial=1", "update": "no trial"}, "it runs a program on trial"),
        ({"hello": HELLO, "slot": "ok slot=a trial=0", "update": "no way"}, "it refused (way)"),
        ({"hello": HELLO, "slot": "ok slot=a trial=0", "file": "no flash"}, "its flash refused to be written"),
        ({"hello": HELLO, "slot": "ok slot=a trial=0", "piece": "no hello"}, "fell to its safe state, or was reset"),
        ({"hello": HELLO, "slot": "ok slot=a trial=0", "piece": "no seq"}, "lost count"),
        ({"hello": HELLO, "slot": "ok slot=a trial=0", "finish": "no digest"}, "did not arrive as it was sent"),
        # It says yes to everything, and goes on as before.
        ({"hello": HELLO, "slot": "ok slot=a trial=0"}, "the new program did not start"),
    ],
)
def test_what_a_controller_may_say(said: dict[str, str | bytes], means: str) -> None:
    with peer(answers(**said)) as port, pytest.raises(DriverError) as caught:
        update(port)
    assert means in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_program_that_says_nothing_of_the_camera_is_not_kept() -> None:
    """The right digest on trial is not enough: it must say how things stand."""
    asked: list[str] = []
    state = {"digest": DIGEST, "fw": "1.1.0", "trial": "0"}

    def answer(words: list[str]) -> str:
        asked.append(words[0])
        if words[0] == "restart":
            state.update(digest=carried().digest, fw=carried().version, trial="1")
        if words[0] == "hello":
            return HELLO.replace(DIGEST, state["digest"]).replace("1.1.0", state["fw"])
        return f"ok slot=a trial={state['trial']}" if words[0] == "slot" else "ok"

    with peer(answer) as port, pytest.raises(DriverError, match="does not say that the camera is without power"):
        update(port)
    assert "restart" in asked
    assert "keep" not in asked


def test_what_is_not_kept_is_told() -> None:
    said = answers(hello=HELLO.replace(DIGEST, carried().digest), slot="ok slot=a trial=1")
    with peer(said) as port, pytest.raises(DriverError, match="it kept the program, and says it did not"):
        update(port)


def test_no_such_port(tmp_path: Path) -> None:
    with pytest.raises(DriverUnavailableError, match="cannot be opened"):
        CompanionLine(str(tmp_path / "none"))


def test_the_longest_lines_are_no_longer_than_a_line_may_be() -> None:
    hello = (
        f"<65535 ok proto=1 fw=99.99.99 boot=118BBDEA reset=watchdog t=9999999999999 acked=9999999 audible=1 "
        f"digest={DIGEST} config=01234567"
    )
    piece = f">65535 piece {MAX_FILE_BYTES} {'A' * 160}"
    file = f">65535 file {'a' * 21}.py {MAX_FILE_BYTES} {DIGEST}"
    for text in (hello, piece, file):
        assert len(seal(text)) - 1 <= MAX_LINE_BYTES


@given(st.text(alphabet="abcdef0123456789=., _-", max_size=80), st.text(max_size=20))
@settings(max_examples=200)
def test_greetings_of_any_kind_are_read_or_refused(text: str, value: str) -> None:
    for words in (text.split(" "), [*HELLO.split(" ")[1:-1], f"config={value}"]):
        try:
            greeting = read_greeting(tuple(words))
        except LineRefusedError:
            continue
        assert greeting.config is None or len(greeting.config) == 8


def test_words_that_a_later_program_adds_are_left_alone() -> None:
    greeting = read_greeting(tuple((HELLO + " later=1").split(" ")[1:]))
    assert (greeting.digest, greeting.config) == (DIGEST, "01234567")
    old = read_greeting(tuple(OLD.split(" ")[1:]))
    assert (old.firmware, old.digest, old.config) == ("1.0.0", None, None)
    status = parse(
        seal(
            "=300 boot=118BBDEA seq=0 state=update light=0 lit=0 lamp=off cam=0 cut=update aud=0 but=0 edge=0 drop=0 "
            "mv=1 soc=- chg=0 bad=0 later=x"
        )[:-1]
    )
    assert status is not None


def test_the_digest_is_what_sha256sum_says(tmp_path: Path) -> None:
    import subprocess

    command = "LC_ALL=C; export LC_ALL; sha256sum *.py | sha256sum"
    done = subprocess.run(["sh", "-c", command], cwd=COMPANION / "program", capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == carried().digest


@pytest.mark.parametrize(
    ("files", "means"),
    [
        ({}, "is missing"),
        ({"program.py": b"x"}, "the VERSION in session.py, is missing"),
        ({"program.py": b"x", "session.py": b"VERSION = 1"}, "the VERSION in session.py, is missing"),
        ({"Program.py": b"x"}, "takes no such file"),
        ({"../program.py": b"x"}, "takes no such file"),
        ({"main.py": b"x"}, "takes no such file"),
        ({"a.py": b""}, "takes no such file"),
        ({"a.py": bytes(MAX_FILE_BYTES + 1)}, "takes no such file"),
        ({f"a{number}.py": b"x" for number in range(30)}, "more than 24 files"),
    ],
)
def test_what_is_no_program(files: dict[str, bytes], means: str) -> None:
    with pytest.raises(DriverError, match=means):
        make_program(files)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="is missing"):
        read_program(tmp_path / "none")
    with pytest.raises(DriverError, match="cannot be read"):
        read_starter(tmp_path)
    (tmp_path / "program.py").mkdir()
    with pytest.raises(DriverError, match="cannot be read"):
        read_program(tmp_path)


def test_the_simulated_one_does_as_the_real_one() -> None:
    controller = SimulatedController(Running("1.0.0", None, None, None, trial=False))
    told: list[str] = []
    controller.failure = "companion: no answer"
    with pytest.raises(DriverError, match="no answer"):
        controller.update(carried(), lambda sent, of: None, told.append)
    assert controller.running().digest is None
    assert controller.update(carried(), lambda sent, of: None, told.append).digest == carried().digest
    controller.update(carried(), lambda sent, of: None, told.append)
    assert len(told) == 1
