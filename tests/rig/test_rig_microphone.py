"""The real PyAudio driver listens to an ALSA device made of plug-ins."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from drivers.errors import DriverError
from drivers.microphone.protocol import AudioFormat, PcmBlock
from drivers.microphone.pyaudio_microphone import PyAudioMicrophone
from tests.rig.collector import Collector, until
from tests.rig.sound_card import SoundCard, tone

pytestmark = pytest.mark.rig

FORMAT = AudioFormat(sample_rate=48_000, channels=1)


def samples(blocks: list[PcmBlock]) -> np.ndarray:
    """Join blocks to samples."""
    return np.frombuffer(b"".join(block.data for block in blocks), dtype="<i2")


def jumps(values: np.ndarray) -> np.ndarray:
    """List by how many samples a counting card's stream jumps, where it does."""
    steps = np.diff(values.view(np.uint16).astype(np.int64)) % 65_536
    return steps[steps != 1] - 1


def test_it_delivers_every_sample_once_in_order_and_in_time(
    sound_card: SoundCard, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks: Collector[PcmBlock] = Collector()
    with PyAudioMicrophone() as microphone:
        assert microphone.present
        before_ns = time.monotonic_ns()
        microphone.start(FORMAT, blocks)
        blocks.wait(275)
        microphone.stop()
        after_ns = time.monotonic_ns()
        assert microphone.fault() is None
        assert microphone.overflows == 0
        assert blocks.none_within(0.2)

    values = samples(blocks.items)
    assert values[0] == 0
    assert jumps(values).tolist() == []
    assert not any(block.overflowed for block in blocks.items)

    stamps = np.array([block.capture_ns for block in blocks.items])
    counted = np.cumsum([0, *(len(block.data) // 2 for block in blocks.items)])[:-1]
    assert before_ns < stamps[0]
    assert stamps[-1] < after_ns
    assert (np.diff(stamps) >= 0).all()
    seconds = (stamps[-1] - stamps[0]) / 1e9
    assert seconds > 5
    assert (counted[-1] - counted[0]) / seconds == pytest.approx(FORMAT.sample_rate, rel=0.01)
    late_ms = (stamps - sound_card.began_ns) / 1e6 - counted / FORMAT.sample_rate * 1e3
    assert abs(late_ms[0]) < 60  # a busy machine may open the card late
    assert abs(np.median(late_ms)) < 5
    with capsys.disabled():
        print(  # noqa: T201
            f"\nmicrophone: {len(values) / FORMAT.sample_rate:.2f} s of sound, stamps late by "
            f"{np.median(late_ms):+.2f} ms (median; the first by {late_ms[0]:+.2f}, standard deviation "
            f"{late_ms.std():.2f}, from {late_ms.min():+.2f} to {late_ms.max():+.2f})"
        )


def test_what_it_hears_is_what_the_card_plays(sound_card: SoundCard) -> None:
    sound_card.samples = tone(1_000, 48_000)
    blocks: Collector[PcmBlock] = Collector()
    with PyAudioMicrophone(device="default") as microphone:
        microphone.start(FORMAT, blocks)
        blocks.wait(70)
    heard = samples(blocks.items)[-48_000:].astype(float)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert np.argmax(spectrum) == 1_000  # one bin is one hertz
    assert np.abs(heard).max() == pytest.approx(16_384, rel=0.01)
    beside = np.delete(spectrum, slice(995, 1_006))
    assert beside.max() < spectrum[1_000] / 1_000


def test_a_sink_that_lingers_loses_sound_and_the_stamps_show_it(small_sound_card: SoundCard) -> None:
    lingered = threading.Event()
    blocks: Collector[PcmBlock] = Collector()

    def sink(block: PcmBlock) -> None:
        blocks(block)
        if len(blocks.items) == 50:
            until(lambda: small_sound_card.lost_blocks >= lost_before + 20)  # 400 ms of sound
            lingered.set()

    with PyAudioMicrophone() as microphone:
        lost_before = 1_000
        microphone.start(FORMAT, sink)
        blocks.wait(30)
        lost_before = small_sound_card.lost_blocks
        assert lingered.wait(10)
        blocks.wait(120)
    values = samples(blocks.items)
    lost = int(jumps(values).sum())
    assert lost >= 20 * 960
    stamps = np.array([block.capture_ns for block in blocks.items])
    silent_ms = (stamps[-1] - stamps[20]) / 1e6 - len(samples(blocks.items[20:-1])) / 48
    assert silent_ms == pytest.approx(lost / 48, abs=80)


def test_a_card_that_falls_silent_is_a_fault_and_a_restart_mends_it(sound_card: SoundCard) -> None:
    blocks: Collector[PcmBlock] = Collector()
    with PyAudioMicrophone(stall_ns=300_000_000) as microphone:
        microphone.start(FORMAT, blocks)
        blocks.wait(10)
        sound_card.plugged.clear()
        until(lambda: microphone.fault() is not None)
        assert "no sound for" in str(microphone.fault())
        sound_card.plugged.set()
        microphone.stop()
        again: Collector[PcmBlock] = Collector()
        microphone.start(FORMAT, again)
        again.wait(10)
        assert microphone.fault() is None


def test_what_it_cannot_do_is_one_clear_line(sound_card: SoundCard) -> None:
    blocks: Collector[PcmBlock] = Collector()
    with PyAudioMicrophone(device="lavalier") as microphone, pytest.raises(DriverError, match="'lavalier'") as caught:
        microphone.start(FORMAT, blocks)
    assert "\n" not in str(caught.value)
    assert blocks.items == []
