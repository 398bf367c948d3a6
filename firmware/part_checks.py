"""The checks of parts: light, button, microphone, camera, battery."""

from __future__ import annotations

from collections import deque
from statistics import median

from drivers.battery.protocol import Battery
from drivers.button.protocol import Button
from drivers.buzzer.protocol import Buzzer
from drivers.camera.protocol import AccessUnit, Camera, VideoFormat
from drivers.camera_power.protocol import CameraPower
from drivers.indicator.protocol import Indicator
from drivers.microphone.protocol import AudioFormat, Microphone, PcmBlock
from firmware.lighted import LIT_S, Lighted
from firmware.patience import Patience
from firmware.selftest import Finding, absent, failed, passed
from firmware.tone import first_channel, tone_level_db

_SECOND_NS = 1_000_000_000
_SOUND = AudioFormat()


class Harmless:
    """A check that can do no harm while it hangs."""

    def abandon(self) -> None:
        """Do nothing."""


class LightCheck(Harmless):
    """Lit when told so, dark when told so, as far as the board can sense it."""

    name = "light"
    limit_s = 5.0

    def __init__(self, indicator: Indicator) -> None:
        self._indicator = indicator

    def run(self, patience: Patience) -> Finding:
        """Command it on, then off."""
        light = self._indicator
        try:
            begun_ns = patience.now_ns()
            light.light(1.0)
            if not patience.until(lambda: light.state().sensed is not False, LIT_S):
                return failed(f"commanded on, sensed dark for {LIT_S:g} s; check the lamp and its wiring")
            lit_ms = (patience.now_ns() - begun_ns) // 1_000_000
        finally:
            light.light(0.0)
        if light.state().sensed is None:
            return passed("commanded on and off; not sensed, for this board has no sense line")
        if not patience.until(lambda: light.state().sensed is False, LIT_S):
            return failed(f"commanded off, sensed lit for {LIT_S:g} s; check the transistor and the sense line")
        return passed(f"sensed lit after {lit_ms} ms, and dark when off")


class ButtonCheck(Harmless):
    """Not stuck: up at some moment of the test. A press at start-up is no fault, and is not lost by this look at it."""

    name = "button"

    def __init__(self, button: Button, *, patience_s: float = 5.0) -> None:
        self._button = button
        self._patience_s = patience_s

    @property
    def limit_s(self) -> float:
        """See the protocol."""
        return self._patience_s + 2.0

    def run(self, patience: Patience) -> Finding:
        """Wait for it to be up."""
        if patience.until(lambda: not self._button.pressed, self._patience_s):
            return passed("not pressed")
        return failed(f"down for {self._patience_s:g} s; free it, or check its wiring")


