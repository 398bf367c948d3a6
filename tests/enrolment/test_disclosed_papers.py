"""What a bundle says about whose device it was: the certificate that it had when it recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from station.disclosing import papers_of
from station.errors import StationError
from tests.enrolment.bench import NOW_NS, Camera, bench
from wire.enrolment import Kind

DAY_NS = 86_400 * 10**9


def test_the_certificate_of_the_time_of_recording(tmp_path: Path) -> None:
    with bench(tmp_path) as station:
        camera = Camera(tmp_path / "camera")
        device = station.enrol(camera).granted.device
        first = papers_of(station.office, device, NOW_NS)
        assert first is not None
        certificate = x509.load_pem_x509_certificate(first.certificate)
        assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == device
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(first.authority))
        assert papers_of(station.office, "0" * 32, NOW_NS) is None

        station.now_ns = NOW_NS + 200 * DAY_NS
        camera.clock.set_utc(station.now_ns)
        assert station.enrol(camera, station.desk(agreement=station.agreement(Kind.RENEWAL))).granted.device == device
        assert papers_of(station.office, device, NOW_NS + DAY_NS) == first
        second = papers_of(station.office, device, NOW_NS + 201 * DAY_NS)
        assert second is not None
        assert second.certificate != first.certificate
        assert papers_of(station.office, device, NOW_NS + 150 * DAY_NS) == second, "the newest, where none was good"

        granted = station.records.get(device)
        assert granted is not None
        station.records.put(replace(granted, certificate="nonsense"))
        with pytest.raises(StationError, match="holds no certificate"):
            papers_of(station.office, device, NOW_NS)
