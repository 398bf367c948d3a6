"""Pictures and cards in docs/ are what their tools make of the code, and the cards leave nothing out."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest

from firmware.cues import Cue, Note
from firmware.patterns import CUES, DIM, FULL, NOTES, Step
from tools.docs import card, faults, lanes, signals
from tools.docs.card_text import CALLS, DUTCH, ENGLISH, CardText

REPOSITORY = Path(__file__).parents[2]
AGAIN = "run `make docs` and commit what it makes"

languages = pytest.mark.parametrize("language", sorted(card.CARDS))
cards = pytest.mark.parametrize("text", [DUTCH, ENGLISH], ids=lambda text: text.language)


class Reader(HTMLParser):
    """Collects what is read on a page, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Bars and lines of pictures hold nothing."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_the_picture_is_made_from_the_patterns() -> None:
    assert signals.PICTURE.read_text(encoding="utf-8") == signals.draw(), AGAIN


@languages
def test_the_card_is_made_from_patterns_and_words(language: str) -> None:
    stored = (card.FOLDER / f"card-{language}.html").read_text(encoding="utf-8")
    assert stored == card.page(card.CARDS[language]), AGAIN


@languages
def test_the_pdf_is_one_page_printed_from_that_card(language: str) -> None:
    pdf = (card.FOLDER / f"card-{language}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert card.pages_of(pdf) == 1
    assert card.printed_from(pdf) == card.digest(card.page(card.CARDS[language])), AGAIN


def test_a_page_beyond_the_first_would_be_seen(tmp_path: Path) -> None:
    html = tmp_path / "card-nl.html"
    two = card.page(DUTCH).replace("</body>", '<p style="break-before: page">two</p></body>')
    html.write_text(two, encoding="utf-8")
    pdf = card.print_pdf(html)
    assert card.pages_of(pdf) == 2
    assert card.printed_from(pdf) == card.digest(two)
    assert card.printed_from(pdf[:-1]) is None


def test_a_browser_that_is_not_there_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    html = tmp_path / "card.html"
    html.write_text("<p>", encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"^card: card\.html was not printed .*install chromium$"):
        card.print_pdf(html)


def test_a_changed_pattern_changes_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, page = signals.draw(), card.page(ENGLISH)
    monkeypatch.setitem(NOTES, Note.MARKER, dataclasses.replace(NOTES[Note.MARKER], touch=(Step(1, 300),)))
    assert signals.draw() != picture
    assert card.page(ENGLISH) != page


@cards
def test_every_cue_and_every_note_is_on_the_card(text: CardText) -> None:
    assert set(text.cues) == set(Cue)
    answered = {note for gesture in text.gestures for note in gesture.answers}
    assert answered | set(text.notes) == set(Note)
    assert not answered & set(text.notes)
    assert set(CALLS) == {cue for cue, pattern in CUES.items() if pattern.touch}
    assert len(text.tasks) == 5


@cards
def test_the_card_says_it_all_and_fetches_nothing(text: CardText) -> None:
    reader = Reader()
    reader.feed(card.page(text))
    reader.close()
    assert reader.open == []
    assert reader.fetched == []
    said = "".join(reader.said)
    for line in (*text.cues.values(), *text.notes.values()):
        assert line.means in said
        assert line.do in said
    for gesture in text.gestures:
        assert gesture.do in said


def test_both_cards_say_the_same_things() -> None:
    assert list(DUTCH.cues) == list(ENGLISH.cues)
    assert list(DUTCH.notes) == list(ENGLISH.notes)
    assert [(gesture.presses, gesture.answers) for gesture in DUTCH.gestures] == [
        (gesture.presses, gesture.answers) for gesture in ENGLISH.gestures
    ]


@pytest.mark.parametrize(
    ("note", "said"),
    [
        (Note.STARTED, "2× short"),
        (Note.STOPPED, "long"),
        (Note.MARKER, "short"),
        (Note.PRIVATE_ON, "short-long"),
        (Note.COUNT, "tick"),
        (Note.WARNING, "6× short, quick"),
        (Note.REMINDER, "3× short, slow"),
    ],
)
def test_rhythms_in_words(note: Note, said: str) -> None:
    assert card.in_words(NOTES[note].touch, ENGLISH.words) == said


def test_no_two_notes_are_called_the_same() -> None:
    said = [card.in_words(pattern.touch, DUTCH.words) for pattern in NOTES.values()]
    said += [card.in_words(CUES[cue].touch[:-1], DUTCH.words) for cue in CALLS]
    assert len(set(said)) == len(said)


def test_a_lane_is_drawn_to_the_edge_and_not_beyond() -> None:
    lane = (Step(FULL, 300), Step(0, 100), Step(DIM, 100), Step(DIM, 100))
    assert lanes.spans(lane, 1000, repeats=True) == [(0, 300, FULL), (400, 600, DIM), (600, 900, FULL)]
    assert lanes.spans(lane, 1000, repeats=False) == [(0, 300, FULL), (400, 600, DIM)]
    assert lanes.spans(lane, 200, repeats=False) == [(0, 200, FULL)]
    assert lanes.spans((), 1000, repeats=True) == []


def test_a_rhythm_is_drawn_from_its_brightest_step_on() -> None:
    assert lanes.from_first_lit(CUES[Cue.STANDBY].light) == (Step(DIM, 100), Step(0, 9900))
    assert lanes.from_first_lit(()) == ()


def test_the_tools_write_where_they_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signals.main([str(tmp_path / "signals.svg")])
    assert (tmp_path / "signals.svg").read_bytes() == signals.PICTURE.read_bytes()
    for language in card.CARDS:
        name = f"card-{language}.pdf"
        (tmp_path / name).write_bytes((card.FOLDER / name).read_bytes())
    card.main([str(tmp_path)])
    for language in card.CARDS:
        for name in (f"card-{language}.html", f"card-{language}.pdf"):
            assert (tmp_path / name).read_bytes() == (card.FOLDER / name).read_bytes()
    assert str(tmp_path) in capsys.readouterr().out


def test_the_page_about_signals_links_to_what_is_there() -> None:
    page = REPOSITORY / "docs" / "SIGNALS.md"
    for target in ("signals.svg", "card/card-nl.pdf", "card/card-en.pdf", "../firmware/patterns.py"):
        assert f"({target})" in page.read_text(encoding="utf-8")
        assert (page.parent / target).is_file()


def test_the_faults_are_those_that_tests_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert faults.PAGE.read_text(encoding="utf-8") == faults.page(), AGAIN


def test_a_fault_without_its_test_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    lost = faults.Fault("x", (), "y", ("tests/tools/test_docs.py::test_that_is_not_there",))
    monkeypatch.setitem(faults.GROUPS, "z", (lost,))
    with pytest.raises(LookupError, match=r"no such test: .*::test_that_is_not_there"):
        faults.page()
