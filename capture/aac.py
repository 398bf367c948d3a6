"""AAC-LC (ISO/IEC 14496-3) from PCM, through the encoder of FFmpeg."""

from __future__ import annotations

from fractions import Fraction

import av

from capture.errors import CaptureError
from drivers.microphone.protocol import AudioFormat

FRAME_SAMPLES = 1024
"""Samples per channel in one AAC frame."""


class AacEncoder:
    """One in, one out, one frame late: packet `n` decodes to PCM frame `n - 1`, and packet 0 to the encoder's priming.

    Priming and frame are equally long, so that a packet's time is always that of a whole frame.
    """

    def __init__(self, fmt: AudioFormat, bitrate_bps: int) -> None:
        """Open the encoder.

        Raises:
            CaptureError: it refuses the format.
        """
        self._layout = {1: "mono", 2: "stereo"}.get(fmt.channels, "")
        if not self._layout:
            raise CaptureError(f"audio with {fmt.channels} channels: choose 1 or 2")
        self._fmt = fmt
        self._frames = 0
        self._time_base = Fraction(1, fmt.sample_rate)
        context = av.CodecContext.create("aac", "w")
        context.thread_count = 1
        context.sample_rate = fmt.sample_rate
        context.layout = self._layout
        context.format = "fltp"
        context.bit_rate = bitrate_bps
        context.time_base = self._time_base
        self._context: av.AudioCodecContext | None = context
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise CaptureError(
                f"AAC at {fmt.sample_rate} Hz, {bitrate_bps} bit/s: refused by the encoder: {error}"
            ) from error

    @property
    def config(self) -> bytes:
        """The AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""
        # The encoder appends a sync extension that says "no SBR"; players do without.
        return bytes(self._require_open().extradata or b"")[:2]

    def encode(self, pcm: bytes) -> list[tuple[int, bytes]]:
        """Encode whole frames of interleaved s16le; gives (number of the PCM frame it decodes to, packet), from -1 on.

        Raises:
            CaptureError: the encoder failed.
        """
        samples = len(pcm) // (2 * self._fmt.channels)
        frame = av.AudioFrame("s16", self._layout, samples)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._fmt.sample_rate
        frame.time_base = self._time_base
        frame.pts = self._frames * FRAME_SAMPLES
        self._frames += samples // FRAME_SAMPLES
        return self._packets(frame)

    def flush(self) -> list[tuple[int, bytes]]:
        """The packets still inside; the encoder takes nothing afterwards.

        Raises:
            CaptureError: the encoder failed.
        """
        return self._packets(None) if self._frames else []

    def _packets(self, frame: av.AudioFrame | None) -> list[tuple[int, bytes]]:
        context = self._require_open()
        try:
            packets = context.encode(frame)
        except av.FFmpegError as error:
            raise CaptureError(f"AAC encoder: failed: {error}; start the recording again") from error
        return [(packet.pts // FRAME_SAMPLES, bytes(packet)) for packet in packets if packet.pts is not None]

    def close(self) -> None:
        """Free the encoder and its memory now, rather than when a collector comes round. Final and idempotent."""
        self._context = None

    def _require_open(self) -> av.AudioCodecContext:
        if self._context is None:
            raise CaptureError("AAC encoder: it was closed; make a new one")
        return self._context
