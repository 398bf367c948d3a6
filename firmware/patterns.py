"""Every pattern of light, sound and touch, declared once. No I/O; docs/SIGNALS.md shows them as a picture.

The rules that hold here, each by a test:

- Steady full light means that a recording runs and its chunks are being stored. Nothing else is steadily lit.
- While pictures may be kept the light is never dark: it goes between full and dimmed.
- All standing cues are told apart by the rhythm of the light, without its colour or its level; all passing notes by
  touch alone, and by sound alone, without their pitch.
- No light flashes more than three times in any second (WCAG 2.2, success criterion 2.3.1).
- At night the light is dimmed and never darkened, and what must be heard stays audible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from firmware.cues import KEEPING, Cue, Note

FULL = 1.0
DIM = 0.15
"""Plainly less than full: to the eye about half as bright."""
NIGHT_FLOOR = 0.05
"""No lit step is ever darker than this. A sense line must read this level as lit."""
NIGHT_LEVEL = 0.3
"""What full light becomes at night, unless it is set otherwise."""
NIGHT_LEVEL_LEAST = 0.2
"""Four times the floor, so that full and dimmed are told apart at night too."""
NEVER_DARK = KEEPING | {Cue.DARK}
"""Standing cues whose light is never commanded dark. A broken lamp that comes back must shine at once."""

LOUD_HZ = 2700
"""Where a small piezo buzzer is loudest."""
MIDDLE_HZ = 2100
LOW_HZ = 1500


@dataclass(frozen=True, slots=True)
class Step:
    """One value held for a time: a level (0 to 1), a frequency in Hz (0 is silence), or a strength (0 to 1)."""

    value: float
    duration_ms: int


Lane = tuple[Step, ...]
"""What one part does over time. No steps: dark, silent or still throughout."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What light, buzzer and motor do together. A cue repeats its lanes, each by itself; a note is played once."""

    light: Lane = ()
    sound: Lane = ()
    touch: Lane = ()
    heard_at_night: bool = True
    """Whether its sound stays at night. Its touch always does."""

    @property
    def duration_ms(self) -> int:
        """How long sound and touch take once; the light of a note may outlast them."""
        return max(lane_ms(self.sound), lane_ms(self.touch))


def lane_ms(lane: Lane) -> int:
    """Return how long a lane takes from end to end."""
    return sum(step.duration_ms for step in lane)


def at_night(pattern: Pattern, floor: float) -> Pattern:
    """Return `pattern` for the night: full light becomes `floor`, other levels in proportion; quiet where it may be.

    A dark step stays dark, and a lit one stays lit at `NIGHT_FLOOR` or more.

    Raises:
        ValueError: `floor` is not from `NIGHT_LEVEL_LEAST` to 1.
    """
    require_night_level(floor)
    light = tuple(
        Step(max(step.value * floor, NIGHT_FLOOR) if step.value > 0 else 0.0, step.duration_ms)
        for step in pattern.light
    )
    return replace(pattern, light=light, sound=pattern.sound if pattern.heard_at_night else ())


def require_night_level(floor: float) -> None:
    """Raise ValueError unless full light may become `floor` at night."""
    if not NIGHT_LEVEL_LEAST <= floor <= FULL:
        raise ValueError(f"a light dimmed to {floor} at night: give {NIGHT_LEVEL_LEAST} to {FULL:g}")


def _steady(level: float) -> Lane:
    return (Step(level, 1000),)


def _alternate(high: float, low: float, *durations_ms: int) -> Lane:
    """High and low by turns, beginning high."""
    return tuple(Step(low if at % 2 else high, duration) for at, duration in enumerate(durations_ms))


def _blink(level: float, *durations_ms: int) -> Lane:
    """Lit and dark by turns, beginning lit."""
    return _alternate(level, 0, *durations_ms)


def _pulse(*durations_ms: int) -> Lane:
    """Full and dimmed by turns, beginning full."""
    return _alternate(FULL, DIM, *durations_ms)


def _tones(rhythm: Lane, *pitches_hz: int) -> Lane:
    """Sound the rhythm of touch: a tone for each of its pulses, the last pitch for all that remain."""
    tones: list[Step] = []
    pulses = 0
    for step in rhythm:
        if step.value:
            tones.append(Step(pitches_hz[min(pulses, len(pitches_hz) - 1)], step.duration_ms))
            pulses += 1
        else:
            tones.append(step)
    return tuple(tones)


def _buzz(*durations_ms: int) -> Lane:
    """Buzz and be still by turns, beginning with a buzz."""
    return _alternate(1, 0, *durations_ms)


