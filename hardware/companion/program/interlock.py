"""The interlock: no light, no camera; no Pi, nothing. No I/O, no clock of its own.

Runs in MicroPython on the controller, and in CPython in the tests. All times are milliseconds that never go back.
"""

SAFE = "safe"
"""The Pi is gone, or never came: no camera power, the light flashes that nothing is recorded."""
LIVE = "live"
"""The Pi said hello, and its heart beats."""
IDLE = "idle"
"""The Pi said bye: no camera power, the light is dark."""
UPDATE = "update"
"""The Pi sends a new program: no camera power, the light flashes that nothing is recorded."""

BEAT_MS = 2_000
"""So long after the last heartbeat the Pi counts as gone."""
GRACE_MS = 200
"""So long the light may be sensed dark before a powered camera loses its power."""
AUDIBLE_MS = 2_000
"""So long the Pi's word holds that it announces audibly."""
FRESH_MS = 50
"""A reading of the lamp counts so long."""
FLASH_MS = 100
FLASH_EVERY_MS = 3_000
FULL = 1_000


class Interlock:
    """Decides over light and camera power.

    Commands return a word why they are refused, or an empty one. `step` is called in every round of the loop, before
    the pins are set as `camera` and `output` say.
    """

    def __init__(self, now: int, floor: int = 1, audible_possible: bool = True) -> None:
        self.state = SAFE
        self.level = 0
        """As commanded, in thousandths, never between 0 and the floor."""
        self.camera = False
        self.cut = "reset"
        """Why the camera last lost its power: reset, hello, bye, beat, off, dark, asked; none while it has it."""
        self._floor = floor
        self._audible_possible = audible_possible
        self._audible_allowed = False
        self._audible_at: int | None = None
        self._beat_at = now
        self._safe_since = now
        self._stepped_at = now
        self._drawing = False
        self._dark_ms = 0

    def hello(self, now: int) -> None:
        """Begin anew: everything off, the Pi's heart beats."""
        self._let_go("hello")
        self.state = LIVE
        self._beat_at = now

    def beat(self, now: int) -> str:
        """Take a heartbeat."""
        if self._gone(now):
            return "hello"
        self._beat_at = now
        return ""

    def light(self, level: int, now: int) -> str:
        """Command the light; 0 is dark, and takes the camera's power away at once."""
        if self._gone(now):
            return "hello"
        if level == 0:
            self._unpower("off")
        if self.level == 0:
            self._drawing = False  # what was sensed before says nothing about this light
        self.level = level and max(level, self._floor)
        return ""

    def power(self, on: bool, now: int) -> str:
        """Ask for camera power, or let go of it. It is given only while the light is on and draws current."""
        if self._gone(now):
            return "hello"
        if not on:
            self._unpower("asked")
        elif not self.camera:
            if not (self.level and self._drawing and now - self._stepped_at <= FRESH_MS):
                return "dark"
            self.camera = True
            self.cut = "none"
            self._dark_ms = 0
        return ""

    def allow_audible(self, now: int) -> str:
        """Let the Pi's word that it announces audibly keep the power, until the next hello. Not while it is on."""
        if self._gone(now):
            return "hello"
        if not self._audible_possible:
            return "never"
        if self.camera:
            return "powered"
        self._audible_allowed = True
        return ""

    def announce(self, now: int) -> str:
        """Take the Pi's word that it announces audibly. It keeps power that is on, and never gives it."""
        if self._gone(now):
            return "hello"
        if not self._audible_allowed:
            return "policy"
        self._audible_at = now
        return ""

    def bye(self, now: int) -> str:
        """The Pi ends in order."""
        if self._gone(now):
            return "hello"
        self._let_go("bye")
        self.state = IDLE
        return ""

    def update(self, now: int) -> str:
        """A new program is being taken: until a hello there is no power, whoever asks. Each call is a heartbeat."""
        if self._gone(now) and self.state != UPDATE:
            return "hello"
        if self.camera:
            return "powered"
        if self.state != UPDATE:
            self._let_go("update")
            self.state = UPDATE
            self._safe_since = now
        self._beat_at = now
        return ""

    def step(self, now: int, drawing: bool) -> None:
        """Take a reading of the lamp, and let time pass."""
        passed = now - self._stepped_at
        self._stepped_at = now
        # A pause between two readings counts as dark. Light pays darkness back no quicker than it is run up, so that a
        # light which flickers dark for more than half of the time is a dark one.
        if drawing and self._drawing and passed <= FRESH_MS:
            self._dark_ms = max(0, self._dark_ms - passed)
        else:
            self._dark_ms = min(2 * GRACE_MS, self._dark_ms + passed)
        self._drawing = drawing
        if not self._gone(now) and self.camera and self._dark_ms > GRACE_MS and not self.audible(now):
            self._unpower("dark")

    def audible(self, now: int) -> bool:
        """Whether the Pi's word that it announces audibly holds."""
        return self._audible_at is not None and now - self._audible_at < AUDIBLE_MS

    def output(self, now: int) -> int:
        """Return what the light is driven with, in thousandths."""
        if self.state == LIVE:
            return self.level
        if self.state == IDLE:
            return 0
        # The flash ends its period: after a steady light there is darkness first, and nothing to be confused.
        return FULL if (now - self._safe_since) % FLASH_EVERY_MS >= FLASH_EVERY_MS - FLASH_MS else 0

    def _gone(self, now: int) -> bool:
        """Fall safe if the heartbeat is overdue; return whether there is no Pi to obey."""
        if self.state in (LIVE, UPDATE) and now - self._beat_at >= BEAT_MS:
            self._let_go("beat")
            self.state = SAFE
            self._safe_since = now
        return self.state != LIVE

    def _let_go(self, why: str) -> None:
        self._unpower(why)
        self.level = 0
        self._drawing = False
        self._audible_allowed = False
        self._audible_at = None

    def _unpower(self, why: str) -> None:
        if self.camera:
            self.camera = False
            self.cut = why
