"""Draws lanes of a pattern as bars over time, in SVG, for black and white printers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from firmware.patterns import FULL, LOUD_HZ, LOW_HZ, Lane

_LOWEST = 0.3
"""Height of the least that is lit or sounded, so that it is seen at all."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a lane is drawn, in units of the picture, and how many units one second takes."""

    x: float
    y: float
    width: float
    height: float
    per_s: float

    @property
    def span_ms(self) -> float:
        """How much time fits in."""
        return self.width / self.per_s * 1000


def spans(lane: Lane, span_ms: float, *, repeats: bool) -> list[tuple[float, float, float]]:
    """Return (from ms, to ms, value) of what is not 0, from the beginning of the lane for `span_ms`."""
    found: list[tuple[float, float, float]] = []
    now_ms = 0.0
    while lane and now_ms < span_ms:
        for step in lane:
            end_ms = min(now_ms + step.duration_ms, span_ms)
            if step.value and now_ms < end_ms:
                if found and found[-1][1:] == (now_ms, step.value):
                    found[-1] = (found[-1][0], end_ms, step.value)
                else:
                    found.append((now_ms, end_ms, step.value))
            now_ms += step.duration_ms
        if not repeats:
            break
    return found


def from_first_lit(lane: Lane) -> Lane:
    """Turn a repeated lane so that it begins with its first brightest step."""
    brightest = max((step.value for step in lane), default=0)
    first = next((at for at, step in enumerate(lane) if step.value == brightest), 0)
    return (*lane[first:], *lane[:first])


def draw_light(lane: Lane, box: Box, *, repeats: bool) -> str:
    """Draw levels: full is black and high, dimmed is grey and low."""
    return _draw(lane, box, repeats, ((_LOWEST, "dim"), (FULL, "on")))


def draw_tones(lane: Lane, box: Box, *, repeats: bool) -> str:
    """Draw tones: the higher the pitch, the higher the bar."""
    return _draw(lane, box, repeats, None)


def draw_touch(lane: Lane, box: Box, *, repeats: bool) -> str:
    """Draw the motor's running."""
    return _draw(lane, box, repeats, ((FULL, "on"), (FULL, "on")))


def _draw(lane: Lane, box: Box, repeats: bool, levels: tuple[tuple[float, str], tuple[float, str]] | None) -> str:
    """Draw each value as a bar; `levels` are height and class of what is less than full, and of full."""
    parts = [line(box.x, box.y + box.height, box.x + box.width, box.y + box.height, "base")]
    for begin_ms, end_ms, value in spans(lane, box.span_ms, repeats=repeats):
        if levels is None:
            share = _LOWEST + (1 - _LOWEST) * (value - LOW_HZ) / (LOUD_HZ - LOW_HZ)
            name = "tone"
        else:
            share, name = levels[value >= FULL]
        height = box.height * share
        x = box.x + begin_ms / 1000 * box.per_s
        parts.append(rect(x, box.y + box.height - height, (end_ms - begin_ms) / 1000 * box.per_s, height, name))
    return "".join(parts)


def number(value: float) -> str:
    """Write a coordinate shortly, and the same on every machine."""
    return f"{round(value, 2):g}"


def rect(x: float, y: float, width: float, height: float, name: str) -> str:
    """Return a rectangle of class `name`."""
    return f'<rect class="{name}" x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"/>'


def line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    """Return a line of class `name`."""
    return f'<line class="{name}" x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"/>'


def text(x: float, y: float, what: str, name: str) -> str:
    """Return a line of text of class `name`."""
    safe = what.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text class="{name}" x="{number(x)}" y="{number(y)}">{safe}</text>'


def svg(width: float, height: float, style: str, parts: Iterable[str], label: str) -> str:
    """Return a whole picture; `label` is what it is called for those who cannot see it."""
    size = f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">'
    return "\n".join((head, f"<style>{style}</style>", *parts, "</svg>", ""))
