"""What a technician gets to see and to do at the console, and what stays out of it."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.system.protocol import LogLine
from drivers.system.simulated import SimulatedLog
from firmware.console.log import told
from firmware.unenrolled import NoRecorder
from storage.keyfiles import device_id, load_device_key
from storage.layout import ClockSource, Light, Stamp
from tests.firmware.console.desk import ISSUED_S, JAN, YEAR_S, Desk, lines, technician
from tests.firmware.device import Kit
from tests.storage.kit import Device
from wire.bodies import Described, Gathering
from wire.errors import RefusedError
from wire.plain import decode

S = 1_000_000_000
VERBS: list[tuple[str, dict[str, Any]]] = [
    ("status", {}), ("journal", {"lines": 5}), ("export-log", {}), ("clock", {}),
    ("set-clock", {"monotonic_ns": 1, "utc_ns": 1}), ("self-test", {}),
    ("check-board", {"wait_s": 1, "watch_s": 0}), ("restart-recorder", {}), ("shut-down", {}),
    ("update-companion", {}), ("prove", {"challenge": "00" * 32}),
]  # fmt: skip


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit.make(tmp_path_factory.mktemp("device") / "device")


@pytest.fixture
def desk(kit: Kit) -> Desk:
    (kit.base / "status.json").unlink(missing_ok=True)
    for path in (kit.base / "state" / "technician").glob("*"):
        path.unlink()
    return Desk(kit)


def waiting(desk: Desk) -> list[str]:
    folder = desk.kit.base / "state" / "technician"
    return [json.loads(path.read_bytes())["act"] for path in sorted(folder.glob("*.act"))]


@pytest.mark.parametrize(("verb", "fields"), VERBS)
def test_nothing_of_it_is_for_who_does_not_sign(desk: Desk, verb: str, fields: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="needs a technician's signature"):
        desk.pair.calling().call(verb, fields)
    with pytest.raises(RefusedError, match="not this unit's"):
        desk.pair.calling().call(verb, fields, technician=technician(unit=_Another()))
    assert not desk.control.told
    assert not waiting(desk)


class _Another:
    def sign(self, data: bytes) -> bytes:
        return JAN.sign(data)


@pytest.mark.parametrize(("verb", "fields"), VERBS)
def test_what_is_malformed_does_nothing(desk: Desk, verb: str, fields: dict[str, Any]) -> None:
    spoilt: dict[str, Any] = dict.fromkeys(fields, "x") or {"x": 1}
    for wrong in ({**fields, "more": 1}, spoilt):
        assert desk.refused(verb, **wrong).startswith("malformed")
    assert not desk.control.told


def test_status_of_a_device_at_rest(desk: Desk) -> None:
    found = desk.ask("status").fields
    public = load_device_key(desk.kit.base / "state" / "device.pub")
    assert found["device"] == device_id(public).hex()
    assert found["enrolled"] is True
    assert found["recorder"] is None
    assert (found["policy"]["serial"], found["policy"]["issued_s"]) == (1, ISSUED_S)
    assert found["certificate"] == {"trouble": "No such file or directory"}
    assert found["chain"] is None
    assert found["storage"] == {"trouble": "No such file or directory"}
    assert found["acts_waiting"] == 1, "this very look"
    desk.says(state="recording", busy=True, light={"commanded": True, "sensed": True})
    assert desk.ask("status").fields["recorder"]["state"] == "recording"
    desk.clock.advance(11 * S)
    assert desk.ask("status").fields["recorder"] is None, "what is stale runs no more"


def test_status_tells_what_is_broken(desk: Desk, tmp_path: Path) -> None:
    settings = desk.tools.settings
    (tmp_path / "device.crt").write_text("no certificate")
    desk.tools = replace(
        desk.tools, settings=replace(settings, tls=replace(settings.tls, certificate=tmp_path / "device.crt"))
    )
    from firmware.console.status import Status

    policy = desk.kit.base / "state" / "policy.toml"
    whole = policy.read_bytes()
    try:
        policy.write_bytes(b"\x1b[2J" + whole)
        status = Status(desk.place, desk.tools)
        from wire.answering import Asked
        from wire.messages import Ask

        asked = Asked(Ask(bytes(8), 1, "status", {}), bytes(32), b"", lambda _fields: None)
        found = status.handle(asked).fields
        assert "\x1b" not in found["policy"]["trouble"]
        assert found["certificate"] == {"trouble": "it is no certificate"}
        policy.unlink()
        assert status.handle(asked).fields["policy"] == {"trouble": "No such file or directory"}
    finally:
        policy.write_bytes(whole)


def test_the_chain_as_it_stands_in_the_clear(desk: Desk, tmp_path: Path) -> None:
    device = Device(tmp_path)
    with device.open() as store:
        stamp = Stamp(1, ISSUED_S * S, clock_source=ClockSource.NTP, commanded=Light.LIT, sensed=Light.UNSENSED)
        store.begin(stamp).close("recording", stamp)
        open_one = store.begin(stamp, recording=b"r" * 16, part=0, profile="480p30", init=b"init")
        settings = desk.tools.settings
        flash = replace(settings.store, flash=device.flash)
        desk = Desk(desk.kit, log=SimulatedLog(lines("a", "b")))
        desk.tools = replace(desk.tools, settings=replace(settings, store=flash))
        from firmware.console.chain import newest, tail

        (device.flash / "segments" / "0000000009.seg").write_bytes(b"torn")
        assert [(item["segment"], item["kind"]) for item in tail(device.flash, 9)] == [(1, "journal"), (2, "recording")]
        assert newest(device.flash) is None
        (device.flash / "segments" / "0000000009.seg").unlink()
        found = newest(device.flash)
        assert found is not None
        assert found["closed"] is False
        assert (found["utc_s"], found["clock"], found["light"], found["sensed"]) == (ISSUED_S, "ntp", "lit", "")
        open_one.close("stop", stamp)
    found = newest(device.flash)
    assert found is not None
    assert found["closed"] is True
    assert tail(tmp_path / "none", 5) == []
    assert tail(device.flash, 0) == []


def test_the_journal_is_told_and_the_log_exported(kit: Kit) -> None:
    desk = Desk(kit, log=SimulatedLog(lines("standby", "\x1b[31mred\n", "x" * 500)))
    got = desk.ask("journal", lines=2)
    body = decode(got.body)
    assert [line["text"] for line in body["lines"]] == [
        "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}",
        "x" * 400,
    ]
    exported = desk.ask("export-log")
    found = [json.loads(line) for line in gzip.decompress(exported.body).splitlines()]
    assert exported.fields["lines"] == len(found) == 3
    assert found[0] == {"priority": 6, "text": "standby", "unit": "getuige.service", "utc_us": 1_790_000_000_000_000}
    desk.log.refusal = "journalctl did not answer in time"
    assert desk.refused("journal", lines=2) == "failed: journalctl did not answer in time"
    without = Desk(kit, present=False)
    assert without.ask("journal", lines=2).fields == {"lines": 0, "log": False}
    assert "[console] system" in without.refused("export-log")


def test_an_export_that_was_begun_goes_on_in_another_session(kit: Kit) -> None:
    desk = Desk(kit, log=SimulatedLog(lines(*(os.urandom(200).hex() for _ in range(200)))))
    begun: list[Gathering] = []
    asked: list[int] = []

    def lost(done: int, _total: int) -> None:
        asked.append(done)
        if len(begun) == 1 and done > 10_000:
            raise KeyboardInterrupt

    def gather(of: Described) -> Gathering:
        begun.append(Gathering(of))
        return begun[-1]

    with pytest.raises(KeyboardInterrupt):
        desk.pair.calling().call("export-log", technician=technician(), gather=gather, progress=lost)
    desk.log.lines.append(LogLine(1, "getuige.service", 6, "meanwhile"))
    have = begun[0].size_bytes
    asked.clear()

    def go_on(of: Described) -> Gathering:
        assert of == begun[0].of
        begun.append(begun[0])
        return begun[0]

    got = desk.new_pair().calling().call(
        "export-log", {"of": begun[0].of.digest.hex()}, technician=technician(), gather=go_on, progress=lost
    )  # fmt: skip
    assert asked[0] == have + 4096
    assert b"meanwhile" not in gzip.decompress(got.body)
    anew = desk.ask("export-log", of="00" * 32)
    assert b"meanwhile" in gzip.decompress(anew.body)


PLACES = [
    "$GPGGA,123519,5205.4420,N,00507.2840,E,1,08,0.9,5.0,M,46.9,M,,*47",
    "fix 52.0907, 5.1214",
    "at -5.12141 deg",
    "N52.0907E5.1214",
    "position {'latitude_e7': 520907000, 'longitude_e7': 51214000}",
    "assignment {'officer': '123456'}",
    "officer=NL-7",
]


@pytest.mark.parametrize("text", PLACES)
def test_no_place_and_no_officer_is_told_whoever_logged_it(text: str) -> None:
    shown = told(LogLine(1, "getuige.service", 6, text))["text"]
    for secret in ("5205.4420", "00507.2840", "52.0907", "5.1214", "520907000", "51214000", "123456", "NL-7"):
        assert secret not in shown
    assert "[hidden]" in shown


def test_no_place_and_no_officer_is_logged_where_no_chain_seals_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "getuige")
    records = NoRecorder()
    records.note("position", latitude_e7=520907000, longitude_e7=51214000)
    records.note("assignment", officer="123456")
    records.note("button", pressed=True)
    assert caplog.messages == ["button {'pressed': True}"]


@given(st.text(max_size=600), st.text(max_size=80))
def test_whatever_was_logged_is_told_in_one_printable_line(text: str, unit: str) -> None:
    fields = told(LogLine(1, unit, 6, text))
    assert fields["text"].isprintable()
    assert fields["unit"].isprintable()
    assert len(fields["text"]) <= 400


def test_ordinary_lines_are_told_as_they_are() -> None:
    for text in ("getuige: standby", "self-test took 1.234 s", "companion 1.2.3.4, build 20261128", "firmware: 0.1.0"):
        assert told(LogLine(1, "u", 6, text))["text"] == text


def test_the_clock_is_set_to_what_it_was_at_an_instant(desk: Desk) -> None:
    desk.clock.synchronised = False
    desk.clock.set_utc((ISSUED_S + 10) * S)
    found = desk.ask("clock").fields
    assert (found["in_step"], found["utc_ns"]) == (False, (ISSUED_S + 10) * S)
    desk.clock.advance(7 * S)
    wanted = (ISSUED_S + 3600) * S
    set_ = desk.ask("set-clock", monotonic_ns=found["monotonic_ns"], utc_ns=wanted)
    assert list(desk.control.told) == [f"set-clock {wanted + 7 * S}"]
    assert set_.fields["by_ms"] == (3600 - 10) * 1000
    assert waiting(desk)[-1] == "set-clock"


def test_a_time_that_cannot_be_is_refused(desk: Desk) -> None:
    now = desk.clock.monotonic_ns()
    fine = (ISSUED_S + YEAR_S) * S
    assert "in step by itself" in desk.refused("set-clock", monotonic_ns=now, utc_ns=fine)
    desk.clock.synchronised = False
    for monotonic_ns, utc_ns, says in (
        (now, 0, "before this program was written"),
        (now, 4_000_000_000 * S, "decades ahead"),
        (now + 1, fine, "measured too long ago"),
        (now, 2**63 - 1, "decades ahead"),
    ):
        assert says in desk.refused("set-clock", monotonic_ns=monotonic_ns, utc_ns=utc_ns)
    (desk.kit.base / "state" / "time.known").write_text(str(fine))
    try:
        assert "on record, which is later" in desk.refused("set-clock", monotonic_ns=now, utc_ns=fine - 400 * S)
        desk.ask("set-clock", monotonic_ns=now, utc_ns=fine - 200 * S)
    finally:
        (desk.kit.base / "state" / "time.known").unlink()
    desk.control.refusals["set-clock"] = "the system does not set the clock: Access denied"
    assert "Access denied" in desk.refused("set-clock", monotonic_ns=now, utc_ns=fine)
    desk.clock.advance(121 * S)
    assert "measured too long ago" in desk.refused("set-clock", monotonic_ns=now, utc_ns=fine)


@pytest.mark.parametrize("verb", ["shut-down", "restart-recorder"])
def test_an_officers_recording_is_not_stopped(desk: Desk, verb: str) -> None:
    desk.says(state="recording", busy=True)
    assert desk.refused(verb).startswith("recording: it records")
    assert not desk.control.told
    desk.says(busy="who knows")
    assert desk.refused(verb).startswith("recording: it records")
    desk.says()
    desk.ask(verb)
    assert list(desk.control.told) == [{"shut-down": "power-off", "restart-recorder": "restart"}[verb]]


def test_who_did_what_is_left_for_the_chain(desk: Desk) -> None:
    calling = desk.pair.calling()
    for _ in range(3):
        calling.call("status", technician=technician())
        calling.call("restart-recorder", technician=technician())
    assert sorted(waiting(desk)) == ["restart-recorder"] * 3 + ["status"]
    (act, *_) = [path.read_bytes() for path in (desk.kit.base / "state" / "technician").glob("*.act")]
    fields = json.loads(act)
    assert fields["who"] == "Jan"
    assert fields["key"] == JAN.public_key().public_bytes_raw().hex()[:16]
    assert fields["utc_s"] == desk.clock.read().utc_ns // S


def test_a_device_whose_recorder_takes_nothing_is_still_looked_at(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "getuige")
    for _ in range(70):
        desk.ask("restart-recorder")
    assert len(waiting(desk)) == 64
    assert "no recorder takes what waits already" in caplog.text
    desk.runs = True
    done = len(desk.control.told)
    assert "too much at once" in desk.refused("restart-recorder")
    assert len(desk.control.told) == done, "nobody gets round the record by asking for much"
    desk.ask("status")
    desk.runs = False
    for path in (desk.kit.base / "state" / "technician").glob("*"):
        path.unlink()

    def full(*_arguments: Any, **_more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("firmware.acts.replace_file", full)
    desk.ask("shut-down")
    assert "the chain will not have it: No space left on device" in caplog.text
    assert "console: shut-down, by Jan" in caplog.text
