"""An image whose devices have their identity in a TPM, or not: what is in it, what is said of it, what is refused."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware.board import BOARDS, load_board
from firmware.board_wiring import wires
from firmware.settings import load_settings
from hardware.image import packages, wheels
from hardware.image.base import Release
from hardware.image.board import board_named
from hardware.image.debs import Deb, Package
from hardware.image.errors import ImageError
from hardware.image.identity import SPI_PINS, identity_named
from storage.signer_tpm import DEFAULT_TCTI, TpmPlace
from tests.hardware.image_kit import Bench, root_files
from tests.hardware.schema import check_schema
from tests.hardware.test_image import Card

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "python3-tpm2-pytss"
MODULES = "/etc/modules-load.d/getuige-identity.conf"
PIS = ("zero2w", "pi4", "pi5")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("image"))
    bench.project()
    bench.base()
    return bench


def library(bench: Bench, folder: Path, version: str) -> Path:
    """Make a folder of all Debian packages, with that release of the library for TPMs."""
    own = Bench(folder)
    shutil.copytree(bench.debs(), folder / "debs")
    own.deb(LIBRARY, version=version)
    return folder / "debs"


def made(bench: Bench, identity: str, debs: Path) -> Card:
    order = bench.order(bench.folder / "base.img", f"{identity}.img", board="pi4")
    return Card(bench, bench.build(replace(order, identity=identity, debs=debs)))


@pytest.fixture(scope="module")
def card(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Card:
    return made(bench, "tpm", library(bench, tmp_path_factory.mktemp("new"), "2.3.0-1+b1"))


def settings_of(card: Card) -> dict[str, Any]:
    return tomllib.loads(card.text("/etc/getuige/device.toml.in"))


def beside(card: Card, suffix: str) -> Any:
    return json.loads(card.made.image.with_name(card.made.image.name + suffix).read_text())


def properties(card: Card) -> dict[str, str]:
    found = beside(card, ".cdx.json")
    check_schema(found)
    return {item["name"]: item["value"] for item in found["metadata"]["component"]["properties"]}


def test_a_device_with_a_tpm(bench: Bench, card: Card) -> None:
    text = card.text("/etc/getuige/device.toml.in").replace("@DOCK_ADDRESS@", "169.254.1.1")
    written = bench.folder / "device.toml"
    written.write_text(text, "utf-8")
    uri = load_settings(written).enrolment.identity
    assert TpmPlace.parse(uri.removeprefix("tpm:")).tcti == DEFAULT_TCTI
    config = (card.boot.read("config.txt") or b"").decode()
    ours = config[config.index("# --- getuige: begin") :].splitlines()
    profile = tomllib.loads((ROOT / "hardware/boards/pi4.toml").read_text())
    assert ours[2:-1] == [*profile["config_txt"], "dtparam=spi=on", "dtoverlay=tpm-slb9670"]
    assert card.text(MODULES) == "tpm_tis_spi\n"
    assert card.has(f"/usr/lib/{LIBRARY}.so")
    assert beside(card, ".manifest.json")["identity"] == "tpm"
    assert f"{LIBRARY}_2.3.0-1+b1_arm64" in beside(card, ".manifest.json")["debs"]
    assert properties(card)["getuige:identity"] == "tpm"
    assert f"deb:{LIBRARY}" in {part["bom-ref"] for part in beside(card, ".cdx.json")["components"]}


def test_what_enrols_a_device_may_open_its_tpm(card: Card) -> None:
    unit = card.text("/etc/systemd/system/getuige-console.service")
    assert "DeviceAllow=char-tpm rw" in unit.splitlines(), "the console enrols, and proves"
    assert "tss" in re.findall(r"^SupplementaryGroups=(.+)$", unit, re.MULTILINE)[0].split()
    assert 'SUBSYSTEM=="tpmrm", KERNEL=="tpmrm[0-9]*", GROUP="tss", MODE="0660"' in card.text(
        "/etc/udev/rules.d/90-getuige.rules"
    )
    assert re.search(r"^tss:x:\d+:$", card.text("/etc/group"), re.MULTILINE)


def test_a_device_without_one_has_nothing_of_it(bench: Bench) -> None:
    card = made(bench, "memory", bench.debs())
    assert settings_of(card)["enrolment"]["identity"] == "memory:"
    config = (card.boot.read("config.txt") or b"").decode()
    assert "tpm" not in config
    assert "spi=on" not in config
    assert not card.has(MODULES)
    assert beside(card, ".manifest.json")["identity"] == "memory"
    assert not [name for name in beside(card, ".manifest.json")["debs"] if "tpm" in name]
    assert properties(card)["getuige:identity"] == "memory"


@pytest.mark.parametrize("name", PIS)
def test_the_chips_pins_are_nobody_elses(name: str) -> None:
    board = load_board(BOARDS / f"{name}.toml")
    assert not SPI_PINS & {wire.bcm for wire in wires(board)}
    assert identity_named("tpm", board_named(name)).config_txt


def test_bookworms_library_is_too_old_and_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: object) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(packages, "fetch", fetched)
    monkeypatch.setattr(wheels, "fetch", fetched)
    bench = Bench(tmp_path, files=root_files("bookworm", "3.11"))
    bench.project()
    order = replace(bench.order(bench.base()), identity="tpm", debs=None, wheels=None)
    with pytest.raises(ImageError, match=r"tpm2-pytss 2\.1, and bookworm has 1\.2: take a base of a later") as caught:
        bench.build(order)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("bodycam.img*"))


def test_an_old_library_is_refused(bench: Bench, tmp_path: Path) -> None:
    """It may lie in a folder that was given."""
    order = replace(bench.order(bench.folder / "base.img"), debs=library(bench, tmp_path, "1.2.0-3"))
    with pytest.raises(ImageError, match=re.escape(f"needs {LIBRARY} 2.1 or newer, and here is '1.2.0-3'")):
        bench.build(replace(order, identity="tpm", output=tmp_path / "out.img"))
    assert not list(tmp_path.glob("out.img*"))


@pytest.mark.parametrize(
    ("version", "will_do"),
    [
        ("1.2.0-3", False), ("1:2.0-1", False), ("2.0.9", False), ("0.10", False), ("unknown", False), ("", False),
        ("2.1.0-1", True), ("1:2.10-1", True), ("2.3.0-1+b1", True), ("10.0", True),
    ],
)  # fmt: skip
def test_a_version_is_numbers_and_not_text(version: str, will_do: bool) -> None:
    """That of the base, where the base has it and nothing newer comes."""
    identity = identity_named("tpm", board_named("pi5"))
    identity.check_release(Release("trixie", "3.13", True, ""))
    there = [Package("base-files", "1", "arm64"), Package(LIBRARY, version, "arm64")]
    if will_do:
        identity.check_packages(there, [])
    else:
        with pytest.raises(ImageError, match=f"{LIBRARY} 2.1 or newer, and here is {re.escape(repr(version))}"):
            identity.check_packages(there, [])
        identity.check_packages(there, [Deb(LIBRARY, "2.3.0-1", "arm64", "", "", "", (), ())])
    with pytest.raises(ImageError, match="here is ''"):
        identity.check_packages(there[:1], [])


def test_without_one_no_library_is_asked_for() -> None:
    identity = identity_named("memory", board_named("simulated"))
    identity.check_packages([], [])
    identity.check_release(Release("bookworm", "3.11", True, ""))
