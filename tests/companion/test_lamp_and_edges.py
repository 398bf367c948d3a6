"""The controller's judgement of the lamp, and its memory of the button, in CPython."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.companion.program.edges import CAPACITY, WINDOW, EdgeLog
from hardware.companion.program.lamp import SETTLE_MS, Lamp

FULL = 32_768


def settled(level: int, share: float) -> str:
    lamp = Lamp(FULL)
    for now in (0, SETTLE_MS, 2 * SETTLE_MS):
        lamp.judge(int(FULL * level / 1000 * share), level, now)
    return lamp.verdict


@pytest.mark.parametrize("level", [30, 50, 150, 1000])
@pytest.mark.parametrize(
    ("share", "verdict"), [(0, "open"), (0.3, "open"), (0.6, "ok"), (1, "ok"), (1.5, "ok"), (1.9, "short")]
)
def test_current_is_judged_by_what_the_level_should_draw(level: int, share: float, verdict: str) -> None:
    assert settled(level, share) == verdict


def test_a_light_that_was_just_switched_on_is_not_lit_before_it_draws() -> None:
    lamp = Lamp(FULL)
    lamp.judge(0, 1000, 0)
    assert (lamp.verdict, lamp.drawing) == ("wait", False)
    lamp.judge(FULL, 1000, 5)
    assert (lamp.verdict, lamp.drawing) == ("ok", True)


def test_dimming_is_no_darkness_while_the_filter_follows() -> None:
    lamp = Lamp(FULL)
    lamp.judge(FULL, 1000, 0)
    lamp.judge(FULL, 100, 100)
    assert lamp.drawing
    lamp.judge(FULL // 2, 100, 100 + SETTLE_MS - 1)
    assert lamp.drawing
    lamp.judge(FULL // 2, 100, 100 + SETTLE_MS)
    assert (lamp.verdict, lamp.drawing) == ("short", False)


def test_a_lamp_that_is_off() -> None:
    lamp = Lamp(FULL)
    lamp.judge(100, 0, 0)
    assert (lamp.verdict, lamp.drawing) == ("off", False)
    lamp.judge(FULL, 0, 5)
    assert (lamp.verdict, lamp.drawing) == ("stuck", True)


def test_edges_are_numbered_from_one_and_stay_until_they_are_seen() -> None:
    log = EdgeLog()
    assert log.record(True, 10)
    assert not log.record(True, 11)
    assert log.record(False, 20)
    assert log.pending() == [(1, True, 10), (2, False, 20)]
    assert log.seen(1)
    assert log.seen(1)
    assert not log.seen(3)
    assert log.pending() == [(2, False, 20)]
    assert (log.last, log.acked) == (2, 1)


def test_a_chatter_is_thinned_before_a_press() -> None:
    log = EdgeLog()
    at = 0
    for press in range(40):
        for pressed in (True, False):
            log.record(pressed, at)
            at += 1 if press % 4 else 200
    log.record(True, at + 500)
    presses = [later[1] - earlier[1] for earlier, later in zip(log._edges, log._edges[1:], strict=False)]
    assert len(log._edges) <= CAPACITY
    assert presses.count(200) >= 10
    assert log.pressed


moves = st.lists(
    st.one_of(
        st.tuples(st.just("edge"), st.integers(0, 300)),
        st.tuples(st.just("send"), st.just(0)),
        st.tuples(st.just("seen"), st.integers(0, WINDOW)),
    ),
    max_size=150,
)


@settings(max_examples=80, deadline=None)
@given(moves)
def test_what_was_told_stays_as_it_was_and_edges_always_alternate(steps: list[tuple[str, int]]) -> None:
    log = EdgeLog()
    now, recorded, told = 0, 0, dict[int, tuple[bool, int]]()
    for what, value in steps:
        if what == "edge":
            now += value
            recorded += log.record(not log.pressed, now)
        elif what == "send":
            for number, pressed, at in log.pending():
                assert told.setdefault(number, (pressed, at)) == (pressed, at)
        else:
            number = log.acked + value
            assert log.seen(number) == (number <= max(told, default=0))
    while log.acked < log.last:
        for number, pressed, at in log.pending():
            assert told.setdefault(number, (pressed, at)) == (pressed, at)
            assert log.seen(number)
    assert sorted(told) == list(range(1, log.last + 1))
    edges = [told[number] for number in sorted(told)]
    assert [pressed for pressed, _ in edges] == [at % 2 == 0 for at in range(len(edges))]
    assert [at for _, at in edges] == sorted(at for _, at in edges)
    assert len(edges) + log.dropped == recorded
    if edges:
        assert edges[-1][0] == log.pressed
