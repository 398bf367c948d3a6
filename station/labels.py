"""A label for a device: its id and its key's fingerprint, as text and as a QR code (ISO/IEC 18004); SVG and PDF."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import segno

from station.errors import StationError

if TYPE_CHECKING:
    from fpdf import FPDF

_DEVICE = re.compile(r"[0-9a-f]{32}")
_WIDTH_MM, _HEIGHT_MM = 62.0, 29.0
"""A common size of label printers' rolls."""
_QR_MM = 25.0
_MARGIN_MM = 2.0
NAME_CHARACTERS_ON_LABEL = 24


@dataclass(frozen=True, slots=True)
class Label:
    """What stands on it."""

    device: str
    """Device id, 32 hexadecimal digits."""
    fingerprint: str
    """SHA-256 of the raw public identity key, hexadecimal."""
    name: str = ""

    @property
    def uri(self) -> str:
        """What the QR code says."""
        return f"getuige:{self.device}?sha256={self.fingerprint}"

    @property
    def lines(self) -> list[str]:
        """What people read."""
        groups = [self.device[at : at + 8] for at in range(0, 32, 8)]
        prints = [self.fingerprint[at : at + 16] for at in range(0, 64, 16)]
        return [self.name or "Getuige", " ".join(groups[:2]), " ".join(groups[2:]), *prints]


def label_of(identity: bytes, name: str = "") -> Label:
    """Return the label of a device by its raw public identity key."""
    digest = hashlib.sha256(identity).hexdigest()
    return checked(Label(digest[:32], digest, name))


def checked(label: Label) -> Label:
    """Return a label that can be printed.

    Raises:
        StationError: an id, fingerprint or name that is none.
    """
    if not _DEVICE.fullmatch(label.device) or not re.fullmatch(r"[0-9a-f]{64}", label.fingerprint):
        raise StationError("a label has a device id of 32 and a fingerprint of 64 hexadecimal digits")
    if len(label.name) > NAME_CHARACTERS_ON_LABEL or not label.name.isprintable():
        raise StationError(f"a label's name has up to {NAME_CHARACTERS_ON_LABEL} printable characters")
    return label


def svg(label: Label) -> str:
    """Return the label as SVG, in millimetres."""
    code = segno.make(label.uri, error="m", micro=False)
    size = code.symbol_size(border=2)[0]
    cell = _QR_MM / size
    squares = "".join(
        f'<rect x="{_MARGIN_MM + (x + 2) * cell:.3f}" y="{_MARGIN_MM + (y + 2) * cell:.3f}" '
        f'width="{cell + 0.01:.3f}" height="{cell + 0.01:.3f}"/>'
        for y, row in enumerate(code.matrix)
        for x, dark in enumerate(row)
        if dark
    )
    texts = "".join(
        f'<text x="{_QR_MM + 4:.1f}" y="{6 + number * 3.4:.1f}" font-size="{3.2 if number == 0 else 2.7}" '
        f'font-weight="{"bold" if number == 0 else "normal"}">{escape(line)}</text>'
        for number, line in enumerate(label.lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH_MM}mm" height="{_HEIGHT_MM}mm" '
        f'viewBox="0 0 {_WIDTH_MM} {_HEIGHT_MM}" font-family="monospace">'
        f'<rect width="{_WIDTH_MM}" height="{_HEIGHT_MM}" fill="white"/>{squares}{texts}</svg>\n'
    )


def write_labels(labels: list[Label], output: Path) -> list[Path]:
    """Write an SVG for each label, and one PDF, `output`, with a page for each; return what was written.

    Raises:
        StationError: the disk does not take it.
    """
    # Here and not above: every command of the station would wait for it.
    from fpdf import FPDF

    pdf = FPDF(unit="mm", format=(_HEIGHT_MM, _WIDTH_MM), orientation="L")
    pdf.set_auto_page_break(auto=False)
    pdf.set_margin(0)
    made = []
    try:
        for label in map(checked, labels):
            _page(pdf, label)
            path = output.with_name(f"{output.stem}-{label.device[:8]}.svg")
            path.write_text(svg(label), "utf-8")
            made.append(path)
        pdf.output(str(output))
    except OSError as error:
        raise StationError(f"cannot write the labels beside {output}: {error.strerror}") from None
    return [output, *made]


def _page(pdf: FPDF, label: Label) -> None:
    pdf.add_page()
    code = segno.make(label.uri, error="m", micro=False)
    cell = _QR_MM / code.symbol_size(border=2)[0]
    pdf.set_fill_color(0, 0, 0)
    for y, row in enumerate(code.matrix):
        for x, dark in enumerate(row):
            if dark:
                pdf.rect(_MARGIN_MM + (x + 2) * cell, _MARGIN_MM + (y + 2) * cell, cell + 0.01, cell + 0.01, style="F")
    for number, line in enumerate(label.lines):
        pdf.set_font("Courier", style="B" if number == 0 else "", size=9 if number == 0 else 7.5)
        pdf.text(_QR_MM + 4, 6 + number * 3.4, line.encode("latin-1", "replace").decode("latin-1"))
