"""docs/SECURITY.md against ETSI EN 303 645 V2.1.1: every provision is answered once, with the status it has there."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "SECURITY.md"
# Its table B.1; a C stands for whatever condition. 6-3 is conditional by its own words: "consumers who gave consent".
STATUS = {
    "4": "M", "5.1": "MC MC M MC MC", "5.2": "M R R",
    "5.3": "R MC MC RC RC RC MC MC RC MC RC RC M RC RC M", "5.4": "M MC M M", "5.5": "M R R R M R M M",
    "5.6": "M M R MC R R R R R", "5.7": "R R", "5.8": "R M M", "5.9": "R R R", "5.10": "RC", "5.11": "M R R R",
    "5.12": "R R R", "5.13": "M", "6": "M MC MC RC MC",
}  # fmt: skip
ANSWERS = {"yes", "partly", "no", "n/a"}


def rows() -> list[list[str]]:
    text = PAGE.read_text("utf-8").partition("## Against ETSI EN 303 645")[2]
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:2] == "| "]
    return [row for row in found if re.match(r"\d", row[0])]


def test_every_provision_is_answered_once_with_its_status() -> None:
    answered: dict[str, str] = {}
    for row in rows():
        assert len(row) == 4, row
        names = re.findall(r"\b\d+(?:\.\d+)?-\d+\b", row[0].partition(" (")[0])
        assert names, row
        for name in names:
            assert name not in answered, name
            answered[name] = row[1].replace(" ", "")
    wanted = {
        f"{clause}-{number}": status
        for clause, listed in STATUS.items()
        for number, status in enumerate(listed.split(), 1)
    }
    assert answered == wanted
    assert len(answered) == 68


def test_each_answer_is_one_and_says_why() -> None:
    for name, status, answer, why in rows():
        assert answer.strip("*") in ANSWERS, name
        assert len(why) >= 10, name
        assert answer != "n/a" or "C" in status, f"{name}: that it does not apply is for conditional ones to say"


def test_what_the_page_points_at_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE.read_text("utf-8"))
    assert len(links) > 50
    missing = [link for link in links if not (PAGE.parent / link).exists()]
    assert not missing
