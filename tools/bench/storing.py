"""The store writer, verification and export, against stock `age`, raw SHA-256 and raw decryption. All on tmpfs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from station.export import export_recording
from station.opener import FileKeyOpener
from storage.keyfiles import load_device_key
from storage.verify import verify
from tools.bench.scratch import TMPFS, Scratch
from tools.bench.table import Row
from tools.bench.timing import compare, seconds

_TOTAL = 1024 * 1024 * 1024
_CHUNK = 256 * 1024
_RECORDING = b"B" * 16


def storing_rows() -> Iterator[Row]:
    """Measure with 1 GiB in 256 KiB chunks."""
    base = TMPFS / f"getuige-bench-{os.getpid()}"
    try:
        yield from _writer(base)
        scratch = Scratch.make(base / "kept")
        with scratch.open() as store:
            scratch.record(store, _TOTAL, os.urandom(_CHUNK), _RECORDING)
        identity = load_device_key(base / "kept" / "state" / "device.pub")
        files = sorted((scratch.flash / "segments").iterdir())
        yield from _verification(scratch.flash, identity, files)
        yield from _export(scratch, identity, files, base / "out.mp4")
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _writer(base: Path) -> Iterator[Row]:
    """Our whole writer against age, in turn; each removes its own output, outside the clock."""
    chunk = os.urandom(_CHUNK)
    base.mkdir(parents=True)
    plain = base / "plain"
    with plain.open("wb") as file:
        for _ in range(_TOTAL // _CHUNK):
            file.write(chunk)
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"age1[0-9a-z]+", made)
    if found is None:
        raise RuntimeError("age-keygen printed no public key")
    recipient = found.group()
    ours_s, age_s = [], []
    for turn in range(4):
        scratch = Scratch.make(base / f"turn{turn}")
        with scratch.open() as store:
            mine = seconds(lambda s=store, d=scratch: d.record(s, _TOTAL, chunk, _RECORDING))  # type: ignore[misc]
        shutil.rmtree(scratch.base)
        theirs = seconds(
            lambda: subprocess.run(["age", "-r", recipient, "-o", str(base / "age"), str(plain)], check=True)
        )
        (base / "age").unlink()
        if turn:
            ours_s.append(mine)
            age_s.append(theirs)
    plain.unlink()
    yield Row(
        "store writer, 1 GiB", statistics.median(b / a for a, b in zip(ours_s, age_s, strict=True)), "of age",
        f"{1024 / statistics.median(ours_s):.0f} MiB/s; age -r {1024 / statistics.median(age_s):.0f} MiB/s", 1.0,
    )  # fmt: skip


def _verification(flash: Path, identity: bytes, files: list[Path]) -> Iterator[Row]:
    cores = len(os.sched_getaffinity(0))

    def digest_all() -> None:
        for path in files:
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")

    one = compare(lambda: verify(flash, identity, workers=1), digest_all, rounds=5)
    yield Row(
        "verification, one core", one.ratio, "of limit",
        f"{1024 / one.ours_s:.0f} MiB/s; limit {1024 / one.limit_s:.0f} MiB/s (SHA-256 of the same files)", 0.9,
    )  # fmt: skip

    def digest_on_all() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda path: hashlib.file_digest(path.open("rb"), "sha256"), files))

    every = compare(lambda: verify(flash, identity), digest_on_all, rounds=5)
    yield Row(
        f"verification, {cores} cores against one", one.ours_s / every.ours_s, "times",
        f"{1024 / every.ours_s:.0f} MiB/s; SHA-256 on {cores} cores {1024 / every.limit_s:.0f} MiB/s",
        1.7 if cores == 2 else None,
    )  # fmt: skip


def _export(scratch: Scratch, identity: bytes, files: list[Path], output: Path) -> Iterator[Row]:
    opener = FileKeyOpener(scratch.station)

    def ours() -> None:
        report = verify(scratch.flash, identity, keep_chunks=True)
        export_recording(report.recordings[0], opener, output)

    cipher = ChaCha20Poly1305(bytes(32))
    sealed = cipher.encrypt(bytes(12), os.urandom(_CHUNK), None)
    plain = bytearray(_CHUNK)

    def limit() -> None:
        for path in files:
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")
        for _ in range(_TOTAL // _CHUNK):
            cipher.decrypt_into(bytes(12), sealed, None, plain)

    found = compare(ours, limit, rounds=7, tidy=output.unlink)
    yield Row(
        "export, 1 GiB", found.ratio, "of limit",
        f"{1024 / found.ours_s:.0f} MiB/s; limit {1024 / found.limit_s:.0f} MiB/s (SHA-256 + decryption, one core)",
        0.75,
    )  # fmt: skip
