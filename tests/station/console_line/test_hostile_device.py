"""What a device may say to a technician's terminal: anything. It gets one line, or bounded, printable text."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from station.cli import app
from station.console_line.fetching import Fetching
from station.console_line.tell import (
    check_line,
    companion_line,
    companion_rows,
    greeting_rows,
    is_well,
    log_line,
    percent_line,
    segment_line,
    status_rows,
    values_line,
    when,
)
from station.errors import StationError
from station.technicians import issue_credential
from tests.firmware.console.desk import ISSUED_S
from tests.firmware.policies import UNIT
from tests.station.console_line.liar import Liar, Say, answer, body, greeted
from wire.bodies import BytesBody, Described
from wire.calling import Calling
from wire.frames import frame
from wire.messages import Answer, Ask, Note

KEYS = [
    *("device", "name", "serial", "board", "firmware", "enrolled", "recorder", "told", "policy", "certificate"),
    *("chain", "storage", "clock", "acts_waiting", "state", "fault", "light", "commanded", "sensed"),
    *("battery_percent", "charging", "docked", "minutes_left", "policy_serial", "trouble", "unit", "expires_s"),
    *("until_s", "segment", "kind", "closed", "utc_s", "bytes", "free_mib", "total_mib", "in_step", "source"),
    *("companion", "version", "digest", "config", "carried", "as_carried", "before"),
    *("check", "outcome", "text", "values", "pressed", "light_sensed", "fix", "satellites", "utc_us", "priority"),
]
NASTY = st.sampled_from(["\x1b[2J", "\x1b]0;owned\x07", "a\r\nb", "\u202e", "[red]x[/red]", "x" * 5000, "\x9b31m"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | NASTY | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)
FIELDS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=20)


@settings(max_examples=100, deadline=None)
@given(FIELDS)
def test_whatever_it_says_of_itself_is_bounded_and_printable(fields: dict[str, Any]) -> None:
    for rows in (status_rows(fields), greeting_rows(fields), companion_rows(fields)):
        for label, told in rows:
            assert label.isprintable()
            assert told.isprintable(), ascii(told)
            assert len(told) < 3000
    for tell in (check_line, values_line, log_line, segment_line, companion_line):
        assert tell(fields).isprintable()
        assert len(tell(fields)) < 3000
    assert is_well(fields) in (True, False)


def test_acts_that_no_recorder_takes_are_told() -> None:
    assert ("to record", "5 acts of technicians wait for the recorder to take note") in status_rows({"acts_waiting": 5})


@given(VALUES)
def test_any_value_is_a_time_or_unknown(value: object) -> None:
    assert when(2**39) == "?", "no calendar has that"
    assert when(value).isprintable()
    assert log_line(value).isprintable()
    assert segment_line(value).isprintable()
    assert values_line(value).isprintable()
    assert percent_line(value).isprintable()
    assert len(percent_line(value)) < 10


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("technician")
    issue_credential(base, UNIT, "Jan", 300, base / "jan.key", b"", ISSUED_S)
    return base / "jan.key"


def run(key: Path, say: Say, *arguments: str) -> tuple[int, str]:
    with Liar(say) as liar:
        done = CliRunner().invoke(app, ["console", "--port", liar.port, "--key", str(key), *arguments])
    if isinstance(done.exception, StationError):
        text = str(done.exception)
        assert text.isprintable()
        return done.exception.exit_status, text
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done.exit_code, done.output


COMMANDS = (
    ["status"], ["status", "--json"], ["self-test"], ["check-board"], ["journal"], ["journal", "--json"], ["set-clock"],
    ["shut-down"], ["restart-recorder", "--json"], ["update-companion"], ["update-companion", "--json"],
    ["prove"], ["prove", "--device", "11" * 16], ["prove", "--json"],
)  # fmt: skip


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_nonsense_is_one_line_and_no_terminal_obeys_it(key: Path, arguments: list[str]) -> None:
    evil = "\x1b]0;owned\x07\u202e[bold]"
    for say in (
        answer(),
        answer(name=evil, recorder={"state": evil, "fault": [evil]}, passed="yes", checks=[evil, {"check": evil}]),
        answer(body={"bytes": 2**40, "sha256": "00" * 32}),
        answer(body={"bytes": 5, "sha256": "00" * 32}, data="AAAA", at=0),
        answer(monotonic_ns=-1, utc_ns="now", in_step=3),
        greeted(lambda ask: [frame(Answer(ask.session, ask.number, code="failed", text=evil).encode())]),
        body(b'{"lines":[3,{"text":"\\u001b[2J"}],"segments":{"a":1}}'),
        body(b"\x00" * 9000),
    ):
        status, text = run(key, say, *arguments)
        assert status in (0, 1, 3)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "Traceback" not in text


def test_endless_signs_of_life_and_endless_notes_end(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lively(ask: Ask) -> list[bytes]:
        note = frame(Note(ask.session, ask.number, {"say": "\x1b[2Jworking"}).encode())
        return [note] * 5

    from station.console_line import session

    def hasty(line: Any, **more: Any) -> Any:
        return Calling(line, **more, longest_s=0.5, again_s=0.01)

    monkeypatch.setattr(session, "Calling", hasty)
    status, text = run(key, greeted(lively), "self-test")
    assert status == 3
    assert "does not answer" in text


def test_an_export_is_not_taken_where_it_is_not_what_it_says(key: Path, tmp_path: Path) -> None:
    output = tmp_path / "log.gz"
    arguments = ("export-log", "--output", str(output))
    assert run(key, body(b"sound" * 3000), *arguments)[0] == 0
    assert output.read_bytes() == b"sound" * 3000
    output.unlink()
    status, text = run(key, answer(body={"bytes": 2**40, "sha256": "00" * 32}), *arguments)
    assert (status, "nothing of it came" in text) == (3, True)
    status, text = run(key, answer(body={"bytes": 3, "sha256": "00" * 32}, at=0, data="AAAA"), *arguments)
    assert status == 3
    assert not output.exists()


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_a_part_file_may_hold_anything(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    output = tmp_path_factory.getbasetemp() / "some.gz"
    output.with_name("some.gz.part").write_bytes(data)
    fetching = Fetching(output)
    assert fetching.of == {}
    assert fetching.begun_bytes == 0


def test_a_part_file_is_gone_on_with_and_another_log_begins_anew(tmp_path: Path) -> None:
    whole = BytesBody(os.urandom(9000))
    of = Described(whole.size_bytes, whole.digest)
    fetching = Fetching(tmp_path / "log.gz")
    assert fetching.keep() == "nothing of it came"
    fetching.gather(of).add(0, whole.data[:4096])
    assert "4096 of 9000 bytes" in fetching.keep()
    again = Fetching(tmp_path / "log.gz")
    assert again.of == {"of": whole.digest.hex()}
    assert again.begun_bytes == 4096
    assert again.gather(of).size_bytes == 4096
    assert again.gather(Described(5, bytes(32))).size_bytes == 0
    fetching.gather(of).add(4096, whole.data[4096:])
    assert "9000 of 9000" in fetching.keep()
    again = Fetching(tmp_path / "log.gz")
    assert again.gather(of).take() == whole.data
    (tmp_path / "sub").mkdir()
    late = Fetching(tmp_path / "sub" / "log.gz")
    (tmp_path / "sub").rmdir()
    late.gather(of).add(0, b"x")
    for act in (late.keep, lambda: late.done(b"x")):
        with pytest.raises(StationError, match="cannot write"):
            act()


def test_json_is_ascii(key: Path) -> None:
    _, text = run(key, answer(name="\x1b[2J\u202e", enrolled=True), "status", "--json")
    assert text.isascii()
    assert json.loads(text)["name"] == "\x1b[2J\u202e"
