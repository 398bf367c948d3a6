"""The page and the drawing of the states are those of the table."""

from __future__ import annotations

from pathlib import Path

from tools.docs.states import dot, markdown

DOCS = Path(__file__).resolve().parents[2] / "docs"
HINT = "the table of states changed: run `make docs`"


def test_the_page_is_the_table() -> None:
    assert (DOCS / "STATES.md").read_text("utf-8") == markdown(), HINT


def test_the_drawing_is_the_table() -> None:
    assert (DOCS / "states.dot").read_text("utf-8") == dot(), HINT
    assert (DOCS / "states.svg").stat().st_size > 1000
