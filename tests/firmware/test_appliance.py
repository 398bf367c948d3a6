"""The device as its wearer meets it: press, light, recording, stop, faults, power-off."""

from __future__ import annotations

import pytest

from firmware.cues import Cue, Note
from firmware.inputs import Docked, Fall, Health, Trouble
from firmware.recorder import News
from firmware.rules import Rules
from firmware.states import State
from storage.layout import Light
from tests.firmware.stage import MS, RECORDING, Stage

DARK = "the recording light is dark: take the device in"
ANNOUNCE = Rules(on_dark_announce=True)


def test_press_light_record_hold() -> None:
    stage = Stage()
    stage.press(100)
    stage.hold(1000)
    assert stage.run() == ""
    assert stage.states == [
        State.STANDBY, State.ANNOUNCING, State.STARTING, State.RECORDING, State.CLOSING, State.STANDBY, State.OFF,
    ]  # fmt: skip
    assert stage.voice.cues == [
        Cue.STANDBY, Cue.ANNOUNCING, Cue.RECORDING, Cue.CLOSING, Cue.STANDBY, Cue.OFF, Cue.OFF,
    ]  # fmt: skip
    assert stage.voice.notes == [Note.STARTED, Note.STOPPED]
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
    assert stage.run() == DARK
    assert stage.states == [State.STANDBY, State.ANNOUNCING, State.FAULT, State.OFF]
    assert "start" not in stage.told
    assert stage.recorder.noted("fault") == [{"text": DARK}]
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
    assert stage.states[2:6] == [State.FAULT, State.ANNOUNCING, State.STARTING, State.RECORDING]


def test_a_light_that_goes_dark_ends_the_recording() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.light.stick(False))
    assert "light" in stage.run()
    assert "stop light" in stage.told
    (stop,) = [item for item in stage.recorder.done if item.what == "stop light"]
    assert 1500 <= stop.time_ms <= 1700
    assert stage.recorder.noted("fault") == [{"text": DARK}]
    assert stage.states[-2:] == [State.FAULT, State.OFF]


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
    assert stage.recorder.noted("marker") == [{"cause": "press"}] * 2
    assert stage.voice.notes.count(Note.MARKER) == 2
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
    assert stage.state_at(1100) is State.FAULT
    assert not stage.light.shining


def test_a_new_recording_clears_the_old_fault() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.recorder.end("full"))
    stage.press(2000)
    assert stage.run() == ""
    assert stage.told.count("start") == 2


def test_power_off_while_recording_keeps_the_light_on_until_all_is_closed() -> None:
    stage = Stage()
    stage.press(100)
    stage.power_off(1000)
    assert stage.run() == ""
    assert stage.told == ["begin", "start", "shut down"]
    assert stage.recorder.done[-1].shining
    assert not stage.light.shining


@pytest.mark.parametrize("off_ms", [90, 300, 450, 1000, 2600, 3000])
def test_power_off_ends_at_any_time(off_ms: int) -> None:
    stage = Stage()
    stage.recorder.answers = False
    stage.light.stick(False)
    stage.press(100)
    stage.inputs.at(400, lambda: stage.light.stick(None))
    stage.hold(500)
    stage.power_off(off_ms)
    stage.run()
    assert stage.states[-1] is State.OFF
    assert stage.told[-1] == "shut down"
    assert stage.now_ms < off_ms + 200
    assert not stage.light.shining


def test_a_recorder_that_does_not_finish_in_time_is_told() -> None:
    stage = Stage()
    stage.recorder.ends_in_time = False
    stage.power_off(100)
    assert "did not finish in time" in stage.run()


def test_a_press_while_closing_starts_the_next_recording() -> None:
    stage = Stage()
    stage.recorder.answers = False
    stage.press(100)
    stage.hold(500)
    stage.press(2750)
    stage.press(2950)
    stage.inputs.at(5300, lambda: stage.recorder.end("stop"))
    stage.power_off(6000)
    assert stage.run() == ""
    assert stage.told == ["begin", "start", "stop stop", "start", "shut down"]
    assert stage.voice.notes.count(Note.REFUSED) == 1, "the second press meanwhile is felt, and adds nothing"


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
        "standby", "announcing", "starting", "recording", "closing", "standby", "off",
    ]  # fmt: skip
    assert [(details["commanded"], details["sensed"]) for details in stage.recorder.noted("light")] == [(True, True)]


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
    assert recording.cue is Cue.RECORDING
    assert recording.progress.stored_ns


