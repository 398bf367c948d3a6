"""Gestures, against a plain model of what a hand did, with every contact chattering."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from firmware.gesture import MAX_COUNTS, Gesture, GestureReader, GestureTimes

DEBOUNCE, HOLD, DOUBLE = 5, 80, 30
FIRST_COUNT, COUNT, STUCK = 60, 40, 2000
TIMES = GestureTimes(DEBOUNCE, HOLD, DOUBLE, FIRST_COUNT, COUNT, STUCK)
LATER = 10 * HOLD

Edge = tuple[int, bool]


@dataclass(frozen=True)
class Press:
    """A press as a hand makes it: the contact may bounce before it stands, and again when it is let go."""

    gap: int
    """From the last opening of the contact before, to this press's last closing."""
    length: int
    """From the last closing to the last opening."""
    bounces_down: tuple[tuple[int, int], ...] = ()
    bounces_up: tuple[tuple[int, int], ...] = ()

    def edges(self, since: int) -> list[Edge]:
        down = since + self.gap
        up = down + self.length
        return [*_before(down, True, self.bounces_down), *_before(up, False, self.bounces_up)]


def _before(time: int, pressed: bool, bounces: Iterable[tuple[int, int]]) -> list[Edge]:
    """The final edge at `time`, and before it bounces, each so long there and so long back."""
    edges = [(time, pressed)]
    for there, back in bounces:
        edges = [(edges[0][0] - there - back, pressed), (edges[0][0] - back, not pressed), *edges]
    return edges


def script(presses: Iterable[Press]) -> list[Edge]:
    edges: list[Edge] = []
    since = 1000
    for press in presses:
        edges += press.edges(since)
        since = edges[-1][0]
    return edges


