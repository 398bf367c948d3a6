"""``station label``: labels with a QR code, one by one or from the list of serials."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

from station.console import say
from station.errors import StationError
from station.labels import NAME_CHARACTERS_ON_LABEL, Label, write_labels

_GOOD = ("enrolled", "already enrolled", "enrolled again", "renewed")


def label_command(
    output: Annotated[Path, typer.Option(help="The PDF to write; an SVG of each label goes beside it.")],
    device: Annotated[str, typer.Option(help="Device id, 32 hexadecimal digits.")] = "",
    fingerprint: Annotated[str, typer.Option(help="SHA-256 of its public key, 64 hexadecimal digits.")] = "",
    name: Annotated[str, typer.Option()] = "",
    serials: Annotated[
        Path | None, typer.Option("--csv", help="Instead: a list of serials, as enrol --watch writes; a page a device.")
    ] = None,
) -> None:
    """Make labels of 62 x 29 mm: name, device id and fingerprint, for people and as a QR code."""
    if (serials is None) is not bool(device and fingerprint):
        raise StationError("name --device and --fingerprint, or a --csv")
    labels = [Label(device, fingerprint, name)] if serials is None else _listed(serials)
    for path in write_labels(labels, output):
        say(str(path))


def _listed(path: Path) -> list[Label]:
    found: dict[str, Label] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["result"] in _GOOD:
                    name = row["name"][:NAME_CHARACTERS_ON_LABEL]
                    found[row["device"]] = Label(row["device"], row["fingerprint"], name)
    except OSError as error:
        raise StationError(f"cannot read {path}: {error.strerror}") from None
    except (KeyError, ValueError, csv.Error):
        raise StationError(f"{path} is no list of serials: it lacks device, fingerprint, name or result") from None
    if not found:
        raise StationError(f"{path} names no device that was enrolled")
    return list(found.values())
