#!/usr/bin/env python3
"""Checks a disclosed recording without trusting whoever disclosed it.

    python3 verify.py                      run inside the unpacked bundle
    python3 verify.py --device KEY --station KEY

It needs Python 3.9 or newer and the package `cryptography`, and nothing of the project that made the recording. It
answers these questions, each from the files alone:

1. Is the bundle whole, and as the station signed it?          (manifest.json, manifest.sig)
2. Did this device seal this footage; is anything missing or changed?     (sealed/*.seg, device.pub)
3. Is the MP4 what was sealed, byte for byte?     (content-keys.json opens the sealed files; recording.mp4)
4. Whose device was it when it recorded?     (device.crt, of the unit's authority, authority.crt; where they are there)

device.pub and station.pub lie in the bundle for convenience. Ask the unit for both keys on another way, and give them
with --device and --station: a PEM file, or 64 hexadecimal digits (66 where the device's key lives in a TPM).

Exit status: 0 authentic, 3 authentic with missing parts, 1 not authentic or not signed, 2 the bundle cannot be read.
The format of the sealed files is docs/FORMAT.md of the project Getuige; what is here was written from that page.
"""

from __future__ import annotations

import argparse
import datetime
import json
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509 import Certificate, load_pem_x509_certificate
from cryptography.x509.oid import NameOID

AUTHENTIC, MISSING, NOT_SIGNED, NOT_AUTHENTIC = (
    "authentic",
    "authentic with missing parts",
    "not signed",
    "not authentic",
)
GRAVITY = [AUTHENTIC, MISSING, NOT_SIGNED, NOT_AUTHENTIC]
EXIT_STATUS = {AUTHENTIC: 0, MISSING: 3, NOT_SIGNED: 1, NOT_AUTHENTIC: 1}
OPENING, MEDIA, EVENTS, CLOSING, HEARTBEAT, DESTRUCTION = 1, 2, 3, 4, 5, 6
HEADER = struct.Struct(">4sBBHIIQ16s16s16sQQqIBBBB")
REASONS = ["rotation", "stop", "camera", "light", "full", "low-power", "fault", "recording", "power-off"]
LAST_REASONS = ["power-off", "low-power", "fault"]
SEALED_BYTES = {"x25519": 80, "mlkem768-x25519": 1168}
CIPHERS: dict[str, Any] = {"chacha20-poly1305": ChaCha20Poly1305, "aes-256-gcm": AESGCM}
ZERO = bytes(16)
IN_THE_MAKING = "not even the opening is complete"


class FormatError(ValueError):
    """A rule of the page is not kept."""


def need(condition: object, rule: str) -> None:
    """Raise `FormatError` unless the condition holds."""
    if not condition:
        raise FormatError(rule)


# --- CBOR: RFC 8949, 4.2.1, as far as the page allows -----------------------------------------------------------------


