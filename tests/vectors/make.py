"""Makes the test vectors of the format from fixed keys: `python -m tests.vectors.make`.

Everything follows from labels, so that anybody can seal the same again; only HPKE's ephemeral keys are random. The
envelopes of the vectors that are stored already are kept, so that making them again changes no byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from station.keys import StationKey, encode_station_key
from storage.buffers import BufferPool
from storage.chain import Tip, genesis
from storage.destruction import Destroyed, Destruction, Reason
from storage.envelope import Cipher, Envelope, envelope_info
from storage.events import Event, encode_events
from storage.inventory import segment_name
from storage.keyfiles import device_id, encode_device_key
from storage.keypath import Certificate, ancestry, parent, statement
from storage.layout import UNKNOWN_UNCERTAINTY_MS, ClockSource, Flags, Kind, Light, Place, Stamp
from storage.particulars import Gap, Opening, Previous, encode_closing, encode_gaps, parse_opening
from storage.reader import SegmentReader
from storage.seal import SegmentSealer
from storage.signer import MemorySigner, Signer
from tests.storage.p256 import P256Signer

HERE = Path(__file__).parent
JOURNAL = bytes(16)
CHUNK_NS = 333_333_333
EPOCH_NS = 1_790_000_000_000_000_000
P256 = "store-p256-identity"
"""The vector whose identity is of P-256, as a TPM's is."""
LAST_GAP = Gap("audio", 8_000_000_000, 21_333_333, 1, "lost")
INIT = b"stands for ftyp and moov"


def secret(*label: object) -> bytes:
    """Return the 32 bytes that a label stands for."""
    return hashlib.sha256(b"getuige/1 test vector\0" + " ".join(map(str, label)).encode()).digest()


def signer(vector: str, position: int) -> MemorySigner:
    """Return the signing key at a position; 0 is an Ed25519 identity."""
    return MemorySigner.from_seed(secret(vector, "position", position))


def identity(vector: str) -> Signer:
    """Return the identity of a vector's device."""
    return P256Signer(secret(vector, "position", 0)) if vector == P256 else signer(vector, 0)


def station_key(vector: str, hybrid: bool) -> StationKey:
    """Return the unit's key; an ML-KEM seed is 64 bytes (FIPS 203: d and z)."""
    seed = secret(vector, "ml-kem d") + secret(vector, "ml-kem z")
    return StationKey(
        X25519PrivateKey.from_private_bytes(secret(vector, "x25519")),
        MLKEM768PrivateKey.from_seed_bytes(seed) if hybrid else None,
    )


@dataclass(frozen=True)
class Chunk:
    """What goes into a chunk after the opening."""

    kind: Kind
    plain: bytes = b""
    flags: Flags = Flags(0)  # noqa: RUF009 - an immutable value
    particulars: bytes = b""
    commanded: Light = Light.LIT
    sensed: Light = Light.LIT


@dataclass(frozen=True)
class Plan:
    """What goes into a segment."""

    number: int
    reason: str = ""
    recording: bytes = JOURNAL
    part: int = 0
    chunks: Sequence[Chunk] = ()
    gaps: tuple[Gap, ...] = ()
    """Those that the closing says."""
    cut_bytes: int = 0
    """How much of the last record is missing from the file."""
    gone: bool = False
    """Destroyed: its file is not written. It was sealed to nobody, so that it can be made again as it was."""
    states: Sequence[int] = ()
    """The segments whose destruction it puts on record, before its other chunks."""


@dataclass(frozen=True)
class Vector:
    """One vector: segments in a row, and what a verifier must say of them."""

    name: str
    hybrid: bool
    cipher: Cipher
    plans: Sequence[Plan]
    verdict: str
    exit_status: int
    target: str
    """What to verify, in the vector's folder."""
    recordings: list[dict[str, Any]] = field(default_factory=list)
    destroyed: Sequence[int] = ()


