"""The satellite receiver over a pseudo-terminal; its sentences, and everything that is none."""

from __future__ import annotations

import os
import pty
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import DriverError
from drivers.gnss.nmea import NmeaGnss
from drivers.gnss.protocol import Fix
from drivers.gnss.sentences import MAX_LINE_BYTES, LineCutter, SentenceReader
from drivers.gnss.simulated import SimulatedGnss

PATIENCE_S = 20.0


def sealed(body: str) -> bytes:
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"${body}*{check:02X}\r\n".encode()


GGA = sealed("GNGGA,101530.00,5205.400,N,00507.200,E,1,09,0.8,12.5,M,45.0,M,,")
RMC = sealed("GNRMC,101530.00,A,5205.400,N,00507.200,E,0.1,,241126,,,A")


def fixes(*lines: bytes) -> list[Fix]:
    reader, cutter = SentenceReader(), LineCutter()
    found = [reader.line(line, 5) for line in cutter.feed(b"".join(lines))]
    return [fix for fix in found if fix is not None]


def test_two_sentences_make_a_fix() -> None:
    (fix,) = fixes(GGA, RMC)
    assert fix.latitude_deg == pytest.approx(52.09)
    assert fix.longitude_deg == pytest.approx(5.12)
    assert (fix.altitude_m, fix.accuracy_m, fix.satellites, fix.time_ns) == (12.5, 4.0, 9, 5)
    assert fix.utc_ns == 1_795_515_330 * 1_000_000_000


@pytest.mark.parametrize(
    "line",
    [
        RMC.replace(b"5205", b"5206"),
        sealed("GNRMC,101530.00,V,5205.400,N,00507.200,E,0.1,,241126,,,N"),
        sealed("GNRMC,101530.00,A,,,,,0.1,,241126,,,A"),
        sealed("GNRMC,101530.00,A,9905.400,N,00507.200,E,0.1,,241126,,,A"),
        b"$GNRMC,101530.00,A,5205.400,N,00507.200,E,0.1,,241126,,,A\r\n",
        sealed("PUBX,00"), b"\xff\xfe\r\n", b"$\r\n",
    ],
)  # fmt: skip
def test_what_is_no_valid_fix(line: bytes) -> None:
    assert fixes(GGA, line) == []


@pytest.mark.parametrize("date", ["060180", "010125", "311299", ""])
def test_a_date_that_cannot_be_gives_no_time(date: str) -> None:
    found = fixes(sealed(f"GPRMC,101530.00,A,5205.400,N,00507.200,E,0.1,,{date},,,A"))
    assert [fix.utc_ns for fix in found] in ([None], [])


def test_the_altitude_of_another_second_is_not_taken() -> None:
    (fix,) = fixes(GGA.replace(b"", b""), sealed("GNRMC,101531.00,A,5205.400,N,00507.200,E,0.1,,241126,,,A"))
    assert (fix.altitude_m, fix.accuracy_m, fix.satellites) == (None, None, 0)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_noise_is_no_fix_and_no_error_and_stays_bounded(parts: list[bytes]) -> None:
    cutter, reader = LineCutter(), SentenceReader()
    for part in parts:
        for line in cutter.feed(part):
            assert len(line) <= MAX_LINE_BYTES
            reader.line(line, 0)
    assert len(cutter._rest) <= MAX_LINE_BYTES
    lines = cutter.feed(b"\n" + GGA + RMC)
    assert [reader.line(line, 0) for line in lines][-1] is not None


@given(st.lists(st.integers(1, 40)))
def test_lines_come_in_any_pieces(cuts: list[int]) -> None:
    data, cutter, found = GGA + RMC, LineCutter(), []
    for cut in [*cuts, len(data)]:
        found += cutter.feed(data[:cut])
        data = data[cut:]
    assert found == [GGA.strip(), RMC.strip()]


class Receiver:
    """The other end of the line."""

    def __init__(self, base: Path) -> None:
        self.port = base / "port"
        self.fixes: list[Fix] = []
        self._changed = threading.Condition()
        self.plug()

    def plug(self) -> None:
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self._slave = slave
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(slave))

    def unplug(self) -> None:
        self.port.unlink()
        os.close(self._slave)
        os.close(self._master)

    def say(self, data: bytes) -> None:
        os.write(self._master, data)

    def heard(self, fix: Fix) -> None:
        with self._changed:
            self.fixes.append(fix)
            self._changed.notify_all()

    def until(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.fixes) >= count, PATIENCE_S)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path)
    yield made
    made.unplug()


def test_over_a_line_unplugged_and_plugged_in_again(receiver: Receiver) -> None:
    with NmeaGnss(str(receiver.port)) as gnss:
        gnss.start(receiver.heard)
        receiver.say(b"\x00garbage" + GGA + RMC)
        receiver.until(1)
        receiver.unplug()
        receiver.plug()
        end = threading.Event()
        while len(receiver.fixes) < 2:
            receiver.say(GGA + RMC)
            assert not end.wait(0.05)
        assert gnss.fault() is None
        gnss.stop()
        count = len(receiver.fixes)
        receiver.say(RMC)
    assert len(receiver.fixes) == count


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    with NmeaGnss(str(tmp_path / "none")) as gnss, pytest.raises(DriverError, match="cannot be opened"):
        gnss.start(lambda _fix: None)


def test_simulated() -> None:
    gnss, found = SimulatedGnss(), list[Fix]()
    fix = Fix(1, None, 0.0, 0.0, None, None, 3)
    gnss.report(fix)
    gnss.start(found.append)
    gnss.report(fix)
    gnss.fail("no antenna")
    gnss.report(fix)
    assert gnss.fault() == "no antenna"
    gnss.close()
    with pytest.raises(DriverError, match="closed"):
        gnss.start(found.append)
    assert found == [fix]
