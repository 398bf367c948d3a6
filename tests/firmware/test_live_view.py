"""Live view as the officer meets it: the policy and the officer decide, a station asks, and the light says so."""

from __future__ import annotations

import pytest

from firmware.cues import Cue, Note
from firmware.gesture import Gesture, GestureReader, GestureTimes
from firmware.inputs import LiveAsked, LiveLink
from firmware.states import State
from storage.policy_fields import Live
from tests.firmware.stage import Stage

MS = 1_000_000


def stage(live: Live, *, patience_ms: int = 5000, link: bool = True) -> Stage:
    made = Stage(live=live, patience_ms=patience_ms)
    if link:
        made.inputs.at(50, lambda: made.inputs.put_nowait(LiveLink(True)))
    return made


def three(made: Stage, time_ms: int) -> None:
    for number in range(3):
        made.press(time_ms + 200 * number, 80)


def asks(made: Stage, time_ms: int, ask: str = "0123456789abcdef") -> None:
    made.inputs.at(time_ms, lambda: made.inputs.put_nowait(LiveAsked(ask, "meldkamer")))


def test_with_live_on_it_begins_with_the_recording_and_not_before_the_light_says_recording() -> None:
    made = stage(Live.ON)
    made.press(100)
    made.hold(3000)
    made.run()
    (began, on), (ended, off) = made.port.allowed
    assert (on, off) == (True, False)
    assert made.state_at(began) is State.RECORDING
    assert ended >= 5000
    assert Cue.RECORDING_LIVE in made.voice.cues
    assert made.recorder.noted("live") == [{"on": True}, {"on": False}]
    assert made.voice.notes[:2] == [Note.STARTED, Note.LIVE_ON]


def test_the_officer_refuses_with_three_presses_and_may_allow_again() -> None:
    made = stage(Live.ON)
    made.press(100)
    three(made, 1500)
    three(made, 3500)
    made.run()
    assert [on for _, on in made.port.allowed][:3] == [True, False, True]
    assert made.recorder.noted("live-choice") == [{"on": False}, {"on": True}]
    assert made.voice.notes[:4] == [Note.STARTED, Note.LIVE_ON, Note.LIVE_OFF, Note.LIVE_ON]
    assert not made.recorder.noted("marker")
    assert not made.recorder.noted("private")


def test_a_refusal_is_for_this_recording_alone() -> None:
    made = stage(Live.ON, patience_ms=9000)
    made.press(100)
    three(made, 1000)
    made.hold(2500)
    made.press(6000)
    made.run()
    assert [on for _, on in made.port.allowed] == [True, False, True, False]


def test_where_the_policy_says_ask_nothing_goes_out_until_the_officer_says_so() -> None:
    made = stage(Live.ASK)
    made.press(100)
    asks(made, 1000)
    three(made, 2500)
    made.run()
    assert made.port.allowed[0][0] >= 2900
    assert made.port.answers == [("0123456789abcdef", "asked"), ("0123456789abcdef", "yes")]
    assert made.recorder.noted("live-asked") == [{"by": "meldkamer", "answer": "asked"}]
    assert made.voice.notes[:3] == [Note.STARTED, Note.LIVE_ASKED, Note.LIVE_ON]


def test_silence_is_no() -> None:
    made = stage(Live.ASK, patience_ms=40_000)
    made.press(100)
    asks(made, 1000)
    made.run()
    assert made.port.allowed == []
    assert made.port.answers == [("0123456789abcdef", "asked"), ("0123456789abcdef", "no-answer")]


def test_nothing_remote_starts_a_recording() -> None:
    made = stage(Live.ON)
    asks(made, 1000)
    made.run()
    assert made.port.answers == [("0123456789abcdef", "not-recording")]
    assert made.told == ["begin", "shut down"]
    assert made.voice.notes == []
    assert made.recorder.noted("live-asked") == [{"by": "meldkamer", "answer": "not-recording"}]


def test_a_station_that_asks_on_and_on_is_felt_once() -> None:
    made = stage(Live.ASK)
    made.press(100)
    for number in range(20):
        asks(made, 1000 + 50 * number, f"{number:016x}")
    made.run()
    assert [answer for _, answer in made.port.answers] == ["asked"] + ["too-often"] * 19
    assert made.voice.notes.count(Note.LIVE_ASKED) == 1


def test_an_ask_while_live_is_on_needs_no_answer_of_the_officer() -> None:
    made = stage(Live.ON)
    made.press(100)
    asks(made, 1000)
    made.run()
    assert made.port.answers == [("0123456789abcdef", "live")]
    assert Note.LIVE_ASKED not in made.voice.notes


def test_without_a_link_the_light_does_not_say_live_and_three_presses_are_refused_by_touch() -> None:
    made = stage(Live.ASK, link=False)
    made.press(100)
    three(made, 1500)
    made.run()
    assert Cue.RECORDING_LIVE not in made.voice.cues
    assert made.voice.notes[:2] == [Note.STARTED, Note.REFUSED]


def test_a_link_that_breaks_for_a_moment_makes_no_light_flicker_and_one_that_stays_away_does() -> None:
    made = stage(Live.ON, patience_ms=40_000)
    made.press(100)
    made.inputs.at(2000, lambda: made.inputs.put_nowait(LiveLink(False, "it broke")))
    made.inputs.at(5000, lambda: made.inputs.put_nowait(LiveLink(True)))
    made.inputs.at(10_000, lambda: made.inputs.put_nowait(LiveLink(False, "it broke")))
    made.run()
    changes = [(time, cue) for time, cue in made.voice.shown if cue in (Cue.RECORDING, Cue.RECORDING_LIVE)]
    assert [cue for _, cue in changes] == [Cue.RECORDING, Cue.RECORDING_LIVE, Cue.RECORDING]
    assert 20_000 <= changes[-1][0] <= 20_200
    assert [item["up"] for item in made.recorder.noted("live-link")] == [True, False, True, False]


def test_nothing_goes_out_while_the_light_is_broken() -> None:
    made = stage(Live.ON)
    made.press(100)
    made.inputs.at(2000, lambda: made.light.stick(False))
    made.run()
    assert [on for _, on in made.port.allowed] == [True, False]


@pytest.mark.parametrize("triple", [False, True])
def test_two_presses_are_two_whether_three_mean_something_or_not(triple: bool) -> None:
    reader = GestureReader(GestureTimes(triple=triple))
    found = []
    for pressed, at_ms in ((True, 0), (False, 80), (True, 200), (False, 280)):
        found += reader.edge(pressed, at_ms * MS)
    found += reader.tick(700 * MS)
    assert found == [Gesture.DOWN, Gesture.DOWN, Gesture.DOUBLE]
    assert reader.deadline_ns is None


def test_two_presses_and_a_hold_are_two_presses_and_a_hold() -> None:
    reader = GestureReader(GestureTimes(triple=True))
    found = []
    for pressed, at_ms in ((True, 0), (False, 80), (True, 200), (False, 280), (True, 400)):
        found += reader.edge(pressed, at_ms * MS)
    found += reader.tick(2500 * MS)
    assert found == [Gesture.DOWN, Gesture.DOWN, Gesture.DOWN, Gesture.DOUBLE, Gesture.HOLD]


def test_four_presses_are_three_and_one() -> None:
    reader = GestureReader(GestureTimes(triple=True))
    found = []
    for number in range(4):
        found += reader.edge(True, 200 * number * MS)
        found += reader.edge(False, (200 * number + 80) * MS)
    found += reader.tick(2000 * MS)
    assert [item for item in found if item is not Gesture.DOWN] == [Gesture.TRIPLE, Gesture.SHORT]
