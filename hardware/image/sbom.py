"""What is in an image: a CycloneDX 1.6 bill of materials (ECMA-424) in JSON; the same inputs give the same bytes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from hardware.image.base import Base, Release
from hardware.image.debs import Deb, Package
from hardware.image.firmware_files import Source
from hardware.image.wheels import Wheel

_NAMESPACE = uuid.UUID("1d0b7f8e-6a0c-5e0f-9f39-2c9d0c7b5a11")
"""Of the serial numbers of our bills."""


def bill(
    board: str,
    identity: str,
    source: Source,
    base: Base,
    release: Release,
    there: Iterable[Package],
    wheels: Iterable[Wheel],
    debs: Iterable[Deb],
    image: str,
    epoch_s: int,
) -> str:
    """Return it; `image` is the SHA-256 of the image, hexadecimal, and `there` are the packages of the base."""
    subject = Component(
        name=f"getuige-{board}", type=ComponentType.OPERATING_SYSTEM, version=source.version, bom_ref="image",
        hashes=[_sha256(image)], licenses=[DisjunctiveLicense(id="EUPL-1.2")],
        properties=[Property(name="getuige:commit", value=source.commit or "unknown"),
                    Property(name="getuige:changed", value=str(source.changed).lower()),
                    Property(name="getuige:board", value=board),
                    Property(name="getuige:identity", value=identity)],
    )  # fmt: skip
    parts = [
        Component(
            name="getuige", type=ComponentType.FIRMWARE, version=source.version, bom_ref="firmware",
            licenses=[DisjunctiveLicense(id="EUPL-1.2")],
            properties=[Property(name="getuige:commit", value=source.commit or "unknown")],
        ),
        Component(
            name="base image", type=ComponentType.OPERATING_SYSTEM, version=release.codename, bom_ref="base",
            description=release.description, hashes=[_sha256(base.digest)],
        ),
    ]  # fmt: skip
    debs = list(debs)
    replaced = {deb.name for deb in debs}
    bases = [
        Component(
            name=package.name, version=package.version,
            purl=_deb(package.name, package.version, package.architecture, release),
            bom_ref=f"base:{package.name}:{package.architecture}",
        )
        for package in there if package.name not in replaced
    ]  # fmt: skip
    for wheel in wheels:
        purl = PackageURL("pypi", None, wheel.name, wheel.version, {"file_name": wheel.filename})
        parts.append(
            Component(
                name=wheel.name,
                version=wheel.version,
                purl=purl,
                bom_ref=f"wheel:{wheel.name}",
                hashes=[_sha256(wheel.digest)],
            )
        )
    for deb in debs:
        purl = _deb(deb.name, deb.version, deb.architecture, release)
        parts.append(
            Component(
                name=deb.name, version=deb.version, purl=purl, bom_ref=f"deb:{deb.name}", hashes=[_sha256(deb.digest)]
            )
        )
    made = Bom(components=[*parts, *bases], serial_number=uuid.uuid5(_NAMESPACE, image))
    made.metadata.component = subject
    made.metadata.timestamp = datetime.fromtimestamp(epoch_s, UTC)
    made.dependencies.add(Dependency(subject.bom_ref, [Dependency(part.bom_ref) for part in parts]))
    made.dependencies.add(Dependency(parts[1].bom_ref, [Dependency(part.bom_ref) for part in bases]))
    text = JsonV1Dot6(made).output_as_string()
    return json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _deb(name: str, version: str, architecture: str, release: Release) -> PackageURL:
    return PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": release.codename})


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
