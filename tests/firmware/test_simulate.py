"""The device held in a terminal, or at the end of a pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path

import pytest

from station.keys import load_station_key
from tests.firmware.device import PATIENCE_S, ROOT, Held, Kit
from tests.firmware.kit import read_store

_IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Makes the standard input the controlling terminal, so that Ctrl-C becomes a signal, and then becomes the device."""


def test_press_hold_and_power_off_through_a_pipe(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("standby")
        device.key(b"p")
        device.until("recording")
        kit.await_media(after=1, chunks=2)
        device.key(b"p")
        device.key(b"h")
        device.until("standby", 2)
        device.key(b"q")
        assert device.end() == 0
        lines = [line for line in device.lines if line not in ("", "(end)")]
        output = device.output
    # the report that the first chunk is durable tells the state once more
    told = [state for state, _again in groupby(lines)]
    assert told == ["standby", "announcing", "starting", "recording", "closing", "standby", "off", "Powered off."]
    status, report = kit.verify()
    assert (status, report["verdict"]) == (0, "authentic")
    (recording,) = report["recordings"]
    assert recording["end_reason"] == "stop"
    assert recording["indicator"]["coverage"] == 1.0
    assert recording["indicator"]["sensed_lit_chunks"] == recording["chunks"]
    assert not [secret for secret in kit.secrets() if secret in output]
    events = [event.name for item in read_store(kit.flash, load_station_key(kit.station_key)) for event in item.events]
    assert events[0] == "boot"
    assert {"button", "gesture", "light", "state"} <= set(events)


def test_a_broken_light_through_a_pipe(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("standby")
        device.key(b"xp")
        device.until("fault: the recording light is dark: take the device in")
        assert device.process.stdin is not None
        device.process.stdin.close()  # the end of the pipe is a power-off
        assert device.end() == 1
        assert "Powered off: the recording light is dark" in device.output
    status, report = kit.verify()
    assert (status, report["recordings"]) == (0, [])


def test_keys_that_follow_one_another_at_once_are_all_seen(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("standby")
        device.key(b"phq")
        assert device.end() == 0
        assert "closing" in device.lines
    assert kit.verify()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_recording_closes_the_chain(tmp_path: Path, number: signal.Signals) -> None:
    kit = Kit.make(tmp_path)
    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("standby")
        device.key(b"p")
        kit.await_media(after=1)
        device.process.send_signal(number)
        assert device.end() == 0
        assert "Traceback" not in device.output
        assert "Powered off." in device.lines
    status, report = kit.verify()
    assert (status, report["verdict"]) == (0, "authentic")


def test_without_a_camera_the_recording_ends_and_the_device_goes_on(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    kit.change_board("camera", "disabled")
    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("standby")
        device.key(b"p")
        device.until("fault: recording ended: camera")
        device.key(b"q")
        assert device.end() == 1
    status, report = kit.verify()
    assert (status, report["recordings"]) == (0, [])


def test_without_a_microphone_the_recording_says_so(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path)
    kit.change_board("microphone", "disabled")
    with Held("simulate", "--settings", str(kit.settings)) as device:
        device.until("standby")
        device.key(b"p")
        kit.await_media(after=1)
        device.key(b"q")
        assert device.end() == 0
    status, report = kit.verify()
    assert status == 0
    assert report["recordings"][0]["sound"]["coverage"] == 0.0


def test_in_a_terminal(tmp_path: Path) -> None:
    """State and light are on the screen; arrow keys and garbage do nothing; Ctrl-C powers off."""
    kit = Kit.make(tmp_path)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _IN_TERMINAL, "-m", "firmware", "simulate", "--settings", str(kit.settings)],
        cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    terminal = _Terminal(master)
    try:
        terminal.until(r"light +\[ +\] +sensed dark")
        terminal.until(r"state +standby")
        os.write(master, b"\x1b[A\x1b[D\x1bOC\x1b[3~\x00\xff\xc3\xa9yZ\t\r\n7")
        os.write(master, b"x")  # the keys are read one after another: when this one was, the others were
        os.write(master, b"x")
        os.write(master, b"p")
        terminal.until(r"light +\[\x1b\[1;31m#+\x1b\[0m *\] +sensed lit")
        terminal.until(r"state +recording  [0-9a-f]{8}")
        terminal.until(r"recorded +0\.[1-9] s")
        os.write(master, b"\x03")
        terminal.until(r"Powered off\.")
        assert process.wait(PATIENCE_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_S)
        os.close(master)
    assert terminal.text.count("standby") > 0
    assert "Traceback" not in terminal.text
    assert not [secret for secret in kit.secrets() if secret in terminal.text]
    status, report = kit.verify()
    assert (status, len(report["recordings"])) == (0, 1)
    events = [event for item in read_store(kit.flash, load_station_key(kit.station_key)) for event in item.events]
    assert [event.details["pressed"] for event in events if event.name == "button"] == [True, False]


class _Terminal:
    """The other end of a pseudo-terminal."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.text = ""

    def until(self, pattern: str) -> None:
        """Read until what came since the last call matches."""
        came = ""
        deadline_s = time.monotonic() + PATIENCE_S
        while not re.search(pattern, came):
            left_s = deadline_s - time.monotonic()
            ready, _, _ = select.select([self._master], [], [], max(0.0, left_s))
            assert ready, f"no {pattern!r} on the screen: {came[-1500:]!r}"
            try:
                data = os.read(self._master, 65536).decode(errors="replace")
            except OSError:  # EIO: the other end was closed
                data = ""
            assert data, f"the device ended without {pattern!r}: {came[-1500:]!r}"
            came += data
            self.text += data
