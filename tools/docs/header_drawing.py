"""Draws the 40-pin header of a board with what is connected to it, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from firmware.board import Board
from firmware.board_wiring import GROUND, HEADER, POWER_3V3, POWER_5V, Wire, wires

_BCM = {pin: bcm for bcm, pin in HEADER.items()}
_WIDTH = 1120
_MIDDLE = _WIDTH // 2
_TOP = 92
_ROW = 30
_ROWS = 20
_PIN = 10
_NAME_X = 40
"""From the middle to the pin's name."""
_LINE_X = 98
"""From the middle to the line's beginning."""
_BOX_X = 152
"""From the middle to the box."""
_BOX = 388
_CHARACTER = 0.57
"""Width of a character, on the average of a line, as a part of the font's size."""
_COLOURS = {
    "indicator": "#c62828", "button": "#1565c0", "buzzer": "#6a1b9a", "haptics": "#4527a0", "microphone": "#00695c",
    "dock": "#5d4037", "gnss": "#2e7d32", "companion": "#ad1457",
}  # fmt: skip
_BUS = "#37474f"
_GROUND, _SUPPLY, _FREE = "#212121", "#b71c1c", "#9e9e9e"
_ARROWS = {"out": "→", "in": "←", "both": "↔", "power": ""}


def draw_header(board: Board, names: Mapping[str, str]) -> str:
    """Return the drawing. `names` are what people call the parts."""
    at: dict[int, list[Wire]] = {}
    elsewhere = []
    for wire in wires(board):
        if wire.header_pin is None:
            elsewhere.append(f"{names[wire.part]}: {wire.signal} ({wire.note})")
        else:
            at.setdefault(wire.header_pin, []).append(wire)
    bottom = _TOP + _ROWS * _ROW
    height = bottom + 34 + (22 * len(elsewhere) + 34 if elsewhere else 0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="DejaVu Sans, Verdana, Helvetica, sans-serif" font-size="13">',
        f"<title>{escape(board.title)}: the 40-pin header</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_MIDDLE}" y="32" font-size="19" font-weight="bold" text-anchor="middle">'
        f"{escape(board.title)}</text>",
        f'<text x="{_MIDDLE}" y="56" fill="#555555" text-anchor="middle">the 40-pin header seen from above, '
        "pin 1 at the end of the microSD card; arrows as the Pi sees them</text>",
        f'<rect x="{_MIDDLE - 31}" y="{_TOP - 16}" width="62" height="{_ROWS * _ROW + 2}" rx="5" fill="#263238"/>',
    ]
    for pin in range(1, 41):
        lines += _pin(pin, at.get(pin, []), names)
    if elsewhere:
        lines.append(f'<text x="20" y="{bottom + 36}" font-weight="bold">Not on this header</text>')
        lines += [
            f'<text x="20" y="{bottom + 60 + 22 * number}">{escape(_capital(text))}</text>'
            for number, text in enumerate(elsewhere)
        ]
    return "\n".join([*lines, "</svg>", ""])


def _pin(pin: int, here: list[Wire], names: Mapping[str, str]) -> Iterator[str]:
    side = -1 if pin % 2 else 1
    y = _TOP + (pin - 1) // 2 * _ROW
    x = _MIDDLE + side * 15
    anchor = "end" if side < 0 else "start"
    colour = _colour(pin, here)
    # Pin 1 is square on every board.
    if pin == 1:
        size = 2 * _PIN
        yield f'<rect x="{x - _PIN}" y="{y - _PIN}" width="{size}" height="{size}" fill="{_fill(here, colour)}"/>'
    else:
        yield f'<circle cx="{x}" cy="{y}" r="{_PIN}" fill="{_fill(here, colour)}"/>'
    yield (
        f'<text x="{x}" y="{y + 4}" font-size="10" text-anchor="middle" fill="{"#ffffff" if here else "#212121"}">'
        f"{pin}</text>"
    )
    yield (
        f'<text x="{_MIDDLE + side * _NAME_X}" y="{y + 4}" font-size="12" text-anchor="{anchor}" '
        f'fill="{"#212121" if here else _FREE}">{_name(pin)}</text>'
    )
    if not here:
        return
    left = _MIDDLE - _BOX_X - _BOX if side < 0 else _MIDDLE + _BOX_X
    yield (
        f'<line x1="{_MIDDLE + side * _LINE_X}" y1="{y}" x2="{_MIDDLE + side * _BOX_X}" y2="{y}" '
        f'stroke="{colour}" stroke-width="2"/>'
    )
    yield (
        f'<rect x="{left}" y="{y - 12}" width="{_BOX}" height="24" rx="5" fill="#ffffff" stroke="{colour}" '
        'stroke-width="1.5"/>'
    )
    parts = ", ".join(dict.fromkeys(names[wire.part] for wire in here))
    signal = f"{here[0].signal} {_ARROWS[here[0].direction]}".strip()
    font = min(13.0, (_BOX - 20) / _CHARACTER / (len(parts) + len(signal) + 1))
    yield (
        f'<text x="{left + (_BOX - 10 if side < 0 else 10)}" y="{y + 4}" text-anchor="{anchor}" font-size="{font:.1f}">'
        f'<tspan font-weight="bold" fill="{colour}">{escape(signal)}</tspan> {escape(parts)}</text>'
    )


def _name(pin: int) -> str:
    if pin in GROUND:
        return "ground"
    if pin in POWER_3V3:
        return "3.3 V"
    return "5 V" if pin in POWER_5V else f"BCM {_BCM[pin]}"


def _colour(pin: int, here: list[Wire]) -> str:
    if pin in GROUND:
        return _GROUND
    if pin in POWER_3V3 or pin in POWER_5V:
        return _SUPPLY
    if here and here[0].bus is None:
        return _COLOURS.get(here[0].part, _BUS)
    return _BUS


def _fill(here: list[Wire], colour: str) -> str:
    return colour if here else "#cfd8dc"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
