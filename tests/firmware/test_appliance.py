"""The device as its wearer meets it: press, light, recording, stop, faults, power-off."""

from __future__ import annotations

import pytest

from firmware.recorder import News
from firmware.states import State
from storage.layout import Light
from tests.firmware.stage import MS, Stage

NOT_LIT = "the recording light does not light: take the device in"


def test_press_light_record_hold() -> None:
    stage = Stage()
    stage.press(100)
    stage.hold(1000)
    assert stage.run() == ""
    assert stage.states == [State.STANDBY, State.ANNOUNCING, State.RECORDING, State.CLOSING, State.STANDBY, State.OFF]
    assert stage.told == ["begin", "start", "stop stop", "shut down"]
    assert not stage.light.shining


def test_the_light_is_on_and_sensed_before_the_recording_starts() -> None:
    stage = Stage()
    stage.light.stick(False)
    stage.press(100)
    stage.inputs.at(400, lambda: stage.light.stick(None))
    stage.run()
    (start,) = [item for item in stage.recorder.done if item.what == "start"]
    assert start.shining
    assert start.lit
    assert start.time_ms >= 400


def test_the_recording_starts_within_a_tenth_of_a_second_of_the_press() -> None:
    stage = Stage()
    stage.press(100)
    stage.run()
    (start,) = [item for item in stage.recorder.done if item.what == "start"]
    assert start.time_ms - 100 <= 100


def test_the_light_stays_on_until_the_recording_is_closed() -> None:
    stage = Stage()
    stage.recorder.answers = False
    stage.press(100)
    stage.hold(1000)
    shining: list[bool] = []
    stage.inputs.at(4000, lambda: shining.append(stage.light.shining))
    stage.inputs.at(4001, lambda: stage.recorder.end("stop"))
    stage.inputs.at(4100, lambda: shining.append(stage.light.shining))
    stage.run()
    assert shining == [True, False]


def test_a_light_that_is_never_sensed_lit_means_no_recording() -> None:
    stage = Stage()
    stage.light.stick(False)
    stage.press(100)
    assert stage.run() == NOT_LIT
    assert stage.states == [State.STANDBY, State.ANNOUNCING, State.FAULT, State.OFF]
    assert "start" not in stage.told
    assert stage.recorder.noted("fault") == [{"text": NOT_LIT}]
    time_ms = next(time for time, snapshot in stage.seen if snapshot.state is State.FAULT)
    assert 630 <= time_ms <= 800


def test_a_light_that_cannot_be_switched_means_no_recording() -> None:
    stage = Stage()
    stage.inputs.at(50, lambda: stage.light.refuse("the pin is gone"))
    stage.press(100)
    assert stage.run() != ""
    assert "start" not in stage.told
    assert State.FAULT in stage.states


def test_a_board_without_a_sense_line_records() -> None:
    stage = Stage(has_sense=False)
    stage.press(100)
    assert stage.run() == ""
    assert "start" in stage.told


def test_a_fault_can_be_tried_again() -> None:
    stage = Stage()
    stage.light.stick(False)
    stage.press(100)
    stage.inputs.at(1500, lambda: stage.light.stick(None))
    stage.press(2000)
    assert stage.run() == ""
    assert stage.states[2:5] == [State.FAULT, State.ANNOUNCING, State.RECORDING]


def test_a_light_that_goes_dark_ends_the_recording() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.light.stick(False))
    assert "light" in stage.run()
    assert "stop light" in stage.told
    (stop,) = [item for item in stage.recorder.done if item.what == "stop light"]
    assert 1500 <= stop.time_ms <= 1700
    assert stage.recorder.noted("fault") == [{"text": "the recording light went dark: the recording is stopped"}]


def test_a_flicker_of_the_light_ends_nothing_and_is_attested() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.light.stick(False))
    stage.inputs.at(1003, lambda: stage.light.stick(None))
    assert stage.run() == ""
    assert "stop light" not in stage.told
    began_ns = stage.clock.monotonic_ns() - stage.now_ms * MS
    assert stage.witness.over(began_ns + 900 * MS, began_ns + 1200 * MS) == (Light.LIT, Light.PARTLY)
    assert stage.witness.over(began_ns + 1003 * MS, began_ns + 1200 * MS) == (Light.LIT, Light.LIT)


def test_a_short_press_while_recording_sets_a_marker() -> None:
    stage = Stage()
    stage.press(100)
    stage.press(1000)
    stage.press(2000)
    stage.run()
    assert stage.recorder.noted("marker") == [{}, {}]
    assert [details["gesture"] for details in stage.recorder.noted("gesture")] == [
        "down", "down", "short", "down", "short",
    ]  # fmt: skip


def test_the_press_that_starts_sets_no_marker_however_long_it_lasts() -> None:
    stage = Stage()
    stage.press(100, 4000)
    states: list[State] = []
    stage.inputs.at(4500, lambda: states.append(stage.appliance.snapshot.state))
    stage.run()
    assert states == [State.RECORDING]
    assert stage.recorder.noted("marker") == []


def test_chatter_starts_nothing() -> None:
    stage = Stage()
    for number in range(20):
        stage.press(100 + 20 * number, 10)
    stage.run()
    assert stage.states == [State.STANDBY, State.OFF]
    assert len(stage.recorder.noted("button")) == 40


def test_a_recorder_that_reports_its_death() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.recorder.die("the card refused a write"))
    assert stage.run() == "the card refused a write"
    assert State.FAULT in stage.states
    assert not stage.light.shining