def media(label: str, count: int, gap_at: int | None = None, dark_at: int | None = None) -> list[Chunk]:
    """Return media chunks; their plaintext is not real footage."""
    result = []
    for number in range(count):
        plain = b"".join(secret("media", label, number, block) for block in range(4 + number))
        gaps = (Gap("video", 7_000_000_000, 66_666_666, 2, "camera stalled"),) if number == gap_at else ()
        flags = Flags.KEY | Flags.SOUND if number != gap_at else Flags.SOUND
        sensed = Light.PARTLY if number == dark_at else Light.LIT
        result.append(Chunk(Kind.MEDIA, plain, flags, encode_gaps(gaps), sensed=sensed))
    return result


def journal() -> list[Chunk]:
    """Return what a journal holds."""
    events = encode_events([Event(1, "boot", {"run": 1, "torn": False}), Event(2, "button", {"press": "short"})])
    dark = {"commanded": Light.DARK, "sensed": Light.UNSENSED}
    return [Chunk(Kind.EVENTS, events, **dark), Chunk(Kind.HEARTBEAT, **dark)]  # type: ignore[arg-type]


def plans(recording: bytes) -> list[Plan]:
    """Return a whole small store: a journal, a recording of two parts, a journal."""
    return [
        Plan(1, "recording", chunks=journal()),
        Plan(2, "rotation", recording, 0, media("part 0", 3)),
        Plan(3, "stop", recording, 1, media("part 1", 3, gap_at=1, dark_at=2), (LAST_GAP,)),
        Plan(4, "power-off", chunks=journal()),
    ]


def vectors() -> list[Vector]:
    """Return all vectors."""
    result = []
    for hybrid, cipher in ((True, Cipher.CHACHA20_POLY1305), (False, Cipher.AES_256_GCM)):
        name = "store-hybrid-chacha20" if hybrid else "store-x25519-aes256"
        recording = secret(name, "recording")[:16]
        said = {
            "id": recording.hex(), "verdict": "authentic", "media_chunks": 6, "lit_chunks": 5,
            "gaps": [
                ["video", 7_000_000_000, 66_666_666, 2, "camera stalled"],
                ["audio", 8_000_000_000, 21_333_333, 1, "lost"],
            ],
        }  # fmt: skip
        result.append(Vector(name, hybrid, cipher, plans(recording), "authentic", 0, "flash", [said]))
    recording = secret("cut", "recording")[:16]
    cut = Plan(13, "", recording, 0, media("cut", 4), cut_bytes=100)
    missing = "authentic with missing parts"
    said = {"id": recording.hex(), "verdict": missing, "media_chunks": 3, "lit_chunks": 3, "gaps": []}
    result.append(
        Vector("cut", True, Cipher.AES_256_GCM, [cut], missing, 3, f"flash/segments/{segment_name(13)}", [said])
    )
    alone = Plan(7, "fault", chunks=journal())
    target = f"flash/segments/{segment_name(7)}"
    result.append(Vector("journal", False, Cipher.CHACHA20_POLY1305, [alone], "authentic", 0, target))
    result.append(destroyed())
    recording = secret(P256, "recording")[:16]
    said = {"id": recording.hex(), "verdict": "authentic", "media_chunks": 2, "lit_chunks": 2, "gaps": []}
    store = [
        Plan(1, "recording", chunks=journal()),
        Plan(2, "rotation", recording, 0, media("part 0", 1)),
        Plan(3, "stop", recording, 1, media("part 1", 1)),
        Plan(4, "power-off", chunks=journal()),
    ]
    result.append(Vector(P256, False, Cipher.CHACHA20_POLY1305, store, "authentic", 0, "flash", [said]))
    return result