class Cbor:
    """Decode one deterministic item and nothing after it; `signed` allows negative integers."""

    def __init__(self, data: bytes, signed: bool = False) -> None:
        self.data, self.at, self.signed = data, 0, signed

    def take(self, count: int) -> bytes:
        need(self.at + count <= len(self.data), "CBOR ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def item(self, depth: int) -> Any:
        need(depth <= 8, "CBOR too deep")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            need(info in (20, 21, 22), "CBOR simple value or float")
            return {20: False, 21: True, 22: None}[info]
        need(info < 28 and major in (0, 1, 2, 3, 4, 5), "CBOR type or length")
        need(major != 1 or self.signed, "CBOR negative integer")
        count = info
        if info >= 24:
            size = 1 << (info - 24)
            count = int.from_bytes(self.take(size), "big")
            need(count >= (24, 1 << 8, 1 << 16, 1 << 32)[info - 24], "CBOR integer not shortest")
        if major == 0:
            return count
        if major == 1:
            return -1 - count
        if major == 2:
            return self.take(count)
        if major == 3:
            try:
                return self.take(count).decode("utf-8")
            except UnicodeDecodeError as error:
                raise FormatError("CBOR text") from error
        need(count <= len(self.data) - self.at, "CBOR ends early")
        if major == 4:
            return [self.item(depth + 1) for _ in range(count)]
        result, last = {}, b""
        for _ in range(count):
            start = self.at
            key = self.item(depth + 1)
            need(isinstance(key, str), "CBOR key")
            need(self.data[start : self.at] > last, "CBOR key order")
            last = self.data[start : self.at]
            result[key] = self.item(depth + 1)
        return result


def cbor(data: bytes, signed: bool = False) -> Any:
    """Decode the whole of `data`."""
    decoder = Cbor(data, signed)
    value = decoder.item(1)
    need(decoder.at == len(data), "bytes after CBOR")
    return value


def a_map(value: Any, *keys: str) -> dict[str, Any]:
    """Demand a map with exactly these keys."""
    need(isinstance(value, dict) and sorted(value) == sorted(keys), f"map of {keys}")
    return dict(value)


def a_list(value: Any, most: int) -> list[Any]:
    need(isinstance(value, list) and len(value) <= most, "array")
    return list(value)


def whole(value: Any, most: int = (1 << 63) - 1) -> int:
    need(type(value) is int and value <= most, "integer")
    return int(value)


def octets(value: Any, size: int) -> bytes:
    need(isinstance(value, bytes) and len(value) == size, f"{size} bytes")
    return bytes(value)


def text(value: Any) -> str:
    need(isinstance(value, str) and len(value) <= 40, "text of at most 40 characters")
    need(value.isprintable(), "printable text")
    return str(value)


# --- Chunk ------------------------------------------------------------------------------------------------------------


@dataclass
class Record:
    """One chunk as it stands in the file."""

    raw_header: bytes
    raw_particulars: bytes
    body: bytes
    signature: bytes
    kind: int
    flags: int
    number: int
    segment: int
    device: bytes
    recording: bytes
    boot: bytes
    lit: bool
    particulars: dict[str, Any] = field(default_factory=dict)
    chain: bytes = b""


class FileEndsError(Exception):
    """The file ends inside a record."""


def read_record(data: bytes, at: int) -> tuple[Record, int]:
    """Step 1 of *Verifying a segment*."""
    raw = data[at : at + 104]
    if len(raw) < 104:
        need(b"GTG1".startswith(raw[:4]), "magic")
        raise FileEndsError
    (magic, kind, flags, extra, body, number, segment, device, recording, boot, _mono, _long, _wall, _off, source) = (
        HEADER.unpack(raw)[:15]
    )
    commanded, sensed, reserved = raw[101:]
    need(magic == b"GTG1", "magic")
    need(1 <= kind <= 6, "kind")
    need(flags < 8 and (kind == MEDIA or flags == 0), "flags")
    need(16 <= body <= 1 << 24, "body length")
    need(number <= 65535, "chunk number")
    need(1 <= segment < 1 << 32, "segment number")
    need(source <= 4 and commanded <= 2 and sensed in (0, 1, 2, 255) and reserved == 0, "clock or light")
    end = at + 104 + extra + body + 64
    if end > len(data):
        raise FileEndsError
    middle = at + 104 + extra
    lit = commanded == 1 and sensed in (1, 255)
    return Record(
        raw,
        data[at + 104 : middle],
        data[middle : end - 64],
        data[end - 64 : end],
        kind,
        flags,
        number,
        segment,
        device,
        recording,
        boot,
        lit,
    ), end


def check_particulars(record: Record) -> dict[str, Any]:
    """Return the particulars of any chunk but an opening."""
    if record.kind == DESTRUCTION:
        return check_destruction(record)
    if not record.raw_particulars and record.kind != CLOSING:
        return {}
    need(record.kind in (MEDIA, CLOSING), "particulars not allowed")
    value = cbor(record.raw_particulars)
    need(isinstance(value, dict), "a map")
    a_map(value, *(["gaps"] if record.kind == MEDIA else ["reason", "gaps"] if "gaps" in value else ["reason"]))
    need(record.kind == MEDIA or value["reason"] in REASONS, "reason")
    for gap in a_list(value.get("gaps", []), 256):
        need(isinstance(gap, list) and len(gap) == 5 and gap[0] in ("video", "audio"), "gap")
        [whole(number) for number in gap[1:4]]
        text(gap[4])
    return dict(value)


def check_end(value: Any, segment: int) -> dict[str, Any]:
    """A map like `previous`."""
    end = a_map(value, "segment", "chunks", "chain", "signature")
    need(whole(end["segment"]) == segment, "the segment in it")
    whole(end["chunks"], 65536)
    octets(end["chain"], 32)
    octets(end["signature"], 64)
    return end


def check_destruction(record: Record) -> dict[str, Any]:
    """*Destruction*."""
    stub = a_map(
        cbor(record.raw_particulars), "segment", "recording", "part", "opened", "previous", "last", "bytes", "digest",
        "reason", "age", "receipt",
    )  # fmt: skip
    need(1 <= whole(stub["segment"]) < record.segment, "a segment before this one")
    need(whole(stub["part"], (1 << 32) - 1) == 0 or octets(stub["recording"], 16) != ZERO, "a journal's part is 0")
    octets(stub["recording"], 16)
    [whole(stub[key]) for key in ("opened", "bytes", "age")]
    check_end(stub["previous"], stub["segment"] - 1)
    check_end(stub["last"], stub["segment"])
    octets(stub["digest"], 32)
    need(text(stub["reason"]) in ("retention", "receipt"), "reason")
    need((stub["receipt"] is None) == (stub["reason"] == "retention"), "a receipt where there is one")
    need(stub["receipt"] is None or octets(stub["receipt"], 32), "receipt")
    return stub


def check_opening(record: Record, identity: bytes) -> dict[str, Any]:
    """Step 2, but for the path."""
    opening = a_map(
        cbor(record.raw_particulars), "v", "type", "part", "profile", "cipher", "path", "previous", "envelopes"
    )
    need(whole(opening["v"]) == 1, "v")
    need(opening["type"] == "media" or len(record.body) == 16, "a journal's opening has no body")
    need(opening["type"] == ("journal" if record.recording == ZERO else "media"), "type")
    need(whole(opening["part"], (1 << 32) - 1) == 0 or opening["type"] == "media", "part")
    need(text(opening["profile"]) == "" or opening["type"] == "media", "profile")
    need(text(opening["cipher"]) in CIPHERS, "cipher")
    previous = a_map(opening["previous"], "segment", "chunks", "chain", "signature")
    link = (
        whole(previous["segment"]),
        whole(previous["chunks"], 65536),
        octets(previous["chain"], 32),
        octets(previous["signature"], 64),
    )
    if record.segment == 1:
        need(link == (0, 0, sha256(b"getuige/1 genesis\0" + identity).digest(), bytes(64)), "genesis")
    else:
        need(link[0] == record.segment - 1, "previous segment")
    for envelope in a_list(opening["envelopes"], 32):
        a_map(envelope, "kem", "recipient", "sealed")
        octets(envelope["recipient"], 16)
        need(text(envelope["kem"]) in SEALED_BYTES, "kem")
        octets(envelope["sealed"], SEALED_BYTES[envelope["kem"]])
    return opening


# --- Signing keys -----------------------------------------------------------------------------------------------------


def signed(key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether an Ed25519 signature is good."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def signed_by_identity(identity: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature of the identity is good: of Ed25519 if that has 32 bytes, of P-256 if it has 33."""
    if len(identity) == 32:
        return signed(identity, signature, message)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if s > P256_ORDER // 2:
        return False
    try:
        key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), identity)
        key.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def segment_key(path: Any, segment: int, device: bytes, identity: bytes) -> bytes:
    """Check the path of keys; return the segment's."""
    bits = [1 << bit for bit in range(31, -1, -1) if segment >> bit & 1]
    positions = [sum(bits[: count + 1]) for count in range(len(bits))]
    parent = identity
    need(len(a_list(path, 32)) == len(positions), "length of the path")
    for step, position in zip(path, positions):
        need(isinstance(step, list) and len(step) == 3 and whole(step[0]) == position, "position on the path")
        key = octets(step[1], 32)
        message = b"getuige/1 key\0" + device + position.to_bytes(8, "big") + key
        good = signed_by_identity if position == positions[0] else signed
        need(good(parent, octets(step[2], 64), message), f"certificate of position {position}")
        parent = key
    return parent


