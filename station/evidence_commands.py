"""``station verify | export | keygen``: what needs no station in a folder.

Exit status of the first: 0 authentic, 1 not authentic or not signed, 3 missing parts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from station import export as exporting
from station import report as reporting
from station.asking import Passphrase, PassphraseFile, new_passphrase, passphrases
from station.console import say
from station.errors import StationError
from station.keys import load_station_key, write_new_key
from station.opener import FileKeyOpener
from station.timeline_command import tell
from storage.durable import replace_file
from storage.keyfiles import load_device_key
from storage.verify import StoreReport, verify

Store = Annotated[Path, typer.Argument(help="A store, a folder of .seg files, or one .seg file.")]
DeviceKey = Annotated[Path, typer.Option("--device-key", help="The device's public identity key (PEM).")]


def verify_command(
    store: Store,
    device_key: DeviceKey,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    recording: Annotated[str | None, typer.Option(help="Judge this recording alone (id, or its beginning).")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=256, help="Threads; all cores by default.")] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Print what the device did, as a timeline: ready, recording, off ...")
    ] = False,
    key: Annotated[
        Path | None, typer.Option(help="With --events: the station's private key (PEM), to read the sealed events.")
    ] = None,
    heartbeat: Annotated[
        int | None, typer.Option(min=1, max=3600, help="With --events: the device's heartbeat_s; 10 by default.")
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Check footage, without any secret: that this device made it, that it is whole and unchanged."""
    if events:
        if recording is not None:
            raise StationError("--events tells about the whole chain: leave --recording out")
        opener = None if key is None else FileKeyOpener(load_station_key(key, passphrases(passphrase_file)))
        told = tell(store, load_device_key(device_key), heartbeat_s=heartbeat or 10, workers=workers, opener=opener)
        say(told.json() if as_json else told.text())
        raise typer.Exit(told.report.verdict.exit_status)
    if key is not None or heartbeat is not None:
        raise StationError("--key and --heartbeat are for the timeline: say --events too, or leave them out")
    report = verify(store, load_device_key(device_key), workers=workers)
    verdict = report.verdict
    data: dict[str, Any] = {}
    if recording is not None:
        chosen = exporting.choose_recording(report, recording)
        verdict = chosen.verdict
        data = {
            "schema": reporting.SCHEMA,
            "verdict": verdict.value,
            "exit_status": verdict.exit_status,
            "device": report.device.hex(),
            "recordings": [reporting.recording_as_json(chosen)],
        }
    if as_json:
        say(json.dumps(data or reporting.as_json(report), indent=2))
    else:
        say("\n".join(_only(report, recording)))
    raise typer.Exit(verdict.exit_status)


def _only(report: StoreReport, recording: str | None) -> list[str]:
    if recording is None:
        return list(reporting.as_text(report))
    chosen = exporting.choose_recording(report, recording)
    return [*reporting.recording_text(chosen), f"Verdict: {chosen.verdict.value}"]


def export_command(
    store: Store,
    key: Annotated[Path, typer.Option(help="The station's private key (PEM).")],
    output: Annotated[Path, typer.Option(help="The MP4 to write; its report goes beside it as .json.")],
    recording: Annotated[str | None, typer.Option(help="Recording id, or its beginning.")] = None,
    device_key: Annotated[
        Path | None,
        typer.Option("--device-key", help="The device's public key; by default the device.pub beside the store."),
    ] = None,
    report_path: Annotated[Path | None, typer.Option("--report", help="Where to write the report instead.")] = None,
    sound_prefix_only: Annotated[
        bool, typer.Option("--sound-prefix-only", help="Export the sound beginning of what does not verify whole.")
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Verify a recording, decrypt it, and write a standard MP4 with a report of what was verified."""
    opener = FileKeyOpener(load_station_key(key, passphrases(passphrase_file)))
    identity = load_device_key(device_key or _device_key_beside(store))
    report = verify(store, identity, keep_chunks=True)
    chosen = exporting.choose_recording(report, recording)
    sidecar = _sidecar(output, report_path)
    _refuse_overwriting((output, sidecar), [part.path for part in report.segments] + [key])
    total = sum(part.sound_bytes for part in chosen.segments)
    with Progress(
        "Decrypting", BarColumn(), DownloadColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=quiet or not sys.stderr.isatty(), transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=total)
        made = exporting.export_recording(
            chosen, opener, output, sound_prefix_only=sound_prefix_only,
            progress=lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    _write_report(sidecar, exporting.sidecar(report, chosen, made))
    say(f"{output}: {made.size_bytes} bytes, {chosen.verdict.value}; report in {sidecar}")
    if made.prefix_only:
        say("Only the sound beginning was exported; the report says what is cut or broken.")


def keygen_command(
    key: Annotated[Path, typer.Argument(help="Where to write the private key; the public one goes beside it as .pub.")],
    x25519_only: Annotated[
        bool, typer.Option("--x25519-only", help="No ML-KEM-768: smaller, not post-quantum.")
    ] = False,
    passphrase: Passphrase = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make the unit's key pair: devices seal to the public half, the station opens with the private one."""
    chosen = new_passphrase(f"Passphrase of {key}", passphrase_file, wanted=passphrase)
    public = write_new_key(key, hybrid=not x25519_only, passphrase=chosen)
    say(f"Private key: {key} (keep it at the station). Public key for the devices: {public}")


def _device_key_beside(store: Path) -> Path:
    for folder in (store, *store.resolve().parents[:3]):
        if folder.is_dir() and (folder / "device.pub").is_file():
            return folder / "device.pub"
    raise StationError(f"no device.pub in or above {store}: name the device's public key with --device-key")


def _sidecar(output: Path, report_path: Path | None) -> Path:
    if not output.name:
        raise StationError(f"{output} is a folder: name the file to write")
    sidecar = report_path or output.with_suffix(".json")
    if sidecar == output:
        raise StationError(f"the report would replace {output}: name another file with --report")
    return sidecar


def _refuse_overwriting(written: tuple[Path, Path], read: list[Path]) -> None:
    for path in written:
        if path.exists() and any(path.samefile(other) for other in read if other.exists()):
            raise StationError(f"{path} is evidence or a key: nothing is written over it")


def _write_report(path: Path, data: dict[str, Any]) -> None:
    try:
        replace_file(path, (json.dumps(data, indent=2) + "\n").encode(), mode=0o600)
    except OSError as error:
        raise StationError(f"cannot write the report {path}: {error.strerror}") from None
