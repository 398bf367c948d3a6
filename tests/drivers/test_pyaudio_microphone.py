"""The sound card's driver against a PortAudio made of plain objects. `make rig` runs the real one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.errors import DriverError, DriverUnavailableError
from drivers.microphone import pyaudio_microphone
from drivers.microphone.disabled import DisabledMicrophone
from drivers.microphone.protocol import AudioFormat, PcmBlock
from drivers.microphone.pyaudio_microphone import PyAudioMicrophone, load_pyaudio

FORMAT = AudioFormat(48_000, 1)
BLOCK = bytes(1_920)
BLOCK_NS = 20_000_000


class FakeStream:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.closed = False
        self.gate: threading.Event | None = None

    def hear(self, *, heard_s: float = 0.0, current_s: float = 0.0, status: int = 0, data: bytes | None = BLOCK) -> Any:
        time_info = {"input_buffer_adc_time": heard_s, "current_time": current_s, "output_buffer_dac_time": 0.0}
        return self.options["stream_callback"](data, 960, time_info, status)

    def close(self) -> None:
        if self.gate is not None:
            self.gate.wait(30)
        self.closed = True


class FakePyAudio:
    """The module and its class in one."""

    paInt16, paInputOverflow, paContinue = 8, 2, 0  # noqa: N815 - PortAudio's names

    def __init__(self) -> None:
        self.streams: list[FakeStream] = []
        self.initialised = 0
        self.refusal: OSError | None = None
        self.devices = [("HDMI", 0), ("bcm2835 line", 2), ("USB Microphone", 1)]

    def PyAudio(self) -> FakePyAudio:  # noqa: N802 - its name
        self.initialised += 1
        return self

    def terminate(self) -> None:
        self.initialised -= 1

    def get_device_count(self) -> int:
        return len(self.devices)

    def get_device_info_by_index(self, index: int) -> dict[str, Any]:
        name, inputs = self.devices[index]
        return {"name": name, "maxInputChannels": inputs}

    def open(self, **options: Any) -> FakeStream:
        if self.refusal is not None:
            raise self.refusal
        self.streams.append(FakeStream(options))
        return self.streams[-1]


class Bench:
    def __init__(self) -> None:
        self.pyaudio = FakePyAudio()
        self.now_ns = 500_000_000_000
        self.blocks: list[PcmBlock] = []
        self.microphone = self.make(None)

    def make(self, device: str | None) -> PyAudioMicrophone:
        return PyAudioMicrophone(device=device, load=lambda: self.pyaudio, now=lambda: self.now_ns)

    def start(self) -> FakeStream:
        self.microphone.start(FORMAT, self.blocks.append)
        return self.pyaudio.streams[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.microphone.close()


def test_the_format_reaches_portaudio(bench: Bench) -> None:
    options = bench.start().options
    assert (options["rate"], options["channels"], options["format"]) == (48_000, 1, 8)
    assert (options["input"], options["frames_per_buffer"], options["input_device_index"]) == (True, 960, None)


def test_a_block_is_dated_by_when_it_was_heard(bench: Bench) -> None:
    stream = bench.start()
    # A clock of PortAudio's own; the callback runs 3 ms late the first time, at once the second time.
    stream.hear(heard_s=100.000, current_s=100.025)
    bench.now_ns += BLOCK_NS - 3_000_000
    stream.hear(heard_s=100.020, current_s=100.045)
    assert [block.capture_ns for block in bench.blocks] == [
        500_000_000_000 - 25_000_000,
        500_000_000_000 + BLOCK_NS - 3_000_000 - 25_000_000,
    ]
    assert not any(block.overflowed for block in bench.blocks)


def test_a_monotonic_clock_of_portaudio_is_taken_at_its_word(bench: Bench) -> None:
    bench.start().hear(heard_s=499.970, current_s=499.995)
    assert abs(bench.blocks[0].capture_ns - 499_970_000_000) < 1_000


def test_a_block_that_claims_to_be_younger_than_it_is_long_ended_now(bench: Bench) -> None:
    bench.start().hear(heard_s=499.999, current_s=499.999)
    assert bench.blocks[0].capture_ns == bench.now_ns - BLOCK_NS


@pytest.mark.parametrize(("heard_s", "current_s"), [(0.0, 0.0), (0.0, 100.0), (100.0, 99.0), (90.0, 100.0)])
def test_without_sane_times_a_block_ended_now(bench: Bench, heard_s: float, current_s: float) -> None:
    bench.start().hear(heard_s=heard_s, current_s=current_s)
    assert bench.blocks[0].capture_ns == bench.now_ns - BLOCK_NS


def test_an_overflow_is_counted_and_passed_on(bench: Bench) -> None:
    stream = bench.start()
    stream.hear()
    stream.hear(status=2)
    stream.hear(status=4)
    assert [block.overflowed for block in bench.blocks] == [False, True, False]
    assert bench.microphone.overflows == 1
    bench.microphone.stop()
    bench.start()
    assert bench.microphone.overflows == 0


def test_no_exception_leaves_the_callback(bench: Bench) -> None:
    def full(block: PcmBlock) -> None:
        raise MemoryError("queue is full")

    bench.microphone.start(FORMAT, full)
    assert bench.pyaudio.streams[-1].hear() == (None, 0)
    assert "queue is full" in str(bench.microphone.fault())


def test_a_callback_without_data_is_no_block(bench: Bench) -> None:
    assert bench.start().hear(data=None) == (None, 0)
    assert bench.blocks == []


def test_start_and_stop_again_and_nothing_after_a_stop(bench: Bench) -> None:
    for _ in range(2):
        stream = bench.start()
        stream.hear()
        bench.microphone.stop()
        assert stream.closed
        stream.hear()
        bench.microphone.stop()
    assert len(bench.blocks) == 2
    assert bench.pyaudio.initialised == 0


def test_silence_is_a_fault(bench: Bench) -> None:
    stream = bench.start()
    stream.hear()
    assert bench.microphone.fault() is None
    bench.now_ns += pyaudio_microphone.STALL_NS + 1
    assert str(bench.microphone.fault()).startswith("microphone: no sound for 1.0 s")


def test_an_input_is_chosen_by_a_part_of_its_name(bench: Bench) -> None:
    with bench.make("usb") as microphone:
        microphone.start(FORMAT, bench.blocks.append)
        assert bench.pyaudio.streams[-1].options["input_device_index"] == 2


def test_an_input_that_is_not_there(bench: Bench) -> None:
    with bench.make("HDMI") as microphone:
        with pytest.raises(DriverError, match="no input is called 'HDMI'; present: bcm2835 line, USB Microphone"):
            microphone.start(FORMAT, bench.blocks.append)
        assert bench.pyaudio.initialised == 0


def test_an_error_of_portaudio_is_one_clear_line(bench: Bench) -> None:
    bench.pyaudio.refusal = OSError(-9997, "Invalid sample rate")
    with pytest.raises(DriverError, match=r"48000 Hz with 1 channel\(s\) cannot be opened .*Invalid sample rate"):
        bench.start()
    bench.pyaudio.refusal = None
    bench.start().hear()
    assert len(bench.blocks) == 1


def test_a_second_start_and_a_start_after_the_close_are_errors(bench: Bench) -> None:
    bench.start()
    with pytest.raises(DriverError, match="running already"):
        bench.start()
    bench.microphone.close()
    bench.microphone.close()
    with pytest.raises(DriverError, match="closed"):
        bench.start()


def test_a_card_that_does_not_stop_is_left_behind(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyaudio_microphone, "STOP_TIMEOUT_S", 0.01)
    stream = bench.start()
    stream.gate = threading.Event()
    try:
        bench.microphone.stop()
        assert "microphone-stop did not finish" in str(bench.microphone.fault())
        with pytest.raises(DriverError, match="restart the process"):
            bench.start()
    finally:
        stream.gate.set()


def test_without_pyaudio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(DriverUnavailableError, match="libportaudio2"):
        load_pyaudio()


def test_a_disabled_microphone_is_absent_and_without_fault() -> None:
    blocks: list[PcmBlock] = []
    sink: Callable[[PcmBlock], None] = blocks.append
    with DisabledMicrophone() as microphone:
        microphone.start(FORMAT, sink)
        assert not microphone.present
        assert microphone.fault() is None
        microphone.stop()
    assert blocks == []