def test_a_report_that_comes_after_the_fault_changes_only_the_text() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: setattr(stage.recorder, "alive", False))
    stage.inputs.at(1500, lambda: stage.recorder.report(News.FAILED, "the card refused a write"))
    assert stage.run() == "the card refused a write"
    assert stage.states[-2:] == [State.FAULT, State.OFF]


# --- Honest in both directions ----------------------------------------------------------------------------------------


def test_the_announcement_is_heard_and_felt_before_the_recorder_starts() -> None:
    stage = Stage()
    stage.press(100)
    stage.run()
    (start,) = [item for item in stage.recorder.done if item.what == "start"]
    assert stage.voice.played[0] == (start.time_ms, Note.STARTED)


def test_until_a_chunk_is_stored_the_light_does_not_say_recording() -> None:
    stage = Stage()
    stage.recorder.answers = stage.recorder.stores = False
    stage.press(100)
    stage.inputs.at(2000, lambda: stage.recorder.report(News.STARTED))
    stage.run()
    ((time_ms, _cue),) = [item for item in stage.voice.shown if item[1] is Cue.RECORDING]
    assert time_ms >= 2000


def test_a_camera_that_gives_nothing_is_told_within_its_time() -> None:
    stage = Stage(patience_ms=8000)
    stage.recorder.answers = stage.recorder.stores = False
    stage.press(100)
    stage.run()
    times = [time_ms for time_ms, cue in stage.voice.shown if cue is Cue.STALLED]
    assert len(times) == 1
    assert 3000 <= times[0] - 130 <= 3300


def test_when_nothing_is_stored_any_more_the_light_says_so_within_two_seconds() -> None:
    stage = Stage(patience_ms=8000)
    stage.press(100)
    stage.inputs.at(1000, lambda: setattr(stage.recorder, "stores", False))
    stage.inputs.at(5000, lambda: setattr(stage.recorder, "stores", True))
    assert stage.run() == ""
    cues = [(cue, time_ms) for time_ms, cue in stage.voice.shown][2:5]
    assert [cue for cue, _time in cues] == [Cue.RECORDING, Cue.STALLED, Cue.RECORDING]
    assert cues[1][1] - 1000 <= 2000
    assert cues[2][1] - 5000 <= 200
    assert Note.WARNING in stage.voice.notes
    assert "stop" not in " ".join(stage.told), "what still may be stored is not given up"


def test_a_hold_stops_a_stalled_recording() -> None:
    stage = Stage(patience_ms=8000)
    stage.press(100)
    stage.inputs.at(1000, lambda: setattr(stage.recorder, "stores", False))
    stage.hold(3000)
    stage.run()
    assert "stop stop" in stage.told


def test_a_dead_light_is_made_up_for_by_sound_where_the_policy_says_so() -> None:
    stage = Stage(rules=ANNOUNCE, patience_ms=8000)
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.light.stick(False))
    stage.inputs.at(3000, lambda: stage.light.stick(None))
    assert stage.run() == ""
    assert stage.states[3:6] == [State.RECORDING, State.RECORDING_DARK, State.RECORDING]
    assert stage.voice.cues[3:5] == [Cue.DARK, Cue.RECORDING]
    assert stage.recorder.noted("fault") == [{"text": DARK}]
    assert "stop light" not in stage.told


def test_a_light_that_never_lights_is_made_up_for_by_sound_before_the_recorder_starts() -> None:
    stage = Stage(rules=ANNOUNCE)
    stage.light.stick(False)
    stage.press(100)
    stage.run()
    (start,) = [item for item in stage.recorder.done if item.what == "start"]
    assert stage.voice.shown[2][1] is Cue.DARK
    assert stage.voice.shown[2][0] <= start.time_ms


