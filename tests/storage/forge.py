"""What an attacker does to segments: takes records apart, and signs anew with keys of their own or stolen ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from storage.buffers import BufferPool
from storage.chain import Tip, link, signed_bytes
from storage.envelope import Cipher, Recipient
from storage.keyfiles import device_id
from storage.keypath import Certificate, ancestry, statement
from storage.layout import HEADER_BYTES, SIGNATURE_BYTES, Flags, Kind, Place, Stamp, parse_header
from storage.particulars import Opening, Previous, encode_closing, parse_opening
from storage.ratchet import Keyring
from storage.seal import SegmentSealer
from storage.segment_report import verify_segment
from storage.signer import MemorySigner, Signer

CONTENT_KEY = b"k" * 32
Item = tuple[Kind, bytes, Flags, bytes]


def split(data: bytes) -> list[bytes]:
    """Return the records of a sound segment."""
    records = []
    while data:
        length = parse_header(data).record_bytes
        records.append(data[:length])
        data = data[length:]
    return records


def starts(records: list[bytes]) -> list[int]:
    """Return where each record begins, and where the last one ends."""
    return [0, *accumulate(map(len, records))]


def resign(data: bytes, signer: Signer, previous: Tip | None = None) -> bytes:
    """Chain and sign every record of a segment anew; the opening's particulars stay as they are."""
    signed, tip = b"", previous
    for record in split(data):
        start = HEADER_BYTES + parse_header(record).particulars_bytes
        head, body = record[:start], record[start:-SIGNATURE_BYTES]
        tip = tip or parse_opening(head[HEADER_BYTES:]).previous.tip
        chain = link(tip, head, hashlib.sha256(body).digest())
        tip = Tip(chain, signer.sign(signed_bytes(chain)))
        signed += head + body + tip.signature
    return signed


def change_opening(data: bytes, signer: Signer, **fields: object) -> bytes:
    """Replace fields of a segment's opening and sign the whole anew."""
    first, *rest = split(data)
    header = parse_header(first)
    start = HEADER_BYTES + header.particulars_bytes
    opening = replace(parse_opening(first[HEADER_BYTES:start]), **fields)  # type: ignore[arg-type]
    particulars = opening.encode()
    head = first[:6] + len(particulars).to_bytes(2, "big") + first[8:HEADER_BYTES] + particulars
    return resign(head + first[start:] + b"".join(rest), signer)


def stand(path: Path, identity: bytes) -> Previous:
    """Return what the segment after a sound one must name."""
    report = verify_segment(path, identity)
    assert report.first is not None
    assert report.tip is not None
    return Previous(report.first.place.segment, report.sound_chunks, report.tip)


def own_path(number: int, device: bytes, known: dict[int, Certificate]) -> tuple[list[Certificate], MemorySigner]:
    """Return a path to `number` with the certificates known, and of the attacker's own making where none is."""
    signer, path = MemorySigner.generate(), []
    for position in ancestry(number):
        if position in known:
            path.append(known[position])
            continue
        key = MemorySigner.generate()
        path.append(Certificate(position, key.public, signer.sign(statement(device, position, key.public))))
        signer = key
    return path, signer


@dataclass
class Thief:
    """Has a device's keyring as it once was, and makes segments with it."""

    keyring: Keyring
    recipient: Recipient

    def segment(
        self, previous: Previous, *, recording: bytes = bytes(16), part: int = 0, boot: bytes = bytes(16),
        items: list[Item] | None = None, reason: str = "power-off", stamp: Stamp | None = None, last: bytes = b"",
    ) -> bytes:  # fmt: skip
        """Return a whole segment after `previous`, signed with the stolen key of its position."""
        number = previous.segment + 1
        keyring = self.keyring.prepared(number)
        signer = keyring.signer(number)
        place = Place(device_id(keyring.identity), number, recording, boot)
        media = any(recording)
        envelopes = (self.recipient.wrap(CONTENT_KEY, place, signer.public),)
        opening = Opening(
            media, part, "480p30" if media else "", Cipher.AES_256_GCM, keyring.path(number), previous, envelopes
        )
        sealer = SegmentSealer(place, signer, Cipher.AES_256_GCM, CONTENT_KEY, previous.tip, BufferPool())
        self.keyring = keyring
        closing: Item = (Kind.CLOSING, last, Flags(0), encode_closing(reason))
        data = b""
        for kind, body, flags, particulars in [
            (Kind.OPENING, b"", Flags(0), opening.encode()),
            *(items or []),
            closing,
        ]:
            chunk = sealer.seal(kind, stamp or Stamp(1, 2), body, flags=flags, particulars=particulars)
            data += b"".join(chunk.buffers)
        return data
