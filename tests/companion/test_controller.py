"""The controller's own program in MicroPython, told by sealed lines alone, without the Pi's driver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from drivers.companion.lines import seal
from tests.companion.typist import Typist
from tests.companion.workbench import CAMERA_PIN, FULL_DUTY, LIGHT_PIN, Bench

MS = 1_000_000


@pytest.fixture
def typist(bench: Bench) -> Typist:
    return Typist(bench)


def power_up(typist: Typist) -> None:
    assert typist.hello().startswith("<1 ok proto=1 ")
    assert typist.say("light 1000") == "<2 ok"
    typist.wait_for("lit=1")
    assert typist.say("camera 1") == "<3 ok"


def flashes(bench: Bench) -> list[tuple[int, int]]:
    """When the light went on, and for how long."""
    events = [event for event in bench.pin_events if event.pin == LIGHT_PIN]
    return [
        (on.time_ns, off.time_ns - on.time_ns)
        for on, off in pairwise(events)
        if on.value == FULL_DUTY and off.value == 0
    ]


def test_no_light_no_camera(bench: Bench, typist: Typist) -> None:
    typist.hello()
    assert typist.say("camera 1") == "<2 no dark"
    bench.lamp(percent=0)
    assert typist.say("light 1000") == "<3 ok"
    typist.wait_for("lamp=open")
    assert typist.say("camera 1") == "<4 no dark"
    bench.lamp(percent=300)
    typist.wait_for("lamp=short")
    assert typist.say("camera 1") == "<5 no dark"
    bench.lamp()
    typist.wait_for("lamp=ok")
    assert not any(event.value for event in bench.pin_events if event.pin == CAMERA_PIN)
    assert typist.say("camera 1") == "<6 ok"
    assert bench.camera


@pytest.mark.parametrize("percent", [0, 300])
def test_a_lamp_that_fails_takes_the_camera_with_it(bench: Bench, typist: Typist, percent: int) -> None:
    power_up(typist)
    bench.lamp(percent=percent)
    bench.until(lambda: not bench.camera, 1)
    typist.wait_for("cut=dark")
    bench.lamp()
    typist.wait_for("lit=1")
    assert not bench.camera  # it has to be asked for again
    assert typist.say("camera 1") == "<4 ok"


def test_a_light_that_is_put_out_takes_the_camera_with_it_at_once(bench: Bench, typist: Typist) -> None:
    power_up(typist)
    typist.say("light 0")
    assert not bench.camera
    camera = next(event for event in bench.pin_events if event.pin == CAMERA_PIN and not event.value)
    light = next(event for event in bench.pin_events if event.pin == LIGHT_PIN and not event.value)
    assert camera.time_ns < light.time_ns


def test_without_a_heartbeat_everything_falls_safe_within_two_and_a_half_seconds(bench: Bench, typist: Typist) -> None:
    power_up(typist)
    before_ns = time.monotonic_ns()
    typist.say("beat")
    bench.until(lambda: not bench.camera, 4)
    cut_ns = next(event.time_ns for event in bench.pin_events if event.pin == CAMERA_PIN and not event.value)
    assert 2000 * MS <= cut_ns - before_ns <= 2500 * MS
    assert typist.say("light 1000") == "<5 no hello"
    assert typist.say("camera 1") == "<6 no hello"
    typist.wait_for("cut=beat")
    # The safe pattern: 100 ms every 3 s, which no steady light can be taken for.
    bench.until(lambda: len(flashes(bench)) >= 2, 8)
    (first_ns, first), (second_ns, second) = flashes(bench)[:2]
    assert 80 * MS <= first <= 300 * MS
    assert 80 * MS <= second <= 300 * MS
    assert 2900 * MS <= second_ns - first_ns <= 3300 * MS
    assert typist.hello() == "<7 no token"  # an old hello, heard again, is no hello
    assert typist.hello("00C0FFE1").startswith("<8 ok")


def test_other_commands_are_no_heartbeat(bench: Bench, typist: Typist) -> None:
    power_up(typist)
    until_ns = time.monotonic_ns() + 4_000 * MS
    answer = ""
    while "no hello" not in answer and time.monotonic_ns() < until_ns:
        answer = typist.say("light 500")
    assert "no hello" in answer
    assert not bench.camera


def test_a_reset_leaves_nothing_powered_and_needs_a_hello(bench: Bench, typist: Typist) -> None:
    power_up(typist)
    bench.reset()
    assert not bench.camera
    assert typist.say("camera 1") == "<4 no hello"
    assert typist.say("beat") == "<5 no hello"
    assert "reset=power" in typist.hello("00C0FFE2")


def test_the_watchdog_ends_a_program_that_hangs(bench: Bench, typist: Typist) -> None:
    bench.watch()
    power_up(typist)
    starts = bench.starts
    bench.hang()
    bench.until(lambda: bench.starts > starts, 5)
    assert not bench.camera
    assert "reset=watchdog" in typist.hello("00C0FFE3")


def test_a_program_that_fails_takes_the_power_away_itself_and_begins_anew(bench: Bench, typist: Typist) -> None:
    bench.watch()
    power_up(typist)
    starts = bench.starts
    bench.crash()
    bench.until(lambda: bench.starts > starts, 5)
    assert not bench.camera
    assert "reset=watchdog" in typist.hello("00C0FFE4")


def test_a_command_is_executed_once(bench: Bench, typist: Typist) -> None:
    power_up(typist)
    assert typist.say("camera 0") == "<4 ok"
    assert typist.say("camera 1", seq=3) == "<3 no seq"  # a replay of what was executed before
    assert typist.say("camera 1", seq=6) == "<6 no seq"  # one in between is missing
    assert typist.say("camera 0", seq=4) == "<4 ok"  # the same again: its answer may have been lost
    assert typist.say("camera 1", seq=4) == "<4 no seq"  # the same number on something else
    assert not bench.camera
    assert typist.say("camera 1") == "<5 ok"


def test_the_numbers_go_round(typist: Typist) -> None:
    assert typist.say("hello 1 00C0FFEE", seq=65_535).startswith("<65535 ok")
    assert typist.say("beat", seq=0) == "<0 ok"
    assert typist.say("beat", seq=1) == "<1 ok"


def test_a_new_hello_lets_go_of_everything(bench: Bench, typist: Typist) -> None:
    power_up(typist)
    assert typist.hello("00C0FFE5").startswith("<4 ok")
    assert (bench.camera, bench.duty) == (False, 0)


def test_bye_is_dark_and_stays_dark(bench: Bench, typist: Typist) -> None:
    power_up(typist)
    assert typist.say("bye") == "<4 ok"
    typist.wait_for("state=idle")
    assert (bench.camera, bench.duty) == (False, 0)
    assert typist.say("light 1000") == "<5 no hello"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("light", "no syntax"),
        ("light 1001", "no range"),
        ("light -1", "no syntax"),
        ("light 1 2", "no syntax"),
        ("light  1", "no syntax"),
        ("camera 2", "no range"),
        ("seen 1", "no range"),
        ("beat now", "no syntax"),
        ("policy loud", "no syntax"),
        ("audible", "no policy"),
        ("dance", "no unknown"),
        ("hello", "no syntax"),
        ("hello 2 00C0FFEF", "no proto 1"),
        ("hello 1 xyz", "no syntax"),
    ],
)
def test_what_it_does_not_understand_it_refuses(typist: Typist, command: str, answer: str) -> None:
    typist.hello()
    assert typist.say(command) == f"<2 {answer}"


def test_garbage_changes_nothing(bench: Bench, typist: Typist) -> None:
    power_up(typist)
    sealed = seal(">4 camera 0")
    bench.forget()
    for garbage in (
        sealed.replace(b"*", b"*0", 1),
        sealed[:-2] + b"X\n",
        sealed.replace(b"0*", b"1*"),
        b">4 camera 0\n",
        b"\x00\xff\x80>>>***\r\n\n",
        b">" * 5000 + b"\n",
        seal(">99999 camera 0"),
        seal("camera 0"),
        "\n>4 cam\u00e9ra 0*1234\n".encode(),
    ):
        bench.say_to_controller(garbage)
    assert typist.say("beat") == "<4 ok"
    assert bench.camera
    typist.wait_for("bad=")
    assert b"bad=0*" not in bytes(bench.from_controller).split(b"\n")[-2]


def test_a_person_at_a_terminal(bench: Bench, typist: Typist) -> None:
    bench.forget()
    bench.say_to_controller(b"help\r\n")
    bench.until(lambda: bench.said("# hello 1 TOKEN"))
    bench.say_to_controller(b"crc >1 hello 1 00C0FFEE\r\n")
    bench.until(lambda: bench.said("# >1 hello 1 00C0FFEE*08F4\n"))
    bench.say_to_controller(b">1 hello 1 00C0FFEE*08F4\r\n")
    bench.until(lambda: bench.said("<1 ok proto=1 fw="))
    bench.say_to_controller(b"status\r\n")
    typist.wait_for("state=live")


def test_status_lines_come_ten_times_a_second(bench: Bench) -> None:
    bench.forget()
    bench.until(lambda: bench.from_controller.count(b"\n=") >= 11)
    stamps = [int(line[1:].split(b" ")[0]) for line in bytes(bench.from_controller).split(b"\n") if line[:1] == b"="]
    # The flash of the safe pattern may add two.
    assert 700 <= stamps[10] - stamps[0] <= 1500


def test_edges_are_told_until_they_are_taken(bench: Bench, typist: Typist) -> None:
    bench.button((True, 60), (False, 0))
    typist.hello()
    bench.until(lambda: bench.said("!1 down ") and bench.said("!2 up "))
    bench.forget()
    bench.until(lambda: bench.said("!1 down ") and bench.said("!2 up "))
    lines = [line.split(b" ") for line in bytes(bench.from_controller).split(b"\n") if line[:1] == b"!"]
    down, up = (int(line[2].partition(b"*")[0]) for line in lines[:2])
    assert 50 <= up - down <= 150
    assert typist.say("seen 1") == "<2 ok"
    bench.forget()
    bench.until(lambda: bench.said("!2 up "))
    assert not bench.said("!1 ")
    assert typist.say("seen 2") == "<3 ok"
    bench.forget()
    typist.wait_for("edge=2")
    assert not bench.said("!")


def test_a_chattering_button_is_thinned_and_the_press_is_kept(bench: Bench, typist: Typist) -> None:
    typist.hello()
    chatter = tuple((at % 2 == 0, 1) for at in range(50))
    bench.button(*chatter, (True, 60), (False, 60), (True, 0))
    bench.until(lambda: bench.said("!8 "))
    assert typist.say("seen 8") == "<2 ok"
    typist.wait_for("but=1")
    status = next(line for line in bytes(bench.from_controller).split(b"\n") if line[:1] == b"=" and b"but=1" in line)
    values = dict(word.split(b"=") for word in status.split(b" ")[1:])
    assert int(values[b"edge"]) + int(values[b"drop"]) == 53
    assert int(values[b"drop"]) > 0
    told: dict[int, tuple[bytes, int]] = {}
    taken, seen = 8, 3
    while taken < int(values[b"edge"]):
        newest = f"!{min(taken + 8, int(values[b'edge']))} "
        bench.until(partial(bench.said, newest))
        for line in bytes(bench.from_controller).split(b"\n")[:-1]:
            if line[:1] == b"!":
                number, what, at = line[1:].partition(b"*")[0].split(b" ")
                told[int(number)] = (what, int(at))
        taken = max(told)
        assert typist.say(f"seen {taken}") == f"<{seen} ok"
        seen += 1
    last = [told[number] for number in sorted(told)[-3:]]
    assert [what for what, _ in last] == [b"down", b"up", b"down"]
    assert 50 <= last[1][1] - last[0][1] <= 150


def test_a_storm_of_edges_is_counted_and_ends_in_the_truth(bench: Bench, typist: Typist) -> None:
    typist.hello()
    bench.button(*((at % 2 == 0, 0) for at in range(199)))
    typist.wait_for("but=1")
    assert typist.say("beat") == "<2 ok"
    typist.wait_for("but=1")
    status = next(line for line in bytes(bench.from_controller).split(b"\n") if line[:1] == b"=")
    assert int(status.split(b" drop=")[1].split(b" ")[0]) >= 199 - 64


def test_a_dimmed_light_has_a_floor(bench: Bench, typist: Typist) -> None:
    typist.hello()
    typist.say("light 1")
    typist.wait_for("lit=1")
    assert bench.duty == 30 * FULL_DUTY // 1000


def test_dimming_a_powered_light_keeps_the_power(bench: Bench, typist: Typist) -> None:
    power_up(typist)
    for level in (150, 30, 1000, 150):
        assert typist.say(f"light {level}").endswith(" ok")
        bench.forget()
        typist.wait_for(f"light={level} lit=1")
    assert bench.camera


def test_a_lamp_that_cannot_be_put_out_shows(bench: Bench, typist: Typist) -> None:
    typist.hello()
    bench.lamp(stuck=20_000)
    typist.wait_for("light=0 lit=1 lamp=stuck")


def test_a_sound_keeps_power_and_never_gives_it(bench: Bench, typist: Typist) -> None:
    assert "audible=1" in typist.hello()
    assert typist.say("policy audible") == "<2 ok"
    assert typist.say("light 1000") == "<3 ok"
    bench.lamp(percent=0)
    typist.wait_for("lamp=open")
    assert typist.say("audible") == "<4 ok"
    assert typist.say("camera 1") == "<5 no dark"
    bench.lamp()
    typist.wait_for("lit=1")
    assert typist.say("camera 1") == "<6 ok"
    assert typist.say("beat") == "<7 ok"
    said_ns = time.monotonic_ns()
    assert typist.say("audible") == "<8 ok"
    bench.lamp(percent=0)
    typist.wait_for("lamp=open")
    assert typist.say("policy audible") == "<9 no powered"
    assert typist.say("beat") == "<10 ok"
    bench.until(lambda: not bench.camera, 4)
    cut_ns = next(event.time_ns for event in bench.pin_events if event.pin == CAMERA_PIN and not event.value)
    assert cut_ns - said_ns >= 1900 * MS
    assert cut_ns - said_ns <= 2500 * MS


@pytest.fixture
def strict_bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(
        tmp_path, config=["AUDIBLE_MAY_REPLACE_LIGHT = False", 'GAUGE = "max17048"', "CHARGING_PIN = None"]
    ) as made:
        yield made


def test_a_board_that_takes_no_sound_for_a_light_and_has_a_gauge(strict_bench: Bench) -> None:
    typist = Typist(strict_bench)
    assert "audible=0" in typist.hello()
    assert typist.say("policy audible") == "<2 no never"
    assert typist.say("audible") == "<3 no policy"
    typist.wait_for("mv=0 soc=- chg=-")
    strict_bench.i2c(bytes((0xC0, 0x00, 77, 128)))
    typist.wait_for("mv=3840 soc=77 chg=-")


def test_the_battery_over_a_divider(bench: Bench, typist: Typist) -> None:
    bench.battery(3_600, charging=True)
    typist.wait_for("soc=- chg=1")
    bench.until(lambda: bench.said("mv=3599 ") or bench.said("mv=3600 "))
