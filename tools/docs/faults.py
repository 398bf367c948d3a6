"""docs/FAULTS.md: every fault with what the officer sees, what is lost at most, and the tests that show it.

Signals are named by the code, tests are looked up before they are named, and figures are taken from what the long
tests wrote into docs/faults/.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from firmware.cues import Cue, Note

PAGE = Path("docs/FAULTS.md")
_TABLES = Path("docs/faults")
Signal = Cue | Note | str


@dataclass(frozen=True, slots=True)
class Fault:
    """One row."""

    what: str
    sees: tuple[Signal, ...]
    loses: str
    """At most; ``{loss}`` is what the crash points came to."""
    tests: tuple[str, ...]
    """``tests/path.py::test_name``."""


BAD = "tests/firmware/test_bad_input.py"
CRASH = "tests/tools/test_crash.py"
GROUPS: dict[str, tuple[Fault, ...]] = {
    "Power and process": (
        Fault(
            "the battery is pulled, or the device is reset", (Cue.OFF, Cue.SELF_TEST),
            "footage not yet durable: {loss}, and the chunk in the making. A torn tail is set aside, never deleted",
            (f"{CRASH}::test_crash_points", "tests/firmware/test_kill.py::test_killed_while_recording_again_and_again",
             "tests/storage/test_store_kill.py::test_killed_again_and_again"),
        ),
        Fault(
            "the power goes while recovery, enrolment of keys, or a destruction is under way", (Cue.OFF, Cue.SELF_TEST),
            "nothing: each step may be cut off and is done again",
            ("tests/storage/test_recovery.py::test_recovery_cut_off_at_each_of_its_steps",
             "tests/storage/test_destruction.py::test_a_medium_that_refuses"),
        ),
        Fault(
            "the recorder's process is killed while recording", (Cue.ANNOUNCING, Cue.STANDBY),
            "as above; it is started anew and goes on, announced afresh, where the policy says so",
            ("tests/firmware/test_resume.py::test_a_recording_cut_by_a_restart",),
        ),
        Fault(
            "the Pi hangs", ("the companion's safe pattern",), "what it does not deliver; no camera power after 2 s",
            ("tests/companion/test_companion.py::test_a_pi_that_hangs_loses_the_camera_within_its_time",),
        ),
        Fault(
            "the battery runs empty", (Note.LOW_BATTERY, Cue.LOW_POWER), "nothing: the recording is closed",
            (f"{BAD}::test_button_battery_and_dock",),
        ),
    ),
    "Flash": (
        Fault(
            "a write or a sync fails (EIO, EROFS), once or for good", (Cue.FAULT,),
            "what was not durable; what a failed sync covered counts as not written",
            (f"{CRASH}::test_faults", f"{BAD}::test_a_flash_that_breaks_ends_the_device_and_the_next_one_goes_on",
             "tests/storage/test_flash.py::test_nothing_queued_behind_a_failure_is_reported"),
        ),
        Fault(
            "short writes", (), "nothing: the rest is written",
            ("tests/storage/test_flash.py::test_short_writes_go_on", f"{CRASH}::test_faults"),
        ),
        Fault(
            "a slow card: syncs of 2 s", (Cue.STALLED, Cue.RECORDING), "nothing: bounded queues hold it",
            ("tests/storage/test_flash.py::test_a_full_queue_holds_the_caller_back",
             f"{BAD}::test_microphone_camera_flash_and_clock_in_one_recording"),
        ),
        Fault(
            "a card that hangs for good", (Cue.STALLED, Cue.FAULT), "what was not durable; the light pulses within 2 s",
            ("tests/storage/test_flash.py::test_a_medium_that_stalls_is_said_and_ends_the_chain",),
        ),
        Fault(
            "little room is left", (Note.LOW_STORAGE,), "nothing; the journal has percent and minutes left",
            ("tests/firmware/test_appliance.py::test_low_battery_and_low_storage_are_told_and_repeated",),
        ),
        Fault(
            "the flash is full", (Cue.FAULT,), "what comes after; nothing is overwritten",
            ("tests/firmware/test_recorder_medium.py::test_a_full_store_ends_the_recording_as_full",
             "tests/firmware/test_recorder_medium.py::test_a_store_that_is_full_at_a_rotation_ends_the_recording_as_full"),
        ),
        Fault(
            "the reserve runs out, after weeks without a dock", (Cue.FAULT,), "heartbeats, then events, counted",
            ("tests/firmware/test_custodian.py::test_heartbeats_become_rare",
             "tests/firmware/test_custodian.py::test_at_the_very_end_only_what_must_be_is_written_and_the_rest_is_counted"),
        ),
        Fault(
            "the flash is another device's, or was set back", (Cue.FAULT,), "nothing is touched",
            ("tests/storage/test_recovery.py::test_the_flash_of_another_device_is_left_as_it_is",
             "tests/storage/test_recovery.py::test_a_flash_that_was_emptied_or_set_back"),
        ),
        Fault(
            "bits rot in a segment", (), "chunks from there to its end; the verifier says where",
            ("tests/storage/test_recovery.py::test_a_rotten_record_in_the_middle_of_the_last_segment",
             "tests/storage/test_destruction.py::test_what_is_not_sound_is_not_examined_away"),
        ),
    ),
    "Age and clocks": (
        Fault(
            "the wall clock is set back or forward, by years", (), "nothing (docs/RETENTION.md)",
            ("tests/storage/test_age_meter.py::test_nothing_is_ever_older_than_it_is",
             "tests/firmware/test_custodian.py::test_a_wall_clock_that_jumps_destroys_nothing",
             f"{BAD}::test_microphone_camera_flash_and_clock_in_one_recording"),
        ),
        Fault(
            "one source of time lies", (), "nothing, if for less than an hour and without a witness",
            ("tests/storage/test_age_meter.py::test_one_hostile_fix_ages_nothing",
             "tests/storage/test_age_meter.py::test_a_source_that_walks_off_slowly_takes_nothing_along"),
        ),
        Fault(
            "the file of ages is lost or damaged", (Note.WARNING,), "nothing; what is stored counts as new",
            ("tests/storage/test_age_meter.py::test_a_damaged_file_is_said_and_survived",
             "tests/firmware/test_custodian.py::test_a_damaged_file_of_ages_is_told"),
        ),
    ),
    "Light, camera, microphone, button": (
        Fault(
            "the recording light breaks", (Cue.FAULT, Cue.DARK), "by policy: what comes after, or nothing",
            (f"{BAD}::test_a_light_that_opens_while_recording",
             "tests/companion/test_companion.py::test_a_light_that_breaks_takes_the_cameras_power_with_it"),
        ),
        Fault(
            "the light breaks in standby with a pre-event buffer", (Note.WARNING,), "what no light told of",
            ("tests/firmware/test_pre_event.py::test_a_light_that_breaks_in_standby_ends_the_buffer",
             "tests/firmware/test_pre_event.py::test_what_no_light_told_of_is_not_kept"),
        ),
        Fault(
            "the camera stalls or loses its power", (Cue.STALLED, Cue.RECORDING), "its pictures meanwhile, as a gap",
            ("tests/capture/test_capture.py::test_a_camera_that_stops_is_started_again_and_the_gap_is_on_record",
             f"{BAD}::test_microphone_camera_flash_and_clock_in_one_recording"),
        ),
        Fault(
            "the microphone is unplugged", (Note.WARNING,), "its sound, as a gap; the recording goes on",
            ("tests/capture/test_capture.py::test_a_microphone_that_dies_is_replaced_by_silence_and_started_again",
             f"{BAD}::test_microphone_camera_flash_and_clock_in_one_recording"),
        ),
        Fault(
            "the button chatters or is stuck", (Note.WARNING,), "nothing",
            (f"{BAD}::test_button_battery_and_dock",),
        ),
        Fault(
            "noise on the companion's line, or its reset", (Note.WARNING,), "nothing; presses come late",
            ("tests/companion/test_companion.py::test_noise_on_the_line_changes_nothing",
             "tests/companion/test_companion.py::test_a_controller_that_is_reset_is_safe_and_is_found_again",
             "tests/companion/test_companion.py::test_a_press_while_the_line_is_lost_is_told_afterwards"),
        ),
    ),
}  # fmt: skip

_HEAD = """\
<!-- Written by `make docs` from tools/docs/faults.py and docs/faults/; do not edit. -->