def destroyed() -> Vector:
    """Return a store of which a recording was destroyed, and another one began in a pre-event buffer."""
    name = "destroyed"
    gone, recording = secret(name, "gone")[:16], secret(name, "recording")[:16]
    held = replace(media("held", 1)[0], flags=Flags.PRE_EVENT | Flags.KEY | Flags.SOUND, commanded=Light.PARTLY)
    store = [
        Plan(1, "recording", chunks=journal()),
        Plan(2, "rotation", gone, 0, media("gone 0", 2), gone=True),
        Plan(3, "stop", gone, 1, media("gone 1", 2), gone=True),
        Plan(4, "recording", chunks=journal(), states=(3, 2)),
        Plan(5, "stop", recording, 0, [held, *media("part 0", 2)]),
        Plan(6, "power-off", chunks=journal()),
    ]
    said = {"id": recording.hex(), "verdict": "authentic", "media_chunks": 3, "lit_chunks": 2, "gaps": []}
    return Vector(name, True, Cipher.CHACHA20_POLY1305, store, "authentic", 0, "flash", [said], (2, 3))


def key_path(vector: str, segment: int) -> tuple[Certificate, ...]:
    """Certify the keys down to a segment's."""
    device = device_id(identity(vector).public)
    steps = []
    for position in ancestry(segment):
        public = signer(vector, position).public
        certified = statement(device, position, public)
        above = signer(vector, parent(position)) if parent(position) else identity(vector)
        steps.append(Certificate(position, public, above.sign(certified)))
    return tuple(steps)


def stored_envelopes(file: Path) -> tuple[Envelope, ...]:
    """Return the envelopes of a stored segment, if there is one."""
    if not file.is_file():
        return ()
    with SegmentReader(file) as reader:
        record = next(reader.records())
        head = bytes(record.head)
    return parse_opening(head[-record.header.particulars_bytes :]).envelopes


def envelope(station: StationKey, content_key: bytes, place: Place, segment_key: bytes, stored: Path) -> Envelope:
    """Return the stored envelope if it holds this key for this segment; else a new one."""
    recipient = station.recipient
    info = envelope_info(place, segment_key)
    for item in stored_envelopes(stored):
        if item.kem is recipient.kem and item.recipient == recipient.id:
            try:
                if item.kem.suite.decrypt(item.sealed, station.hpke, info=info) == content_key:
                    return item
            except InvalidTag:
                continue
    return recipient.wrap(content_key, place, segment_key)


def seal_segment(
    vector: Vector, plan: Plan, previous: Previous, stored: Path, stubs: Mapping[int, Destroyed]
) -> tuple[bytes, Previous, dict[str, Any]]:
    """Seal a segment; return the file, where the chain stands, and what a verifier must find in it."""
    key = signer(vector.name, plan.number)
    place = Place(
        device_id(identity(vector.name).public), plan.number, plan.recording, secret(vector.name, "boot")[:16]
    )
    content_key = secret(vector.name, "content key", plan.number)
    is_media = plan.recording != JOURNAL
    opening = Opening(
        is_media, plan.part, "480p30" if is_media else "", vector.cipher, key_path(vector.name, plan.number), previous,
        () if plan.gone else (
            envelope(station_key(vector.name, vector.hybrid), content_key, place, key.public, stored),
        ),
    )  # fmt: skip
    chunks = [Chunk(Kind.OPENING, INIT if is_media else b"", particulars=opening.encode())]
    for number in plan.states:
        stated = Destruction(stubs[number], Reason.RETENTION, 28 * 86_400)
        dark = {"commanded": Light.DARK, "sensed": Light.UNSENSED}
        chunks.append(Chunk(Kind.DESTRUCTION, particulars=stated.encode(), **dark))  # type: ignore[arg-type]
    chunks += plan.chunks
    if plan.reason:
        chunks.append(Chunk(Kind.CLOSING, particulars=encode_closing(plan.reason, plan.gaps)))
    sealer = SegmentSealer(place, key, vector.cipher, content_key, previous.tip, BufferPool())
    now_ns = 1_000_000_000 * plan.number
    data, found = b"", []
    for chunk in chunks:
        duration_ns = CHUNK_NS if chunk.kind is Kind.MEDIA else 0
        source, uncertainty_ms = (ClockSource.GNSS, 15) if is_media else (ClockSource.NONE, UNKNOWN_UNCERTAINTY_MS)
        stamp = Stamp(now_ns, EPOCH_NS + now_ns, duration_ns, source, uncertainty_ms, chunk.commanded, chunk.sensed)
        now_ns += duration_ns
        sealed = sealer.seal(chunk.kind, stamp, chunk.plain, flags=chunk.flags, particulars=chunk.particulars)
        data += b"".join(sealed.buffers)
        found.append(
            {
                "kind": int(chunk.kind),
                "chain": sealed.tip.chain.hex(),
                "plain_bytes": len(chunk.plain),
                "plain_sha256": hashlib.sha256(chunk.plain).hexdigest(),
            }
        )
    end = Previous(plan.number, len(chunks), sealer.tip)
    if plan.cut_bytes:
        data, found = data[: -plan.cut_bytes], found[:-1]
    expected = {
        "file": segment_name(plan.number),
        "number": plan.number,
        "status": "cut" if plan.cut_bytes else "closed",
        "segment_key": key.public.hex(),
        "content_key": content_key.hex(),
        "chunks": found,
    }
    return data, end, expected


