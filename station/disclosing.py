"""Viewing and disclosing what is in custody: the sealed segments come out of the body store, and go back to nobody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from sqlalchemy import select

from station.audit.log import Act
from station.bundle.bundle import Disclosure, Made, Papers, make_bundle
from station.custody.tables import DeviceRow, SegmentRow
from station.enrolment.records import Records
from station.errors import RefusedError, StationError
from station.export import Export, choose_recording, export_recording
from station.office import Office
from station.opener import KeyOpener
from station.people.roles import Person
from storage.inventory import segment_name
from storage.keyfiles import device_id
from storage.verdict import Verdict
from storage.verify import verify


@contextmanager
def sealed_segments(office: Office, recording: str) -> Iterator[tuple[bytes, list[Path]]]:
    """Give the device's identity key and the sealed files of a recording, for as long as they are used.

    Raises:
        RefusedError: nothing of it is here.
        StationError: the body store does not give them.
    """
    with office.database.session() as session:
        rows = session.scalars(
            select(SegmentRow)
            .where(SegmentRow.recording == recording, SegmentRow.destroyed_utc_ns.is_(None))
            .order_by(SegmentRow.number)
        ).all()
        identity = session.get_one(DeviceRow, rows[0].device).identity if rows else b""
    if not rows:
        raise RefusedError(f"nothing of recording {recording} is here")
    with TemporaryDirectory(prefix="getuige-") as folder:
        paths = []
        for row in rows:
            path = Path(folder) / segment_name(row.number)
            with office.bodies.local(row.body) as source:
                try:
                    path.hardlink_to(source)
                except OSError:
                    shutil.copyfile(source, path)  # another file system
            paths.append(path)
        yield identity, paths


def view(office: Office, person: Person, opener: KeyOpener, recording: str, reason: str, output: Path) -> Export:
    """Decrypt a recording into `output` (mode 0600), for looking at it here; on record first.

    Raises:
        StationError: refused, or it does not open.
    """
    office.review.find(person, Act.VIEW, recording, purpose=reason)
    with sealed_segments(office, recording) as (identity, paths):
        report = verify(paths[0].parent, identity, keep_chunks=True)
        chosen = choose_recording(report, recording)
        whole = chosen.verdict is Verdict.AUTHENTIC
        return export_recording(chosen, opener, output, sound_prefix_only=not whole)


def disclose(
    office: Office, person: Person, opener: KeyOpener, recording: str, reason: str, recipient: str, output: Path
) -> Made:
    """Make a bundle for somebody outside; on record first, with two persons where the unit wants that.

    Raises:
        StationError: refused, or it cannot be made.
    """
    office.review.may_disclose(person, recording)
    found = office.review.find(person, Act.DISCLOSE, recording, purpose=reason, recipient=recipient)
    with sealed_segments(office, recording) as (identity, paths):
        given = Disclosure(f"{person.name} ({person.number})", recipient, reason, found.purpose)
        papers = papers_of(office, device_id(identity).hex(), found.begun_utc_ns)
        return make_bundle(paths, identity, opener, office.signer, recording, given, output, papers=papers)


def papers_of(office: Office, device: str, begun_utc_ns: int) -> Papers | None:
    """Return the certificate that a device had at a time (ns since 1970), or the newest; None if none was given here.

    Raises:
        StationError: what is on record about its enrolment, or the authority, cannot be read.
    """
    granted = Records(office.folder).get(device)
    if granted is None:
        return None
    begun = datetime.fromtimestamp(begun_utc_ns // 1_000_000_000, UTC)
    given = [text.encode() for text in (granted.certificate, granted.previous) if text]
    try:
        certificates = [x509.load_pem_x509_certificate(pem) for pem in given]
    except ValueError:
        raise StationError(f"what is on record about the enrolment of {device} holds no certificate") from None
    for pem, certificate in zip(given, certificates, strict=True):
        if certificate.not_valid_before_utc <= begun <= certificate.not_valid_after_utc:
            return Papers(pem, office.authority.pem)
    return Papers(given[0], office.authority.pem)
