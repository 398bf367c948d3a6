"""Draws every pattern of firmware/patterns.py: `python -m tools.docs.signals [FILE]`, by default docs/signals.svg."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from firmware.cues import Cue, Note
from firmware.patterns import CUES, NOTES, Pattern, lane_ms
from tools.docs.lanes import Box, draw_light, draw_tones, draw_touch, line, rect, svg, text

PICTURE = Path(__file__).parents[2] / "docs" / "signals.svg"

_STYLE = (
    "text{font:11px 'DejaVu Sans','Liberation Sans',Arial,sans-serif;fill:#000}"
    ".title{font-size:15px;font-weight:bold}.name{font-size:12px;font-weight:bold}.small{font-size:9px}"
    ".lane{font-size:8px;fill:#444}.on{fill:#000}.dim{fill:#999}.tone{fill:#fff;stroke:#000;stroke-width:1}"
    ".base{stroke:#000;stroke-width:.6}.grid{stroke:#bbb;stroke-width:.5;stroke-dasharray:1 3}"
    ".rule{stroke:#000;stroke-width:1}.paper{fill:#fff}"
)
_WIDTH = 1000.0
_MARGIN = 16.0
_LANE = 13.0
_LANES = ("light", "sound", "touch")
_ROW = 3 * (_LANE + 4) + 10

_CUE_X = 240.0
_CUE_PER_S = 60.0
_CUE_S = 12

_NOTE_X = 205.0
_NOTE_PER_S = 105.0
_NOTE_S = 2.5

_CUE_MEANS = {
    Cue.OFF: "switched off",
    Cue.SELF_TEST: "testing itself; a press counts",
    Cue.UNENROLLED: "belongs to no unit; does not record",
    Cue.STANDBY: "ready; nothing is recorded or kept",
    Cue.BUFFERING: "ready; the last seconds are in memory",
    Cue.ANNOUNCING: "the public is told; about to record",
    Cue.RECORDING: "recorded and stored",
    Cue.RECORDING_LIVE: "recorded, stored, and being watched",
    Cue.STALLED: "pressed, but nothing is being stored",
    Cue.DARK: "recorded; sound and touch announce it",
    Cue.CLOSING: "the recording is being closed",
    Cue.DOCKED: "in its dock; does not record",
    Cue.LOW_POWER: "battery empty; does not record",
    Cue.FAULT: "out of order; a press tries again",
}


def draw() -> str:
    """Return the picture as SVG."""
    y = _MARGIN + 12
    parts = [text(_MARGIN, y, "Standing cues: repeated for as long as they hold", "title")]
    y += 10
    cues_top = y
    for second in range(_CUE_S + 1):
        x = _CUE_X + second * _CUE_PER_S
        parts.append(text(x + 2, y + 8, f"{second} s", "lane"))
        parts.append(line(x, y, x, y + 12 + len(Cue) * _ROW, "grid"))
    y += 12
    for cue in Cue:
        box = Box(_CUE_X, y, _CUE_S * _CUE_PER_S, _LANE, _CUE_PER_S)
        parts += _row(cue.value, _cue_lines(cue), CUES[cue], box, _MARGIN, repeats=True)
        y += _ROW
    parts.append(line(_MARGIN, cues_top, _WIDTH - _MARGIN, cues_top, "rule"))
    y += 30
    parts.append(text(_MARGIN, y, "Passing notes: played once", "title"))
    y += 10
    parts.append(line(_MARGIN, y, _WIDTH - _MARGIN, y, "rule"))
    half = (_WIDTH - 2 * _MARGIN) / 2 + 5
    rows = (len(Note) + 1) // 2
    for column in range(2):
        for tick in range(int(_NOTE_S * 2) + 1):
            x = column * half + _NOTE_X + tick / 2 * _NOTE_PER_S
            parts.append(text(x + 2, y + 8, f"{tick / 2:g} s", "lane"))
            parts.append(line(x, y, x, y + 12 + rows * _ROW, "grid"))
    y += 12
    for at, note in enumerate(Note):
        column, row = divmod(at, rows)
        x, top = column * half, y + row * _ROW
        box = Box(x + _NOTE_X, top, _NOTE_S * _NOTE_PER_S, _LANE, _NOTE_PER_S)
        lines = [] if NOTES[note].heard_at_night else ["silent at night"]
        parts += _row(note.value, lines, NOTES[note], box, x + _MARGIN, repeats=False)
    y += rows * _ROW + 10
    parts += _legend(y)
    height = y + 34
    return svg(_WIDTH, height, _STYLE, (rect(0, 0, _WIDTH, height, "paper"), *parts), "patterns of the signals")


def _cue_lines(cue: Cue) -> list[str]:
    lines = [_CUE_MEANS[cue]]
    call_ms = lane_ms(CUES[cue].sound)
    if call_ms:
        lines.append(f"calls every {call_ms / 1000:g} s, at night too")
    return lines


def _row(name: str, lines: Sequence[str], pattern: Pattern, box: Box, x: float, *, repeats: bool) -> list[str]:
    parts = [text(x, box.y + 11, name, "name")]
    parts += [text(x, box.y + 25 + 12 * at, what, "small") for at, what in enumerate(lines)]
    for at, (lane, draw_lane) in enumerate(
        ((pattern.light, draw_light), (pattern.sound, draw_tones), (pattern.touch, draw_touch))
    ):
        here = Box(box.x, box.y + at * (_LANE + 4), box.width, box.height, box.per_s)
        parts.append(f'<text class="lane" text-anchor="end" x="{box.x - 4:g}" y="{here.y + 11:g}">{_LANES[at]}</text>')
        parts.append(draw_lane(lane, here, repeats=repeats))
    return parts


def _legend(y: float) -> list[str]:
    parts = [line(_MARGIN, y, _WIDTH - _MARGIN, y, "rule")]
    y += 10
    x = _MARGIN
    for name, share, what in (
        ("on", 1.0, "full light; motor on"),
        ("dim", 0.3, "dimmed light"),
        ("tone", 1.0, "high tone"),
        ("tone", 0.65, "middle tone"),
        ("tone", 0.3, "low tone"),
    ):
        parts.append(rect(x, y + _LANE * (1 - share), 22, _LANE * share, name))
        parts.append(text(x + 28, y + 11, what, "small"))
        x += 150
    return parts


def main(arguments: Sequence[str]) -> None:
    """Write the picture."""
    target = Path(arguments[0]) if arguments else PICTURE
    target.write_text(draw(), encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main(sys.argv[1:])
