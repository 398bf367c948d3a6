"""Whoever holds the cable, without a technician's key: nothing crashes, nothing grows, nothing is done."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.system.simulated import SimulatedLog
from tests.firmware.console.desk import Desk, lines, technician
from tests.firmware.device import Kit
from tests.wire.pair import Pair
from wire.answering import Answering
from wire.frames import MAX_LINE_BYTES, FrameReader, frame
from wire.messages import Answer, Ask, parse

VERBS = [
    *("status", "journal", "export-log", "clock", "set-clock", "self-test", "check-board", "restart-recorder"),
    *("shut-down", "hello", "part", "give", "update-companion", "prove"),
]
CHILD = ("/bin/sh", "-c", "exit 1")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit.make(tmp_path_factory.mktemp("device") / "device")


@pytest.fixture(scope="module")
def recorded(kit: Kit) -> list[bytes]:
    """What a technician's computer sent in a session, frame by frame, signatures and all."""
    desk = Desk(kit, log=SimulatedLog(lines("a", "b")), child=CHILD)
    sent: list[bytes] = []

    def tap(data: bytes) -> bytes:
        sent.append(data)
        return data

    pair = Pair(desk.dispatcher.handle, up=tap, greeting=dict(desk.place.greeting()))
    calling = pair.calling()
    calling.call("status", technician=technician())
    calling.call("journal", {"lines": 5}, technician=technician())
    calling.call("restart-recorder", technician=technician())
    calling.call("shut-down", technician=technician())
    assert list(desk.control.told) == ["restart", "power-off"]
    return sent


def fed(desk: Desk, parts: list[bytes]) -> list[Answer]:
    """Give it those bytes; return its answers, each of which must be of this protocol, and printable."""
    sent: list[bytes] = []
    answering = Answering(desk.place.greeting, desk.dispatcher.handle)
    for part in parts:
        answering.take(part, sent.append)
        reader: FrameReader = answering._reader
        assert reader.kept_bytes <= MAX_LINE_BYTES
    found = []
    for data in sent:
        (text,) = FrameReader().feed(data)
        answer = parse(text)
        assert isinstance(answer, Answer)
        assert answer.text.isprintable()
        found.append(answer)
    return found


def test_what_was_recorded_on_the_line_does_nothing_when_it_is_played_again(kit: Kit, recorded: list[bytes]) -> None:
    desk = Desk(kit, child=CHILD)
    answers = fed(desk, recorded)
    assert not desk.control.told
    assert {answer.code for answer in answers[1:]} >= {"not-allowed"}
    assert any("for this device and this session" in answer.text for answer in answers)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3))
def test_played_again_mutated_cut_or_in_another_order_it_does_nothing(
    kit: Kit, recorded: list[bytes], seed: int, how: int
) -> None:
    chance = random.Random(seed)
    desk = Desk(kit, child=CHILD)
    parts = [bytearray(part) for part in recorded]
    if how >= 1:
        chance.shuffle(parts)
    for part in parts:
        for _ in range(how):
            if how == 2 and part:
                part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
            elif how == 3 and part:
                del part[chance.randrange(len(part)) :]
                part += chance.randbytes(chance.randrange(9))
    fed(desk, [bytes(part) for part in parts])
    assert not desk.control.told


ASKS = st.builds(
    Ask,
    st.just(bytes(8)),
    st.integers(0, 9),
    st.sampled_from(VERBS),
    st.dictionaries(
        st.sampled_from(["v", "lines", "of", "monotonic_ns", "utc_ns", "wait_s", "watch_s", "at", "body", "data"]),
        st.integers(-(2**63), 2**63 - 1) | st.text(max_size=40) | st.none() | st.lists(st.integers(0, 9), max_size=3),
        max_size=4,
    ),
    st.none()
    | st.dictionaries(st.sampled_from(["v", "name", "key", "from", "until", "signature"]), st.text(max_size=70)),
    st.binary(min_size=64, max_size=64),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(ASKS, max_size=8))
def test_forged_requests_do_nothing(kit: Kit, asks: list[Ask]) -> None:
    desk = Desk(kit, child=CHILD)
    fed(desk, [frame(Ask(bytes(8), 0, "hello", {"v": 1}).encode()), *(frame(ask.encode()) for ask in asks)])
    assert not desk.control.told


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=2000) | st.just(b"@FFFF 00000000 " + b"x" * 70_000), max_size=8))
def test_bytes_without_end_are_passed_over(kit: Kit, parts: list[bytes]) -> None:
    assert not fed(Desk(kit, child=CHILD), parts)


def test_signed_requests_with_odd_values_are_refused_in_a_line(kit: Kit) -> None:
    """Even a technician may send nonsense."""
    desk = Desk(kit, log=SimulatedLog(lines("a")), child=CHILD)
    desk.clock.synchronised = False
    for verb, fields in (
        ("journal", {"lines": 0}), ("journal", {"lines": 10**9}), ("journal", {"lines": True}),
        ("export-log", {"of": "zz"}), ("export-log", {"of": "00"}),
        ("set-clock", {"monotonic_ns": -1, "utc_ns": 0}),
        ("set-clock", {"monotonic_ns": 2**63 - 1, "utc_ns": 2**63 - 1}),
        ("check-board", {"wait_s": 0, "watch_s": 0}), ("check-board", {"wait_s": 1, "watch_s": 10**9}),
    ):  # fmt: skip
        refused = desk.refused(verb, **fields)
        assert refused.isprintable()
    assert not desk.control.told


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_on_a_noisy_line_what_is_asked_is_done_once(kit: Kit, seed: int) -> None:
    chance = random.Random(seed)

    def harm(data: bytes) -> bytes:
        if chance.random() < 0.7:
            return data
        spoilt = bytearray(data)
        spoilt[chance.randrange(len(spoilt))] ^= 1 + chance.randrange(255)
        return chance.randbytes(chance.randrange(30)) + bytes(spoilt[: chance.randrange(1, len(spoilt) + 1)])

    desk = Desk(kit, log=SimulatedLog(lines(*(chance.randbytes(150).hex() for _ in range(60)))))
    pair = Pair(desk.dispatcher.handle, harm, harm, greeting=dict(desk.place.greeting()))
    calling = pair.calling(patience_s=60.0)
    assert calling.call("status", technician=technician()).fields["enrolled"] is True
    calling.call("restart-recorder", technician=technician())
    assert calling.call("export-log", technician=technician()).fields["lines"] == 60
    calling.call("shut-down", technician=technician())
    assert list(desk.control.told) == ["restart", "power-off"]
    for path in (kit.base / "state" / "technician").glob("*"):
        path.unlink()


def test_another_technicians_signature_is_not_good_for_this_ones_credential(kit: Kit) -> None:
    desk = Desk(kit, child=CHILD)
    jan = technician()

    def forged(change: Callable[[Ask], Ask]) -> None:
        pair = desk.new_pair()
        calling = pair.calling()
        greeting = calling.hello()
        session: Any = calling
        ask = jan.signed(Ask(session._session, 1, "shut-down", {}), greeting.device, greeting.challenge)
        pair.write(frame(change(ask).encode()))
        assert not desk.control.told

    forged(lambda ask: replace(ask, signature=bytes(64)))
    forged(lambda ask: replace(ask, by={**(ask.by or {}), "name": "Piet"}))
    forged(lambda ask: replace(ask, verb="restart-recorder"))
    forged(lambda ask: replace(ask, number=2))