@pytest.mark.parametrize("when_ms", [50, 2000])
def test_never_silent_and_dark(when_ms: int) -> None:
    """Whatever the policy says: no sound and no light is no recording."""
    stage = Stage(rules=ANNOUNCE, patience_ms=8000)
    stage.inputs.at(50, lambda: stage.light.stick(False))
    stage.press(100)
    stage.inputs.at(when_ms, lambda: setattr(stage.voice, "sounding", False))
    assert stage.run() == DARK
    if when_ms == 50:
        assert "start" not in stage.told
    else:
        (stop,) = [item for item in stage.recorder.done if item.what == "stop light"]
        assert stop.time_ms <= when_ms + 200
    assert stage.states[-2:] == [State.FAULT, State.OFF]


def test_neither_light_nor_storage_is_no_recording() -> None:
    stage = Stage(rules=ANNOUNCE, patience_ms=9000)
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.light.stick(False))
    stage.inputs.at(2000, lambda: setattr(stage.recorder, "stores", False))
    assert stage.run() == DARK
    assert "stop light" in stage.told


# --- Gestures ---------------------------------------------------------------------------------------------------------


def double(stage: Stage, time_ms: int) -> None:
    stage.press(time_ms)
    stage.press(time_ms + 250)


def test_two_quick_presses_mark_private_premises_on_and_off() -> None:
    stage = Stage()
    stage.press(100)
    double(stage, 1000)
    double(stage, 2000)
    stage.run()
    assert stage.recorder.noted("private") == [{"on": True}, {"on": False}]
    assert stage.voice.notes == [Note.STARTED, Note.PRIVATE_ON, Note.PRIVATE_OFF]
    assert stage.recorder.noted("marker") == []


@pytest.mark.parametrize(("held_ms", "purpose"), [(2200, None), (3700, "a"), (5700, "c"), (7700, "e"), (8800, None)])
def test_a_hand_that_stays_on_the_button_counts_the_purpose(held_ms: int, purpose: str | None) -> None:
    stage = Stage(patience_ms=12_000)
    stage.press(100)
    stage.press(1000, held_ms)
    assert stage.run() == ""
    taken = [] if purpose is None else [{"recording": RECORDING.hex(), "purpose": purpose}]
    assert stage.recorder.noted("purpose") == taken
    assert (Note.PURPOSE in stage.voice.notes) == (purpose is not None)
    assert stage.told.count("start") == 1


@pytest.mark.parametrize(
    ("press_ms", "state"), [(1500, State.DOCKED), (1500, State.LOW_POWER), (1500, State.UNENROLLED)]
)
def test_a_press_that_can_do_nothing_is_felt(press_ms: int, state: State) -> None:
    stage = Stage(enrolled=state is not State.UNENROLLED)
    if state is State.DOCKED:
        stage.inputs.at(500, lambda: stage.inputs.put_nowait(Docked(True)))
    if state is State.LOW_POWER:
        stage.inputs.at(500, lambda: stage.inputs.put_nowait(Health(3, False, 50)))
    stage.press(press_ms)
    stage.run()
    assert state in stage.states
    assert Note.REFUSED in stage.voice.notes
    assert stage.recorder.noted("refused") == [{"state": state.value}]
    assert "start" not in stage.told


def test_a_stuck_button_is_told_once_and_stops_nothing() -> None:
    stage = Stage(patience_ms=60_000)
    stage.press(100, 50_000)
    assert stage.run() == ""
    assert stage.voice.notes.count(Note.WARNING) == 1
    assert [details["gesture"] for details in stage.recorder.noted("gesture")] == ["down", "stuck"]
    assert stage.state_at(40_000) is State.RECORDING


# --- The self-test and the rest of the day ----------------------------------------------------------------------------


def test_a_press_during_the_self_test_is_kept_and_hurries_it() -> None:
    stage = Stage(tested=False)
    stage.press(500)
    stage.run()
    assert stage.tester.begun
    assert stage.tester.hurried
    assert stage.states[:4] == [State.SELF_TEST, State.PRESSED_EARLY, State.ANNOUNCING, State.STARTING]
    assert stage.told.count("start") == 1


def test_a_self_test_that_fails_is_a_fault_that_a_press_tries_again() -> None:
    stage = Stage(tested=False)
    stage.inputs.at(500, lambda: stage.tester.end("the button is stuck: free it"))
    fault: list[str] = []
    stage.inputs.at(900, lambda: fault.append(stage.appliance.snapshot.fault))
    stage.press(1000)
    stage.run()
    assert fault == ["the button is stuck: free it"]
    assert stage.states[:5] == [State.SELF_TEST, State.FAULT, State.ANNOUNCING, State.STARTING, State.RECORDING]