def make_vector(vector: Vector, folder: Path, stored: Path) -> None:
    """Write one vector into `folder`, with the envelopes of the one in `stored`."""
    segments = folder / "flash" / "segments"
    segments.mkdir(parents=True, exist_ok=True)
    public = identity(vector.name).public
    first = vector.plans[0].number
    before = genesis(public) if first == 1 else Tip(secret(vector.name, "chain"), secret(vector.name, "signature") * 2)
    previous = Previous(first - 1, 0 if first == 1 else 5, before)
    expected = []
    stubs: dict[int, Destroyed] = {}
    for plan in vector.plans:
        name = segment_name(plan.number)
        came_before = previous
        data, previous, found = seal_segment(vector, plan, previous, stored / "flash" / "segments" / name, stubs)
        if plan.gone:
            opened_ns = EPOCH_NS + 1_000_000_000 * plan.number
            digest = hashlib.sha256(data).digest()
            stubs[plan.number] = Destroyed(
                plan.number, plan.recording, plan.part, opened_ns, came_before, previous, len(data), digest
            )
            continue
        (segments / name).write_bytes(data)
        expected.append(found)
    recordings = [{**item, **_mp4(vector, item)} for item in vector.recordings]
    answer = {
        "verify": vector.target,
        "verdict": vector.verdict,
        "exit_status": vector.exit_status,
        "device": device_id(public).hex(),
        "cipher": vector.cipher.value,
        "segments": expected,
        "recordings": recordings,
        "destroyed": list(vector.destroyed),
    }
    (folder / "device.pub").write_bytes(encode_device_key(public))
    (folder / "station.key").write_bytes(encode_station_key(station_key(vector.name, vector.hybrid)))
    (folder / "expected.json").write_text(json.dumps(answer, indent=1) + "\n", encoding="ascii")


def _mp4(vector: Vector, said: dict[str, Any]) -> dict[str, Any]:
    chunks = [
        chunk.plain for plan in vector.plans if not plan.gone for chunk in plan.chunks if chunk.kind is Kind.MEDIA
    ]
    plain = b"".join([INIT, *chunks[: said["media_chunks"]]])
    return {"bytes": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}


def make(target: Path, stored: Path = HERE) -> None:
    """Write all vectors into `target`, keeping the envelopes of those in `stored`."""
    for vector in vectors():
        make_vector(vector, target / vector.name, stored / vector.name)


def main() -> None:
    """Make the vectors beside this file, or in another folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, nargs="?", default=HERE, help="where to write them")
    make(parser.parse_args().target)


if __name__ == "__main__":
    main()