def counts(length: int) -> int:
    """How often a press of that length counts on after its hold; the contact must be closed when it does."""
    return min(MAX_COUNTS, max(0, (length - HOLD - FIRST_COUNT) // COUNT + 1))


def meaning(presses: Iterable[Press]) -> list[Gesture]:
    """What the presses mean, by the words of the documentation."""
    found: list[Gesture] = []
    first = False
    for press in presses:
        if first and press.gap > DOUBLE:
            found.append(Gesture.SHORT)
            first = False
        found.append(Gesture.DOWN)
        if press.length > HOLD - DEBOUNCE:  # up only once it has been up for the debouncing time
            found += [Gesture.HOLD, *[Gesture.COUNT] * counts(press.length), Gesture.LET_GO]
            first = False
        elif first:
            found.append(Gesture.DOUBLE)
            first = False
        else:
            first = True
    return [*found, Gesture.SHORT] if first else found


def read_every_tick(edges: list[Edge], reader: GestureReader, until: int) -> list[Gesture]:
    found: list[Gesture] = []
    waiting = list(edges)
    for now in range(990, until):
        while waiting and waiting[0][0] == now:
            time, pressed = waiting.pop(0)
            found += reader.edge(pressed, time)
        found += reader.tick(now)
    return found


def read_at_deadlines(edges: list[Edge], reader: GestureReader, until: int) -> list[Gesture]:
    found: list[Gesture] = []
    now = 990
    for time, pressed in [*edges, (until, False)]:
        while (deadline := reader.deadline_ns) is not None and deadline <= time:
            now = max(now, deadline)
            found += reader.tick(now)
            after = reader.deadline_ns
            assert after is None or after > now, "a deadline that is past already would keep the main thread spinning"
        now = time
        found += reader.edge(pressed, time)
    return found


def both_ways(edges: list[Edge]) -> list[Gesture]:
    until = (edges[-1][0] if edges else 1000) + LATER
    found = read_every_tick(edges, GestureReader(TIMES), until)
    assert read_at_deadlines(edges, GestureReader(TIMES), until) == found
    return found


short_of_debounce = st.integers(1, DEBOUNCE - 1)
bounces = st.lists(st.tuples(short_of_debounce, short_of_debounce), max_size=2).map(tuple)
presses = st.lists(
    st.builds(
        Press,
        gap=st.integers(6 * DEBOUNCE - 5, DOUBLE * 3) | st.sampled_from([DOUBLE - 1, DOUBLE, DOUBLE + 1]),
        length=st.integers(5 * DEBOUNCE, HOLD * 6) | st.sampled_from([HOLD - DEBOUNCE, HOLD - DEBOUNCE + 1, HOLD]),
        bounces_down=bounces,
        bounces_up=bounces,
    ),
    max_size=5,
)


@given(presses)
def test_a_hand_is_understood_whatever_its_contact_does(made: list[Press]) -> None:
    assert both_ways(script(made)) == meaning(made)


@given(st.lists(st.tuples(short_of_debounce, st.integers(1, 100)), max_size=20))
def test_contacts_shorter_than_the_debouncing_time_never_happened(touches: list[tuple[int, int]]) -> None:
    edges: list[Edge] = []
    now = 1000
    for contact, pause in touches:
        edges += [(now, True), (now + contact, False)]
        now += contact + pause
    assert both_ways(edges) == []


@given(st.lists(st.integers(0, 200), max_size=30))
def test_deadlines_are_honest_whatever_the_contact_does(pauses: list[int]) -> None:
    now, edges = 1000, []
    for number, pause in enumerate(pauses):
        edges.append((now, number % 2 == 0))
        now += pause
    edges.append((now, False))
    both_ways(edges)


@given(presses)
def test_a_hold_comes_once(made: list[Press]) -> None:
    held = Press(gap=DOUBLE * 4, length=HOLD + FIRST_COUNT - 1, bounces_up=((3, 3),))
    found = both_ways(script([*made, held]))
    assert found[-3:] == [Gesture.DOWN, Gesture.HOLD, Gesture.LET_GO]


def test_a_button_that_stays_down_counts_to_its_last_purpose_and_is_stuck_once() -> None:
    edges = [(1000, True), (9000, False)]
    found = read_every_tick(edges, GestureReader(TIMES), 10_000)
    assert found == [Gesture.DOWN, Gesture.HOLD, *[Gesture.COUNT] * MAX_COUNTS, Gesture.STUCK, Gesture.LET_GO]
    assert read_at_deadlines(edges, GestureReader(TIMES), 10_000) == found


def test_a_press_that_is_spent_and_stays_down_is_stuck() -> None:
    reader = GestureReader(TIMES)
    found = reader.edge(True, 1000) + reader.tick(1000 + DEBOUNCE)
    reader.spend()
    for now in range(1010, 1000 + 2 * STUCK):
        found += reader.tick(now)
    assert found == [Gesture.DOWN, Gesture.STUCK]
    assert reader.deadline_ns is None


def test_a_clean_press() -> None:
    assert both_ways(script([Press(10, 20)])) == [Gesture.DOWN, Gesture.SHORT]


def test_two_quick_presses() -> None:
    assert both_ways(script([Press(10, 20), Press(20, 20)])) == [Gesture.DOWN, Gesture.DOWN, Gesture.DOUBLE]


def test_a_hold_right_after_a_press_leaves_no_short_press_behind() -> None:
    assert both_ways(script([Press(10, 20), Press(20, HOLD + 20)])) == [
        Gesture.DOWN, Gesture.DOWN, Gesture.HOLD, Gesture.LET_GO,
    ]  # fmt: skip


@given(st.integers(DEBOUNCE + 1, HOLD - DEBOUNCE), st.integers(0, HOLD * 3), st.booleans())
def test_a_spent_press_means_nothing_more(length: int, spend_after: int, after_another: bool) -> None:
    """Whenever a press is spent while it lasts: no hold, no short press, no double press."""
    reader = GestureReader(TIMES)
    first = [Press(10, 10)] if after_another else []
    edges = script([*first, Press(10, length)])
    down, up = edges[-2][0], edges[-1][0]
    spend_at = min(down + DEBOUNCE + spend_after, up)
    before: list[Gesture] = []
    after: list[Gesture] = []
    for now in range(990, up + LATER):
        found = [gesture for time, pressed in edges if time == now for gesture in reader.edge(pressed, time)]
        found += reader.tick(now)
        (after if now > spend_at else before).extend(found)
        if now == spend_at:
            reader.spend()
    assert after == []
    assert before[-1] is Gesture.DOWN
    assert reader.deadline_ns is None


def test_the_press_after_a_spent_one_counts_again() -> None:
    reader = GestureReader(TIMES)
    read_every_tick(script([Press(10, 10)])[:1], reader, 1010 + DEBOUNCE + 1)
    reader.spend()
    edges = [(1030, False), (1100, True), (1110, False)]
    assert read_at_deadlines(edges, reader, 3000) == [Gesture.DOWN, Gesture.SHORT]
