"""Makes the officer's quick reference cards: `python -m tools.docs.card [FOLDER]`, by default docs/card/.

Each is a page of HTML and its PDF of one page A4, printed by headless Chromium. The PDF ends with a comment that holds
the digest of the HTML that it was printed from; it is printed anew only where that differs.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from firmware.cues import Cue
from firmware.gesture import GestureTimes
from firmware.patterns import CUES, NOTES, Lane, Step, lane_ms
from tools.docs.card_text import CALLS, DUTCH, ENGLISH, CardText, Gesture, Line, Words
from tools.docs.lanes import Box, draw_light, draw_touch, from_first_lit, number, spans, text

FOLDER = Path(__file__).parents[2] / "docs" / "card"
CARDS = {"nl": DUTCH, "en": ENGLISH}
_DIGEST = b"%getuige-html-sha256 "
_PRINT_S = 120.0

_LIGHT = Box(0, 0, 150, 12, 30)
_TOUCH = Box(0, 0, 102, 10, 34)
_BUTTON = Box(0, 0, 110, 10, 18.5)
_MS = 1_000_000

_STYLE = """
@page { size: A4; margin: 8mm 9mm; }
* { box-sizing: border-box; }
body { font: 8.1pt/1.24 "DejaVu Sans Condensed", "DejaVu Sans", Arial, sans-serif; color: #000; margin: 0 auto;
  width: 192mm; font-stretch: condensed; }