class MicrophoneCheck(Harmless):
    """The microphone hears the buzzer, while the light is lit. Of the sound, only the level of one tone is kept."""

    name = "microphone"
    limit_s = 15.0

    _TONE_HZ = 3000
    _QUIET_S = 0.3
    _TONE_S = 0.3
    _SETTLE_NS = 50_000_000
    _FIRST_S = 3.0
    _LAST_S = 2.0
    _RISE_DB = 10.0
    _FLOOR_DB = -70.0
    _ATTEMPTS = 2

    def __init__(self, microphone: Microphone, buzzer: Buzzer, indicator: Indicator, fmt: AudioFormat = _SOUND) -> None:
        self._microphone = microphone
        self._buzzer = buzzer
        self._indicator = indicator
        self._fmt = fmt

    def run(self, patience: Patience) -> Finding:
        """Listen, sound, compare."""
        if not self._microphone.present:
            return absent("the board has no microphone")
        heard: deque[PcmBlock] = deque(maxlen=1000)
        with Lighted(self._indicator, patience) as lighted:
            try:
                self._microphone.start(self._fmt, heard.append)
                if not lighted.until(lambda: _heard_ns(heard, self._fmt) >= _SECOND_NS // 5, self._FIRST_S):
                    why = self._microphone.fault() or "check its connection"
                    return failed(f"no sound came within {self._FIRST_S:g} s; {why}")
                if not self._buzzer.present:
                    return passed("it delivers sound; there is no buzzer that it could hear")
                for _ in range(self._ATTEMPTS):
                    finding, found = self._attempt(lighted, patience, heard)
                    if found:
                        break
                return finding
            finally:
                self._microphone.stop()

    def _attempt(self, lighted: Lighted, patience: Patience, heard: deque[PcmBlock]) -> tuple[Finding, bool]:
        quiet_ns = patience.now_ns() + self._SETTLE_NS
        lighted.stay(self._QUIET_S)
        on_ns = patience.now_ns()
        try:
            self._buzzer.sound(self._TONE_HZ)
            lighted.stay(self._TONE_S)
        finally:
            self._buzzer.sound(0)
        off_ns = patience.now_ns()
        if not lighted.until(lambda: bool(heard) and heard[-1].capture_ns >= off_ns, self._LAST_S):
            return failed(f"the sound stopped coming; {self._microphone.fault() or 'check its connection'}"), False
        blocks = [(block.capture_ns, self._end_ns(block), block) for block in list(heard)]
        before = self._level([block for start, end, block in blocks if start >= quiet_ns and end <= on_ns])
        # A tone takes a while to build up and to die away, and the stamps may be a little late.
        during = self._level(
            [block for start, end, block in blocks if start >= on_ns + self._SETTLE_NS and end <= off_ns]
        )
        if during is None or before is None:
            return failed("the sound has gaps where the buzzer sounded; try again"), False
        levels = f"{self._TONE_HZ} Hz at {during:.0f} dB, {before:.0f} dB before"
        if during < self._FLOOR_DB or during < before + self._RISE_DB:
            return failed(f"does not hear the buzzer: {levels}; check both, in a quieter place"), False
        return passed(f"hears the buzzer: {levels}"), True

    def _end_ns(self, block: PcmBlock) -> int:
        return block.capture_ns + _length_ns(block, self._fmt)

    def _level(self, blocks: list[PcmBlock]) -> float | None:
        """The median over blocks: a knock on the case does not count."""
        levels = [
            tone_level_db(first_channel(block.data, self._fmt.channels), self._fmt.sample_rate, self._TONE_HZ)
            for block in blocks
        ]
        return median(levels) if levels else None


class CameraCheck:
    """The camera delivers a key picture, while the light is lit. Nothing of the picture is kept."""

    name = "camera"
    limit_s = 20.0

    _POWER_S = 2.0
    _PICTURE_S = 5.0

    def __init__(self, camera: Camera, power: CameraPower, indicator: Indicator, fmt: VideoFormat) -> None:
        self._camera = camera
        self._power = power
        self._indicator = indicator
        self._fmt = fmt

    def run(self, patience: Patience) -> Finding:
        """Give it power, and wait for a key picture."""
        keys: deque[int] = deque(maxlen=1)

        def see(unit: AccessUnit) -> None:
            if unit.key:
                keys.append(unit.capture_ns)

        with Lighted(self._indicator, patience) as lighted:
            try:
                self._power.enable(True)
                if not lighted.until(lambda: self._power.powered, self._POWER_S):
                    return failed(f"the camera has no power {self._POWER_S:g} s after it was asked for")
                begun_ns = patience.now_ns()
                self._camera.start(self._fmt, see)
                if lighted.until(lambda: bool(keys), self._PICTURE_S):
                    return passed(f"a key picture after {(patience.now_ns() - begun_ns) // 1_000_000} ms")
                why = self._camera.fault() or "check its cable"
                return failed(f"no key picture within {self._PICTURE_S:g} s; {why}")
            finally:
                try:
                    self._camera.stop()
                finally:
                    self._power.enable(False)

    def abandon(self) -> None:
        """Take its power away."""
        self._power.enable(False)


class BatteryCheck(Harmless):
    """The gauge answers, and enough is left."""

    name = "battery"
    limit_s = 5.0

    _READING_S = 2.0

    def __init__(self, battery: Battery, *, critical_percent: int) -> None:
        self._battery = battery
        self._critical_percent = critical_percent

    def run(self, patience: Patience) -> Finding:
        """Read it; a gauge behind another controller may need a moment."""
        if not self._battery.present:
            return absent("the board has no battery gauge")
        if not patience.until(lambda: self._battery.read() is not None, self._READING_S):
            return failed(f"the gauge said nothing for {self._READING_S:g} s; check its connection")
        reading = self._battery.read()
        if reading is None:
            return failed("the gauge said something, and then nothing; check its connection")
        charging = {True: ", charging", False: ", not charging", None: ""}[reading.charging]
        text = f"{reading.percent:.0f} %, {reading.voltage_mv} mV{charging}"
        if reading.percent <= self._critical_percent and reading.charging is not True:
            return failed(f"{text}: at or below {self._critical_percent} %; charge it")
        return passed(text)


def _length_ns(block: PcmBlock, fmt: AudioFormat) -> int:
    return len(block.data) // (2 * fmt.channels) * _SECOND_NS // fmt.sample_rate


def _heard_ns(heard: deque[PcmBlock], fmt: AudioFormat) -> int:
    return sum(_length_ns(block, fmt) for block in list(heard))
