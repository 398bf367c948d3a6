"""What technicians did reaches the chain: once, or twice with one id; never not at all."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from drivers.clock.simulated import SimulatedClock
from firmware.acts import FOLDER, Act, ActSpool, ActWatch

S = 1_000_000_000
ACT = Act("Jan", "0123456789abcdef", "shut-down", 1_790_000_000)


class Chain:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.ended = False

    def offer(self, name: str, **details: Any) -> bool:
        assert name == "technician"
        if not self.ended:
            self.events.append(details)
        return not self.ended


def test_an_act_is_noted_once_and_then_forgotten(tmp_path: Path) -> None:
    clock, chain, spool = SimulatedClock(), Chain(), ActSpool(tmp_path)
    watch = ActWatch(tmp_path, chain.offer, clock.monotonic_ns)
    watch.look()
    assert spool.leave(ACT)
    assert spool.waiting == 1
    watch.look()
    (event,) = chain.events
    assert {name: event[name] for name in ("who", "key", "act", "utc_s")} == {
        "who": "Jan", "key": "0123456789abcdef", "act": "shut-down", "utc_s": 1_790_000_000,
    }  # fmt: skip
    assert spool.waiting == 0
    for _ in range(40):
        clock.advance(S)
        watch.look()
    assert len(chain.events) == 1
    assert not list((tmp_path / FOLDER).iterdir())


def test_after_a_crash_it_is_noted_again_with_its_id_and_after_a_good_end_it_is_not(tmp_path: Path) -> None:
    clock, chain, spool = SimulatedClock(), Chain(), ActSpool(tmp_path)
    assert spool.leave(ACT)
    for _ in range(2):
        watch = ActWatch(tmp_path, chain.offer, clock.monotonic_ns)
        watch.look()
    assert len(chain.events) == 2
    assert chain.events[0] == chain.events[1]
    assert spool.leave(ACT)
    watch.ended()
    assert spool.waiting == 1, "what was not noted stays"
    ActWatch(tmp_path, chain.offer, clock.monotonic_ns).look()
    assert len(chain.events) == 3
    assert chain.events[2]["id"] != chain.events[0]["id"]


def test_a_thread_of_its_own_takes_them(tmp_path: Path) -> None:
    came = threading.Event()

    def offer(_name: str, **_details: Any) -> bool:
        came.set()
        return True

    watch = ActWatch(tmp_path, offer, SimulatedClock().monotonic_ns)
    watch.begin()
    try:
        assert ActSpool(tmp_path).leave(ACT)
        assert came.wait(20)
    finally:
        watch.close()
        watch.close()
    assert "technician" not in {thread.name for thread in threading.enumerate()}


def test_the_longest_name_fits(tmp_path: Path) -> None:
    clock, chain, spool = SimulatedClock(), Chain(), ActSpool(tmp_path)
    assert spool.leave(Act("\N{GRINNING FACE}" * 80, "0" * 16, "x" * 32, 2**40))
    ActWatch(tmp_path, chain.offer, clock.monotonic_ns).look()
    assert [event["who"] for event in chain.events] == ["\N{GRINNING FACE}" * 80]


def test_no_more_wait_than_is_sound(tmp_path: Path) -> None:
    spool = ActSpool(tmp_path)
    assert all(spool.leave(ACT) for _ in range(64))
    assert not spool.leave(ACT)
    assert spool.waiting == 64


@pytest.mark.parametrize("data", [b"", b"{}", b'{"act":1,"key":"","utc_s":1,"who":""}', b"\xff" * 5000])
def test_what_is_no_act_is_put_on_record_as_such(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    clock, chain = SimulatedClock(), Chain()
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / f"{1:020d}-{2:016x}.act").write_bytes(data)
    (tmp_path / FOLDER / "other").write_bytes(data)
    watch = ActWatch(tmp_path, chain.offer, clock.monotonic_ns)
    for _ in range(40):
        watch.look()
        clock.advance(S)
    assert [(event["act"], event["id"]) for event in chain.events] == [("unreadable", f"{2:016x}")]
    assert len(caplog.records) == 1
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["other"]


def test_a_medium_that_refuses_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, chain, spool = SimulatedClock(), Chain(), ActSpool(tmp_path)
    assert spool.leave(ACT)
    watch = ActWatch(tmp_path, chain.offer, clock.monotonic_ns)
    watch.look()

    def refuse(*_arguments: Any, **_more: Any) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        clock.advance(40 * S)
        watch.look()
        assert "Read-only file system" in caplog.text
    clock.advance(40 * S)
    watch.look()
    assert not list((tmp_path / FOLDER).iterdir())
    assert len(chain.events) == 1


def test_what_comes_after_the_chain_is_closed_waits_for_the_next(tmp_path: Path) -> None:
    clock, chain, spool = SimulatedClock(), Chain(), ActSpool(tmp_path)
    watch = ActWatch(tmp_path, chain.offer, clock.monotonic_ns)
    chain.ended = True
    assert spool.leave(ACT)
    watch.look()
    watch.ended()
    assert (chain.events, spool.waiting) == ([], 1)
    chain.ended = False
    ActWatch(tmp_path, chain.offer, clock.monotonic_ns).look()
    assert [event["act"] for event in chain.events] == ["shut-down"]