# What goes wrong, what the officer sees, what is lost

Signals are those of docs/SIGNALS.md. What is lost is lost at most; every loss of a recording under way is on record as
a gap, a cut, or a reason for its end.
"""
_FOOT = """
## Crash at every step

The real recorder is traced while it makes two recordings with rotations, notes, heartbeats and a destruction. After
each of its write-side calls the disk may hold what a model of an unsynced page cache says: data without names, names
without data, lengths without data, any pages of 4 KiB, directory entries in any order. In each state everything that
had been reported durable must be there, be authentic and open; a second recovery must find the same; no byte may be
gone; the next recording must work. A sample is in `make test`, all of it in `make soak`, and a recorder that leaves out
its syncs is found out (`tests/tools/test_crash.py`).

{storage}
## Power cuts of a whole machine

A QEMU guest with Debian's kernel records on ext4 and on F2FS. Its disk keeps a cache that only a flush empties; at the
cut each page of 4 KiB in it is kept or lost, in any order, and for ext4 some are torn between two sectors. The next
boot checks all that was reported before, in this disk's whole history, and records on. It is software emulation: the
machine is slow, and its disk slower. No real card has been cut.

Mounted as it comes, F2FS lost the newest segment, which it had acknowledged, in 3 of 93 cuts: the file was there with
its length, and zeros where its opening had been. A small file lives in its inode; when it grows, what had been flushed
there moves to a block of its own, and the new inode may reach the disk before that block. So the data partition is to
be ext4, or F2FS mounted with `noinline_data`, as in the table below, on a medium that writes 4 KiB whole.

