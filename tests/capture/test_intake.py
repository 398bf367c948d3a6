"""The queue between drivers and reader: its bounds, and what it will not take."""

from __future__ import annotations

import pytest

from capture.chunk import NO_KEY, OVERFLOW, STALL, TIMESTAMP
from capture.intake import Intake, TakenBlock, TakenPicture
from capture.limits import Limits
from drivers.camera.protocol import AccessUnit
from drivers.microphone.protocol import PcmBlock
from tests.capture.fakes import BLOCK, FRAME, SECOND, Clock


@pytest.fixture
def intake() -> Intake:
    return Intake(Limits(video_queue_bytes=10_000, audio_queue_bytes=3_000), Clock())


def _unit(number: int, *, key: bool = False, size: int = 744) -> AccessUnit:
    return AccessUnit(bytes(size), 999 * SECOND + number * FRAME, key)


def _block(number: int, size: int = 744) -> PcmBlock:
    return PcmBlock(bytes(size), 999 * SECOND + number * BLOCK)


def _taken(intake: Intake) -> list[tuple[int, int, str | None]]:
    pictures = []
    while items := intake.take(0):
        for item in items:
            assert isinstance(item, TakenPicture)
            pictures.append(((item.unit.capture_ns - 999 * SECOND) // FRAME, item.lost, item.cause))
    return pictures


def test_it_begins_with_a_key_picture(intake: Intake) -> None:
    assert not intake.put_video(_unit(0))
    assert intake.put_video(_unit(1, key=True))
    assert _taken(intake) == [(1, 1, NO_KEY)]


def test_overflow_drops_new_pictures_until_a_key_picture_fits(intake: Intake) -> None:
    for number in range(20):
        assert intake.put_video(_unit(number, key=number % 8 == 0))
    assert intake.highest_bytes <= 10_000
    first = _taken(intake)
    assert first == [(number, 0, None) for number in range(10)]
    # There is room again, but what follows refers to pictures that are gone.
    for number in range(20, 26):
        assert intake.put_video(_unit(number, key=number == 24)), "the camera is not to blame for an overflow"
    assert _taken(intake) == [(24, 14, OVERFLOW), (25, 0, None)]
    assert intake.dropped_frames == 14


@pytest.mark.parametrize("wrong", [3, 2, -90, 60 + 31])
def test_times_that_stand_still_run_back_or_ahead_are_refused(intake: Intake, wrong: int) -> None:
    for number in range(4):
        assert intake.put_video(_unit(number, key=number == 0))
    assert not intake.put_video(_unit(wrong))
    assert not intake.put_video(_unit(5))
    assert not intake.put_video(_unit(wrong, key=True))
    assert intake.put_video(_unit(7, key=True))
    assert _taken(intake)[4:] == [(7, 3, TIMESTAMP)]


def test_a_restart_wants_a_key_picture_and_says_why(intake: Intake) -> None:
    intake.put_video(_unit(0, key=True))
    intake.video_restarted(STALL)
    assert not intake.put_video(_unit(60))
    assert intake.put_video(_unit(61, key=True, size=700)) is False, "further ahead than a second is no time"
    intake._clock.now_ns += 2 * SECOND  # type: ignore[attr-defined]
    assert intake.put_video(_unit(62, key=True))
    assert _taken(intake)[1][2] == STALL


def test_sound_overflow_is_told_with_the_next_block(intake: Intake) -> None:
    for number in range(6):
        assert intake.put_audio(_block(number)), "the microphone is not to blame for an overflow"
    assert intake.dropped_blocks == 3
    blocks = [item for item in intake.take(0) if isinstance(item, TakenBlock)]
    assert [block.cause for block in blocks] == [None, None, None]
    intake.put_audio(_block(6))
    (item,) = intake.take(0)
    assert isinstance(item, TakenBlock)
    assert item.cause == OVERFLOW


def test_a_flood_of_empty_items_is_bounded_too(intake: Intake) -> None:
    for _ in range(1000):
        intake.put_audio(_block(0, size=0))
    assert intake.dropped_blocks > 900


@pytest.mark.parametrize("wrong_s", [0, 988, 1002, 5000])
def test_times_that_cannot_be_are_refused(intake: Intake, wrong_s: int) -> None:
    """One block from the far future must not make all that follows seem to come from the past."""
    assert not intake.put_audio(PcmBlock(bytes(744), wrong_s * SECOND))
    assert not intake.put_video(AccessUnit(bytes(744), wrong_s * SECOND, key=True))
    assert intake.untold() == (1, TIMESTAMP, TIMESTAMP)
    assert intake.put_audio(_block(0))
    assert intake.put_video(_unit(0, key=True))
    block, picture = intake.take(0)
    assert (block.cause, picture.cause) == (TIMESTAMP, TIMESTAMP)
    assert (intake.dropped_blocks, intake.dropped_frames) == (1, 1)
    assert intake.untold() == (0, None, None)


def test_once_shut_it_gives_what_it_has_and_takes_nothing(intake: Intake) -> None:
    assert intake.put_video(_unit(0, key=True))
    intake.shut()
    assert not intake.put_video(_unit(1))
    assert not intake.put_audio(_block(0))
    assert intake.waiting
    assert len(intake.take(0)) == 1
    assert not intake.waiting
    assert (intake.dropped_frames, intake.dropped_blocks) == (0, 0)
