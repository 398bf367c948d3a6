"""What gives way when the flash is full, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import StoreFailedError
from storage.room import JournalRoom, journal_room, minutes_left
from tests.storage.kit import Device

MIB = 1024 * 1024
ORDER = [JournalRoom.NEEDED, JournalRoom.RARE, JournalRoom.ALL]


@given(st.integers(0, 200 * MIB), st.integers(0, 200 * MIB))
def test_the_less_is_free_the_less_is_written(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert ORDER.index(journal_room(low, 64 * MIB)) <= ORDER.index(journal_room(high, 64 * MIB))


def test_the_limits() -> None:
    assert journal_room(16 * MIB, 64 * MIB) is JournalRoom.ALL
    assert journal_room(16 * MIB - 1, 64 * MIB) is JournalRoom.RARE
    assert journal_room(4 * MIB, 64 * MIB) is JournalRoom.RARE
    assert journal_room(4 * MIB - 1, 64 * MIB) is JournalRoom.NEEDED
    assert journal_room(0, 0) is JournalRoom.ALL, "without a reserve there is none to guard"


def test_minutes() -> None:
    assert minutes_left(60_000_000, 1_000_000) == 1
    assert minutes_left(59_999_999, 1_000_000) == 0
    assert minutes_left(-5, 1_000_000) == 0
    with pytest.raises(ValueError, match="give what a recording takes"):
        minutes_left(5, 0)


def test_a_store_looks_at_its_medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Device(tmp_path).open() as store:
        assert store.journal_room() is JournalRoom.ALL
        _fail(monkeypatch)
        with pytest.raises(StoreFailedError, match="does not answer"):
            store.journal_room()


def _fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.statvfs", refuse)
