"""docs/boards/ is what the profiles say, byte for byte, and the drawings hold every wire."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from firmware.board import Board, find_board
from firmware.board_wiring import wires
from tools.docs.boards import NAMES, TARGET, made, main, page
from tools.docs.header_drawing import draw_header

_SVG = "{http://www.w3.org/2000/svg}"


def test_the_pages_are_those_of_the_profiles() -> None:
    expected = made()
    assert sorted(TARGET.iterdir()) == sorted(expected), "run: python -m tools.docs.boards"
    for path, text in expected.items():
        assert path.read_text("utf-8") == text, f"{path.name} is old; run: python -m tools.docs.boards"


def test_they_are_written_where_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.docs.boards.TARGET", tmp_path / "boards")
    assert main() == 0
    assert {path.name for path in (tmp_path / "boards").iterdir()} == {
        "pi4.md", "pi4.svg", "pi5.md", "pi5.svg", "simulated.md", "zero2w.md", "zero2w.svg",
    }  # fmt: skip


@pytest.fixture(params=["zero2w", "pi4", "pi5"])
def board(request: pytest.FixtureRequest) -> Board:
    return find_board(request.param)


def test_every_wire_is_a_row_of_the_table(board: Board) -> None:
    rows = page(board).splitlines()
    for wire in wires(board):
        cells = f"| {NAMES[wire.part]} | {wire.signal} | {wire.bcm or ''} | {wire.header_pin or ''} |"
        assert any(row.startswith(cells) for row in rows), cells


def test_every_wire_is_in_the_drawing_beside_its_pin(board: Board) -> None:
    drawing = ET.fromstring(draw_header(board, NAMES))  # noqa: S314 - our own text
    texts = [("".join(text.itertext()), float(text.get("y", "0"))) for text in drawing.iter(f"{_SVG}text")]
    height = {int(text): y for text, y in texts if text.isdigit()}
    assert sorted(height) == list(range(1, 41))
    for wire in wires(board):
        if wire.header_pin is None:
            assert any(NAMES[wire.part] in text.lower() or NAMES[wire.part] in text for text, _ in texts)
            continue
        beside = [text for text, y in texts if y == height[wire.header_pin]]
        assert any(NAMES[wire.part] in text and wire.signal in text for text in beside), wire


def test_nothing_is_drawn_twice_in_one_place(board: Board) -> None:
    drawing = ET.fromstring(draw_header(board, NAMES))  # noqa: S314 - our own text
    boxes = [(box.get("x"), box.get("y")) for box in drawing.iter(f"{_SVG}rect")]
    assert len(boxes) == len(set(boxes))