# --- Verifying a segment ----------------------------------------------------------------------------------------------


@dataclass
class Segment:
    """What was found in one file; `records` are the sound chunks."""

    name: str
    status: str = "unsigned"
    problem: str = ""
    records: list[Record] = field(default_factory=list)
    opening: dict[str, Any] = field(default_factory=dict)
    key: bytes = b""

    @property
    def stand(self) -> tuple[str, bytes, bytes]:
        return self.status, self.records[-1].chain, self.records[-1].signature

    @property
    def number(self) -> int:
        return self.records[0].segment

    @property
    def recording(self) -> bytes:
        return self.records[0].recording

    @property
    def reason(self) -> str:
        return str(self.records[-1].particulars["reason"]) if self.status == "closed" else ""

    @property
    def verdict(self) -> str:
        return {"closed": AUTHENTIC, "cut": MISSING, "unsigned": NOT_SIGNED, "broken": NOT_AUTHENTIC}[self.status]


def verify_segment(name: str, data: bytes, identity: bytes) -> Segment:
    """Read and judge one segment file."""
    result = Segment(name)
    device = sha256(identity).digest()[:16]
    records: list[Record] = []
    at = 0
    ended = False
    try:
        if data[:3] != b"GTG"[: len(data)]:
            result.problem = "no record of this format begins the file"
            return result
        while at < len(data) or not records:
            need(not records or records[-1].kind != CLOSING, "something follows the closing")
            record, at = read_record(data, at)
            if not records:
                if record.signature == bytes(64):
                    result.problem = "the first signature is all zero"
                    return result
                need(record.kind == OPENING and record.number == 0 and record.device == device, "the first record")
                result.opening = record.particulars = check_opening(record, identity)
                result.key = segment_key(result.opening["path"], record.segment, device, identity)
                before = (result.opening["previous"]["chain"], result.opening["previous"]["signature"])
            else:
                first, last = records[0], records[-1]
                same = (first.segment, first.device, first.recording, first.boot)
                need((record.segment, record.device, record.recording, record.boot) == same, "another segment's chunk")
                need(record.number == last.number + 1, "chunk number")
                need(record.kind != OPENING, "a second opening")
                need(record.kind != MEDIA or record.recording != ZERO, "media in a journal")
                need(record.kind != DESTRUCTION or record.recording == ZERO, "a destruction outside a journal")
                need(
                    record.kind not in (CLOSING, HEARTBEAT, DESTRUCTION) or len(record.body) == 16,
                    "a body where there is none",
                )
                plain = any(other.kind == MEDIA and not other.flags & 4 for other in records)
                need(not (record.flags & 4 and plain), "a pre-event chunk after one that is none")
                record.particulars = check_particulars(record)
                before = (last.chain, last.signature)
            digest = sha256(record.body).digest()
            record.chain = sha256(b"".join(before) + record.raw_header + record.raw_particulars + digest).digest()
            records.append(record)
    except FileEndsError:
        ended = True
        if not records:
            result.problem = IN_THE_MAKING
            return result
    except FormatError as error:
        result.problem = str(error)

    def good(count: int) -> bool:
        record = records[count - 1]
        return signed(result.key, record.signature, b"getuige/1 chunk\0" + record.chain)

    low, high = 0, len(records)  # the first `low` are sound; look for the greatest such
    if high and good(high):
        low = high
    while low < high:
        middle = (low + high) // 2
        if good(middle + 1):
            low = middle + 1
        else:
            high = middle
    if low < len(records):
        result.problem = f"signature of chunk {low}"
    result.records = records[:low]
    if result.problem:
        result.status = "broken"
    else:
        result.status = "closed" if records[-1].kind == CLOSING and not ended else "cut"
    return result


