"""Checks that only a technician at the bench makes: somebody presses, listens, feels, and looks."""

from __future__ import annotations

import math
from collections import deque

from drivers.accelerometer.protocol import Acceleration, Accelerometer
from drivers.button.protocol import Button
from drivers.buzzer.protocol import Buzzer
from drivers.clock.protocol import Clock
from drivers.dock.protocol import Dock
from drivers.gnss.protocol import Fix, Gnss
from drivers.haptics.protocol import Haptics
from drivers.rtc.protocol import Rtc
from firmware.part_checks import Harmless
from firmware.patience import Patience
from firmware.selftest import Finding, absent, failed, passed
from firmware.state_checks import EARLIEST_UTC_NS, LATEST_UTC_NS, utc_text

_MORE_S = 5.0
"""What a check may take beyond the technician's time."""


class PressCheck(Harmless):
    """The button goes down and comes up again."""

    name = "button"

    def __init__(self, button: Button, *, patience_s: float) -> None:
        self._button = button
        self._patience_s = patience_s

    @property
    def limit_s(self) -> float:
        """See the protocol."""
        return 2 * self._patience_s + _MORE_S

    def run(self, patience: Patience) -> Finding:
        """Wait for a press, and for its end."""
        if self._button.pressed:
            return failed("it is down already; free it, or check its wiring")
        if not patience.until(lambda: self._button.pressed, self._patience_s):
            return failed(f"no press within {self._patience_s:g} s; check its wiring")
        down_ns = patience.now_ns()
        if not patience.until(lambda: not self._button.pressed, self._patience_s):
            return failed(f"it stays down for {self._patience_s:g} s; free it, or check its wiring")
        return passed(f"pressed for {(patience.now_ns() - down_ns) // 1_000_000} ms, and up again")


class SoundCheck(Harmless):
    """The buzzer sounds three tones."""

    name = "buzzer"
    limit_s = 5.0

    _TONES_HZ = (1000, 2000, 3000)
    _TONE_S = 0.3

    def __init__(self, buzzer: Buzzer) -> None:
        self._buzzer = buzzer

    def run(self, patience: Patience) -> Finding:
        """Sound them one after another."""
        if not self._buzzer.present:
            return absent("the board has no buzzer")
        try:
            for tone in self._TONES_HZ:
                self._buzzer.sound(tone)
                patience.pause(self._TONE_S)
        finally:
            self._buzzer.sound(0)
        return passed("three rising tones were sounded: you should have heard them")


class VibrationCheck(Harmless):
    """The motor runs weakly, then strongly."""

    name = "haptics"
    limit_s = 5.0

    _RUN_S = 0.4

    def __init__(self, haptics: Haptics) -> None:
        self._haptics = haptics

    def run(self, patience: Patience) -> Finding:
        """Run it twice."""
        if not self._haptics.present:
            return absent("the board has no vibration motor")
        try:
            for strength in (0.5, 1.0):
                self._haptics.drive(strength)
                patience.pause(self._RUN_S)
                self._haptics.drive(0.0)
                patience.pause(self._RUN_S / 2)
        finally:
            self._haptics.drive(0.0)
        return passed("two pulses, the second one stronger: you should have felt them")


class FixCheck(Harmless):
    """The receiver knows where it is. Where that is, is not shown."""

    name = "gnss"

    def __init__(self, gnss: Gnss, *, patience_s: float) -> None:
        self._gnss = gnss
        self._patience_s = patience_s

    @property
    def limit_s(self) -> float:
        """See the protocol."""
        return self._patience_s + _MORE_S

    def run(self, patience: Patience) -> Finding:
        """Wait for a fix."""
        if not self._gnss.present:
            return absent("the board has no GNSS receiver")
        fixes: deque[Fix] = deque(maxlen=1)
        try:
            self._gnss.start(fixes.append)
            if not patience.until(lambda: bool(fixes), self._patience_s):
                why = self._gnss.fault() or "try again under the open sky"
                return failed(f"no fix within {self._patience_s:g} s; {why}")
        finally:
            self._gnss.stop()
        fix = fixes[-1]
        within = "" if fix.accuracy_m is None else f", within {fix.accuracy_m:.0f} m"
        return passed(f"a fix from {fix.satellites} satellites{within}")


class RestCheck(Harmless):
    """The accelerometer feels the earth's pull, and no more, while the device lies still."""

    name = "accelerometer"
    limit_s = 10.0

    _SAMPLES = 10
    _SAMPLES_S = 3.0
    _LOW_G, _HIGH_G = 0.8, 1.2

    def __init__(self, accelerometer: Accelerometer) -> None:
        self._accelerometer = accelerometer

    def run(self, patience: Patience) -> Finding:
        """Take some samples."""
        if not self._accelerometer.present:
            return absent("the board has no accelerometer")
        samples: deque[Acceleration] = deque(maxlen=self._SAMPLES)
        try:
            self._accelerometer.start(samples.append)
            if not patience.until(lambda: len(samples) == self._SAMPLES, self._SAMPLES_S):
                why = self._accelerometer.fault() or "check its connection"
                return failed(f"{len(samples)} samples within {self._SAMPLES_S:g} s; {why}")
        finally:
            self._accelerometer.stop()
        mean_g = sum(math.hypot(sample.x_g, sample.y_g, sample.z_g) for sample in samples) / len(samples)
        if not self._LOW_G <= mean_g <= self._HIGH_G:
            return failed(f"{mean_g:.2f} g; let the device lie still, or replace the sensor")
        return passed(f"{mean_g:.2f} g at rest")


class DockCheck(Harmless):
    """The dock contact can be read."""

    name = "dock"
    limit_s = 5.0

    def __init__(self, dock: Dock) -> None:
        self._dock = dock

    def run(self, _patience: Patience) -> Finding:
        """Read it."""
        if not self._dock.present:
            return absent("the board has no dock contact")
        return passed("in the dock" if self._dock.docked else "not in the dock")


class RtcCheck(Harmless):
    """The real-time clock agrees with the system's clock, or tells a time that can be."""

    name = "rtc"
    limit_s = 5.0

    _NEAR_S = 5

    def __init__(self, rtc: Rtc, clock: Clock) -> None:
        self._rtc = rtc
        self._clock = clock

    def run(self, _patience: Patience) -> Finding:
        """Read both."""
        if not self._rtc.present:
            return absent("the board has no real-time clock")
        kept = self._rtc.read()
        if kept is None:
            return failed("it says nothing; check its connection")
        text = utc_text(kept.utc_ns)
        if kept.battery_low:
            return failed(f"it says {text}, and that its backup battery is empty; replace the battery")
        if not EARLIEST_UTC_NS <= kept.utc_ns <= LATEST_UTC_NS:
            return failed(f"it says {text}; set it, and check its battery")
        system = self._clock.read()
        apart_s = abs(kept.utc_ns - system.utc_ns) // 1_000_000_000
        if system.synchronised and apart_s > self._NEAR_S:
            return failed(f"it says {text}, {apart_s} s off; set it, and check its battery")
        return passed(text)
