"""A new program over the line: the Pi's own driver, the controller's own program, its real file system."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.companion.button import CompanionButton
from drivers.companion.link import CompanionLink
from drivers.companion_program import line as line_module
from drivers.companion_program.bundle import Program, make_program
from drivers.companion_program.line import CompanionLine
from drivers.companion_program.protocol import Running
from drivers.errors import DriverError, DriverUnavailableError
from tests.companion.flash import Flash, carried, run_on
from tests.companion.typist import Typist
from tests.companion.workbench import CAMERA_PIN, Bench, nothing, whole

QUICK = ("UPDATE_HOLD_MS = 300",)
VERSION = b'VERSION = "1.1.0"'


def newer(**changed: bytes) -> Program:
    """The release's program as a later one, with files changed (a name without its ``.py``)."""
    files = dict(carried().files)
    files["session.py"] = files["session.py"].replace(VERSION, b'VERSION = "1.2.0"')
    return make_program(files | {f"{name}.py": data for name, data in changed.items()})


class Technician:
    """Holds the button until the sending begins, and keeps what was shown."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.told: list[str] = []
        self.progress: list[tuple[int, int]] = []

    def say(self, text: str) -> None:
        self.told.append(text)
        self._bench.press()

    def sees(self, sent: int, whole: int) -> None:
        if not self.progress:
            self._bench.release()
        self.progress.append((sent, whole))

    def update(self, program: Program, *, answer_s: float = 0.4, restart_s: float = 20) -> Running:
        try:
            with CompanionLine(self._bench.port, answer_s=answer_s, hold_s=20, restart_s=restart_s) as line:
                return line.update(program, self.sees, self.say)
        finally:
            self._bench.until(lambda: self._bench.alive)
            self._bench.release()

    def running(self) -> Running:
        with CompanionLine(self._bench.port) as line:
            return line.running()


@pytest.fixture
def blank_half(tmp_path: Path) -> Iterator[Bench]:
    """A controller that never had an update."""
    with Bench(tmp_path, config=QUICK) as made:
        made.watch()
        yield made
        assert never_powered(made)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Bench]:
    """One whose other folder has most of the new program already."""
    bench = Bench(tmp_path, config=QUICK)
    bench.flash.put({f"b/{name}": data for name, data in carried().files.items()})
    with bench as made:
        made.watch()
        yield made
        assert never_powered(made)


@pytest.fixture
def technician(quick: Bench) -> Technician:
    return Technician(quick)


def never_powered(bench: Bench) -> bool:
    return not any(event.value for event in bench.pin_events if event.pin == CAMERA_PIN)


def no_light_no_camera(bench: Bench) -> None:
    """The interlock of whatever runs now."""
    typist = Typist(bench)
    assert typist.hello(f"{random.getrandbits(32):08X}").startswith("<1 ok")
    assert typist.say("camera 1") == "<2 no dark"
    bench.lamp(0)
    assert typist.say("light 1000") == "<3 ok"
    typist.wait_for("lamp=open")
    assert typist.say("camera 1") == "<4 no dark"
    bench.lamp()
    assert typist.say("bye") == "<5 ok"


def test_a_whole_program_is_sent_started_and_kept(blank_half: Bench) -> None:
    technician = Technician(blank_half)
    before = technician.running()
    assert (before.version, before.digest, before.slot) == ("1.1.0", carried().digest, "a")
    after = technician.update(newer())
    assert after == Running("1.2.0", newer().digest, before.config, "b", trial=False)
    assert len(technician.told) == 1
    assert technician.progress[0][0] == 0
    assert technician.progress[-1] == (newer().size_bytes, newer().size_bytes)
    assert technician.running() == after
    no_light_no_camera(blank_half)
    blank_half.reset()
    assert technician.running() == after


def test_what_runs_already_is_left_alone(quick: Bench, technician: Technician) -> None:
    before = quick.flash.files()
    technician.update(carried())
    assert (technician.told, technician.progress) == ([], [])
    assert quick.flash.files() == before


def test_back_again_sends_nothing(quick: Bench, technician: Technician) -> None:
    technician.update(newer())
    quick.forget()
    assert technician.update(carried()).slot == "a"
    assert not quick.said("piece")
    assert technician.running().digest == carried().digest


def test_nobody_at_the_button_changes_nothing(quick: Bench, technician: Technician) -> None:
    before = quick.flash.files()
    with (
        CompanionLine(quick.port, hold_s=0.6) as line,
        pytest.raises(DriverError, match=r"nobody held the record button within 0\.6 s; nothing was changed"),
    ):
        line.update(newer(), lambda sent, of: None, lambda text: None)
    assert quick.flash.files() == before


def edges_after(bench: Bench) -> list[bool]:
    """What a recorder that starts now would be told of the button."""
    edges: list[bool] = []
    with CompanionLink(bench.port) as link, CompanionButton(link) as button:
        button.watch(lambda edge: edges.append(edge.pressed))
        assert link.wait_live(10)
        bench.press()
        bench.until(lambda: True in edges)
        bench.release()
        bench.until(lambda: False in edges)
    return edges


def hold_over_the_restart(bench: Bench) -> None:
    """The simulated button is up after a reset; a hand does not know of it."""

    def hurt(data: bytes) -> bytes:
        if b"trial=1" in data:
            bench.to_pi = whole
            bench.press_soon()
        return data

    bench.to_pi = hurt


def test_a_button_held_for_too_long_starts_no_recording(quick: Bench) -> None:
    told: list[str] = []
    hold_over_the_restart(quick)

    def say(text: str) -> None:
        told.append(text)
        quick.release() if "let go" in text else quick.press()

    with CompanionLine(quick.port, hold_s=20) as line:
        line.update(newer(), lambda sent, of: None, say)
    assert told[1:] == ["let go of the record button"]
    assert edges_after(quick) == [True, False], "the recorder's own, and no other"


def test_a_button_held_too_briefly_starts_no_recording(quick: Bench) -> None:
    with (
        CompanionLine(quick.port, hold_s=0.6) as line,
        pytest.raises(DriverError, match="nobody held the record button"),
    ):
        line.update(newer(), lambda sent, of: None, lambda text: quick.button((True, 100), (False, 0)))
    assert edges_after(quick) == [True, False]


def test_a_button_that_stays_down_keeps_no_update_from_its_end(quick: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "_UP_S", 0.3)
    hold_over_the_restart(quick)
    try:
        with CompanionLine(quick.port, hold_s=20) as line:
            assert line.update(newer(), lambda sent, of: None, lambda text: quick.press()).version == "1.2.0"
    finally:
        quick.release()


def test_a_noisy_line(quick: Bench, technician: Technician) -> None:
    chance = random.Random(7)

    def noisy(data: bytes) -> bytes:
        if chance.random() < 0.08:
            at = chance.randrange(len(data))
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        return data

    quick.to_controller = quick.to_pi = noisy
    try:
        assert technician.update(newer(), answer_s=0.2).version == "1.2.0"
    finally:
        quick.to_controller = quick.to_pi = whole


def test_an_answer_that_is_lost_while_it_restarts(quick: Bench, technician: Technician) -> None:
    """It does what it was asked, and what asks again finds it begun anew: the new program runs, and is kept."""
    starts, heard = quick.starts, bytearray()

    def listen(data: bytes) -> bytes:
        heard.extend(data)
        return data

    def lose(data: bytes) -> bytes:
        return nothing(data) if b" restart" in heard and quick.starts == starts else data

    quick.to_controller, quick.to_pi = listen, lose
    assert technician.update(newer()).version == "1.2.0"
    assert heard.count(b" restart") > 1


@pytest.mark.parametrize("word", [b"update ", b"piece 600 ", b"finish", b"keep"])
def test_a_cable_that_is_pulled(quick: Bench, technician: Technician, word: bytes) -> None:
    """At every stage; what runs then is whole, and once more makes it good."""
    heard = bytearray()

    def pull(data: bytes) -> bytes:
        heard.extend(data)
        return nothing(data) if word in heard else data

    quick.to_controller = pull
    with pytest.raises(DriverError, match="companion: "):
        technician.update(newer())
    assert word in heard
    quick.to_controller = whole
    running = technician.running()
    assert running.digest in (carried().digest, newer().digest)
    assert running.trial == (running.digest == newer().digest) == (word == b"keep")
    no_light_no_camera(quick)
    assert technician.update(newer()) == Running("1.2.0", newer().digest, running.config, "b", trial=False)


def test_the_power_is_cut(quick: Bench, technician: Technician) -> None:
    """In the middle of a write; test_power_cuts.py has all the others."""
    quick.cut_after = 12
    quick.reset()
    quick.cut_after = None
    starts = quick.starts
    with (
        CompanionLine(quick.port, answer_s=0.5, hold_s=20) as line,
        pytest.raises(DriverError, match=r"no answer|its old program runs"),
    ):
        line.update(newer(), lambda sent, of: None, technician.say)
    quick.until(lambda: not quick.alive or quick.starts > starts)
    if not quick.alive:
        quick.start()
    assert technician.running().digest == carried().digest
    no_light_no_camera(quick)
    assert technician.update(newer()).version == "1.2.0"


@pytest.mark.parametrize(
    "fault",
    [
        {"lamp": b"import nothing_of_that_name\n"},
        {"program": b"def run(camera, slot, digest, trial):\n    pass\n"},
    ],
)
def test_a_program_that_does_not_start_gives_way(quick: Bench, technician: Technician, fault: dict[str, bytes]) -> None:
    with pytest.raises(DriverError, match=r"after the restart it runs 1\.1\.0 .* its old one runs"):
        technician.update(newer(**fault))
    assert technician.running() == Running("1.1.0", carried().digest, technician.running().config, "a", trial=False)
    no_light_no_camera(quick)
    assert technician.update(newer()).version == "1.2.0"


def test_a_program_that_is_deaf_gives_way_to_a_power_cycle(quick: Bench, technician: Technician) -> None:
    deaf = (
        carried()
        .files["controller.py"]
        .replace(b"self._reader.feed(hardware.receive())", b"(hardware.receive(), ())[1]")
    )
    with pytest.raises(DriverError, match=r"does not answer 1\.5 s after its restart; switch it off and on"):
        technician.update(newer(controller=deaf), restart_s=1.5)
    quick.reset()
    assert technician.running().digest == carried().digest


def test_while_it_takes_a_program_nothing_else_is_obeyed(quick: Bench) -> None:
    typist = Typist(quick)
    typist.hello()
    assert typist.say("light 1000") == "<2 ok"
    typist.wait_for("lit=1")
    assert typist.say(f"file a.py 1 {'0' * 64}") == "<3 no update"
    quick.press()
    while (said := typist.say(f"update {'0' * 64}")).endswith("no button"):
        assert typist.say("beat").endswith("ok")
    assert said.endswith(" ok")
    typist.wait_for("state=update light=0")
    for refused in ("light 1000", "camera 1", "beat", "policy audible", "audible", "bye"):
        assert typist.say(refused).endswith("no hello")
    none = "0" * 64
    for command, why in {
        f"file main.py 1 {none}": "name", f"file config.py 1 {none}": "name", f"file ../a.py 1 {none}": "name",
        f"file a.py 0 {none}": "range", f"file a.py 40000 {none}": "range", "file a.py 9 0": "syntax",
        "piece 0 QUJD": "file", f"finish {none}": "digest", "restart now": "syntax",
    }.items():  # fmt: skip
        assert typist.say(command).endswith(f"no {why}"), command
    assert typist.say(f"file a.py 3 {'0' * 64}").endswith("ok")
    for piece, why in {"0 QUJDRA==": "size", "1 QUJD": "offset", "0 QUJ": "syntax", "0 QUJD": "digest"}.items():
        assert typist.say(f"piece {piece}").endswith(f"no {why}"), piece
    typist.wait_for("state=safe")
    assert typist.hello("00C0FFE1").split()[1] == "ok"
    assert typist.say("camera 1").endswith("no dark")


def test_a_recorder_that_has_the_port(quick: Bench) -> None:
    with CompanionLink(quick.port) as link:
        assert link.wait_live(10)
        with pytest.raises(DriverUnavailableError, match="stop the recorder first: systemctl stop getuige"):
            CompanionLine(quick.port)
        greeting = link.greeting
    assert greeting is not None
    assert greeting.digest == carried().digest


def test_a_full_flash(tmp_path: Path) -> None:
    """As one that wants more to be left free than there is; test_install.py fills one to the brim."""
    greedy = carried().files["receiver.py"].replace(b"ROOM_LEFT = 16_384", b"ROOM_LEFT = 999_999")
    program = make_program({**carried().files, "receiver.py": greedy})
    bench = Bench(tmp_path, config=QUICK)
    bench.flash.put({"a/receiver.py": greedy, "a/manifest": program.manifest})
    with bench:
        bench.watch()
        technician = Technician(bench)
        with pytest.raises(DriverError, match="its flash is full; remove what is not its own"):
            technician.update(newer())
        assert technician.running().digest == program.digest


def test_a_board_that_takes_none_over_the_line(tmp_path: Path) -> None:
    with Bench(tmp_path, config=["UPDATE_HOLD_MS = None"]) as bench:
        bench.watch()
        with pytest.raises(DriverError, match=r"its config\.py allows no update over the line; install over USB"):
            Technician(bench).update(newer())


RECEIVER = """
import flash; flash.mount()
import sys; sys.path.insert(0, "a")
from interlock import Interlock
from lines import LineError
from receiver import Receiver
told = 0
def feed():
    global told
    told += 1