# --- Verifying a store ------------------------------------------------------------------------------------------------


@dataclass
class Recording:
    """What is known of one recording without opening it."""

    verdict: str
    parts: int
    chunks: int
    gaps: list[list[Any]]
    lit: float
    pre_event: int


@dataclass
class Report:
    """The verdict on everything given, and the details."""

    verdict: str
    segments: list[Segment]
    recordings: dict[str, Recording]
    missing: list[int]
    remarks: list[str]
    destroyed: list[int] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        return EXIT_STATUS[self.verdict]


def gravest(*verdicts: str) -> str:
    return max(verdicts, key=GRAVITY.index)


@dataclass
class Stub:
    """A segment that is gone, and what is stated about it."""

    number: int
    fields: dict[str, Any]
    status: str = "stub"


def end(item: Segment | Stub) -> tuple[int, bytes, bytes]:
    """Return where a segment ends: count of chunks, last chain value, last signature."""
    if isinstance(item, Stub):
        last = item.fields["last"]
        return last["chunks"], last["chain"], last["signature"]
    return len(item.records), item.records[-1].chain, item.records[-1].signature


def judge_pair(left: Segment | Stub, right: Segment | Stub) -> str:
    """Judge whether the right segment follows the left."""
    previous = (right.fields if isinstance(right, Stub) else right.opening)["previous"]
    if (previous["chunks"], previous["chain"], previous["signature"]) == end(left):
        return AUTHENTIC
    if left.status == "cut" and previous["chunks"] > end(left)[0]:
        return MISSING
    return AUTHENTIC if left.status == "broken" else NOT_AUTHENTIC


