"""Segments signed by the device's own key that the format page does not allow: both verifiers refuse the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage import cbor
from storage.buffers import BufferPool
from storage.chain import Tip
from storage.envelope import Cipher
from storage.keyfiles import device_id, encode_device_key
from storage.layout import Flags, Kind, Place, Stamp
from storage.particulars import Opening, Previous, encode_closing
from storage.seal import SegmentSealer
from storage.verdict import Verdict
from storage.verify import verify
from tests.storage import outsider
from tests.vectors.make import JOURNAL, key_path, secret, signer

NAME = "rules"
RECORDING = b"R" * 16
Change = Callable[[dict[str, Any]], object]
Item = tuple[Kind, bytes, Flags, bytes]
CLOSING: Item = (Kind.CLOSING, b"", Flags(0), encode_closing("fault"))


def seal(
    items: list[Item], *, recording: bytes = JOURNAL, number: int = 7, flags: Flags | None = None,
    previous: Previous | None = None, change: Change | None = None, tail: bytes = b"",
) -> bytes:  # fmt: skip
    """Seal a segment of device `NAME`; `change` alters the map of its opening before it is signed."""
    before = previous or Previous(number - 1, 5, Tip(b"c" * 32, b"s" * 64))
    media = recording != JOURNAL
    path = key_path(NAME, number)
    opening = Opening(media, 0, "480p30" if media else "", Cipher.AES_256_GCM, path, before, ())
    particulars = opening.encode()
    if change:
        fields = cbor.decode_map(particulars, "the opening")
        change(fields)
        particulars = cbor.encode(fields)
    place = Place(device_id(signer(NAME, 0).public), number, recording, b"B" * 16)
    sealer = SegmentSealer(place, signer(NAME, number), Cipher.AES_256_GCM, secret("key"), before.tip, BufferPool())
    records = b""
    for kind, plain, marks, extra in [(Kind.OPENING, b"", flags or Flags(0), particulars + tail), *items]:
        records += b"".join(sealer.seal(kind, Stamp(1, 2), plain, flags=marks, particulars=extra).buffers)
    return records


def judge(path: Path, data: bytes) -> str:
    """Return the verdict that both verifiers give."""
    path.write_bytes(data)
    identity = signer(NAME, 0).public
    theirs = outsider.verify(path, encode_device_key(identity))
    ours = verify(path, identity, workers=1)
    assert theirs.verdict == ours.verdict.value, (theirs.remarks, ours.findings)
    return theirs.verdict


def media(particulars: bytes = b"", flags: Flags = Flags.KEY) -> bytes:
    return seal([(Kind.MEDIA, b"m", flags, particulars), CLOSING], recording=RECORDING)


def gaps(*items: object) -> bytes:
    return media(cbor.encode({"gaps": list(items)}))


def opening(**fields: object) -> bytes:
    return seal([CLOSING], change=lambda old: old.update(fields))


def closing(particulars: bytes) -> bytes:
    return seal([(Kind.CLOSING, b"", Flags(0), particulars)])


def envelope(**fields: object) -> dict[str, object]:
    return {"kem": "x25519", "recipient": b"r" * 16, "sealed": b"s" * 80, **fields}


GOOD: dict[str, Callable[[], bytes]] = {
    "journal": lambda: seal([CLOSING]),
    "media": media,
    "all flags": lambda: media(flags=Flags.KEY | Flags.SOUND),
    "pre-event chunks first": lambda: seal(
        [
            *((Kind.MEDIA, b"m", flags, b"") for flags in (Flags.PRE_EVENT | Flags.KEY, Flags.PRE_EVENT, Flags.KEY)),
            CLOSING,
        ],
        recording=RECORDING,
    ),
    "gaps in a closing": lambda: closing(cbor.encode({"reason": "fault", "gaps": [["audio", 1, 2, 3, "x"]]})),
    "gap": lambda: gaps(["video", 1, 2**63 - 1, 0, "cause ë"]),
    "many gaps": lambda: gaps(*[["audio", 0, 0, 0, ""]] * 256),
    "many envelopes": lambda: opening(envelopes=[envelope()] * 32),
}
BAD: dict[str, Callable[[], bytes]] = {
    "a pre-event chunk later": lambda: seal(
        [(Kind.MEDIA, b"m", Flags.KEY, b""), (Kind.MEDIA, b"m", Flags.PRE_EVENT, b"")], recording=RECORDING
    ),
    "an event before the event": lambda: seal([(Kind.EVENTS, b"\x80", Flags.PRE_EVENT, b""), CLOSING]),
    "opening with flags": lambda: seal([CLOSING], flags=Flags.KEY),
    "heartbeat with flags": lambda: seal([(Kind.HEARTBEAT, b"", Flags.KEY, b""), CLOSING]),
    "heartbeat with particulars": lambda: seal([(Kind.HEARTBEAT, b"", Flags(0), b"\xa0"), CLOSING]),
    "media in a journal": lambda: seal([(Kind.MEDIA, b"m", Flags.KEY, b""), CLOSING]),
    "two openings": lambda: seal([(Kind.OPENING, b"", Flags(0), b""), CLOSING]),
    "journal with a part": lambda: opening(part=1),
    "journal with a profile": lambda: opening(profile="480p30"),
    "wrong type": lambda: opening(type="media"),
    "unknown type": lambda: opening(type="note"),
    "another version": lambda: opening(v=2),
    "true for a version": lambda: opening(v=True),
    "unknown cipher": lambda: opening(cipher="rot13"),
    "cipher is an array": lambda: opening(cipher=[1]),
    "unknown field": lambda: opening(x=1),
    "field missing": lambda: seal([CLOSING], change=lambda old: old.pop("part")),
    "path too short": lambda: seal([CLOSING], change=lambda old: old["path"].pop()),
    "path of another": lambda: opening(path=[[p.position, p.public, p.signature] for p in key_path("other", 7)]),
    "path is null": lambda: opening(path=None),
    "path doubled": lambda: seal([CLOSING], change=lambda old: old["path"].append(old["path"][-1])),
    "position is true": lambda: seal([CLOSING], change=lambda old: old["path"][0].__setitem__(0, True)),
    "not the segment before": lambda: seal([CLOSING], previous=Previous(3, 5, Tip(b"c" * 32, b"s" * 64))),
    "not the genesis": lambda: seal([CLOSING], number=1, previous=Previous(0, 0, Tip(b"c" * 32, b"s" * 64))),
    "33 envelopes": lambda: opening(envelopes=[envelope()] * 33),
    "sealed too long": lambda: opening(envelopes=[envelope(sealed=b"s" * 81)]),
    "unknown KEM": lambda: opening(envelopes=[envelope(kem="rsa")]),
    "KEM is a map": lambda: opening(envelopes=[envelope(kem={})]),
    "bytes after the opening's map": lambda: seal([CLOSING], tail=b"\x00"),
    "media with an empty map": lambda: media(b"\xa0"),
    "257 gaps": lambda: gaps(*[["audio", 0, 0, 0, ""]] * 257),
    "gap too large": lambda: gaps(["video", 2**63, 0, 0, ""]),
    "gap of smell": lambda: gaps(["smell", 0, 0, 0, ""]),
    "gap with four": lambda: gaps(["video", 0, 0, 0]),
    "gap with a negative": lambda: gaps(["video", 0, -1, 0, ""]),
    "gap with a boolean": lambda: gaps(["video", 0, True, 0, ""]),
    "gap that clears the screen": lambda: gaps(["video", 0, 0, 0, "\x1b[2J"]),
    "gap with a long cause": lambda: gaps(["video", 0, 0, 0, "x" * 41]),
    "gap too deep": lambda: gaps([[[[[[[[1]]]]]]]]),
    "no reason": lambda: closing(b""),
    "unknown reason": lambda: closing(cbor.encode({"reason": "lunch"})),
    "reason and more": lambda: closing(cbor.encode({"reason": "fault", "a": 1})),
    "gaps but no reason": lambda: closing(cbor.encode({"gaps": []})),
    "bad gap in a closing": lambda: closing(cbor.encode({"reason": "fault", "gaps": [["audio", 1, 2, 3]]})),
    "closing is an array": lambda: closing(cbor.encode(["reason", "gaps"])),
    "long form": lambda: closing(b"\xa1\x78\x06reason\x65fault"),
    "indefinite map": lambda: closing(b"\xbf\x66reason\x65fault\xff"),
    "tag": lambda: closing(b"\xd9\xd9\xf7\xa1\x66reason\x65fault"),
    "bad UTF-8": lambda: closing(b"\xa1\x66reason\x65faul\xff"),
    "key twice": lambda: closing(b"\xa2\x66reason\x65fault\x66reason\x65fault"),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_the_page_allows(tmp_path: Path, case: str) -> None:
    assert judge(tmp_path / "one.seg", GOOD[case]()) == Verdict.AUTHENTIC.value


@pytest.mark.parametrize("case", BAD)
def test_what_the_page_does_not_allow(tmp_path: Path, case: str) -> None:
    assert judge(tmp_path / "one.seg", BAD[case]()) == Verdict.NOT_AUTHENTIC.value
