"""The system around the device: what it is asked, in which words, and what it may answer."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import DriverError, DriverUnavailableError
from drivers.system.commands import Done, run
from drivers.system.disabled import DisabledLog, DisabledSystem
from drivers.system.journald import JournaldLog
from drivers.system.protocol import LogLine, SystemControl, SystemLog
from drivers.system.simulated import SimulatedLog, SimulatedSystem
from drivers.system.systemd import SystemdControl


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


class Asked:
    """Stands for a program: takes note of what it was asked, and answers as it is told."""

    def __init__(self, done: Done | None = None) -> None:
        self.done = done or Done(0, b"", "", False)
        self.arguments: list[Sequence[str]] = []
        self.limits_s: list[float] = []

    def __call__(self, arguments: Sequence[str], *, limit_s: float, most_bytes: int) -> Done:
        self.arguments.append(arguments)
        self.limits_s.append(limit_s)
        return self.done


def test_a_program_is_run_to_its_end() -> None:
    done = run(python("import sys; print('a'); sys.stderr.write('b\\nc\\n'); sys.exit(3)"), limit_s=20, most_bytes=100)
    assert (done.status, done.output, done.trouble, done.cut) == (3, b"a\n", "b", False)


def test_no_more_is_read_than_is_wanted_and_nobody_is_waited_for_for_ever() -> None:
    flood = "import os\nwhile True: os.write(1, b'x' * 65536)"
    done = run(python(flood), limit_s=30, most_bytes=100_000)
    assert (done.status, len(done.output), done.cut) == (0, 100_000, True)
    begun_s = time.monotonic()
    for text in ("import time; time.sleep(60)", "import os, time; os.close(1); os.close(2); time.sleep(60)"):
        with pytest.raises(DriverError, match="in time"):
            run(python(text), limit_s=0.2, most_bytes=100)
    assert time.monotonic() - begun_s < 20
    with pytest.raises(DriverUnavailableError, match="cannot be run"):
        run(["/nonexistent/program"], limit_s=1, most_bytes=1)


def test_systemd_is_asked_in_its_own_words() -> None:
    asked = Asked()
    system: SystemControl = SystemdControl("getuige.service", run=asked)
    system.stop_recorder()
    system.start_recorder()
    system.restart_recorder()
    system.set_clock(1_790_000_000_123_456_789)
    system.power_off()
    assert [" ".join(arguments) for arguments in asked.arguments] == [
        "systemctl --no-ask-password stop getuige.service",
        "systemctl --no-ask-password --no-block start getuige.service",
        "systemctl --no-ask-password --no-block restart getuige.service",
        "busctl --allow-interactive-authorization=false call org.freedesktop.timedate1 /org/freedesktop/timedate1"
        " org.freedesktop.timedate1 SetTime xbb 1790000000123456 false false",
        "busctl --allow-interactive-authorization=false call org.freedesktop.login1 /org/freedesktop/login1"
        " org.freedesktop.login1.Manager PowerOff b false",
    ]
    assert asked.limits_s[0] > 30, "the recorder may take so long to close what is open"
    asked.done = Done(1, b"", "Access denied", False)
    with pytest.raises(DriverError, match="does not set the clock: Access denied"):
        system.set_clock(1)
    asked.done = Done(4, b"", "", False)
    with pytest.raises(DriverError, match="status 4"):
        system.power_off()


def entry(**fields: Any) -> bytes:
    whole = {"__REALTIME_TIMESTAMP": "1790000000000001", "_SYSTEMD_UNIT": "getuige.service", "PRIORITY": "6"}
    return json.dumps(whole | fields).encode() + b"\n"


def test_the_journal_is_read_from_its_end_and_told_in_order() -> None:
    asked = Asked(
        Done(
            0,
            entry(MESSAGE="newest", PRIORITY="3")
            + entry(MESSAGE=[0x68, 0xFF], UNIT="getuige-console.service", _SYSTEMD_UNIT="init.scope")
            + entry(MESSAGE="x" * 1000, PRIORITY="many", _HOSTNAME="secret")
            + b'{"MESSAGE": "cut off he',
            "",
            True,
        )
    )
    log: SystemLog = JournaldLog(run=asked)
    lines = log.newest(10)
    assert lines == [
        LogLine(1790000000000001, "getuige.service", 6, "x" * 500),
        LogLine(1790000000000001, "getuige-console.service", 6, "h\N{REPLACEMENT CHARACTER}"),
        LogLine(1790000000000001, "getuige.service", 3, "newest"),
    ]
    assert log.newest(1) == lines[-1:]
    (arguments, _) = asked.arguments
    assert {"--reverse", "--output=json", "--lines=10", "--unit=getuige*"} <= set(arguments)


def test_a_journal_that_cannot_be_read_is_told_and_an_empty_one_is_empty() -> None:
    refused = Asked(Done(1, b"", "No journal files were opened due to insufficient permissions.", False))
    with pytest.raises(DriverError, match="insufficient permissions"):
        JournaldLog(run=refused).newest(1)
    assert JournaldLog(run=Asked(Done(1, b"", "Failed to add filter: No data available", False))).newest(1) == []


VALUES = st.none() | st.text(max_size=20) | st.integers() | st.lists(st.integers(-5, 300), max_size=5)


@given(
    st.lists(
        st.binary(max_size=60)
        | st.dictionaries(
            st.sampled_from(["MESSAGE", "PRIORITY", "_SYSTEMD_UNIT", "UNIT", "__REALTIME_TIMESTAMP"]), VALUES
        ).map(lambda fields: json.dumps(fields).encode())
        | st.fixed_dictionaries({"MESSAGE": VALUES, "PRIORITY": VALUES}).map(lambda fields: entry(**fields).strip())
    )
)
def test_whatever_the_journal_says_is_lines_or_nothing(parts: list[bytes]) -> None:
    for line in JournaldLog(run=Asked(Done(0, b"\n".join(parts), "", False))).newest(100):
        assert 0 <= line.priority <= 7
        assert len(line.text) <= 500
        assert line.utc_us >= 0


def test_a_simulated_system_takes_note_and_refuses_when_told() -> None:
    system = SimulatedSystem()
    checked: SystemControl = system
    for act in (checked.stop_recorder, checked.start_recorder, checked.restart_recorder, checked.power_off):
        act()
    checked.set_clock(5)
    assert list(system.told) == ["stop", "start", "restart", "power-off", "set-clock 5"]
    system.refusals["stop"] = "no"
    with pytest.raises(DriverError, match="no"):
        checked.stop_recorder()
    log = SimulatedLog([LogLine(1, "u", 6, "a"), LogLine(2, "u", 6, "b")])
    assert [line.text for line in log.newest(1)] == ["b"]
    assert log.newest(0) == []
    log.refusal = "gone"
    with pytest.raises(DriverError, match="gone"):
        log.newest(1)


def test_without_a_system_nothing_can_be_asked() -> None:
    system: SystemControl = DisabledSystem()
    log: SystemLog = DisabledLog()
    assert not system.present
    assert not log.present
    for act in (
        system.stop_recorder, system.start_recorder, system.restart_recorder, system.power_off,
        lambda: system.set_clock(1), lambda: log.newest(1),
    ):  # fmt: skip
        with pytest.raises(DriverUnavailableError, match=r"\[console\] system"):
            act()


def test_the_programs_that_are_asked_take_these_words(tmp_path: Path) -> None:
    """The real ones, where the machine has them: without a bus they refuse for that reason and no other."""
    import shutil

    if not all(shutil.which(name) for name in ("busctl", "journalctl")):
        pytest.skip("this machine has no systemd")
    env = f"env DBUS_SYSTEM_BUS_ADDRESS=unix:path={tmp_path}/none"

    def without_bus(arguments: Sequence[str], *, limit_s: float, most_bytes: int) -> Done:
        return run([*env.split(), *arguments], limit_s=limit_s, most_bytes=most_bytes)

    system = SystemdControl("getuige-none.service", run=without_bus)
    acts: list[Callable[[], None]] = [lambda: system.set_clock(1), system.power_off]
    for act in acts:
        with pytest.raises(DriverError, match=r"Failed to (set bus address|connect)"):
            act()

    def elsewhere(arguments: Sequence[str], *, limit_s: float, most_bytes: int) -> Done:
        return run([*arguments, f"--directory={tmp_path}"], limit_s=limit_s, most_bytes=most_bytes)

    assert JournaldLog(run=elsewhere).newest(10) == []