def judge_stub(stub: Stub, segment: Segment) -> str:
    """Judge a segment that is there although its destruction is stated."""
    if segment.status == "broken" or end(stub) == end(segment):
        return AUTHENTIC
    return MISSING if segment.status == "cut" and end(stub)[0] > end(segment)[0] else NOT_AUTHENTIC


def stubs_of(there: dict[int, Segment]) -> tuple[dict[int, Stub], set[int]]:
    """Return what is stated to be destroyed, and of which segments two statements differ."""
    found: dict[int, Stub] = {}
    differ = set()
    for number in sorted(there):
        for record in there[number].records:
            if record.kind == DESTRUCTION:
                first = found.setdefault(
                    record.particulars["segment"], Stub(record.particulars["segment"], record.particulars)
                )
                for key in record.particulars.keys() - {"reason", "age", "receipt"}:
                    if first.fields[key] != record.particulars[key]:
                        differ.add(first.number)
    return found, differ


def judge_recording(parts: list[Segment], there: Mapping[int, Segment | Stub], alone: bool) -> Recording:
    """Judge a recording; a file that is verified alone is not blamed for the parts that were not given."""
    verdict = gravest(*(part.verdict for part in parts))
    for part in parts:
        if part.number - 1 in there:  # or was, and left a stub
            verdict = gravest(verdict, judge_pair(there[part.number - 1], part))
    complete = [(part.number - parts[0].number, part.opening["part"]) for part in parts] == [
        (index, index) for index in range(len(parts))
    ] and [part.reason == "rotation" for part in parts] == [True] * (len(parts) - 1) + [False]
    media = [record for part in parts for record in part.records if record.kind == MEDIA]
    announced = [record for record in media if not record.flags & 4]
    return Recording(
        verdict if complete or alone else gravest(verdict, MISSING),
        len(parts),
        len(media),
        [gap for part in parts for record in part.records for gap in record.particulars.get("gaps", [])],
        sum(record.lit for record in announced) / len(announced) if announced else 0.0,
        len(media) - len(announced),
    )


