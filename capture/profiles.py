"""The recording profiles: what the camera and the microphone are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from capture.errors import CaptureError
from drivers.camera.protocol import VideoFormat
from drivers.microphone.protocol import AudioFormat


@dataclass(frozen=True, slots=True)
class Profile:
    """A named pair of formats; AAC-LC (ISO/IEC 14496-3) at `audio_bitrate_bps`."""

    name: str
    video: VideoFormat
    audio: AudioFormat = field(default_factory=AudioFormat)
    audio_bitrate_bps: int = 96_000


def _at_30(name: str, width: int, height: int, bitrate_bps: int) -> Profile:
    return Profile(name, VideoFormat(width, height, 30, bitrate_bps, key_interval=30))


PROFILES = {
    profile.name: profile
    for profile in (
        _at_30("1080p30", 1920, 1080, 8_000_000),
        _at_30("720p30", 1280, 720, 4_000_000),
        # 854 is not a multiple of 16, which hardware encoders want.
        _at_30("480p30", 848, 480, 1_500_000),
    )
}


def profile_named(name: str) -> Profile:
    """The profile called `name`.

    Raises:
        CaptureError: there is none.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise CaptureError(f"profile {name!r}: unknown; choose one of {', '.join(PROFILES)}") from None


def bytes_per_s(profile: Profile) -> float:
    """Return what a recording takes on flash, the format's own part of half a percent included."""
    return (profile.video.bitrate_bps + profile.audio_bitrate_bps) / 8 * 1.005
