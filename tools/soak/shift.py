"""A shift of twelve hours of footage in thousands of recordings, as fast as this machine can record it.

A whole device: its real states, signals, capture, AAC encoder, recorder and store; only camera, microphone, light,
button and clock are of the shift's own, so that nothing waits for real time. Memory, file descriptors, threads and
queued bytes are looked at throughout: none of them may grow. At the end the whole chain is verified.

``python -m tools.soak.shift [--recordings N] [--hours H] [--folder F] [--write]``
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from drivers.clock.simulated import SimulatedClock
from firmware.board import BOARDS
from firmware.inputs import PowerOff
from firmware.settings import load_settings
from firmware.states import State
from firmware.wiring import Device
from storage.keyfiles import load_device_key
from storage.verify import verify
from tools.prepare import States, TroubleError, prepare
from tools.soak.plot import Panel, draw
from tools.soak.shift_parts import ShiftParts

_FRAME_NS = 1_000_000_000 // 30
_PATIENCE_S = 30.0
_AHEAD = 20
"""So many pictures are delivered before the recorder has to have taken them in."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_GROWTH_MIB = 3.0
_DOCS = Path("docs/faults")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process holds between two recordings, and the most that waited in a queue since the last sample."""

    media_s: float
    recordings: int
    rss_mib: float
    descriptors: int
    threads: int
    queued_kib: float


@dataclass(frozen=True, slots=True)
class Result:
    """What the shift came to."""

    recordings: int
    media_s: float
    real_s: float
    samples: tuple[Sample, ...]
    verdict: str
    kept_s: float
    """Of footage in the chain."""
    kept_recordings: int
    gaps: int

    @property
    def growth_mib(self) -> float:
        """RSS of the last quarter less that of the second, medians."""
        quarter = len(self.samples) // 4
        rss = [sample.rss_mib for sample in self.samples]
        return statistics.median(rss[-quarter:]) - statistics.median(rss[quarter : 2 * quarter])

    def complaints(self) -> list[str]:
        """Say what is not as it must be."""
        half = self.samples[len(self.samples) // 2 :]
        found = []
        if self.growth_mib > _GROWTH_MIB:
            found.append(f"memory grew by {self.growth_mib:.1f} MiB between the second and the last quarter")
        for name in ("descriptors", "threads"):
            if len({getattr(sample, name) for sample in half}) != 1:
                found.append(f"the number of {name} does not stay: {[getattr(sample, name) for sample in half]}")
        if self.verdict != "authentic" or self.gaps:
            found.append(f"the chain is {self.verdict}, with {self.gaps} gaps")
        if self.kept_recordings != self.recordings or self.kept_s < self.media_s - self.recordings * 0.2:
            found.append(f"{self.kept_recordings} recordings and {self.kept_s:.0f} s are in the chain")
        return found


class Shift:
    """One device, and the officer who wears it."""

    def __init__(self, folder: Path, seed: int) -> None:
        prepare(folder, "480p30", 60, board=(BOARDS / "simulated.toml").read_text("utf-8"), self_test=False)
        self._settings = load_settings(folder / "device.toml")
        self._clock = SimulatedClock()
        self._parts = ShiftParts(self._settings.board, self._clock)
        self._states = States()
        self._dice = random.Random(seed)  # noqa: S311 - a shift that can be had again
        self._most_queued = 0
        self._media_s = 0.0
        self._samples: list[Sample] = []
        self._folder = folder

    def run(self, recordings: int, hours: float, every: int) -> Result:
        """Make so many recordings of so many hours in all."""
        began_s = time.monotonic()
        mean_s = hours * 3600 / recordings
        with Device(self._settings, self._parts, self._states.changed, clock=self._clock) as device:
            ending: list[str] = []
            thread = threading.Thread(target=lambda: ending.append(device.run()), name="appliance", daemon=True)
            thread.start()
            self._states.wait_for(State.STANDBY, _PATIENCE_S)
            for number in range(recordings):
                # Some are beyond a segment's length.
                left_s = hours * 3600 - self._media_s
                length_s = max(1.0, self._dice.uniform(0.2, 1.8) * min(mean_s, left_s))
                if number % 100 == 50:
                    length_s = max(length_s, 100.0)
                if number == recordings - 1:
                    length_s = max(length_s, left_s)
                self._record(device, length_s)
                if number % every == 0 or number == recordings - 1:
                    self._sample(number + 1)
            device.inputs.put(PowerOff(), timeout=1.0)
            thread.join(_PATIENCE_S)
            if thread.is_alive() or ending != [""]:
                raise TroubleError(f"the device did not end cleanly: {ending}")
        real_s = time.monotonic() - began_s
        report = verify(self._settings.store.flash, load_device_key(self._folder / "device.pub"))
        media = [item.media for item in report.recordings]
        return Result(
            recordings, self._media_s, real_s, tuple(self._samples), report.verdict.value,
            sum(item.duration_ns for item in media) / 1e9, len(media), sum(len(item.gaps) for item in media),
        )  # fmt: skip

    def _record(self, device: Device, length_s: float) -> None:
        button = self._parts.shift_button
        button.press()
        self._clock.advance(100_000_000)
        button.release()
        self._await(self._parts.shift_camera.started.is_set, "the camera was not started")
        pictures = round(length_s * 30)
        for number in range(pictures):
            self._frame()
            if number % _AHEAD == 0:
                self._catch_up(device)
            if number == 45:
                self._states.wait_for(State.RECORDING, _PATIENCE_S)
                self._maybe_mark()
        self._states.wait_for(State.RECORDING, _PATIENCE_S)
        button.press()
        for _ in range(63):
            self._frame()
        self._catch_up(device)
        self._media_s += (pictures + 63) / 30
        button.release()
        self._clock.advance(100_000_000)
        self._states.wait_for(State.STANDBY, _PATIENCE_S)

    def _maybe_mark(self) -> None:
        if self._dice.random() < 0.2:
            self._parts.shift_button.press()
            for _ in range(3):
                self._frame()
            self._parts.shift_button.release()

    def _frame(self) -> None:
        self._clock.advance(_FRAME_NS)
        now_ns = self._clock.monotonic_ns()
        self._parts.shift_microphone.deliver(now_ns)
        self._parts.shift_camera.deliver(now_ns)

    def _catch_up(self, device: Device) -> None:
        """Wait until the recorder has taken in nearly all that was delivered."""
        capture, camera = device.capture, self._parts.shift_camera
        if capture is None or device.store is None:
            raise TroubleError("the device has no recorder")
        self._most_queued = max(self._most_queued, device.store.queued_bytes + capture.statistics.highest_queue_bytes)
        self._await(lambda: capture.statistics.frames >= camera.delivered - _AHEAD, "the recorder lags behind")

    def _await(self, done: object, otherwise: str) -> None:
        assert callable(done)
        end_s = time.monotonic() + _PATIENCE_S
        while not done():
            if time.monotonic() > end_s:
                raise TroubleError(otherwise)
            time.sleep(0.0005)

    def _sample(self, recordings: int) -> None:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        self._samples.append(
            Sample(
                self._media_s, recordings, pages * _PAGE / 2**20, len(list(Path("/proc/self/fd").iterdir())),
                len(list(Path("/proc/self/task").iterdir())), self._most_queued / 1024,
            )
        )  # fmt: skip
        self._most_queued = 0


def picture(result: Result) -> str:
    """Draw the samples."""
    samples = result.samples
    title = f"{result.recordings} recordings, {result.media_s / 3600:.1f} h of footage in {result.real_s / 60:.1f} min"
    return draw(
        title,
        "hours of footage",
        [sample.media_s / 3600 for sample in samples],
        [
            Panel("RSS", "MiB", [sample.rss_mib for sample in samples]),
            Panel("file descriptors", "", [sample.descriptors for sample in samples]),
            Panel("threads", "", [sample.threads for sample in samples]),
            Panel("queued at most", "KiB", [sample.queued_kib for sample in samples]),
        ],
    )


def page(result: Result) -> str:
    """Write the figures as a table in Markdown."""
    first, last = result.samples[0], result.samples[-1]
    return "\n".join(
        [
            "<!-- Written by `python -m tools.soak.shift --write`; do not edit. -->",
            "",
            "| what | figure |",
            "|---|---|",
            f"| recordings started and stopped | {result.recordings} |",
            f"| footage | {result.kept_s / 3600:.2f} h, {result.gaps} gaps, chain {result.verdict} |",
            f"| real time | {result.real_s / 60:.1f} min |",
            f"| RSS after the first recording, at the end | {first.rss_mib:.1f} MiB, {last.rss_mib:.1f} MiB |",
            f"| RSS, median of the last quarter less that of the second | {result.growth_mib:+.2f} MiB |",
            f"| file descriptors, first and last | {first.descriptors}, {last.descriptors} |",
            f"| threads between recordings, first and last | {first.threads}, {last.threads} |",
            f"| bytes in queues at most | {max(sample.queued_kib for sample in result.samples):.0f} KiB |",
            "",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the shift; 0 if nothing grew and nothing is missing."""
    parser = argparse.ArgumentParser(prog="shift", description=__doc__)
    parser.add_argument("--recordings", type=int, default=5000)
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--every", type=int, default=25, help="recordings from one sample to the next")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/soak/shift"))
    parser.add_argument("--write", action="store_true", help="write the table and the picture into docs/")
    options = parser.parse_args(arguments)
    try:
        result = Shift(options.folder, options.seed).run(options.recordings, options.hours, options.every)
    except TroubleError as error:
        sys.stderr.write(f"shift: {error}\n")
        return 2
    finally:
        shutil.rmtree(options.folder / "flash", ignore_errors=True)
    (options.folder / "shift.json").write_text(json.dumps(asdict(result), indent=1), "utf-8")
    for folder in [options.folder, *([_DOCS] if options.write else [])]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "shift.svg").write_text(picture(result), "utf-8")
        (folder / "shift.md").write_text(page(result), "utf-8")
    sys.stdout.write(page(result))
    complaints = result.complaints()
    for complaint in complaints:
        sys.stderr.write(f"shift: {complaint}\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
