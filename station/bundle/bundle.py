"""Makes a bundle for court: a folder, or a ZIP, that needs nothing of this project to be checked (docs/BUNDLE.md)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from station.errors import StationError
from station.export import choose_recording, export_recording
from station.opener import KeyOpener, content_key
from station.report import recording_as_json
from storage.chain_rules import RecordingReport
from storage.durable import sync_directory
from storage.keyfiles import encode_device_key
from storage.signer import Signer
from storage.verdict import Verdict
from storage.verify import verify

_HERE = Path(__file__).resolve().parent
_CONTEXT = b"getuige/1 bundle\0"
_DUTCH = {
    Verdict.AUTHENTIC: "authentiek",
    Verdict.MISSING_PARTS: "authentiek, met ontbrekende delen",
    Verdict.NOT_SIGNED: "niet ondertekend",
    Verdict.NOT_AUTHENTIC: "niet authentiek",
}
_EPOCH = datetime(1980, 1, 1).timetuple()[:6]  # noqa: DTZ001 - what ZIP knows no earlier time than
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Who gives what to whom, and why."""

    by: str
    recipient: str
    reason: str
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Papers:
    """What says whose device it was: the certificate that it had when it recorded, and the authority's (PEM)."""

    certificate: bytes
    authority: bytes


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle."""

    path: Path
    verdict: Verdict
    digest: str
    """SHA-256 of the manifest, in hex: it names every file."""


def make_bundle(
    segments: Sequence[Path],
    identity: bytes,
    opener: KeyOpener,
    station: Signer,
    recording: str,
    disclosure: Disclosure,
    output: Path,
    *,
    papers: Papers | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Made:
    """Write a bundle of the sealed segments of one recording; a ZIP where `output` ends in ``.zip``.

    Raises:
        StationError: it is there already, the footage is not authentic, does not open, or the disk does not take it.
    """
    if output.exists():
        raise StationError(f"{output} exists already: nothing is written over a bundle")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            # Beside its place, so that it appears there whole or not at all.
            folder = Path(stack.enter_context(TemporaryDirectory(prefix=".bundle-", dir=output.parent))) / "bundle"
            folder.mkdir(mode=0o700)
            if papers is not None:
                _write(folder / "device.crt", papers.certificate)
                _write(folder / "authority.crt", papers.authority)
            made = _fill(folder, segments, identity, opener, station, recording, disclosure, now())
            if output.suffix == ".zip":
                _zip(folder, output)
            else:
                folder.rename(output)
            sync_directory(output.parent)
    except OSError as error:
        raise StationError(f"cannot write the bundle {output}: {error.strerror}") from None
    return Made(output, *made)


def _fill(
    folder: Path,
    segments: Sequence[Path],
    identity: bytes,
    opener: KeyOpener,
    station: Signer,
    recording: str,
    disclosure: Disclosure,
    now: datetime,
) -> tuple[Verdict, str]:
    sealed = folder / "sealed"
    sealed.mkdir(mode=0o700)
    for path in segments:
        shutil.copyfile(path, sealed / path.name)
    report = verify(sealed, identity, keep_chunks=True)
    chosen = choose_recording(report, recording)
    whole = chosen.verdict is Verdict.AUTHENTIC
    export_recording(chosen, opener, folder / "recording.mp4", sound_prefix_only=not whole)
    keys = {
        str(part.first.place.segment): content_key(opener, part.first.place, part.opening).hex()
        for part in chosen.segments
        if part.first is not None and part.opening is not None
    }
    data = recording_as_json(chosen)
    _write(folder / "content-keys.json", json.dumps(keys, indent=1).encode())
    _write(folder / "chain.json", json.dumps(_chain(chosen, data), indent=1).encode())
    _write(folder / "device.pub", encode_device_key(identity))
    _write(folder / "station.pub", encode_device_key(station.public))
    shutil.copyfile(_HERE / "verify.py", folder / "verify.py")
    html = _report(chosen, data, identity, station.public, disclosure, now)
    _write(folder / "report.html", html.encode())
    manifest = {
        "schema": "getuige-bundle/1",
        "recording": data["id"],
        "device": report.device.hex(),
        "verdict": chosen.verdict.value,
        "made": now.isoformat(timespec="seconds"),
        "by": disclosure.by,
        "recipient": disclosure.recipient,
        "reason": disclosure.reason,
        "station": station.public.hex(),
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _digest(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    raw = json.dumps(manifest, indent=1, ensure_ascii=False).encode()
    _write(folder / "manifest.json", raw)
    _write(folder / "manifest.sig", station.sign(_CONTEXT + raw))
    return chosen.verdict, hashlib.sha256(raw).hexdigest()


def _chain(chosen: RecordingReport, data: dict[str, Any]) -> dict[str, Any]:
    return {"recording": data, "segments": [_part(item) for item in chosen.segments]}


def _part(item: Any) -> dict[str, Any]:
    return {
        "name": item.path.name,
        "status": item.status.value,
        "chunks": item.sound_chunks,
        "digest": _digest(item.path),
        "chain": item.tip.chain.hex() if item.tip else "",
    }


def _report(
    chosen: RecordingReport,
    data: dict[str, Any],
    identity: bytes,
    station: bytes,
    disclosure: Disclosure,
    now: datetime,
) -> str:
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    first = chosen.segments[0].first
    light = data["indicator"]
    gaps = data["gaps"]
    stamp = first.stamp if first else None
    return environment.get_template("report.html.j2").render(
        recording=data["id"],
        verdict=chosen.verdict.value,
        verdict_nl=_DUTCH[chosen.verdict],
        begun=_utc(stamp.utc_ns) if stamp else "?",
        clock=f"{stamp.clock_source.name}, {_off(stamp.clock_uncertainty_ms)}" if stamp else "?",
        duration=f"{data['duration_s']:.1f} s",
        purpose=disclosure.purpose or "–",
        light=f"{light['coverage']:.1%} ({light['sensed_lit_chunks']} / {data['chunks']})",
        gaps="; ".join(f"{gap['track']} {gap['duration_s']:.2f} s ({gap['cause']})" for gap in gaps) or "–",
        ended=data["end_reason"] or "–",
        device=first.place.device.hex() if first else "?",
        device_key=identity.hex(),
        by=disclosure.by,
        recipient=disclosure.recipient,
        reason=disclosure.reason,
        made=now.isoformat(timespec="seconds"),
        station_key=station.hex(),
        parts=[_part(item) for item in chosen.segments],
    )


def _utc(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="seconds")


def _off(uncertainty_ms: int) -> str:
    return "?" if uncertainty_ms == 0xFFFF_FFFF else f"± {uncertainty_ms} ms"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _zip(folder: Path, output: Path) -> None:
    """Pack a folder: stored, as sealed bytes and video do not get smaller; in order, with one time for all."""
    part = output.with_suffix(".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    info = zipfile.ZipInfo(f"{output.stem}/{path.relative_to(folder).as_posix()}", _EPOCH)
                    info.external_attr = 0o600 << 16
                    with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                        shutil.copyfileobj(source, target, _BLOCK)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(output)
    finally:
        part.unlink(missing_ok=True)