h1 { font-size: 17pt; margin: 0; line-height: 1.1; }
h2 { font-size: 10.5pt; margin: 3mm 0 .8mm; border-bottom: .5mm solid #000; }
h2 small { font-size: 7pt; font-weight: normal; float: right; padding-top: .8mm; }
h3 { font-size: 8pt; margin: 1.8mm 0 .6mm; }
p { margin: .5mm 0; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .75mm 1.2mm .75mm 0; vertical-align: middle; text-align: left; border-bottom: .15mm solid #888; }
th { font-size: 6.8pt; font-weight: normal; padding: 0 1.2mm .2mm 0; }
svg { display: block; }
svg .on { fill: #000; } svg .dim { fill: #888; } svg text { font-size: 8px; fill: #fff; text-anchor: middle; }
svg .base { stroke: #000; stroke-width: .7; }
.head { display: flex; justify-content: space-between; align-items: stretch; gap: 5mm; }
.public { border: .7mm solid #000; padding: 1mm 2mm; width: 92mm; }
.columns { display: grid; grid-template-columns: 104mm 83mm; column-gap: 5mm; }
.gesture td:nth-child(1) { width: 36mm; } .gesture td:nth-child(2) { width: 31mm; }
.gesture td:nth-child(4) { width: 27mm; } .gesture td:nth-child(5) { width: 33mm; font-size: 7pt; }
.tasks { display: grid; grid-template-columns: .8fr 1.2fr 1fr .9fr 1.1fr; border: .3mm solid #000; }
.tasks div { padding: .8mm 1.5mm; border-left: .15mm solid #888; } .tasks div:first-child { border: 0; }
.tasks b { font-size: 11pt; margin-right: .8mm; }
.lights td:nth-child(1) { width: 41mm; } .touches td:nth-child(1) { width: 28mm; }
.rhythm { font-size: 7pt; font-style: italic; }
.footer { margin-top: 2mm; border-top: .5mm solid #000; padding-top: 1mm; }
@media screen { body { padding: 8mm 0; } }
"""


def page(card: CardText) -> str:
    """Return the card as one page of HTML that needs nothing else."""
    title, subtitle = escape(card.title), escape(card.subtitle)
    return "\n".join(
        (
            "<!DOCTYPE html>",
            f'<html lang="{card.language}">',
            f'<head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>',
            "<body>",
            f'<div class="head"><div><h1>{title}</h1><p>{subtitle}</p></div>',
            f'<div class="public"><b>{escape(card.public)}.</b> {escape(card.public_says)}</div></div>',
            *_buttons(card),
            '<div class="columns"><div>',
            *_lights(card),
            "</div><div>",
            *_touches(card),
            "</div></div>",
            '<div class="footer">' + "".join(f"<p>{escape(line)}</p>" for line in card.footer) + "</div>",
            "</body></html>",
            "",
        )
    )


def in_words(lane: Lane, words: Words) -> str:
    """Say the rhythm of a lane that is played once, such as ``short-long``."""
    pulses = spans(lane, lane_ms(lane), repeats=False)
    kinds = [_kind(end - begin, words) for begin, end, _ in pulses]
    pauses = [late[0] - early[1] for early, late in pairwise(pulses)]
    said = "-".join(kinds) if len(set(kinds)) > 1 or len(kinds) < 2 else f"{len(kinds)}× {kinds[0]}"
    if pauses and max(pauses) <= 100:
        said += f", {words.quick}"
    elif pauses and min(pauses) >= 400:
        said += f", {words.slow}"
    return said


def _kind(length_ms: float, words: Words) -> str:
    if length_ms <= 80:
        return words.tick
    if length_ms < 500:
        return words.short
    return words.long if length_ms < 1200 else words.very_long


def _buttons(card: CardText) -> list[str]:
    want, press, feel = (escape(what) for what in card.button_columns)
    rows = [f"<tr><th>{want}</th><th colspan=2>{press}</th><th colspan=2>{feel}</th></tr>"]
    rows += [_gesture(gesture, card.words) for gesture in card.gestures]
    tasks = "".join(
        f"<div><b>{letter}</b>{at}&nbsp;{card.words.tick}{_plural(at, card)}<br>{escape(task)}</div>"
        for at, (letter, task) in enumerate(zip("abcde", card.tasks, strict=True), 1)
    )
    return [
        f"<h2>{escape(card.button)}</h2>",
        f'<table class="gesture">{"".join(rows)}</table>',
        f"<h3>{escape(card.purposes)}</h3>",
        f'<div class="tasks">{tasks}</div>',
        f"<p>{escape(card.purposes_hint)}</p>",
    ]


def _plural(count: int, card: CardText) -> str:
    return "" if count == 1 else {"nl": "ken", "en": "s"}[card.language]


def _gesture(gesture: Gesture, words: Words) -> str:
    felt = "".join(_once(NOTES[note].touch, words) for note in gesture.answers)
    said = " / ".join(in_words(NOTES[note].touch, words) for note in gesture.answers)
    after = f"<br>{escape(gesture.after)}" if gesture.after else ""
    return (
        f"<tr><td><b>{escape(gesture.aim)}</b></td><td>{_hand(gesture)}</td><td>{escape(gesture.do)}</td>"
        f'<td>{felt}</td><td><span class="rhythm">{escape(said)}</span>{after}</td></tr>'
    )


def _hand(gesture: Gesture) -> str:
    """Draw the button as it goes down and up, and what is counted meanwhile."""
    times = GestureTimes()
    hold_ms = times.hold_ns // _MS
    ticks_ms = [hold_ms + (times.first_count_ns + at * times.count_ns) // _MS for at in range(3)]
    downs = {
        "press": (Step(1, 250),),
        "double": (Step(1, 250), Step(0, 250), Step(1, 250)),
        "triple": (Step(1, 250), Step(0, 250), Step(1, 250), Step(0, 250), Step(1, 250)),
        "hold": (Step(1, hold_ms),),
        "count": (Step(1, ticks_ms[-1] + 200),),
    }
    parts = draw_touch(downs[gesture.presses], _BUTTON, repeats=False)
    if gesture.presses in ("hold", "count"):
        parts += _mark(hold_ms / 2, f"{number(hold_ms / 1000)} s")
    if gesture.presses == "count":
        parts += "".join(_mark(tick_ms, letter) for tick_ms, letter in zip(ticks_ms, "abc", strict=True))
    return _svg(_BUTTON, parts)


def _mark(time_ms: float, what: str) -> str:
    return text(time_ms / 1000 * _BUTTON.per_s, 8, what, "mark")


def _lights(card: CardText) -> list[str]:
    rows = []
    for cue, line in card.cues.items():
        lane = from_first_lit(CUES[cue].light)
        rows.append(f"<tr><td>{_svg(_LIGHT, draw_light(lane, _LIGHT, repeats=True))}</td><td>{_line(line)}</td></tr>")
    return [_heading(card.light, card.light_hint), f'<table class="lights">{"".join(rows)}</table>']


def _touches(card: CardText) -> list[str]:
    notes = [_touch(NOTES[note].touch, line, "", card.words) for note, line in card.notes.items()]
    calls = [_touch(*_call(cue, card), card.words) for cue in CALLS]
    return [
        _heading(card.touch, card.touch_hint),
        f'<table class="touches">{"".join(notes)}</table>',
        f"<h3>{escape(card.calls)}</h3>",
        f'<table class="touches">{"".join(calls)}</table>',
    ]


def _call(cue: Cue, card: CardText) -> tuple[Lane, Line, str]:
    lane = CUES[cue].touch
    return lane[:-1], card.cues[cue], ", " + card.calls_every.format(_decimal(lane_ms(lane) / 1000, card))


def _decimal(value: float, card: CardText) -> str:
    return number(value).replace(".", {"nl": ",", "en": "."}[card.language])


def _touch(lane: Lane, line: Line, every: str, words: Words) -> str:
    said = escape(in_words(lane, words) + every)
    return f'<tr><td>{_once(lane, words)}<span class="rhythm">{said}</span></td><td>{_line(line)}</td></tr>'


def _once(lane: Lane, words: Words) -> str:
    return _svg(_TOUCH, draw_touch(lane, _TOUCH, repeats=False), in_words(lane, words))


def _line(line: Line) -> str:
    return f"<b>{escape(line.means)}</b>" + (f" {escape(line.do)}" if line.do else "")


def _heading(what: str, hint: str) -> str:
    return f"<h2>{escape(what)} <small>{escape(hint)}</small></h2>"


def _svg(box: Box, parts: str, label: str = "") -> str:
    named = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    width, height = number(box.width), number(box.height + 1)
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" {named}>{parts}</svg>'


def digest(html: str) -> str:
    """Return the SHA-256 of a card's HTML."""
    return hashlib.sha256(html.encode()).hexdigest()


def printed_from(pdf: bytes) -> str | None:
    """Return the digest of the HTML that a PDF was printed from, or None where it does not say."""
    found = re.search(re.escape(_DIGEST) + rb"([0-9a-f]{64})\n\Z", pdf)
    return found.group(1).decode() if found else None


def pages_of(pdf: bytes) -> int:
    """Count the pages of a PDF that Chromium has made."""
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))


def print_pdf(html: Path) -> bytes:
    """Print a card.

    Raises:
        RuntimeError: Chromium is not here, or made no PDF.
    """
    with tempfile.TemporaryDirectory(prefix="getuige-card-") as folder:
        target = Path(folder) / "card.pdf"
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
        try:
            subprocess.run(
                [*command, "--no-pdf-header-footer", f"--print-to-pdf={target}", html.resolve().as_uri()],
                check=True,
                capture_output=True,
                timeout=_PRINT_S,
            )
            pdf = target.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise RuntimeError(f"card: {html.name} was not printed ({error}); install chromium") from error
    return pdf.rstrip(b"\n") + b"\n" + _DIGEST + digest(html.read_text(encoding="utf-8")).encode() + b"\n"


def main(arguments: Sequence[str]) -> None:
    """Make the cards."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for language, card in CARDS.items():
        html, pdf = folder / f"card-{language}.html", folder / f"card-{language}.pdf"
        html.write_text(page(card), encoding="utf-8")
        if not pdf.exists() or printed_from(pdf.read_bytes()) != digest(page(card)):
            pdf.write_bytes(print_pdf(html))
        print(html, pdf)


if __name__ == "__main__":
    main(sys.argv[1:])
