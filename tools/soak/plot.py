"""Figures over time as one SVG picture, without a drawing library: a line a panel, all on the same time line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _PANEL, _LEFT, _TOP, _GAP = 760, 110, 150, 40, 34


@dataclass(frozen=True, slots=True)
class Panel:
    """One line, from zero or from `least` up."""

    title: str
    unit: str
    values: Sequence[float]
    least: float = 0.0


def draw(title: str, x_title: str, xs: Sequence[float], panels: Sequence[Panel]) -> str:
    """Return the picture; `xs` and each panel's values have the same length, at least two."""
    height = _TOP + len(panels) * (_PANEL + _GAP) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 30}" height="{height}" '
        f'viewBox="0 0 {_LEFT + _WIDTH + 30} {height}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, xs, _TOP + number * (_PANEL + _GAP))
    bottom = _TOP + len(panels) * (_PANEL + _GAP) - _GAP + 16
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = xs[0] + share * (xs[-1] - xs[0])
        parts.append(f'<text x="{_LEFT + share * _WIDTH:.0f}" y="{bottom}" text-anchor="middle">{value:.1f}</text>')
    parts.append(f'<text x="{_LEFT + _WIDTH}" y="{bottom + 18}" text-anchor="end">{escape(x_title)}</text></svg>')
    return "\n".join(parts) + "\n"


def _panel(panel: Panel, xs: Sequence[float], top: int) -> list[str]:
    high = max(*panel.values, panel.least + 1e-9) * 1.05
    span_x, span_y = max(xs[-1] - xs[0], 1e-9), max(high - panel.least, 1e-9)
    points = " ".join(
        f"{_LEFT + (x - xs[0]) / span_x * _WIDTH:.1f},{top + _PANEL - (value - panel.least) / span_y * _PANEL:.1f}"
        for x, value in zip(xs, panel.values, strict=True)
    )
    return [
        f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_PANEL}" fill="none" stroke="#bbb"/>',
        f'<polyline points="{points}" fill="none" stroke="#004488" stroke-width="1.5"/>',
        f'<text x="{_LEFT - 10}" y="{top + 30}" text-anchor="end" font-weight="bold">{escape(panel.title)}</text>',
        f'<text x="{_LEFT - 10}" y="{top + 12}" text-anchor="end" fill="#555">{high:.4g} {escape(panel.unit)}</text>',
        f'<text x="{_LEFT - 10}" y="{top + _PANEL}" text-anchor="end" fill="#555">{panel.least:.4g}</text>',
    ]
