"""The parts of a board as the technician's checks want them: made one by one; simulated ones are played."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from drivers.clock.protocol import Clock
from drivers.microphone.protocol import Microphone
from firmware.check_board import BoardParts
from firmware.parts import Parts
from firmware.simulated_bench import SimulatedBench

_P = TypeVar("_P")


def board_parts(parts: Parts, bench: SimulatedBench, clock: Clock, say: Callable[[str], None]) -> BoardParts:
    """Return how they are made; `say` is told which of them a simulation plays."""
    hears: list[Callable[[int, int], None]] = []

    def microphone() -> Microphone:
        made = parts.microphone()
        hears.extend(filter(None, [getattr(made, "hear", None)]))  # a simulated one, for a simulated buzzer
        return made

    def sound(time_ns: int, tone_hz: int) -> None:
        for hear in hears:
            hear(time_ns, tone_hz)

    def played(make: Callable[[], _P]) -> Callable[[], _P]:
        def made() -> _P:
            part = make()
            if bench.plays(part):
                say(f"({type(part).__name__}: a simulation plays what a person or the sky would do)")
            return part

        return made

    return BoardParts(
        indicator=parts.indicator,
        button=played(parts.button),
        buzzer=lambda: parts.buzzer(sound),
        haptics=parts.haptics,
        microphone=microphone,
        camera=parts.camera,
        camera_power=parts.camera_power,
        battery=parts.battery,
        gnss=played(parts.gnss),
        accelerometer=played(parts.accelerometer),
        dock=parts.dock,
        rtc=parts.rtc,
        clock=clock,
    )
