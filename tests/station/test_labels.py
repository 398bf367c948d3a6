"""Labels: who a device is, to people and to readers; one by one, or for a whole tray."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.enrolment.ending import COLUMNS
from station.errors import StationError
from station.labels import Label, label_of, svg

LABEL = label_of(bytes(range(32)), "camera 7")


def run(*arguments: str) -> list[Path]:
    """Return what it wrote."""
    done = CliRunner().invoke(app, ["label", *arguments])
    if isinstance(done.exception, StationError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return [Path(line) for line in done.output.splitlines()]


def arguments(to: Path, **changes: str) -> list[str]:
    values = {"device": LABEL.device, "fingerprint": LABEL.fingerprint, "name": "camera 7", "output": str(to)}
    return [item for key, value in (values | changes).items() for item in (f"--{key}", value)]


def test_a_label_says_who_the_device_is_to_people_and_to_readers(tmp_path: Path) -> None:
    assert LABEL.fingerprint.startswith(LABEL.device)
    output = tmp_path / "labels.pdf"
    made = run(*arguments(output))
    assert output.read_bytes().startswith(b"%PDF")
    assert made == [output, tmp_path / f"labels-{LABEL.device[:8]}.svg"]
    picture = made[1].read_text()
    assert LABEL.device[:8] in picture
    assert picture == svg(LABEL)
    assert "&lt;b&gt;" in svg(Label(LABEL.device, LABEL.fingerprint, "<b>"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"device": "x"}, "a label has"), ({"fingerprint": "x"}, "a label has"), ({"name": "x" * 25}, "a label's name"),
     ({"device": ""}, "name --device and --fingerprint, or a --csv"), ({"output": "none/x.pdf"}, "cannot write"),
     ({"csv": "x"}, "name --device")],
)  # fmt: skip
def test_what_will_not_do_is_refused(
    tmp_path: Path, changes: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StationError, match=says):
        run(*arguments(tmp_path / "labels.pdf", **changes))


def test_a_list_of_serials_becomes_a_page_each(tmp_path: Path) -> None:
    file = tmp_path / "serials.csv"
    other = label_of(bytes(32), "camera 8")

    def row(label: Label, name: str, result: str) -> str:
        return ",".join(["", "", "", label.device, label.fingerprint, name, result])

    lines = [",".join(COLUMNS), row(LABEL, "old", "enrolled"), row(other, "x" * 80, "refused: why"),
             row(LABEL, "y" * 80, "already enrolled")]  # fmt: skip
    file.write_text("\r\n".join(lines) + "\r\n")
    made = run("--csv", str(file), "--output", str(tmp_path / "all.pdf"))
    assert [path.name for path in made] == ["all.pdf", f"all-{LABEL.device[:8]}.svg"]
    assert "y" * 24 in made[1].read_text()
    for text, says in (("", "names no device"), ("a,b\n1,2\n", "no list of serials"), (lines[0] + "\n", "names no")):
        file.write_text(text)
        with pytest.raises(StationError, match=says):
            run("--csv", str(file), "--output", str(tmp_path / "all.pdf"))
    with pytest.raises(StationError, match="cannot read"):
        run("--csv", str(tmp_path / "none"), "--output", str(tmp_path / "all.pdf"))