def verify(files: list[Path], identity: bytes) -> Report:
    """Judge the segments of one recording, with the device's raw public key."""
    segments = [verify_segment(file.name, file.read_bytes(), identity) for file in files]
    store = False
    report = Report(AUTHENTIC, segments, {}, [], [])

    def say(verdict: str, remark: str) -> None:
        report.verdict = gravest(report.verdict, verdict)
        report.remarks.append(remark)

    need(segments, "there is no segment")
    there: dict[int, Segment] = {}
    forked = set()
    for segment in sorted((item for item in segments if item.records), key=lambda item: -len(item.records)):
        if there.setdefault(segment.number, segment).stand != segment.stand:
            say(NOT_AUTHENTIC, f"two different segments {segment.number}")
            forked.add(segment.recording)
    numbers = sorted(there)
    following = f"{numbers[-1] + 1 if numbers else 1:010}.seg"
    for segment in segments:
        in_the_making = store and segment.problem == IN_THE_MAKING and segment.name == following
        if segment.status != "closed":
            say(MISSING if in_the_making else segment.verdict, f"{segment.name}: {segment.status}, {segment.problem}")
    stated, differ = stubs_of(there)
    for number in sorted(differ):
        say(NOT_AUTHENTIC, f"two different statements about segment {number}")
    wrong = dict.fromkeys(differ, NOT_AUTHENTIC)
    for number in sorted(stated.keys() & there.keys()):
        wrong[number] = gravest(wrong.get(number, AUTHENTIC), judge_stub(stated[number], there[number]))
        say(wrong[number], f"segment {number} is there although destroyed")
    report.destroyed = sorted(stated.keys() - there.keys())
    known: dict[int, Segment | Stub] = {**stated, **there}
    order = sorted(known)
    for left, right in zip(order, order[1:]):
        if right == left + 1:
            say(judge_pair(known[left], known[right]), f"{left} and {right}")
    if 1 in report.destroyed:
        previous = stated[1].fields["previous"]
        genesis = (0, sha256(b"getuige/1 genesis\0" + identity).digest(), bytes(64))
        if (previous["chunks"], previous["chain"], previous["signature"]) != genesis:
            say(NOT_AUTHENTIC, "the first of all does not follow the genesis")
    if numbers:
        report.missing = sorted(set(range(1 if store else numbers[0], numbers[-1])) - known.keys())
        last = there[numbers[-1]]
        if report.missing:
            say(MISSING, f"missing: {report.missing}")
        if store and last.status == "closed" and last.reason not in LAST_REASONS:
            say(MISSING, "the end of the store is missing")
    for name in dict.fromkeys(there[number].recording for number in numbers):
        if name != ZERO:
            parts = [there[number] for number in numbers if there[number].recording == name]
            recording = report.recordings[name.hex()] = judge_recording(parts, known, False)
            if name in forked:
                recording.verdict = NOT_AUTHENTIC
            recording.verdict = gravest(recording.verdict, *(wrong.get(part.number, AUTHENTIC) for part in parts))
            say(report.recordings[name.hex()].verdict, f"recording {name.hex()}")
    return report


# --- The bundle -------------------------------------------------------------------------------------------------------

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"


class UnreadableError(Exception):
    """The bundle is not one."""


def read_key(text: str, device: bool) -> bytes:
    """Return a raw public key from hexadecimal digits, or from a PEM file: Ed25519, or P-256 where it is a device's."""
    try:
        raw = bytes.fromhex(text)
        return octets(raw, 33 if device and len(raw) == 33 else 32)
    except ValueError:
        pass
    try:
        key = load_pem_public_key(Path(text).read_bytes())
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{text} is no public key: {error}") from None
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    if device and isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    raise UnreadableError(f"{text} is not an Ed25519 public key{', nor one of P-256' if device else ''}")