{power}
## A shift of twelve hours

A whole device with its own clock, as fast as it can be recorded; drawn in [faults/shift.svg](faults/shift.svg). No
growth is allowed.

{shift}"""


def page() -> str:
    """Return the page.

    Raises:
        LookupError: a test that is named does not exist.
    """
    missing = [name for name in sorted(_named()) if name not in _existing(name.partition("::")[0])]
    if missing:
        raise LookupError(f"no such test: {', '.join(missing)}")
    loss = _loss()
    lines = [_HEAD]
    for title, faults in GROUPS.items():
        lines += [f"## {title}", "", "| fault | the officer sees | lost at most | shown by |", "|---|---|---|---|"]
        lines += [
            f"| {fault.what} | {_signals(fault.sees)} | {fault.loses.replace('{loss}', loss)} | {_tests(fault.tests)} |"
            for fault in faults
        ]
        lines.append("")
    tables = {name: _table(name) for name in ("storage", "power", "shift")}
    return "\n".join(lines) + _FOOT.format(**tables)


def main() -> None:
    """Write it."""
    PAGE.write_text(page(), "utf-8")


def _named() -> set[str]:
    return {test for faults in GROUPS.values() for fault in faults for test in fault.tests}


def _existing(path: str) -> set[str]:
    tree = ast.parse(Path(path).read_text("utf-8"))
    return {f"{path}::{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef)}


def _signals(signals: tuple[Signal, ...]) -> str:
    return ", then ".join(item if isinstance(item, str) else f"*{item.value}*" for item in signals) or "nothing"


def _tests(tests: tuple[str, ...]) -> str:
    return "; ".join(f"`{test.removeprefix('tests/')}`" for test in tests)


def _loss() -> str:
    found = re.search(r"not yet durable at any of them: ([0-9.]+ s)", (_TABLES / "storage.md").read_text("utf-8"))
    if found is None:
        raise LookupError("docs/faults/storage.md has no figure: run `python -m tools.soak.crash --write`")
    return found[1]


def _table(name: str) -> str:
    text = (_TABLES / f"{name}.md").read_text("utf-8")
    return text.partition("-->\n")[2].strip() + "\n"
