"""The settings file: what is right is read, and whatever is wrong is one line that names the file and the key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firmware.board import BOARDS, find_board
from firmware.errors import SettingsError
from firmware.parts import Parts
from firmware.settings import ConsoleOptions, RecordingOptions, load_settings

GOOD = """
[store]
flash = "flash"
state = "/var/lib/getuige"
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "device.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    store = load_settings(written(tmp_path, GOOD)).store
    assert store.flash == tmp_path / "flash"
    assert store.state == Path("/var/lib/getuige")


def test_the_consoles_status_file_is_relative_too(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, GOOD)).console == ConsoleOptions("", "none", "getuige.service")
    console = load_settings(written(tmp_path, GOOD + '[console]\nstatus = "s.json"\nsystem = "systemd"\n')).console
    assert console == ConsoleOptions(str(tmp_path / "s.json"), "systemd")


def test_defaults_are_those_of_a_pi(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, GOOD))
    assert settings.store.reserve_mib == 64
    assert settings.recording == RecordingOptions(60, 10)
    assert settings.board.name == "zero2w"
    assert settings.self_test


def test_everything_can_be_set(tmp_path: Path) -> None:
    text = GOOD + (
        "reserve_mib = 0\n[recording]\nsegment_s = 1\nheartbeat_s = 3600\n"
        '[hardware]\nboard = "mine.toml"\nself_test = false\n'
    )
    (tmp_path / "mine.toml").write_text((BOARDS / "pi5.toml").read_text("utf-8"), "utf-8")
    settings = load_settings(written(tmp_path, text))
    assert settings.store.reserve_mib == 0
    assert settings.recording == RecordingOptions(1, 3600)
    assert settings.board.title == "Raspberry Pi 5"
    assert not settings.self_test


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (GOOD.replace("flash =", "flsh ="), "'flsh'"),
        (GOOD.replace('flash = "flash"', ""), "'flash'"),
        (GOOD.replace('state = "/var/lib/getuige"', ""), "'state'"),
        ("", "'flash'"),
        (GOOD + '[stroe]\nflash = "x"', "'stroe'"),
        ('store = "flash"', "store"),
        ("[[store]]\nflash = 'x'", "store"),
        (GOOD.replace('"flash"', "7"), "store.flash"),
        (GOOD.replace('"flash"', r'"a\u0000b"'), "store.flash"),
        (GOOD + "reserve_mib = -1", "store.reserve_mib"),
        (GOOD + "reserve_mib = 0.5", "store.reserve_mib"),
        (GOOD + "reserve_mib = true", "store.reserve_mib"),
        (GOOD + f"reserve_mib = {2**63 - 1}", "store.reserve_mib"),
        (GOOD + "[recording]\nsegment_s = 0", "recording.segment_s"),
        (GOOD + "[recording]\nsegment_s = 61", "recording.segment_s"),
        (GOOD + "[recording]\nheartbeat_s = 0", "recording.heartbeat_s"),
        (GOOD + f"[recording]\nheartbeat_s = {10**12}", "recording.heartbeat_s"),
        (GOOD + "[hardware]\nshutter_pin = 1", "'shutter_pin'"),
        (GOOD + "[hardware]\nboard = 4", "hardware.board"),
        (GOOD + "[hardware]\nself_test = 1", "hardware.self_test"),
        (GOOD + "[recording]\nsegment_s = '60'", "recording.segment_s"),
        (GOOD + "[console]\nsystem = 'launchd'", "console.system"),
        (GOOD + "[console]\nunit = '--now'", "console.unit"),
        (GOOD + "[console]\nunit = ''", "console.unit"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    assert named in refused(written(tmp_path, text))


@pytest.mark.parametrize("text", [b"[store", b"= 1", b"\xff\xfe", GOOD.encode() * 2, b"a = " + b"[" * 100_000])
def test_what_is_not_toml(tmp_path: Path, text: bytes) -> None:
    assert "not TOML" in refused(written(tmp_path, text))


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "missing.toml")
    assert "directory" in refused(tmp_path)


def test_the_first_of_several_mistakes_is_always_the_same(tmp_path: Path) -> None:
    text = GOOD + "".join(f"{key} = 1\n" for key in ("zz", "mm", "aa", "qq"))
    assert "'aa'" in refused(written(tmp_path, text))


@pytest.mark.parametrize(("board", "named"), [("pi3", "'pi3'"), ("none.toml", "none.toml")])
def test_a_board_that_is_not_there(tmp_path: Path, board: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load_settings(written(tmp_path, GOOD + f'[hardware]\nboard = "{board}"'))


PARTS = [
    "camera", "camera_power", "microphone", "indicator", "button", "buzzer", "haptics", "battery", "gnss",
    "accelerometer", "dock", "rtc",
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_every_part_without_hardware_can_be_made(part: str) -> None:
    board = find_board("simulated")
    with Parts(board) as parts, getattr(parts, part)() as made:
        assert made.name in ("synthetic", "simulated")
    without = {"camera_power": "always"}.get(part, "disabled")
    if part not in ("indicator", "button"):
        other = replace(board, **{part: replace(getattr(board, part), driver=without)})
        with Parts(other) as parts, getattr(parts, part)() as made:
            assert made.name == without
            assert not getattr(made, "present", False), "the board has none, and its silence is no fault"
