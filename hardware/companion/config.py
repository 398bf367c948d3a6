"""What depends on the board: pins of the RP2040, and how much current is how much. docs/COMPANION.md has the wiring."""

UART_ID = 0
UART_TX_PIN = 0
UART_RX_PIN = 1
BAUD = 115_200

LIGHT_PIN = 15
LIGHT_PWM_HZ = 1_000
"""Steady to the eye, and far above what the sense filter (10 ms) lets through."""
LAMP_ADC_PIN = 26
LAMP_FULL = 32_768
"""What the lamp's ADC reads (u16) at full level with a good lamp: half its range, so that a short shows above it."""
LEVEL_FLOOR = 30
"""In thousandths. A light that is on is never dimmer: below it the sense line could not tell it from a dark one."""

BUTTON_PIN = 14
CAMERA_PIN = 16
"""Enables the camera's load switch when high. The board pulls it low: in a reset the camera has no power."""

SERVICE_PIN = 21
"""A jumper to ground at power-on keeps the program from starting, so that it can be replaced over USB."""

GAUGE = "divider"
"""``divider`` (a voltage divider on an ADC pin) or ``max17048`` (a gauge on I2C)."""
BATTERY_ADC_PIN = 27
BATTERY_DIVIDER = 2
CHARGING_PIN = 22
"""Low while the charger charges (open drain). None: not wired."""
I2C_ID = 1
I2C_SDA_PIN = 2
I2C_SCL_PIN = 3

WATCHDOG_MS = 1_000
AUDIBLE_MAY_REPLACE_LIGHT = True
"""False: this controller never takes a sound for a light, whatever the unit's policy says."""

UPDATE_HOLD_MS = 5_000
"""So long the record button must have been held, the camera without power all the while, before a new program is taken
over the line: Linux alone cannot replace what watches over it. None: never over the line, over USB only."""
