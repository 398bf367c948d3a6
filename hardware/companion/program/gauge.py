"""Battery gauges: a voltage divider, or a MAX17048. `read` returns millivolts, percent or None, charging or None."""

from machine import ADC, I2C, Pin

_SAMPLES = 8
_REFERENCE_MV = 3_300
_MAX17048 = 0x36


class Charger:
    """The charger's status line: open drain, low while it charges."""

    def __init__(self, number) -> None:
        self._pin = None if number is None else Pin(number, Pin.IN, Pin.PULL_UP)

    def charging(self):
        """Return whether it charges; None where the line is not wired."""
        return None if self._pin is None else not self._pin.value()


class DividerGauge:
    """The battery's voltage over a divider. What charge that means is for the Pi to say."""

    def __init__(self, number: int, divider: int, charger) -> None:
        self._adc = ADC(Pin(number))
        self._divider = divider
        self._charger = charger

    def read(self) -> tuple:
        """Read it."""
        raw = sum(self._adc.read_u16() for _ in range(_SAMPLES)) // _SAMPLES
        return raw * _REFERENCE_MV * self._divider // 65_535, None, self._charger.charging()


class Max17048Gauge:
    """Maxim MAX17048: VCELL (register 0x02, 78.125 µV) and SOC (register 0x04, 1/256 %)."""

    def __init__(self, i2c_id: int, sda: int, scl: int, charger) -> None:
        self._i2c = I2C(i2c_id, sda=Pin(sda), scl=Pin(scl), freq=100_000)
        self._charger = charger

    def read(self) -> tuple:
        """Read it; 0 mV where it does not answer."""
        try:
            raw = self._i2c.readfrom_mem(_MAX17048, 0x02, 4)
        except OSError:
            return 0, None, self._charger.charging()
        millivolts = (raw[0] << 8 | raw[1]) * 5 // 64
        return millivolts, min(100, raw[2]), self._charger.charging()


def make_gauge(config):
    """Make the gauge that the board has.

    Raises:
        ValueError: there is no such kind.
    """
    charger = Charger(config.CHARGING_PIN)
    if config.GAUGE == "max17048":
        return Max17048Gauge(config.I2C_ID, config.I2C_SDA_PIN, config.I2C_SCL_PIN, charger)
    if config.GAUGE == "divider":
        return DividerGauge(config.BATTERY_ADC_PIN, config.BATTERY_DIVIDER, charger)
    raise ValueError(f"config: there is no gauge {config.GAUGE!r}")