@pytest.mark.parametrize("recording", [False, True])
def test_a_recorder_that_dies_in_silence(recording: bool) -> None:
    stage = Stage()
    if recording:
        stage.press(100)
    stage.inputs.at(1000, lambda: setattr(stage.recorder, "alive", False))
    assert stage.run() == "the recorder ended by itself"
    assert stage.state_at(1250) is State.FAULT


def test_with_a_dead_recorder_the_light_does_not_stay_on() -> None:
    stage = Stage()
    stage.inputs.at(100, lambda: stage.recorder.die("the card refused a write"))
    stage.press(1000)
    shining: list[bool] = []
    stage.inputs.at(1500, lambda: shining.append(stage.light.shining))
    assert stage.run() != ""
    assert shining == [False]
    assert stage.state_at(1500) is State.FAULT


def test_a_fault_while_announcing_keeps_its_text() -> None:
    stage = Stage()
    stage.light.stick(False)
    stage.press(100)
    stage.inputs.at(300, lambda: stage.recorder.die("the card refused a write"))
    assert stage.run() == "the card refused a write"


def test_a_recording_that_ends_by_itself_puts_the_light_out_and_says_why() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.recorder.end("camera"))
    assert stage.run() == "recording ended: camera"
    assert stage.state_at(1100) is State.STANDBY
    assert not stage.light.shining


def test_a_new_recording_clears_the_old_fault() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.recorder.end("full"))
    stage.press(2000)
    assert stage.run() == ""
    assert stage.told.count("start") == 2


@pytest.mark.parametrize("state", [state for state in State if state is not State.OFF])
def test_power_off_ends_in_every_state(state: State) -> None:
    stage = Stage()
    stage.recorder.answers = False
    if state is not State.STANDBY:
        stage.press(100)
    if state in (State.ANNOUNCING, State.FAULT):
        stage.light.stick(False)
    if state is State.CLOSING:
        stage.hold(500)
    off_ms = 300 if state is State.ANNOUNCING else 3000
    before: list[State] = []
    stage.inputs.at(off_ms - 1, lambda: before.append(stage.appliance.snapshot.state))
    stage.power_off(off_ms)
    stage.run()
    assert before == [state]
    assert stage.states[-1] is State.OFF
    assert stage.told[-1] == "shut down"
    assert stage.now_ms < off_ms + 200
    assert not stage.light.shining


def test_a_recorder_that_does_not_finish_in_time_is_told() -> None:
    stage = Stage()
    stage.recorder.ends_in_time = False
    stage.power_off(100)
    assert "did not finish in time" in stage.run()


def test_nothing_done_to_the_button_while_closing_stops_or_starts_anything() -> None:
    stage = Stage()
    stage.recorder.answers = False
    stage.press(100)
    stage.hold(500)
    stage.press(2750)
    stage.hold(3000)
    stage.inputs.at(5300, lambda: stage.recorder.end("stop"))
    stage.power_off(6000)
    assert stage.run() == ""
    assert stage.told == ["begin", "start", "stop stop", "shut down"]
    assert stage.state_at(5400) is State.STANDBY


def test_the_end_of_a_recording_and_the_hold_for_it_may_cross() -> None:
    """The camera fails in the very moment in which the officer stops: the next press starts again."""
    stage = Stage()
    stage.recorder.answers = False
    stage.press(100)
    stage.hold(500)
    stage.inputs.at(2529, lambda: stage.recorder.end("camera"))
    stage.press(4000)
    stage.run()
    assert stage.told.count("start") == 2


def test_every_edge_gesture_light_and_state_is_on_record() -> None:
    stage = Stage()
    stage.press(100)
    stage.hold(1000)
    stage.run()
    assert [details["pressed"] for details in stage.recorder.noted("button")] == [True, False, True, False]
    assert [details["after"] for details in stage.recorder.noted("state")] == [
        "announcing", "recording", "closing", "standby", "off",
    ]  # fmt: skip
    assert [(details["commanded"], details["sensed"]) for details in stage.recorder.noted("light")] == [
        (True, True),
        (False, False),
    ]


def test_more_inputs_than_fit_are_counted_and_harm_nothing() -> None:
    stage = Stage()

    def flood() -> None:
        for _ in range(2500):
            stage.light.stick(True)
            stage.light.stick(False)
        stage.light.stick(None)

    stage.inputs.at(100, flood)
    stage.press(1000)
    stage.run()
    assert len(stage.recorder.noted("input-dropped")) == 5000 - 4096
    assert "start" in stage.told


def test_after_the_end_nothing_is_watched_any_more() -> None:
    stage = Stage()
    stage.run()
    stage.button.press()
    stage.light.stick(True)
    assert stage.inputs.empty()


def test_what_a_display_shows() -> None:
    stage = Stage()
    stage.press(100)
    stage.run()
    recording = next(snapshot for _time, snapshot in stage.seen if snapshot.state is State.RECORDING)
    assert recording.light.lit
    assert recording.fault == ""
    assert recording.progress is stage.recorder.progress


def test_a_report_that_comes_after_the_fault_changes_only_the_text() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: setattr(stage.recorder, "alive", False))
    stage.inputs.at(1500, lambda: stage.recorder.report(News.FAILED, "the card refused a write"))
    assert stage.run() == "the card refused a write"
    assert stage.states[-2:] == [State.FAULT, State.OFF]