def check_manifest(folder: Path, station: bytes) -> tuple[dict[str, Any], list[str]]:
    """Return the manifest, and what is wrong with it or with the files that it names."""
    try:
        raw = (folder / MANIFEST).read_bytes()
        signature = (folder / SIGNATURE).read_bytes()
        manifest = json.loads(raw)
        files = dict(manifest["files"])
        listed = {str(name): (int(item["bytes"]), str(item["sha256"])) for name, item in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableError(f"{folder / MANIFEST}: {error}") from None
    wrong = []
    if not signed(station, signature, b"getuige/1 bundle\0" + raw):
        wrong.append("the manifest is not signed by that station")
    for name, (size, digest) in sorted(listed.items()):
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute() or not path.is_file():
            wrong.append(f"{name} is not there")
        elif path.stat().st_size != size or sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(f"{name} is not as the station signed it")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in sorted(there - set(listed) - {MANIFEST, SIGNATURE}):
        wrong.append(f"{name} does not belong to the bundle")
    return manifest, wrong


def opened(report: Report, keys: Mapping[str, str]) -> bytes:
    """Return the MP4 that the sealed files hold: the header of the first, then all footage, in order."""
    result = b""
    order = sorted((item for item in report.segments if item.records), key=lambda item: item.opening["part"])
    for segment in order:
        key = octets(bytes.fromhex(keys[str(segment.number)]), 32)
        aead = CIPHERS[segment.opening["cipher"]](key)
        history = segment.opening["previous"]["chain"]
        for record in segment.records:
            if record.kind == MEDIA or (record.kind == OPENING and not result):
                nonce = record.number.to_bytes(12, "big")
                result += aead.decrypt(nonce, record.body, history + record.raw_header + record.raw_particulars)
    return result


def check_footage(folder: Path, report: Report) -> str:
    """Return why the MP4 is not what was sealed; an empty text if it is."""
    try:
        keys = json.loads((folder / "content-keys.json").read_text("utf-8"))
        mp4 = (folder / "recording.mp4").read_bytes()
        return "" if opened(report, keys) == mp4 else "recording.mp4 is not what was sealed"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"the sealed files do not open: {error!r}"
    except InvalidTag:
        return "the sealed files do not open with the content keys that were disclosed"


def check_certificate(folder: Path, device: bytes, report: Report) -> tuple[list[str], list[str]]:
    """Return what the device's certificate says, in lines, and what is wrong with it; nothing where there is none.

    Its subject is the device id, which is the start of the SHA-256 of the identity key: so it says that the unit's
    authority took in the device with this very key. It is judged at the time of recording, not at today's.
    """
    paths = folder / "device.crt", folder / "authority.crt"
    if not paths[0].exists():
        return ["none in the bundle: compare the device's key with what the unit tells you"], []
    try:
        certificate, authority = (load_pem_x509_certificate(path.read_bytes()) for path in paths)
        issuer, algorithm = authority.public_key(), certificate.signature_hash_algorithm
        if not isinstance(issuer, EllipticCurvePublicKey) or algorithm is None:
            raise FormatError("it is signed with a key of another kind")
        issuer.verify(certificate.signature, certificate.tbs_certificate_bytes, ECDSA(algorithm))
    except (OSError, ValueError) as error:
        return [], [f"device.crt or authority.crt is no certificate: {error}"]
    except InvalidSignature:
        return [], ["device.crt is not signed by authority.crt"]
    wrong = []
    if named(certificate, NameOID.COMMON_NAME) != sha256(device).digest()[:16].hex():
        wrong.append("device.crt is another device's")
    first, last = good_between(certificate)
    lines = [
        f"of {named(authority, NameOID.COMMON_NAME)!r}, key {authority_key(issuer)}",
        f"good from {first:%Y-%m-%d} to {last:%Y-%m-%d}",
    ]
    times = [wall_clock(record) for segment in report.segments for record in segment.records]
    outside = [time for time in times if not first <= time <= last]
    if outside:
        lines.append(f"NOT good when this was recorded, by the device's clock: {outside[0]:%Y-%m-%d %H:%M}")
    else:
        lines.append("good when this was recorded, by the device's clock")
    return lines, wrong


def named(certificate: Certificate, which: Any) -> str:
    """Return a part of the subject's name."""
    return "".join(str(item.value) for item in certificate.subject.get_attributes_for_oid(which))


def authority_key(key: EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of a public key (SubjectPublicKeyInfo), to be compared with what the unit tells."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def good_between(certificate: Certificate) -> tuple[datetime.datetime, datetime.datetime]:
    """Return from when until when a certificate is good. Older releases of `cryptography` leave out the time zone."""
    found = []
    for name in ("not_valid_before", "not_valid_after"):
        time = getattr(certificate, f"{name}_utc", None) or getattr(certificate, name)
        found.append(time.replace(tzinfo=datetime.timezone.utc))
    return found[0], found[1]


def wall_clock(record: Record) -> datetime.datetime:
    """Return a chunk's wall-clock time."""
    seconds = int.from_bytes(record.raw_header[88:96], "big", signed=True) // 1_000_000_000
    return datetime.datetime.fromtimestamp(0, datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def main(arguments: list[str] | None = None) -> int:
    """Check the bundle and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--device", help="the device's public key, as the unit gave it to you")
    parser.add_argument("--station", help="the station's public key, as the unit gave it to you")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    try:
        device = read_key(options.device or str(folder / "device.pub"), device=True)
        station = read_key(options.station or str(folder / "station.pub"), device=False)
        manifest, wrong = check_manifest(folder, station)
        files = sorted((folder / "sealed").glob("*.seg"))
        if not files:
            raise UnreadableError(f"there is no sealed file in {folder / 'sealed'}")
        report = verify(files, device)
    except (UnreadableError, OSError, FormatError) as error:
        print(f"cannot be read: {error}", file=sys.stderr)
        return 2
    verdict = report.verdict
    recording = str(manifest.get("recording", ""))
    if list(report.recordings) != [recording]:
        wrong.append("the sealed files are not those of the one recording that the manifest names")
    mismatch = check_footage(folder, report)
    certified, uncertified = check_certificate(folder, device, report)
    wrong += uncertified
    print(f"recording   {recording}")
    print(f"device      {sha256(device).digest()[:16].hex()}, key {device.hex()}")
    print(f"station     key {station.hex()}")
    if not (options.device and options.station):
        print("            (keys from the bundle itself: compare them with what the unit tells you)")
    for line in certified:
        print(f"certificate {line}")
    for segment in report.segments:
        print(f"  {segment.name}: {segment.status}, {len(segment.records)} chunks {segment.problem}")
    for name, item in report.recordings.items():
        print(f"  {name}: {item.parts} parts, {item.chunks} chunks, light on for {item.lit:.1%}, {len(item.gaps)} gaps")
        for track, start, duration, lost, cause in item.gaps:
            print(f"    gap: {track} at {start / 1e9:.3f} s, {duration / 1e9:.3f} s, {lost} units, {cause}")
    for number in report.missing:
        print(f"  segment {number} is missing")
    print(f"bundle      {'as the station signed it' if not wrong else 'NOT as the station signed it'}")
    for line in wrong:
        print(f"  {line}")
    print(f"footage     {mismatch or 'recording.mp4 is what was sealed, byte for byte'}")
    if wrong or mismatch:
        verdict = gravest(verdict, NOT_AUTHENTIC)
    print(f"verdict     {verdict}")
    return EXIT_STATUS[verdict]


if __name__ == "__main__":
    sys.exit(main())
