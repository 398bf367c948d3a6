"""The settings file: what is right is read, and whatever is wrong is one line that names the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.errors import SettingsError
from firmware.parts import Parts
from firmware.settings import HardwareOptions, RecordingOptions, load_settings
from storage.envelope import Cipher

GOOD = """
[store]
flash = "flash"
state = "/var/lib/getuige"
recipients = ["station.pub", "/etc/second.pub"]
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
    assert store.recipients == (tmp_path / "station.pub", Path("/etc/second.pub"))


def test_defaults_are_those_of_a_pi(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, GOOD))
    assert settings.store.cipher is Cipher.CHACHA20_POLY1305
    assert settings.store.reserve_mib == 64
    assert settings.recording == RecordingOptions("1080p30", 60, 10)
    assert settings.hardware == HardwareOptions(camera="picamera2", microphone="pyaudio", sense_pin=None)


def test_everything_can_be_set(tmp_path: Path) -> None:
    text = GOOD + (
        'cipher = "aes-256-gcm"\nreserve_mib = 0\n'
        '[recording]\nprofile = "480p30"\nsegment_s = 1\nheartbeat_s = 3600\n'
        '[hardware]\ncamera = "v4l2"\ncamera_device = "/dev/video2"\nmicrophone = "disabled"\nindicator = "simulated"\n'
        'button = "simulated"\npin_factory = "mock"\nlight_pin = 5\nsense_pin = 6\nbutton_pin = 13\n'
    )
    settings = load_settings(written(tmp_path, text))
    assert (settings.store.cipher, settings.store.reserve_mib) == (Cipher.AES_256_GCM, 0)
    assert settings.recording == RecordingOptions("480p30", 1, 3600)
    assert settings.hardware == HardwareOptions(
        "v4l2", "/dev/video2", "disabled", "simulated", "simulated", "mock", 5, 6, 13
    )


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
        (GOOD.replace('["station.pub", "/etc/second.pub"]', '"station.pub"'), "store.recipients"),
        (GOOD.replace('"station.pub"', "1"), "store.recipients"),
        (GOOD + 'cipher = "rot13"', "store.cipher"),
        (GOOD + "cipher = 1", "store.cipher"),
        (GOOD + "reserve_mib = -1", "store.reserve_mib"),
        (GOOD + "reserve_mib = 0.5", "store.reserve_mib"),
        (GOOD + "reserve_mib = true", "store.reserve_mib"),
        (GOOD + f"reserve_mib = {2**63 - 1}", "store.reserve_mib"),
        (GOOD + "[recording]\nprofile = 1080", "recording.profile"),
        (GOOD + "[recording]\nsegment_s = 0", "recording.segment_s"),
        (GOOD + "[recording]\nsegment_s = 61", "recording.segment_s"),
        (GOOD + "[recording]\nheartbeat_s = 0", "recording.heartbeat_s"),
        (GOOD + f"[recording]\nheartbeat_s = {10**12}", "recording.heartbeat_s"),
        (GOOD + "[hardware]\nsense_pin = 'GPIO4'", "hardware.sense_pin"),
        (GOOD + "[hardware]\nlight_pin = 1970-01-01", "hardware.light_pin"),
        (GOOD + "[hardware]\nshutter_pin = 1", "'shutter_pin'"),
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


@pytest.mark.parametrize("part", ["camera", "microphone", "indicator", "button"])
def test_an_unknown_driver_is_named_with_those_there_are(part: str) -> None:
    parts = Parts(HardwareOptions(**{part: "psychic"}))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=rf"hardware\.{part}: 'psychic' is none of .*simulated|synthetic"):
        getattr(parts, part)()


@pytest.mark.parametrize("part", ["camera", "microphone"])
def test_drivers_without_hardware_can_be_made_by_name(part: str) -> None:
    for name in ("synthetic", "disabled"):
        with getattr(Parts(HardwareOptions(**{part: name})), part)() as made:  # type: ignore[arg-type]
            assert made.name == name
