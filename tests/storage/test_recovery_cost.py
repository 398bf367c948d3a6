"""A boot looks at the end of the chain alone, however long the chain is."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage import recovery
from storage.recovery import recover
from storage.segment_report import SegmentReport
from storage.segment_report import verify_segment as verify_for_real
from tools.bench.recovering import fill, recovering_rows


def test_one_segment_is_read_whatever_the_length_of_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = fill(tmp_path / "store", 40)
    read: list[str] = []

    def counted(path: Path, identity: bytes) -> SegmentReport:
        read.append(path.name)
        return verify_for_real(path, identity)

    monkeypatch.setattr(recovery, "verify_segment", counted)
    with scratch.open() as store:
        identity = store.identity
    assert read == ["0000000040.seg"]
    read.clear()
    assert recover(scratch.flash, identity).torn_bytes == 0
    assert read == ["0000000040.seg"]


def test_the_measurement_measures(tmp_path: Path) -> None:
    recovery_row, index_row = recovering_rows(tmp_path / "store", 12)
    assert recovery_row.name == "recovery at boot"
    assert "12 segments" in recovery_row.detail
    assert "12 headers" in index_row.detail
    assert not (tmp_path / "store").exists()
