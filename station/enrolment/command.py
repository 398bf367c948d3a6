"""``station enrol``. Exit status: 0 enrolled, 1 refused, 2 unusable input, 3 not finished: the same command goes on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from station.asking import passphrases
from station.console import say
from station.enrolment.conversation import Conversation
from station.enrolment.desk import Agreement, Desk
from station.enrolment.ending import Ending, SerialsFile
from station.enrolment.errors import EnrolmentRefusedError, EnrolmentUnfinishedError
from station.enrolment.papers import load_papers
from station.enrolment.ports import GADGET, globbed_ports, usb_ports
from station.enrolment.tray import Tray
from station.errors import StationError
from station.labels import NAME_CHARACTERS_ON_LABEL, label_of, write_labels
from station.office_commands import Folder, PasswordFile, Who, acting, require_technician
from station.unit_key import load_unit_key
from storage.errors import StorageError
from wire.calling import Calling
from wire.enrolment import NAME_CHARACTERS, Kind
from wire.errors import LineLostError
from wire.serial_line import SerialLine

_REFUSED, _UNFINISHED = 1, 3
_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Times:
    """How long things may take, in seconds."""

    wait_s: float
    """For the device to come (back)."""
    silence_s: float = 15.0
    recorder_s: float = 60.0


def enrol_command(
    station: Folder, who: Who,
    port: Annotated[Path | None, typer.Option(help="The serial port, such as /dev/ttyACM0.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Enrol each device that is plugged in, until Ctrl-C.")] = False,
    policy: Annotated[Path | None, typer.Option(help="The unit's signed policy; by default policy.toml there.")] = None,
    unit: Annotated[Path | None, typer.Option(help="The unit's public key; by default unit.pub there.")] = None,
    networks: Annotated[
        Path | None, typer.Option(help="A file, yours alone, with the networks and the broker for live view.")
    ] = None,
    name: Annotated[str, typer.Option(help="The device's name; {n} in it becomes a number.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long its TLS certificate is good.")] = 825,
    again: Annotated[bool, typer.Option("--again", help="Enrol what is enrolled already: a new identity.")] = False,
    keep_identity: Annotated[
        bool, typer.Option("--keep-identity", help="With --again: a new TLS certificate for the same identity.")
    ] = False,
    reason: Annotated[str, typer.Option(help="With --again: why; it goes on record, signed by the unit.")] = "",
    unit_key: Annotated[Path | None, typer.Option(help="With --again: the unit's private key (PEM).")] = None,
    unit_passphrase_file: Annotated[
        Path | None, typer.Option(help="Passphrase of the unit's key, where it has one. Otherwise you are asked.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait for a device that is not there.")] = 30,
    count: Annotated[int | None, typer.Option(min=1, help="With --watch: end after so many devices.")] = None,
    serials: Annotated[Path | None, typer.Option(help="With --watch: the CSV to add to (serials.csv).")] = None,
    labels: Annotated[Path | None, typer.Option(help="A folder for a label of each device, PDF and SVG.")] = None,
    usb: Annotated[str, typer.Option(help="With --watch: USB vendor and product id of the devices.")] = GADGET,
    port_glob: Annotated[str, typer.Option(help="With --watch: a pattern of ports instead of a USB id.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print an object a device, for programs.")] = False,
    password_file: PasswordFile = None,
) -> None:  # fmt: skip
    """Make a device the unit's, over its USB serial console. Pulled in the middle, the same command goes on."""
    if (port is None) is not watch:
        raise StationError("name a --port, or say --watch")
    if watch and again:
        raise StationError("--again is for one device: name its --port")
    if len(name) > NAME_CHARACTERS - 4 or not name.isprintable():
        raise StationError(f"a device's name has up to {NAME_CHARACTERS - 4} printable characters")
    agreement = _agreement(reason, unit_key, unit_passphrase_file, keep_identity=keep_identity) if again else None
    times = Times(wait)
    with acting(station, who, password_file) as (office, person):
        require_technician(office, person)
        papers = load_papers(
            office.folder, unit or office.folder / "unit.pub", policy or office.folder / "policy.toml",
            office.signer.public, days, time.time_ns(), networks,
        )  # fmt: skip
        if agreement is not None and agreement.unit.public != papers.unit:
            raise StationError(f"{unit_key} is not the unit's private key: devices would not take its consent")
        desk = Desk(office, person, papers, name, time.time_ns, agreement)
        report = _reporting(labels, as_json=as_json)
        if port is not None:
            ending = enrol_at(str(port), desk, times)
            report(ending)
            raise typer.Exit(_status(ending))
        ports = globbed_ports(port_glob) if port_glob else usb_ports(usb)
        file = SerialsFile(serials or Path("serials.csv"))

        def reported(ending: Ending) -> None:
            file.add(ending, int(time.time()))
            report(ending)

        tray = Tray(ports, lambda name: enrol_at(name, desk, Times(0.0)), reported, count=count)
        signal.signal(signal.SIGTERM, lambda _number, _frame: tray.stop())
        try:
            tray.run()
        except KeyboardInterrupt:
            tray.stop()
        if not as_json:
            say(f"{len(tray.enrolled)} devices enrolled, {tray.refused} refused")
        raise typer.Exit(_REFUSED if tray.refused else 0)


def enrol_at(
    port: str,
    desk: Desk,
    times: Times,
    *,
    monotonic_s: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Ending:
    """Enrol what is at a port, in as many attempts as there is time for."""
    ends_s = monotonic_s() + times.wait_s
    while True:
        try:
            with SerialLine(port) as line:
                calling = Calling(line, patience_s=times.silence_s)
                return Ending(port, Conversation(calling, desk, patience_s=times.recorder_s).run())
        except (LineLostError, EnrolmentUnfinishedError) as error:
            if monotonic_s() >= ends_s:
                return Ending(port, None, str(error), "unfinished")
        except (EnrolmentRefusedError, StationError, StorageError) as error:
            return Ending(port, None, str(error), "refused")
        pause(_AGAIN_S)


def _agreement(reason: str, unit_key: Path | None, passphrase: Path | None, *, keep_identity: bool) -> Agreement:
    if not reason.strip() or not reason.isprintable() or len(reason) > 200 or unit_key is None:
        raise StationError("--again needs --reason (one line) and --unit-key: the unit has to agree")
    unit = load_unit_key(unit_key, passphrases(passphrase))
    return Agreement(Kind.RENEWAL if keep_identity else Kind.AGAIN, reason, unit)


def _reporting(labels: Path | None, *, as_json: bool) -> Callable[[Ending], None]:
    def report(ending: Ending) -> None:
        if as_json:
            say(json.dumps(ending.fields))
        elif ending.ended is not None:
            for line in ending.lines:
                say(line)
        else:
            typer.echo(ending.lines[0], err=True)
        if labels is not None and ending.ended is not None:
            label = label_of(ending.ended.identity, ending.ended.granted.name[:NAME_CHARACTERS_ON_LABEL])
            try:
                labels.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StationError(f"cannot make {labels}: {error.strerror}") from None
            write_labels([label], labels / f"label-{label.device[:8]}.pdf")

    return report


def _status(ending: Ending) -> int:
    return {"": 0, "refused": _REFUSED, "unfinished": _UNFINISHED}[ending.result]