@pytest.mark.parametrize("resume", [False, True])
def test_a_cut_recording_goes_on_announced_afresh_when_the_policy_says_so(resume: bool) -> None:
    stage = Stage(rules=Rules(resume=resume), cut_recording=b"C" * 16)
    stage.run()
    assert ("start" in stage.told) == resume
    assert stage.recorder.noted("resumed") == ([{"recording": (b"C" * 16).hex()}] if resume else [])
    if resume:
        (start,) = [item for item in stage.recorder.done if item.what == "start"]
        assert start.lit
        assert Note.STARTED in stage.voice.notes


def test_docked_while_recording_the_wearer_still_stops_it() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.inputs.put_nowait(Docked(True)))
    stage.hold(2000)
    stage.inputs.at(4800, lambda: stage.inputs.put_nowait(Docked(False)))
    stage.run()
    assert stage.states[3:] == [State.RECORDING, State.CLOSING, State.STANDBY, State.DOCKED, State.STANDBY, State.OFF]


def test_an_empty_battery_closes_the_recording_and_says_why() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.inputs.put_nowait(Health(4, False, 50)))
    stage.inputs.at(3000, lambda: stage.inputs.put_nowait(Health(5, True, 50)))
    assert stage.run() == ""
    assert "stop low-power" in stage.told
    assert stage.states[3:] == [
        State.RECORDING,
        State.CLOSING,
        State.STANDBY,
        State.LOW_POWER,
        State.STANDBY,
        State.OFF,
    ]


def test_low_battery_and_low_storage_are_told_and_repeated() -> None:
    stage = Stage(patience_ms=400_000)
    for time_ms in range(1000, 320_000, 5000):
        stage.inputs.at(time_ms, lambda: stage.inputs.put_nowait(Health(15, False, 5)))
    stage.run()
    assert stage.voice.notes == [Note.LOW_BATTERY, Note.LOW_STORAGE] * 2
    assert stage.recorder.noted("low-battery") == [{"percent": 15}] * 2
    assert stage.recorder.noted("low-storage") == [{"percent": 5, "minutes": None}] * 2


def test_a_long_recording_reminds_its_wearer() -> None:
    stage = Stage(rules=Rules(reminder_ns=60_000 * MS), patience_ms=200_000)
    stage.press(100)
    stage.run()
    assert stage.voice.notes == [Note.STARTED] + [Note.REMINDER] * 3
    assert len(stage.recorder.noted("reminder")) == 3


def test_a_fall_is_a_marker_and_a_part_that_fails_is_told() -> None:
    stage = Stage()
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.inputs.put_nowait(Fall("fall", 4200)))
    stage.inputs.at(2000, lambda: stage.inputs.put_nowait(Trouble("microphone", "it was unplugged")))
    stage.inputs.at(3000, lambda: stage.inputs.put_nowait(Trouble("microphone", "")))
    stage.run()
    assert stage.recorder.noted("marker") == [{"cause": "fall", "peak_mg": 4200}]
    assert stage.voice.notes == [Note.STARTED, Note.MARKER, Note.WARNING]
    assert stage.recorder.noted("trouble") == [{"part": "microphone", "text": "it was unplugged"}]
    assert stage.recorder.noted("mended") == [{"part": "microphone", "text": ""}]


def test_a_device_whose_recorder_died_says_so_and_ends_to_be_started_anew() -> None:
    stage = Stage(patience_ms=60_000)
    stage.press(100)
    stage.inputs.at(1000, lambda: stage.recorder.die("the card refused a write"))
    assert stage.run() == "the card refused a write"
    assert 4000 <= stage.now_ms <= 4300
    assert stage.state_at(2000) is State.FAULT


def test_a_light_that_shines_although_commanded_dark_is_told_once() -> None:
    stage = Stage(patience_ms=9000)
    stage.inputs.at(1000, lambda: stage.light.stick(True))
    stage.inputs.at(5000, lambda: stage.light.stick(None))
    assert stage.run() == ""
    assert [details["part"] for details in stage.recorder.noted("trouble")] == ["light"]
    assert [details["part"] for details in stage.recorder.noted("mended")] == ["light"]
    assert stage.voice.notes == [Note.WARNING]
