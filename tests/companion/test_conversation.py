"""The Pi's half of the talk, without a line: times and answers are given, and everything that is said is seen."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.button.protocol import ButtonEdge
from drivers.companion.conversation import BEAT_NS, HELLO_NS, REFRESH_NS, RESEND_NS, SILENCE_NS, TRIES, Conversation
from drivers.companion.lines import seal
from drivers.companion.timebase import Timebase

MS = 1_000_000
S = 1_000 * MS
BOOT = "5F3A21C4"


class Talk:
    """A conversation, and a controller played by the test."""

    def __init__(self, *, audible: bool = False) -> None:
        self.now = 1_000 * S
        tokens = count(1)
        self.talk = Conversation(self.now, new_token=lambda: f"{next(tokens):08X}", audible=audible)
        self.edges: list[ButtonEdge] = []

    def due(self, later_ns: int = 0) -> list[str]:
        self.now += later_ns
        said, news = self.talk.due(self.now)
        self.edges += news.edges
        return [line.decode().partition("*")[0] for line in said]

    def hear(self, text: str) -> None:
        self.edges += self.talk.take(seal(text)[:-1], self.now).edges

    def greet(self, boot: str = BOOT, acked: int = 0, t: int = 60_000, audible: int = 1) -> None:
        hello = self.due(HELLO_NS)[0]
        assert " hello 1 " in hello
        seq = hello[1:].split(" ")[0]
        self.hear(f"<{seq} ok proto=1 fw=1.0.0 boot={boot} reset=power t={t} acked={acked} audible={audible}")

    def status(self, **changed: object) -> None:
        values: dict[str, object] = {
            "boot": BOOT, "seq": 1, "state": "live", "light": 0, "lit": 0, "lamp": "off", "cam": 0, "cut": "hello",
            "aud": 0, "but": 0, "edge": 0, "drop": 0, "mv": 3900, "soc": "-", "chg": 0, "bad": 0,
        }  # fmt: skip
        at = changed.pop("t", 60_000)
        values |= changed
        self.hear(f"={at} " + " ".join(f"{key}={value}" for key, value in values.items()))

    def answer_all(self) -> list[str]:
        """Take every command that is due, and say ok."""
        said = []
        while lines := self.due():
            said += lines
            self.hear(f"<{lines[0][1:].split(' ')[0]} ok")
        return [line.partition(" ")[2] for line in said]


@pytest.fixture
def talk() -> Talk:
    made = Talk()
    made.greet()
    made.status()
    assert made.talk.live
    return made


def test_a_command_is_sent_again_and_then_given_up(talk: Talk) -> None:
    talk.talk.want_light(500)
    assert talk.due() == [">2 light 500"]
    assert talk.due(RESEND_NS - 1) == []
    for _ in range(TRIES - 1):
        talk.status()
        assert talk.due(RESEND_NS) == [">2 light 500"]
    talk.status()
    assert talk.due(RESEND_NS) == []
    assert not talk.talk.live
    assert talk.talk.trouble == "the controller does not answer"
    assert talk.talk.counters.resent == TRIES - 1
    talk.greet()
    talk.status()
    assert talk.answer_all() == ["light 500"]


def test_silence_is_the_end(talk: Talk) -> None:
    talk.talk.want_camera(True)
    talk.due(SILENCE_NS + 1)
    assert not talk.talk.live
    talk.greet()
    talk.status()
    assert talk.answer_all() == []  # nobody asked for power in this session


def test_a_heart_beats_only_for_an_owner_that_goes_round(talk: Talk) -> None:
    assert talk.due(BEAT_NS) == []
    talk.status()
    talk.talk.refresh(talk.now)
    assert talk.answer_all() == ["beat"]
    talk.talk.refresh(talk.now)
    assert talk.answer_all() == []
    talk.status()
    talk.now += BEAT_NS
    assert talk.answer_all() == ["beat"]


def test_nobody_says_hello_for_an_owner_that_hangs() -> None:
    talk = Talk()
    assert talk.due(REFRESH_NS) == []
    talk.talk.refresh(talk.now)
    assert talk.due() == [">1 hello 1 00000001"]


def test_what_takes_away_comes_before_what_gives(talk: Talk) -> None:
    talk.talk.want_light(1000)
    talk.talk.want_camera(True)
    assert talk.answer_all() == ["light 1000", "camera 1"]
    talk.status(seq=3, light=1000, lit=1, lamp="ok", cam=1, cut="none")
    talk.talk.want_light(100)
    talk.talk.want_camera(False)
    assert talk.answer_all() == ["camera 0", "light 100"]
    talk.talk.want_camera(True)
    assert talk.answer_all() == ["camera 1"]
    talk.talk.want_light(0)
    assert talk.answer_all() == ["light 0"]


def test_power_that_was_cut_is_not_asked_for_again_by_itself(talk: Talk) -> None:
    talk.talk.want_light(1000)
    talk.talk.want_camera(True)
    talk.answer_all()
    talk.status(seq=3, light=1000, lit=1, lamp="ok", cam=1, cut="none")
    talk.status(seq=3, light=1000, lit=0, lamp="open", cam=0, cut="dark")
    assert talk.answer_all() == []
    talk.talk.want_camera(True)
    assert talk.answer_all() == ["camera 1"]


def test_a_refusal_is_remembered(talk: Talk) -> None:
    talk.talk.want_camera(True)
    assert talk.due() == [">2 camera 1"]
    talk.hear("<2 no dark")
    assert talk.talk.camera_refusal == "the light draws no current"
    assert talk.answer_all() == []


def test_sound_is_allowed_before_the_camera_has_power_and_only_if_the_policy_says_so(talk: Talk) -> None:
    talk.talk.announce()
    assert talk.answer_all() == []
    other = Talk(audible=True)
    other.greet()
    other.status()
    other.talk.want_light(1000)
    other.talk.want_camera(True)
    other.talk.announce()
    assert other.answer_all() == ["light 1000", "policy audible", "camera 1", "audible"]
    forbidden = Talk(audible=True)
    forbidden.greet(audible=0)
    forbidden.status()
    forbidden.talk.announce()
    assert forbidden.answer_all() == []


def test_edges_are_taken_once_and_in_order(talk: Talk) -> None:
    talk.hear("!2 up 60200")
    assert talk.edges == []  # the one before it is still to come
    talk.now += 500 * MS
    talk.status(t=60_500)
    talk.hear("!1 down 60100")
    talk.hear("!2 up 60200")
    talk.hear("!1 down 60100")
    assert [(edge.pressed, talk.now - edge.time_ns) for edge in talk.edges] == [(True, 400 * MS), (False, 300 * MS)]
    assert talk.answer_all() == ["seen 2"]


def test_edges_that_were_taken_but_not_acknowledged_are_not_taken_twice(talk: Talk) -> None:
    talk.hear("!1 down 60100")
    talk.due(SILENCE_NS + 1)
    talk.greet(acked=0)
    talk.hear("!1 down 60100")
    talk.status(but=1, edge=1)
    assert [edge.pressed for edge in talk.edges] == [True]
    assert talk.answer_all() == ["seen 1"]


def test_a_controller_that_forgot_its_edges_is_found_out(talk: Talk) -> None:
    talk.hear("!1 down 60100")
    talk.status(boot="00000001")
    assert talk.talk.trouble == "the controller was reset"
    talk.greet(boot="00000001", t=10)
    talk.status(boot="00000001", t=11)
    assert [edge.pressed for edge in talk.edges] == [True, False]
    assert (talk.talk.counters.resets, talk.talk.counters.edges_inferred) == (1, 1)
    talk.hear("!1 down 20")
    assert len(talk.edges) == 3


def test_a_press_from_long_ago_is_no_press_for_this_process() -> None:
    talk = Talk()
    talk.greet(t=60_000)
    talk.hear("!1 down 1000")
    talk.hear("!2 up 1200")
    talk.hear("!3 down 59000")
    talk.hear("!4 up 59100")
    assert [edge.pressed for edge in talk.edges] == [True, False]
    assert talk.talk.counters.edges_ancient == 2


@pytest.mark.parametrize("said", ["no hello", "no seq"])
def test_a_controller_that_does_not_obey_is_greeted_again(talk: Talk, said: str) -> None:
    talk.talk.want_light(1000)
    assert talk.due() == [">2 light 1000"]
    talk.hear(f"<2 {said}")
    assert not talk.talk.live
    talk.greet()
    talk.status()
    assert talk.answer_all() == ["light 1000"]


def test_a_hello_whose_answer_is_malformed(talk: Talk) -> None:
    fresh = Talk()
    assert fresh.due() == [">1 hello 1 00000001"]
    fresh.hear("<1 ok proto=1")
    assert "malformed" in (fresh.talk.trouble or "")
    assert fresh.talk.counters.refused == 1


def test_bye_waits_for_the_command_under_way(talk: Talk) -> None:
    talk.talk.want_light(1000)
    assert talk.due() == [">2 light 1000"]
    talk.talk.end()
    assert talk.due() == []
    talk.hear("<2 ok")
    assert talk.due() == [">3 bye"]
    assert not talk.talk.ended
    talk.hear("<3 ok")
    assert talk.talk.ended


def test_times_are_led_over_by_the_quickest_line_and_follow_a_drift() -> None:
    base = Timebase()
    assert base.monotonic_ns(5, 77) == 77
    offset = 1_000 * S
    for ms, late_ms in ((0, 30), (100, 5), (200, 80)):
        base.saw(offset + (ms + late_ms) * MS, ms)
    assert base.monotonic_ns(150, offset + S) == offset + 155 * MS
    assert base.monotonic_ns(9_000, offset + S) == offset + S  # never in the future
    for ms in range(300, 100_000, 100):  # 1000 ppm
        base.saw(offset + ms * MS + ms * 1_000 + 5 * MS, ms)
    found = base.monotonic_ns(99_900, offset + 200 * S) - offset
    assert 99_900 * MS + 5 * MS <= found <= 99_900 * MS + 105 * MS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80), st.text("<!=~# 0123456789okndwup.", max_size=40)), max_size=40))
def test_nothing_that_is_heard_makes_it_fail_or_believe(lines: list[bytes | str]) -> None:
    talk = Talk()
    talk.due()
    for line in lines:
        if isinstance(line, str):
            talk.hear(line)
        else:
            talk.edges += talk.talk.take(line, talk.now).edges
        talk.due(10 * MS)
    assert not talk.talk.live
    assert talk.edges == []
