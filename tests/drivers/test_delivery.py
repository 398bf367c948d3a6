"""The hand-over from a driver's thread, and the clocks and bounds that drivers share."""

from __future__ import annotations

import threading

import pytest

from drivers.bounded import call_bounded
from drivers.delivery import Delivery
from drivers.errors import DriverError
from drivers.stream_clock import StreamClock


class FakeTime:
    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture
def delivery(clock: FakeTime) -> Delivery[int]:
    return Delivery("camera", "picture", first_ns=4_000, stall_ns=1_000, now=clock)


def test_items_pass_only_while_open(delivery: Delivery[int]) -> None:
    got: list[int] = []
    delivery.give(1)
    delivery.open(got.append)
    delivery.give(2)
    delivery.close()
    delivery.give(3)
    assert got == [2]
    assert delivery.given == 1


def test_close_waits_for_a_call_under_way(delivery: Delivery[int]) -> None:
    entered, leave, closed = threading.Event(), threading.Event(), threading.Event()

    def slow(_: int) -> None:
        entered.set()
        assert leave.wait(10)
        assert not closed.is_set()

    def close() -> None:
        delivery.close()
        closed.set()

    delivery.open(slow)
    giver = threading.Thread(target=delivery.give, args=(1,))
    giver.start()
    assert entered.wait(10)
    closer = threading.Thread(target=close)
    closer.start()
    leave.set()
    giver.join(10)
    closer.join(10)
    assert closed.is_set()
    assert delivery.fault() is None


def test_a_sink_that_does_not_return_is_given_up_on(delivery: Delivery[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.delivery.CLOSE_TIMEOUT_S", 0.01)
    entered, leave = threading.Event(), threading.Event()
    got: list[int] = []

    def hang(item: int) -> None:
        got.append(item)
        entered.set()
        assert leave.wait(30)

    delivery.open(hang)
    giver = threading.Thread(target=delivery.give, args=(1,))
    giver.start()
    assert entered.wait(10)
    delivery.close()
    leave.set()
    giver.join(10)
    delivery.give(2)
    assert got == [1]
    assert delivery.fault() == "camera: whoever takes its picture has not returned within 0.01 s"


def test_a_sink_may_close_its_own_delivery(delivery: Delivery[int], clock: FakeTime) -> None:
    delivery.open(lambda _: delivery.close())
    delivery.give(1)
    clock.ns += 10_000
    assert delivery.fault() is None


def test_an_exception_of_the_sink_becomes_the_fault(delivery: Delivery[int]) -> None:
    calls: list[int] = []

    def broken(item: int) -> None:
        calls.append(item)
        raise ValueError("queue is full")

    delivery.open(broken)
    delivery.give(1)
    delivery.give(2)
    assert calls == [1]
    assert delivery.fault() == "camera: its picture could not be handed over (ValueError: queue is full)"
    delivery.open(calls.append)
    assert delivery.fault() is None


def test_silence_is_a_fault_later_for_the_first_item(delivery: Delivery[int], clock: FakeTime) -> None:
    assert delivery.fault() is None
    delivery.open(lambda _: None)
    clock.ns += 4_000
    assert delivery.fault() is None
    clock.ns += 1
    assert "no picture for" in str(delivery.fault())
    delivery.give(1)
    assert delivery.fault() is None
    clock.ns += 1_001
    assert "no picture for" in str(delivery.fault())
    delivery.close()
    assert delivery.fault() is None


def test_the_first_fault_is_kept(delivery: Delivery[int]) -> None:
    delivery.open(lambda _: None)
    delivery.fail("the cable came off")
    delivery.fail("the encoder stopped")
    delivery.close()
    assert delivery.fault() == "camera: the cable came off"


def test_monotonic_stamps_pass_unchanged() -> None:
    clock = StreamClock()
    assert clock.to_monotonic_ns(1_000_000, 1_500_000) == 1_000_000
    assert clock.to_monotonic_ns(2_000_000, 900_000_000_000) == 2_000_000  # late, and no reason to doubt the clock
    assert clock.to_monotonic_ns(3_000, 2_000) == 2_000  # never in the future
    assert clock.monotonic


def test_another_clock_is_mapped_without_the_jitter_of_arrival() -> None:
    clock = StreamClock()
    epoch_ns = 1_700_000_000_000_000_000
    late_ns = [3, 0, 7, 2, 5]
    mapped = [clock.to_monotonic_ns(epoch_ns + i * 20, 1_000 + i * 20 + late) for i, late in enumerate(late_ns)]
    assert mapped == [1_003, 1_020, 1_040, 1_060, 1_080]
    assert not clock.monotonic


def test_another_clock_that_is_set_back_or_forward_is_followed() -> None:
    clock = StreamClock()
    epoch_ns, hour_ns = 1_700_000_000_000_000_000, 3_600_000_000_000
    assert clock.to_monotonic_ns(epoch_ns, 1_000) == 1_000
    assert clock.to_monotonic_ns(epoch_ns - hour_ns + 20, 1_020) == 1_020
    assert clock.to_monotonic_ns(epoch_ns + hour_ns + 40, 1_040) == 1_040


def test_a_bounded_call_returns_and_raises() -> None:
    done = threading.Event()
    call_bounded("camera-stop", done.set, 10)
    assert done.is_set()

    def fail() -> None:
        raise OSError("no such device")

    with pytest.raises(DriverError, match=r"camera-stop failed \(OSError: no such device\)"):
        call_bounded("camera-stop", fail, 10)


def test_a_bounded_call_that_hangs_is_left_behind() -> None:
    leave = threading.Event()
    try:
        with pytest.raises(DriverError, match="did not finish within"):
            call_bounded("camera-stop", lambda: leave.wait(10), 0.01)
    finally:
        leave.set()
