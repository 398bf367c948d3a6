"""What light, buzzer and motor are to do now, and when that changes next. No I/O, no clock of its own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from firmware.cues import Cue, Note
from firmware.patterns import (
    CUES,
    NEVER_DARK,
    NIGHT_LEVEL,
    NOTES,
    Lane,
    Pattern,
    at_night,
    lane_ms,
    require_night_level,
)

_MS = 1_000_000
_GAP_NS = 400 * _MS
"""Stillness between two notes, so that they are not felt as one."""
MAX_WAITING = 8
"""Notes that wait while another one is played."""


@dataclass(frozen=True, slots=True)
class Output:
    """What the parts are to do."""

    level: float
    tone_hz: int
    strength: float


@dataclass(frozen=True, slots=True)
class _Playing:
    note: Note
    since_ns: int

    @property
    def end_ns(self) -> int:
        return self.since_ns + NOTES[self.note].duration_ms * _MS

    @property
    def light_end_ns(self) -> int:
        return self.since_ns + lane_ms(NOTES[self.note].light) * _MS


class Player:
    """One standing cue, and passing notes over it one after another. Times never go back. Not thread-safe.

    A note takes sound and touch over for its length, and the light for its blink where the light may go dark. Between
    two notes a cue that calls (`Cue.DARK`, `Cue.FAULT`) is heard once from its beginning: notes never silence it. When
    such a cue is shown it is heard first, and the note that it cuts is played again after it.
    """

    def __init__(self, now_ns: int, *, night: bool = False, floor: float = NIGHT_LEVEL) -> None:
        """Begin with `Cue.OFF`; `floor` as in `firmware.patterns.at_night`.

        Raises:
            ValueError: `floor` is out of range.
        """
        require_night_level(floor)
        self._night = night
        self._floor = floor
        self._cue = Cue.OFF
        self._shown_ns = now_ns
        self._calling_ns = now_ns
        self._playing: _Playing | None = None
        self._blinking: _Playing | None = None
        self._waiting: deque[Note] = deque()
        self._free_ns = now_ns

    @property
    def cue(self) -> Cue:
        """The standing cue."""
        return self._cue

    @property
    def idle(self) -> bool:
        """No note is played, and none waits."""
        return self._playing is None and not self._waiting

    def show(self, cue: Cue, now_ns: int) -> None:
        """Let `cue` hold from now on. The cue that holds already goes on undisturbed."""
        self._advance(now_ns)
        if cue is self._cue:
            return
        self._cue = cue
        self._shown_ns = self._calling_ns = now_ns
        self._blinking = None
        if self._playing is not None and CUES[cue].sound:
            self._waiting.appendleft(self._playing.note)
            self._playing = None
            self._free_ns = now_ns + self._between_ns

    def play(self, note: Note, now_ns: int) -> bool:
        """Play `note` once, after those that wait. False: `MAX_WAITING` wait already, and it was dropped."""
        self._advance(now_ns)
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(note)
        self._advance(now_ns)
        return True

    def set_night(self, night: bool) -> None:
        """Go over to night or to day, in the middle of whatever is played."""
        self._night = night

    def at(self, now_ns: int) -> Output:
        """Return what the parts are to do now."""
        self._advance(now_ns)
        light, sound, touch = self._sources()
        return Output(light.value(now_ns), int(sound.value(now_ns)), touch.value(now_ns))

    def next_change_ns(self, now_ns: int) -> int | None:
        """Return when `at` may next have another answer, or None: never, if nothing else is asked for."""
        self._advance(now_ns)
        changes = [source.next_change_ns(now_ns) for source in self._sources()]
        if self._playing is not None:
            changes.append(self._playing.end_ns)
        elif self._waiting:
            changes.append(self._free_ns)
        return min((change for change in changes if change is not None), default=None)

    def _advance(self, now_ns: int) -> None:
        """End the note that has passed; begin the next one now, and not when it was due, so that it is played whole."""
        if self._blinking is not None and now_ns >= self._blinking.light_end_ns:
            self._blinking = None
        if self._playing is not None and now_ns >= self._playing.end_ns:
            self._calling_ns = self._playing.end_ns
            self._free_ns = self._playing.end_ns + self._between_ns
            self._playing = None
        if self._playing is None and self._waiting and now_ns >= self._free_ns:
            self._playing = _Playing(self._waiting.popleft(), now_ns)
            if NOTES[self._playing.note].light and self._cue not in NEVER_DARK:
                self._blinking = self._playing

    @property
    def _between_ns(self) -> int:
        """How long the next note waits: until the cue, if it calls, was heard once."""
        cue = CUES[self._cue]
        return _GAP_NS + max(_active_ns(cue.sound), _active_ns(cue.touch))

    def _sources(self) -> tuple[_Source, _Source, _Source]:
        cue = self._pattern(CUES[self._cue])
        light = _Source(cue.light, self._shown_ns, repeats=True)
        if self._blinking is not None:
            light = _Source(self._pattern(NOTES[self._blinking.note]).light, self._blinking.since_ns, repeats=False)
        if self._playing is None:
            return light, _Source(cue.sound, self._calling_ns, True), _Source(cue.touch, self._calling_ns, True)
        note, since_ns = self._pattern(NOTES[self._playing.note]), self._playing.since_ns
        return light, _Source(note.sound, since_ns, repeats=False), _Source(note.touch, since_ns, repeats=False)

    def _pattern(self, pattern: Pattern) -> Pattern:
        return at_night(pattern, self._floor) if self._night else pattern


@dataclass(frozen=True, slots=True)
class _Source:
    """A lane from `since_ns` on."""

    lane: Lane
    since_ns: int
    repeats: bool

    def value(self, now_ns: int) -> float:
        at = self._where(now_ns)
        return self.lane[at[0]].value if at else 0.0

    def next_change_ns(self, now_ns: int) -> int | None:
        if self.repeats and len(self.lane) <= 1:
            return None
        at = self._where(now_ns)
        return at[1] if at else None

    def _where(self, now_ns: int) -> tuple[int, int] | None:
        """Return the number of the step that holds now, and when it ends; None beyond the end."""
        whole_ns = lane_ms(self.lane) * _MS
        passed_ns = now_ns - self.since_ns
        if whole_ns == 0 or (passed_ns >= whole_ns and not self.repeats):
            return None
        end_ns = now_ns - passed_ns % whole_ns
        for at, step in enumerate(self.lane):
            end_ns += step.duration_ms * _MS
            if now_ns < end_ns:
                return at, end_ns
        raise AssertionError("a step holds at every instant of a lane")


def _active_ns(lane: Lane) -> int:
    """Return how long a lane takes until it does nothing more in its round."""
    active = passed = 0
    for step in lane:
        passed += step.duration_ms
        if step.value:
            active = passed
    return active * _MS