def make(trial=False, hold=5000):
    interlock = Interlock(0)
    interlock.hello(0)
    return Receiver("a", "0" * 64, trial, hold, feed), interlock
def asks(receiver, interlock, now):
    interlock.beat(now)
    try:
        return receiver.take("update", ["0" * 64], interlock, now) or "ok"
    except LineError as error:
        return str(error)
"""


def test_how_the_button_must_be_held(tmp_path: Path) -> None:
    """5 s, in one contact in which the camera never had power."""
    code = RECEIVER + (
        "receiver, interlock = make()\n"
        "watch = receiver.watch\n"
        "said = [asks(receiver, interlock, 1)]\n"
        "watch(True, False, 10); said.append(asks(receiver, interlock, 1500))\n"
        "watch(False, False, 1600); watch(True, False, 1700); interlock.beat(3200); interlock.beat(4900)\n"
        "said.append(asks(receiver, interlock, 6600))\n"
        "watch(True, True, 6610); watch(True, False, 6620); interlock.beat(8000); interlock.beat(9900)\n"
        "interlock.beat(11800); said.append(asks(receiver, interlock, 13000))\n"
        "watch(False, False, 13100); watch(True, False, 13200)\n"
        "for now in range(13200, 18300, 1000): interlock.beat(now)\n"
        "said.append(asks(receiver, interlock, 18199)); said.append(asks(receiver, interlock, 18200))\n"
        "print(' '.join(said), told, interlock.state)"
    )
    flash = Flash(tmp_path / "flash")
    assert run_on(flash.path, code).split() == ["button", "button", "button", "button", "button", "ok", "7", "update"]


def test_powered_and_on_trial(tmp_path: Path) -> None:
    code = RECEIVER + (
        "receiver, interlock = make(trial=True, hold=0)\n"
        "receiver.watch(True, False, 0)\n"
        "said = [asks(receiver, interlock, 1), receiver.ended(60000), receiver.ended(60001)]\n"
        "receiver.watch(True, True, 0); said.append(receiver.ended(60001))\n"
        "interlock.camera = True\n"
        "for command in ('keep', 'slot', 'update', 'piece'):\n"
        "    try: receiver.take(command, [], interlock, 2)\n"
        "    except LineError as error: said.append(str(error))\n"
        "print(said)"
    )
    flash = Flash(tmp_path / "flash")
    assert run_on(flash.path, code).strip() == repr(["trial", False, True, False] + ["powered"] * 4)
