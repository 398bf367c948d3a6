"""What the witness says of the light, for exactly the time that it is asked about."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from drivers.indicator.protocol import LightState
from firmware.light_witness import LightWitness
from storage.layout import Light


def state(time_ns: int, commanded: bool, sensed: bool | None) -> LightState:
    return LightState(time_ns, commanded, sensed)


def witness(*states: LightState) -> LightWitness:
    made = LightWitness(states[0])
    for item in states[1:]:
        made.saw(item)
    return made


LIT_FROM_100_TO_200 = (state(0, False, False), state(100, True, True), state(200, False, False))


def test_a_span_wholly_lit_up_to_its_very_ends() -> None:
    assert witness(*LIT_FROM_100_TO_200).over(100, 200) == (Light.LIT, Light.LIT)


def test_a_span_wholly_dark_up_to_its_very_ends() -> None:
    made = witness(*LIT_FROM_100_TO_200)
    assert made.over(0, 100) == (Light.DARK, Light.DARK)
    assert made.over(200, 300) == (Light.DARK, Light.DARK)


def test_one_nanosecond_too_early_or_too_late_is_partly() -> None:
    made = witness(*LIT_FROM_100_TO_200)
    assert made.over(99, 200) == (Light.PARTLY, Light.PARTLY)
    assert made.over(100, 201) == (Light.PARTLY, Light.PARTLY)


def test_an_instant_has_the_state_that_begins_with_it() -> None:
    made = witness(*LIT_FROM_100_TO_200)
    assert [made.over(time, time)[0] for time in (99, 100, 199, 200)] == [
        Light.DARK,
        Light.LIT,
        Light.LIT,
        Light.DARK,
    ]


def test_a_flicker_inside_a_span_is_seen() -> None:
    made = witness(state(0, True, True), state(140, True, False), state(141, True, True))
    assert made.over(100, 200) == (Light.LIT, Light.PARTLY)
    assert made.over(0, 140) == (Light.LIT, Light.LIT)
    assert made.over(141, 500) == (Light.LIT, Light.LIT)


def test_commanded_and_sensed_are_two_things() -> None:
    assert witness(state(0, True, False)).over(10, 20) == (Light.LIT, Light.DARK)
    assert witness(state(0, False, True)).over(10, 20) == (Light.DARK, Light.LIT)


def test_a_board_without_a_sense_line() -> None:
    made = witness(state(0, False, None), state(100, True, None))
    assert made.over(100, 200) == (Light.LIT, Light.UNSENSED)
    assert made.over(50, 200) == (Light.PARTLY, Light.UNSENSED)


def test_a_sense_line_that_fails_for_a_while_counts_as_not_lit() -> None:
    made = witness(state(0, True, True), state(150, True, None))
    assert made.over(100, 200) == (Light.LIT, Light.PARTLY)


def test_what_nobody_saw_is_not_attested() -> None:
    made = witness(state(100, True, True))
    assert made.over(99, 200) == (Light.DARK, Light.DARK)
    assert made.over(100, 200) == (Light.LIT, Light.LIT)


def test_what_is_forgotten_is_not_attested() -> None:
    made = witness(state(0, True, True))
    for time in range(1, 2000):
        made.saw(state(time, True, time % 2 == 0))
    assert made.over(10, 20) == (Light.DARK, Light.DARK)
    assert made.over(1998, 1999) == (Light.LIT, Light.LIT)


def test_an_older_state_that_comes_late_takes_its_own_place() -> None:
    """The main thread read "lit", was held up, and tells it after the sense line told "dark"."""
    made = witness(state(0, True, True), state(200, True, False), state(150, True, True))
    assert made.over(200, 300) == (Light.LIT, Light.DARK)
    assert made.over(100, 200) == (Light.LIT, Light.LIT)


def test_looking_at_the_light_for_days_forgets_nothing() -> None:
    made = witness(state(0, False, False), state(100, True, True))
    for time in range(200, 10_000):
        made.saw(state(time, True, True))
    assert made.over(0, 100) == (Light.DARK, Light.DARK)
    assert made.over(100, 9_999) == (Light.LIT, Light.LIT)


def shines(time: int) -> bool:
    """The truth of the two tests below: the light changes at every whole hundred."""
    return time // 100 % 2 == 0


@given(st.lists(st.booleans(), min_size=40, max_size=40), st.lists(st.integers(1, 1999), min_size=20, max_size=20))
def test_two_threads_that_tell_in_any_order_tell_the_truth(turns: list[bool], looks: list[int]) -> None:
    """One tells every change, the other looks now and then; either may be held up behind the other."""
    changes = [state(time, True, shines(time)) for time in range(100, 2000, 100)]
    looked = [state(time, True, shines(time)) for time in sorted(looks)]
    made = witness(state(0, True, True))
    for turn in [*turns, *[True] * 40, *[False] * 40]:
        source = changes if turn else looked
        if source:
            made.saw(source.pop(0))
    for start in range(0, 2000, 100):
        assert made.over(start, start + 100)[1] is (Light.LIT if shines(start) else Light.DARK)


def test_many_threads_may_tell_and_ask() -> None:
    made = LightWitness(state(0, True, True))
    wrong: list[tuple[Light, Light]] = []
    go = threading.Barrier(4)

    def tell(first: int, step: int) -> None:
        go.wait(10)
        for time in range(first, 20_000, step):
            made.saw(state(time, True, shines(time)))

    def ask() -> None:
        go.wait(10)
        for _ in range(200):
            answer = made.over(0, 100)
            if answer != (Light.LIT, Light.LIT):
                wrong.append(answer)
            made.over(1000, 1600)

    threads = [threading.Thread(target=tell, args=args) for args in ((100, 100), (37, 37))]
    threads += [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    for start in range(0, 20_000, 100):
        expected = Light.LIT if shines(start) else Light.DARK
        assert made.over(start, start + 100) == (Light.LIT, expected)
