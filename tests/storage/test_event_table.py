"""The table of events in docs/FORMAT.md has what the device writes."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTED = re.compile(r'\b_?note\(\s*"([^"]+)"|\bEvent\(\s*[^,()]+(?:\([^()]*\))?[^,()]*,\s*"([^"]+)"')


def test_every_event_that_the_device_notes_is_in_the_table() -> None:
    table = {
        name
        for row in re.findall(r"^\| (`.*?) \|", (ROOT / "docs/FORMAT.md").read_text("utf-8"), re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", row)
    }
    noted = {
        one or other
        for path in (ROOT / "firmware").glob("*.py")
        for one, other in NOTED.findall(path.read_text("utf-8"))
    }
    assert {"boot", "button", "marker", "self-test", "events-dropped"} <= noted, "the search itself must find them"
    assert noted - table == set()
