"""The parts of live view without a network: queue, fallback, backoff, mailbox, viewers, shelf, register, messages."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.errors import StationError
from station.live.frames import Frame, FrameKind
from station.live.hub import Hub, Viewer
from station.live.mailbox import Mail, Mailbox
from station.live.register import DeviceRegister
from station.live.shelf import LiveShelf
from storage.chain import Tip
from storage.errors import FormatError
from storage.keyfiles import encode_device_key
from storage.layout import Kind
from storage.live_wire import Channel, decode_tip, encode_tip, parse_topic, topic
from storage.signer import MemorySigner
from tests.storage.forge import split
from tests.storage.kit import Device
from uplink.live.adaptive import Adaptive, AdaptiveTimes
from uplink.live.backoff import Backoff
from uplink.live.messages import parse_ask
from uplink.live.queue import NOTHING, LiveQueue, Outgoing

S = 1_000_000_000


def item(number: int, *, key: bool = True, size: int = 100, kind: Kind = Kind.MEDIA, at_ns: int = 0) -> Outgoing:
    return Outgoing(1, number, kind, key, bytes(size), None, at_ns)


@given(
    st.lists(
        st.tuples(st.integers(1, 700), st.booleans(), st.sampled_from(["put", "put", "put", "take", "back", "expire"])),
        max_size=60,
    )
)
def test_the_queue_is_bounded_loses_nothing_unsaid_and_never_begins_in_the_middle(
    steps: list[tuple[int, bool, str]],
) -> None:
    queue = LiveQueue(1000, 5 * S)
    put = dropped = 0
    taken: list[Outgoing] = []
    now_ns = 0
    for number, (size, key, step) in enumerate(steps):
        now_ns += S
        lost = NOTHING
        if step == "put":
            put += 1
            lost = queue.put(item(number, key=key, size=size, at_ns=now_ns))
        elif step == "expire":
            lost = queue.expire(now_ns)
        elif (found := queue.take()) is not None:
            if step == "back":
                lost = queue.put_back([found])
            else:
                taken.append(found)
        dropped += lost.chunks
        assert queue.size_bytes <= 1000
    assert put == dropped + len(taken) + len(queue)
    assert [one.number for one in taken] == sorted(one.number for one in taken)
    numbers = [number for number, (_, _, step) in enumerate(steps) if step == "put"]
    # After a hole the next picture that goes out is one that stands alone.
    for before, after in pairwise(taken):
        if numbers.index(after.number) != numbers.index(before.number) + 1:
            assert after.key


def test_what_comes_before_the_first_key_picture_is_no_loss() -> None:
    queue = LiveQueue(1000, S)
    queue.clear()
    assert queue.put(item(1, key=False)) == NOTHING
    assert queue.put(item(2)) == NOTHING
    assert queue.put(item(3, key=False)) == NOTHING
    assert [found.number for found in iter(queue.take, None)] == [2, 3]


def test_a_chunk_that_can_never_fit_is_dropped_with_what_needs_it() -> None:
    queue = LiveQueue(1000, S)
    assert queue.put(item(1, size=2000)).chunks == 1
    assert queue.put(item(2, key=False)).chunks == 1
    assert queue.put(item(3)) == NOTHING


def test_previews_come_after_two_losses_and_the_recording_is_tried_again_ever_more_rarely() -> None:
    adaptive = Adaptive(AdaptiveTimes(10 * S, 20 * S, 80 * S))
    assert not adaptive.lost(0)
    assert not adaptive.lost(11 * S), "long ago"
    assert adaptive.lost(12 * S)
    assert adaptive.preview
    assert not adaptive.look(31 * S, idle=True)
    assert not adaptive.look(33 * S, idle=False)
    assert adaptive.look(33 * S, idle=True)
    waits = []
    now = 33 * S
    for _ in range(4):
        adaptive.lost(now + S)
        assert adaptive.lost(now + 2 * S)
        start = now = now + 2 * S
        while not adaptive.look(now, idle=True):
            now += S
        waits.append((now - start) // S)
    assert waits == [40, 80, 80, 80]


def test_previews_can_be_forbidden() -> None:
    adaptive = Adaptive(allowed=False)
    assert not adaptive.lost(1)
    assert not adaptive.lost(2)
    assert not adaptive.preview


def test_the_backoff_doubles_is_bounded_jittered_and_forgets() -> None:
    backoff = Backoff(lambda: 1.0, first_s=1, longest_s=8)
    assert [backoff.next_s() for _ in range(5)] == [1, 2, 4, 8, 8]
    backoff.reset()
    assert backoff.next_s() == 1
    assert Backoff(lambda: 0.0, first_s=1).next_s() == 0.5


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_bytes_are_an_ask_by_chance_or_raise_anything_else(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_ask(data)


@pytest.mark.parametrize(
    "changes",
    [{"id": "0123"}, {"id": "X" * 16}, {"id": 5}, {"by": ""}, {"by": "a\nb"}, {"by": "x" * 81}, {"by": None}, {"x": 1}],
)
def test_an_ask_that_is_not_exactly_one_is_refused(changes: dict[str, object]) -> None:
    good = {"id": "0123456789abcdef", "by": "meldkamer"}
    assert parse_ask(json.dumps(good).encode()).by == "meldkamer"
    with pytest.raises(FormatError):
        parse_ask(json.dumps(good | changes).encode())


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_a_tip_survives_its_text(chain: bytes, signature: bytes) -> None:
    assert decode_tip(encode_tip(Tip(chain, signature))) == Tip(chain, signature)


@given(st.text(max_size=80))
def test_no_text_is_a_topic_by_chance_or_raises_anything_else(text: str) -> None:
    with pytest.raises(FormatError):
        parse_topic(text)


def test_a_topic_is_read_back() -> None:
    device = bytes(range(16))
    for channel in Channel:
        assert parse_topic(topic(device, channel)) == (device, channel)
    for wrong in ("getuige/1/00/chunk", topic(device, Channel.ASK).upper(), topic(device, Channel.ASK) + "/x"):
        with pytest.raises(FormatError):
            parse_topic(wrong)


def test_a_full_mailbox_drops_its_oldest_and_counts() -> None:
    box = Mailbox(1000)
    for number in range(5):
        box.put(Mail(str(number), bytes(400), None, False))
    assert box.dropped == 3
    assert box.size_bytes == 800
    assert [found.topic for _ in range(2) if (found := box.take(0.0))] == ["3", "4"]
    assert box.take(0.0) is None
    box.close()
    assert box.take(60.0) is None


def frame(number: int, *, key: bool = True, kind: FrameKind = FrameKind.MEDIA, size: int = 400) -> Frame:
    return Frame(kind, bytes(size), chunk=number, key=key)


def test_a_slow_viewer_skips_to_the_next_key_picture_and_still_hears_of_the_rest() -> None:
    woken: list[int] = []
    viewer = Viewer(lambda: woken.append(1), 1000)
    hub = Hub()
    hub.join(b"d", viewer)
    for number in range(6):
        hub.show(b"d", frame(number, key=number in (0, 4)))
    hub.show(b"d", frame(6, kind=FrameKind.GAP, size=0))
    assert [one.chunk for one in viewer.take()] == [4, 5, 6]
    assert hub.watched(b"d") == 1
    hub.leave(b"d", viewer)
    hub.leave(b"d", viewer)
    assert hub.watched(b"d") == 0
    hub.show(b"d", frame(7))
    assert viewer.take() == []
    assert woken


def shelf_records(base: Path) -> tuple[Device, list[bytes]]:
    device = Device(base)
    with device.open() as store:
        device.record(store, parts=1, chunks=4)
    return device, split((device.flash / "segments" / "0000000001.seg").read_bytes())


def test_the_shelf_remembers_what_it_has_and_cuts_away_what_is_torn(tmp_path: Path) -> None:
    _, records = shelf_records(tmp_path / "device")
    owner = bytes(16)
    shelf = LiveShelf(tmp_path / "shelf", 10**9)
    for number in (0, 3, 1, 1):
        shelf.add(owner, 1, number, records[number], 5)
    shelf.close()
    path, pieces = shelf.pieces(owner, 1)
    assert [piece.number for piece in pieces] == [0, 1, 3]
    with path.open("ab") as file:
        file.write(records[4][:50])
    (tmp_path / "shelf" / owner.hex() / "0000000009.live").write_bytes(b"")
    (tmp_path / "shelf" / owner.hex() / "0000000008.live").write_bytes(b"garbage that is no record" * 9)
    (tmp_path / "shelf" / "strange").mkdir()
    (tmp_path / "shelf" / "strange" / "0000000008.live").write_bytes(b"x")
    again = LiveShelf(tmp_path / "shelf", 10**9)
    assert again.highest(owner) == 1
    assert again.size_bytes == path.stat().st_size == sum(len(records[number]) for number in (0, 1, 3))
    again.add(owner, 1, 2, records[2], 5)
    assert [piece.number for piece in again.pieces(owner, 1)[1]] == [0, 1, 2, 3]
    again.forget(owner, 1)
    assert again.pieces(owner, 1)[1] == []
    assert again.size_bytes == 0
    again.close()


def test_the_shelf_is_bounded_in_bytes_and_in_days(tmp_path: Path) -> None:
    _, records = shelf_records(tmp_path / "device")
    shelf = LiveShelf(tmp_path / "shelf", 2 * len(records[1]))
    for segment in range(1, 200):
        shelf.add(bytes(16), segment, 1, records[1], segment)
    assert shelf.size_bytes <= 2 * len(records[1])
    assert len(list((tmp_path / "shelf").glob("*/*.live"))) == 2
    assert shelf.forget_older_than(199) == [(bytes(16), 198)]
    shelf.close()
    assert len(list((tmp_path / "shelf").glob("*/*.live"))) == 1


def test_a_disk_that_takes_nothing_is_told_in_one_line(tmp_path: Path) -> None:
    shelf = LiveShelf(tmp_path / "shelf", 10**9)
    (tmp_path / "shelf" / bytes(16).hex()).write_bytes(b"in the way")
    with pytest.raises(StationError, match="cannot keep live chunks"):
        shelf.add(bytes(16), 1, 0, b"x", 1)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StationError, match="cannot keep live chunks"):
        LiveShelf(tmp_path / "file" / "shelf", 1)


def test_the_register_follows_its_folder_and_tells_what_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(StationError, match="no folder"):
        DeviceRegister(tmp_path / "none")
    register = DeviceRegister(tmp_path)
    assert not register.devices
    (tmp_path / "a.pub").write_bytes(encode_device_key(MemorySigner.generate().public))
    (tmp_path / "b.pub").write_bytes(b"nothing")
    register.refresh()
    device = register.devices[0]
    assert register.identity(device)
    assert len(register.troubles) == 1
    assert "b.pub" in register.troubles[0]
    (tmp_path / "a.pub").unlink()
    register.refresh()
    assert register.identity(device) is None
