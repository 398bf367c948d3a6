"""H.264 (ITU-T H.264) in software, through PyAV's libx264: for cameras that deliver pictures and not a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
from av.video.frame import PictureType

from drivers.camera.protocol import AccessUnit, VideoFormat

_MICROSECONDS = Fraction(1, 1_000_000)


class X264Encoder:
    """Encodes pictures in the order of capture, without B-frames or look-ahead: one in, one out.

    Key pictures are IDR pictures at exactly the format's interval, with SPS and PPS in band.
    """

    def __init__(self, fmt: VideoFormat, *, preset: str = "ultrafast") -> None:
        """Open the encoder.

        Raises:
            av.FFmpegError: libx264 does not take the format.
        """
        self._fmt = fmt
        self._first_ns: int | None = None
        self._last_us = -1
        self._pictures = 0
        self._context = av.CodecContext.create("libx264", "w")
        self._context.width, self._context.height = fmt.width, fmt.height
        self._context.pix_fmt = "yuv420p"
        self._context.framerate = Fraction(fmt.frame_rate)
        self._context.time_base = _MICROSECONDS
        self._context.bit_rate = fmt.bitrate_bps
        self._context.gop_size = fmt.key_interval
        self._context.max_b_frames = 0
        self._context.options = {
            "preset": preset,
            "tune": "zerolatency",
            "profile": "baseline" if preset == "ultrafast" else "high",
            "forced-idr": "1",
            "sc_threshold": "0",  # a scene cut makes no key picture of its own: the interval stays exact
        }
        self._context.open()

    def encode(self, picture: av.VideoFrame, capture_ns: int) -> Iterator[AccessUnit]:
        """Encode one picture, scaled to the format's size; times that do not rise are moved up to rise.

        Raises:
            av.FFmpegError: the encoder failed.
        """
        if self._first_ns is None:
            self._first_ns = capture_ns
        frame = picture.reformat(self._fmt.width, self._fmt.height, "yuv420p")
        frame.time_base = _MICROSECONDS
        frame.pts = self._last_us = max((capture_ns - self._first_ns) // 1000, self._last_us + 1)
        due = self._pictures % self._fmt.key_interval == 0
        frame.pict_type = PictureType.I if due else PictureType.NONE
        self._pictures += 1
        yield from self._units(self._context.encode(frame))

    def flush(self) -> Iterator[AccessUnit]:
        """Give what is still inside, and end. Nothing can be encoded afterwards."""
        yield from self._units(self._context.encode(None))

    def _units(self, packets: Iterable[av.Packet[Any]]) -> Iterator[AccessUnit]:
        for packet in packets:
            if packet.pts is not None and self._first_ns is not None:
                yield AccessUnit(bytes(packet), self._first_ns + packet.pts * 1000, packet.is_keyframe)
