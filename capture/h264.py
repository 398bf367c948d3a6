"""H.264 as it comes from an encoder and as it stands in an MP4 (ITU-T H.264 clause 7 and Annex B; ISO/IEC 14496-15)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from capture.errors import BitstreamError

_START_CODE = b"\x00\x00\x01"
_IDR = 5
_SPS = 7
_PPS = 8
# Profiles whose SPS says more about colour, and whose avcC then must as well.
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_LONGEST_EXP_GOLOMB = 32


def split(data: bytes) -> list[memoryview]:
    """The NAL units of an Annex B byte stream, without start codes; nothing is copied.

    Raises:
        BitstreamError: there is none, or one is empty.
    """
    view = memoryview(data)
    units: list[memoryview] = []
    begin = data.find(_START_CODE)
    if begin < 0:
        raise BitstreamError(f"access unit of {len(data)} bytes: no Annex B start code; the camera's stream is broken")
    while begin >= 0:
        begin += 3
        following = data.find(_START_CODE, begin)
        end = len(data) if following < 0 else following
        # A NAL unit never ends in a zero octet: these belong to the next start code, or are padding.
        while end > begin and data[end - 1] == 0:
            end -= 1
        if end == begin:
            raise BitstreamError("access unit with an empty NAL unit; the camera's stream is broken")
        units.append(view[begin:end])
        begin = following
    return units


def length_prefixed(units: list[memoryview]) -> tuple[list[bytes | memoryview], int]:
    """The pieces of a sample whose NAL units carry 4-byte lengths, and the sample's size in bytes."""
    pieces: list[bytes | memoryview] = []
    size = 0
    for unit in units:
        pieces += (len(unit).to_bytes(4, "big"), unit)
        size += 4 + len(unit)
    return pieces, size


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """The first sequence and picture parameter set of a key picture."""

    sps: bytes
    pps: bytes
    width: int
    height: int
    """Of the cropped picture, in pixels: what the encoder made, not what it was asked for."""
    chroma_format: int
    luma_depth: int
    chroma_depth: int

    def avcc(self) -> bytes:
        """The AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1)."""
        record = b"".join(
            (
                b"\x01",
                self.sps[1:4],
                b"\xff\xe1",
                struct.pack(">H", len(self.sps)),
                self.sps,
                b"\x01",
                struct.pack(">H", len(self.pps)),
                self.pps,
            )
        )
        if self.sps[1] in (100, 110, 122, 144, 244):
            record += bytes((0xFC | self.chroma_format, 0xF8 | self.luma_depth - 8, 0xF8 | self.chroma_depth - 8, 0))
        return record


def parameter_sets(units: list[memoryview]) -> ParameterSets:
    """Find and read the parameter sets of a key picture.

    Raises:
        BitstreamError: one is missing or malformed, or the picture is not an IDR picture.
    """
    sps = pps = None
    idr = False
    for unit in units:
        kind = unit[0] & 0x1F
        if kind == _SPS and sps is None:
            sps = bytes(unit)
        elif kind == _PPS and pps is None:
            pps = bytes(unit)
        elif kind == _IDR:
            idr = True
    if sps is None or pps is None or not idr:
        raise BitstreamError("key picture without SPS, PPS or IDR slice in band; set the encoder to repeat its headers")
    return _read_sps(sps, pps)


class _Bits:
    """Reads an RBSP bit by bit (ITU-T H.264, 7.2 and 9.1)."""

    def __init__(self, unit: bytes) -> None:
        payload = unit[1:].replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(payload, "big")
        self._left = 8 * len(payload)

    def u(self, count: int) -> int:
        if count > self._left:
            raise BitstreamError("SPS ends too early; the camera's stream is broken")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def ue(self) -> int:
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > _LONGEST_EXP_GOLOMB:
                raise BitstreamError("SPS with an endless code number; the camera's stream is broken")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _read_sps(sps: bytes, pps: bytes) -> ParameterSets:
    """Read as much of the SPS (7.3.2.1.1) as its picture size needs."""
    bits = _Bits(sps)
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    chroma, luma_depth, chroma_depth, separate = 1, 8, 8, 0
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            separate = bits.u(1)
        luma_depth, chroma_depth = 8 + bits.ue(), 8 + bits.ue()
        bits.u(1)
        if bits.u(1):
            for index in range(8 if chroma != 3 else 12):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(min(bits.ue(), 255)):
            bits.se()
    bits.ue()
    bits.u(1)
    width, height_units = 16 * (bits.ue() + 1), bits.ue() + 1
    frames_only = bits.u(1)
    if not frames_only:
        bits.u(1)
    bits.u(1)
    left = right = top = bottom = 0
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
    array = 0 if separate else chroma
    unit_x = 2 if array in (1, 2) else 1
    unit_y = (2 if array == 1 else 1) * (2 - frames_only)
    width -= unit_x * (left + right)
    height = 16 * (2 - frames_only) * height_units - unit_y * (top + bottom)
    if not (0 < width < 1 << 16 and 0 < height < 1 << 16 and chroma < 4 and luma_depth < 16 and chroma_depth < 16):
        raise BitstreamError("SPS with an impossible picture size; the camera's stream is broken")
    return ParameterSets(sps, pps, width, height, chroma, luma_depth, chroma_depth)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last
