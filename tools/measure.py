"""Measure what a recording of the synthetic camera and microphone really holds.

Decodes an MP4, reads the time code of each picture, finds each flash and each beep, and reports lost, repeated and
displaced frames and the error of lip-sync. The time of a flash is the time stamp of the first white picture; that of a
beep is found to the sample in the decoded sound, from the time stamp of the AAC frame it lies in.

    python -m tools.measure FILE
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from drivers.camera import timecode
from drivers.camera.scene import flash_patch

_WHITE_ABOVE = 180
_LOUD_ABOVE = 0.2
"""Of full scale: the beep peaks at 0.49, what the AAC encoder spreads before it stays far below."""
_QUIET_S = 0.1
_PAIR_S = 0.5


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured; times in seconds of media time, errors in milliseconds, positive where the sound is late."""

    frames: int
    unreadable: int
    """Pictures whose time code could not be read."""
    lost: int
    """Frame numbers missing between the first and the last."""
    duplicated: int
    out_of_order: int
    duration_s: float
    """From the first picture to the last."""
    flashes_s: tuple[float, ...]
    beeps_s: tuple[float, ...]
    lip_sync_ms: tuple[float, ...]
    """For each flash that has a beep within half a second."""

    @property
    def lip_sync_max_ms(self) -> float | None:
        """The largest error, whichever its sign; None when no flash has a beep."""
        return max(map(abs, self.lip_sync_ms)) if self.lip_sync_ms else None

    @property
    def lip_sync_mean_ms(self) -> float | None:
        """The mean error, with its sign; None when no flash has a beep."""
        return sum(self.lip_sync_ms) / len(self.lip_sync_ms) if self.lip_sync_ms else None


class MeasureError(Exception):
    """The file cannot be measured. The text says why."""


def measure(path: Path) -> Measurement:
    """Decode and measure `path`.

    Raises:
        MeasureError: it cannot be read, decoded, or has no pictures.
    """
    numbers, flashes, times = [], [], []
    ear = _Ear()
    dark = False
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MeasureError(f"{path}: no video track")
            for frame in container.decode(video=0, audio=0) if container.streams.audio else container.decode(video=0):
                if not isinstance(frame, av.VideoFrame | av.AudioFrame):
                    continue
                if frame.pts is None or frame.time_base is None:
                    raise MeasureError(f"{path}: a frame without a time stamp")
                time_s = float(frame.pts * frame.time_base)
                if isinstance(frame, av.AudioFrame):
                    ear.hear(frame, time_s)
                    continue
                luma = _luma(frame)
                numbers.append(timecode.read(luma))
                times.append(time_s)
                white = bool(flash_patch(frame.width, frame.height).of(luma).mean() > _WHITE_ABOVE)
                if white and dark:
                    flashes.append(time_s)
                dark = not white
    except (av.FFmpegError, OSError) as error:
        raise MeasureError(f"{path}: cannot be decoded: {error}") from error
    if not times:
        raise MeasureError(f"{path}: no pictures")
    return _judge(numbers, times, flashes, ear.beeps)


def _judge(
    numbers: Sequence[int | None], times: Sequence[float], flashes: Sequence[float], beeps: Sequence[float]
) -> Measurement:
    readable = [number for number in numbers if number is not None]
    seen: set[int] = set()
    duplicated = out_of_order = 0
    highest = -1
    for number in readable:
        if number in seen:
            duplicated += 1
        elif number < highest:
            out_of_order += 1
        seen.add(number)
        highest = max(highest, number)
    unreadable = len(numbers) - len(readable)
    span = max(seen) - min(seen) + 1 if seen else 0
    return Measurement(
        frames=len(numbers),
        unreadable=unreadable,
        lost=max(0, span - len(seen) - unreadable),
        duplicated=duplicated,
        out_of_order=out_of_order,
        duration_s=max(times) - min(times),
        flashes_s=tuple(flashes),
        beeps_s=tuple(beeps),
        lip_sync_ms=tuple(_errors(flashes, beeps)),
    )


def _errors(flashes: Iterable[float], beeps: Sequence[float]) -> Iterable[float]:
    for flash in flashes:
        nearest = min(beeps, key=lambda beep: abs(beep - flash), default=None)
        if nearest is not None and abs(nearest - flash) <= _PAIR_S:
            yield (nearest - flash) * 1000


def _luma(frame: av.VideoFrame) -> timecode.Luma:
    if frame.format.name not in ("yuv420p", "yuvj420p"):
        frame = frame.reformat(format="yuv420p")
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


class _Ear:
    """Finds where sound becomes loud after at least `_QUIET_S` of quiet."""

    def __init__(self) -> None:
        self.beeps: list[float] = []
        self._quiet_s = 0.0

    def hear(self, frame: av.AudioFrame, time_s: float) -> None:
        samples: NDArray[np.float32] = np.abs(frame.to_ndarray()[0].astype(np.float32))
        if not frame.format.name.startswith("flt"):
            samples /= 32_768
        loud = np.flatnonzero(samples > _LOUD_ABOVE)
        rate = frame.sample_rate
        if not loud.size:
            self._quiet_s += samples.size / rate
            return
        if self._quiet_s + loud[0] / rate >= _QUIET_S:
            self.beeps.append(time_s + float(loud[0]) / rate)
        self._quiet_s = float(samples.size - 1 - loud[-1]) / rate


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m tools.measure FILE", file=sys.stderr)
        return 2
    try:
        result = measure(Path(arguments[0]))
    except MeasureError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"frames        {result.frames} in {result.duration_s:.2f} s")
    print(f"lost          {result.lost}")
    print(f"duplicated    {result.duplicated}")
    print(f"out of order  {result.out_of_order}")
    print(f"unreadable    {result.unreadable}")
    print(f"flashes       {len(result.flashes_s)}, beeps {len(result.beeps_s)}")
    if result.lip_sync_max_ms is None or result.lip_sync_mean_ms is None:
        print("lip-sync      not measured: no flash has a beep")
    else:
        print(f"lip-sync      at most {result.lip_sync_max_ms:.2f} ms, mean {result.lip_sync_mean_ms:+.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
