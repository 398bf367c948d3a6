"""The kernel's real-time clock, through its ioctls."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from drivers.errors import DriverError
from drivers.rtc.disabled import DisabledRtc
from drivers.rtc.linux import LinuxRtc, utc_of
from drivers.rtc.simulated import SimulatedRtc

TIME = (15, 30, 10, 24, 10, 126, 0, 0, 0)
UTC_S = 1_795_516_215


def kernel(monkeypatch: pytest.MonkeyPatch, *, low: int | None) -> None:
    def ioctl(_fd: int, request: int, data: bytes) -> bytes:
        if request == 0x80247009:
            assert len(data) == 36
            return struct.pack("9i", *TIME)
        assert request == 0x80047013
        if low is None:
            raise OSError(25, "Inappropriate ioctl for device")
        return struct.pack("I", low)

    monkeypatch.setattr("drivers.rtc.linux.fcntl.ioctl", ioctl)


@pytest.mark.parametrize(("low", "said"), [(None, None), (0, False), (2, True), (1, True), (16, False)])
def test_time_and_battery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, low: int | None, said: bool | None) -> None:
    kernel(monkeypatch, low=low)
    device = tmp_path / "rtc0"
    device.touch()
    with LinuxRtc(str(device)) as rtc:
        reading = rtc.read()
    assert reading is not None
    assert (reading.utc_ns, reading.battery_low) == (UTC_S * 1_000_000_000, said)


def test_a_clock_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="does not answer"):
        LinuxRtc(str(tmp_path / "rtc9")).read()


@pytest.mark.parametrize(
    "tm", [(75, 0, 0, 1, 0, 126), (0, 0, 25, 1, 0, 126), (0, 0, 0, 0, 0, 126), (0, 0, 0, 1, 12, 0)]
)
def test_a_time_that_does_not_exist(tm: tuple[int, ...]) -> None:
    with pytest.raises(DriverError, match="does not exist"):
        utc_of(tm)


def test_simulated_and_disabled() -> None:
    rtc = SimulatedRtc()
    rtc.set(3600 * 1_000_000_000, battery_low=True)
    reading = rtc.read()
    assert reading is not None
    assert reading.battery_low
    rtc.refuse("gone")
    with pytest.raises(DriverError, match="gone"):
        rtc.read()
    assert DisabledRtc().read() is None
