"""The long shift, made short: a whole device, many recordings, nothing that grows."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tools.soak.plot import Panel, draw
from tools.soak.shift import Result, Sample, Shift, page, picture


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return Shift(tmp_path_factory.mktemp("shift") / "device", seed=1).run(16, 0.03, every=2)


def test_a_short_shift(result: Result) -> None:
    assert (result.verdict, result.gaps, result.kept_recordings) == ("authentic", 0, 16)
    assert result.media_s >= 0.03 * 3600
    assert abs(result.kept_s - result.media_s) < 16 * 0.2
    assert len({sample.threads for sample in result.samples[1:]}) == 1, "threads that a recording leaves behind"
    assert len({sample.descriptors for sample in result.samples[1:]}) == 1


def test_what_grows_is_said(result: Result) -> None:
    steady = [Sample(number, number, 80.0, 8, 8, 100.0) for number in range(40)]
    good = replace(result, samples=tuple(steady), verdict="authentic", gaps=0)
    assert good.complaints() == []
    leaking = [replace(sample, rss_mib=80 + number / 4) for number, sample in enumerate(steady)]
    assert "memory grew by 5.0 MiB" in replace(good, samples=tuple(leaking)).complaints()[0]
    threads = [replace(sample, threads=8 + number) for number, sample in enumerate(steady)]
    assert "number of threads" in replace(good, samples=tuple(threads)).complaints()[0]
    files = [replace(sample, descriptors=8 + number // 39) for number, sample in enumerate(steady)]
    assert "number of descriptors" in replace(good, samples=tuple(files)).complaints()[0]
    assert "authentic, with 1 gaps" in replace(good, gaps=1).complaints()[0]
    assert "15 recordings" in replace(good, kept_recordings=15).complaints()[0]
    assert "recordings and 1 s" in replace(good, kept_s=1.0).complaints()[0]


def test_the_page_and_the_picture_are_of_the_figures(result: Result) -> None:
    assert "| recordings started and stopped | 16 |" in page(result)
    root = ElementTree.fromstring(picture(result))  # noqa: S314 - made here
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 4


def test_a_line_stays_in_its_panel() -> None:
    root = ElementTree.fromstring(draw("a < b", "h", [0, 1, 2], [Panel("RSS", "MiB", [0, 50, 100])]))  # noqa: S314 - made here
    (line,) = root.findall("{http://www.w3.org/2000/svg}polyline")
    (_all, frame) = root.findall("{http://www.w3.org/2000/svg}rect")
    top, height = float(frame.attrib["y"]), float(frame.attrib["height"])
    ys = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert ys == sorted(ys, reverse=True)
    assert top <= min(ys) <= max(ys) <= top + height