def _call(rhythm: Lane, period_ms: int, *pitches_hz: int, light: Lane) -> Pattern:
    """Return a standing cue that calls by sound and touch once in each period."""
    touch = (*rhythm, Step(0, period_ms - lane_ms(rhythm)))
    return Pattern(light, _tones(touch, *pitches_hz), touch)


def _note(touch: Lane, *pitches_hz: int, heard_at_night: bool = False, blinks: bool = False) -> Pattern:
    """Return a passing note. If it blinks, the light is dark after it, so that with the cue's own it flashes slowly."""
    light = _blink(DIM, 400, 600) if blinks else ()
    return Pattern(light, _tones(touch, *pitches_hz), touch, heard_at_night)


CUES: dict[Cue, Pattern] = {
    Cue.OFF: Pattern(),
    # Nothing is kept: lit and dark. What may follow a recording begins dark, so that its end is seen.
    Cue.SELF_TEST: Pattern(_blink(DIM, 1000, 1000)),
    Cue.UNENROLLED: Pattern(_blink(FULL, 900, 300, 300, 1500)),
    Cue.STANDBY: Pattern((Step(0, 9900), Step(DIM, 100))),
    Cue.BUFFERING: Pattern((Step(0, 1200), *_blink(FULL, 200, 300, 200))),
    Cue.DOCKED: Pattern(_blink(DIM, 1000, 4000)),
    Cue.LOW_POWER: _call(_buzz(1200, 300, 1200), 60_000, MIDDLE_HZ, LOW_HZ, light=(Step(0, 2850), Step(DIM, 150))),
    Cue.FAULT: _call(
        _buzz(600, 200, 600, 200, 600, 200, 600),
        20_000,
        LOUD_HZ,
        LOW_HZ,
        LOUD_HZ,
        LOW_HZ,
        light=(Step(0, 1200), *_blink(FULL, 300, 300, 300, 300, 300)),
    ),
    # Pictures may be kept: full and dimmed.
    Cue.ANNOUNCING: Pattern(_pulse(400, 400)),
    Cue.RECORDING: Pattern(_steady(FULL)),
    Cue.RECORDING_LIVE: Pattern(_pulse(2000, 250)),
    Cue.STALLED: _call(_buzz(600, 200, 150, 200, 600), 5000, LOUD_HZ, LOW_HZ, LOUD_HZ, light=_pulse(200, 200)),
    # So often that with any note in between it is heard at least every 5 s.
    Cue.DARK: _call(_buzz(250, 150, 250, 150, 250, 150, 250), 2500, LOUD_HZ, light=_pulse(1000, 200, 200, 200)),
    Cue.CLOSING: Pattern(_pulse(400, 1200)),
}
"""The standing cues, repeated for as long as they hold."""

NOTES: dict[Note, Pattern] = {
    Note.STARTED: _note(_buzz(150, 150, 150), LOUD_HZ, heard_at_night=True),
    Note.STOPPED: _note(_buzz(1000), LOW_HZ, heard_at_night=True),
    Note.MARKER: _note(_buzz(250), MIDDLE_HZ),
    Note.PRIVATE_ON: _note(_buzz(150, 150, 600), MIDDLE_HZ, LOW_HZ),
    Note.PRIVATE_OFF: _note(_buzz(600, 150, 150), LOW_HZ, MIDDLE_HZ),
    Note.COUNT: _note(_buzz(80), MIDDLE_HZ),
    Note.PURPOSE: _note(_buzz(150, 150, 600, 150, 150), MIDDLE_HZ, LOUD_HZ, MIDDLE_HZ, blinks=True),
    Note.REMINDER: _note(_buzz(250, 600, 250, 600, 250), MIDDLE_HZ),
    Note.LOW_BATTERY: _note(_buzz(600, 200, 600), MIDDLE_HZ, LOW_HZ, blinks=True),
    Note.LOW_STORAGE: _note(_buzz(600, 200, 600, 200, 600), MIDDLE_HZ, MIDDLE_HZ, LOW_HZ, blinks=True),
    Note.WARNING: _note(
        _buzz(100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100), LOUD_HZ, heard_at_night=True, blinks=True
    ),
    Note.REFUSED: _note(_buzz(100, 100, 100, 100, 100), LOW_HZ, blinks=True),
    Note.LIVE_ON: _note(_buzz(150, 150, 150, 150, 600), MIDDLE_HZ, MIDDLE_HZ, LOUD_HZ, heard_at_night=True),
    Note.LIVE_ASKED: _note(_buzz(150, 150, 150, 150, 150, 150, 600), MIDDLE_HZ, LOUD_HZ, MIDDLE_HZ, LOUD_HZ),
    Note.LIVE_OFF: _note(_buzz(600, 150, 150, 150, 150), LOUD_HZ, MIDDLE_HZ, MIDDLE_HZ),
}
"""The passing notes, played once."""
