"""A few bays at a time, and more where the processors idle."""

from __future__ import annotations

from contextlib import ExitStack

from station.dock.turns import Turns


def test_it_grows_while_the_processors_idle_and_not_while_they_work() -> None:
    now, cpu = [0.0], [0.0]
    turns = Turns(cores=2, now_s=lambda: now[0], cpu_s=lambda: cpu[0])
    with ExitStack() as stack:
        assert stack.enter_context(turns.turn(0.0))
        assert turns.alone
        assert stack.enter_context(turns.turn(0.0))
        assert not turns.alone
        now[0], cpu[0] = 1.0, 1.9
        with turns.turn(0.0) as mine:
            assert not mine
        now[0], cpu[0] = 2.0, 2.1
        with turns.turn(0.0) as mine:
            assert mine
        assert turns.at_once == 3
    with turns.turn(0.0) as mine:
        assert mine


def test_what_was_fixed_stays() -> None:
    turns = Turns(1, cores=8, now_s=lambda: 0.0, cpu_s=lambda: 0.0)
    with turns.turn(0.0) as first, turns.turn(0.0) as second:
        assert (first, second, turns.at_once) == (True, False, 1)
