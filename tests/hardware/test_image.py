"""The device's image: what is in it, that the same inputs give the same bytes, and what is refused."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware.settings import load_settings
from hardware.image.__main__ import main
from hardware.image.board import board_named
from hardware.image.build import Made, Order
from hardware.image.device import dock_link
from hardware.image.disk import Partition, disk_id, parse_three
from hardware.image.errors import ImageError
from hardware.image.ext4 import Ext4
from hardware.image.fat import Fat
from hardware.image.firmware_files import firmware_entries, source_of
from hardware.image.system import MASKED, unit_names
from tests.hardware.image_kit import EPOCH_S, NATIVE, Bench, elf, root_files
from tests.hardware.schema import check_schema
from tools.soak.arm.card import CMDLINE, SIGNATURE, run

ROOT = Path(__file__).resolve().parents[2]
UNITS = "/etc/systemd/system"
NETWORKS = "etc/NetworkManager/system-connections"


class Card:
    """An image that was made, taken apart again with e2fsprogs and mtools."""

    def __init__(self, bench: Bench, made: Made) -> None:
        self.bench = bench
        self.made = made
        with made.image.open("rb") as disk:
            self.sector = disk.read(512)
            self.parts = parse_three(self.sector)
            for part, name in zip(self.parts[1:], ("root", "data"), strict=True):
                disk.seek(part.start_bytes)
                (bench.folder / f"{made.image.name}.{name}").write_bytes(disk.read(part.size_bytes))
        self.root = Ext4(bench.folder / f"{made.image.name}.root", EPOCH_S)
        self.data = Ext4(bench.folder / f"{made.image.name}.data", EPOCH_S)
        self.boot = Fat(made.image, self.parts[0].start_bytes, EPOCH_S)

    def text(self, path: str) -> str:
        found = self.root.read(path)
        assert found is not None, path
        return found.decode()

    def status(self, path: str) -> tuple[str, int, int]:
        found = self.root.look([path])[path]
        return stat.filemode(found.mode), found.uid, found.gid

    def has(self, path: str) -> bool:
        return bool(self.root.look([path]))

    def target(self, path: str) -> str:
        found = self.root.look([path])[path]
        assert stat.S_ISLNK(found.mode), path
        return found.target

    def ids(self) -> tuple[int, int]:
        fields = re.search(r"^getuige:x:(\d+):(\d+):", self.text("/etc/passwd"), re.MULTILINE)
        assert fields is not None
        return int(fields[1]), int(fields[2])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("image"))
    bench.project()
    return bench


@pytest.fixture(scope="module")
def base(bench: Bench) -> Path:
    return bench.base()


@pytest.fixture(scope="module")
def card(bench: Bench, base: Path) -> Iterator[Card]:
    before = hashlib.sha256(base.read_bytes()).hexdigest()
    yield Card(bench, bench.build(bench.order(base)))
    assert hashlib.sha256(base.read_bytes()).hexdigest() == before, "the base was changed"


def test_three_partitions_behind_one_another(card: Card) -> None:
    boot, root, data = card.parts
    assert [part.kind for part in card.parts] == [0x0C, 0x83, 0x83]
    assert disk_id(card.sector) == SIGNATURE
    assert boot.end <= root.start < root.end <= data.start
    assert data.start % 8192 == 0
    assert data.end * 512 == card.made.image.stat().st_size == card.made.size_bytes
    card.root.check("root")
    card.data.check("data")
    assert card.data.look(["/"])["/"].uid == card.ids()[0]


def test_the_root_is_only_read_and_evidence_has_a_place_without_programs(card: Card) -> None:
    mounts = {line.split()[1]: line.split() for line in card.text("/etc/fstab").splitlines() if line[0] != "#"}
    assert mounts["/"][0] == "PARTUUID=9a8b7c6d-02"
    assert "ro" in mounts["/"][3].split(",")
    evidence = mounts["/var/lib/getuige"]
    assert evidence[0] == "PARTUUID=9a8b7c6d-03"
    assert {"nodev", "noexec", "nosuid", "noatime", "x-systemd.growfs", "nofail"} <= set(evidence[3].split(","))
    for path in ("/tmp", "/var/tmp", "/var/log", "/var/lib/systemd", "/var/lib/NetworkManager"):  # noqa: S108
        assert mounts[path][2] == "tmpfs"
        assert {"nodev", "noexec", "nosuid"} <= set(mounts[path][3].split(","))
    assert card.status("/var/lib/getuige") == ("drwx------", *card.ids())
    assert card.text("/etc/machine-id") == ""


def test_nobody_can_log_in(card: Card) -> None:
    shadow = [line.split(":") for line in card.text("/etc/shadow").splitlines()]
    passwd = [line.split(":") for line in card.text("/etc/passwd").splitlines()]
    assert {fields[0] for fields in shadow} == {fields[0] for fields in passwd} >= {"root", "pi", "getuige"}
    assert {fields[1] for fields in shadow} == {"!*"}
    assert {fields[1] for fields in passwd} == {"x"}
    assert {fields[6] for fields in passwd} == {"/usr/sbin/nologin"}
    assert card.status("/etc/shadow") == ("-rw-r-----", 0, 42)
    assert not card.root.names("/etc/sudoers.d")
    for unit in ("ssh.service", "ssh.socket", "getty@.service", "serial-getty@.service", "userconfig.service"):
        assert card.target(f"{UNITS}/{unit}") == "/dev/null"
    assert card.root.names("/etc/ssh") == ["sshd_config"], "no host keys"


def test_our_user_has_the_groups_of_its_parts(card: Card) -> None:
    groups = {line.split(":")[0] for line in card.text("/etc/group").splitlines()}
    for name in unit_names():
        text = (ROOT / "hardware" / "systemd" / name).read_text()
        for line in re.findall(r"^SupplementaryGroups=(.+)$", text, re.MULTILINE):
            assert set(line.split()) <= groups
    numbers = [line.split(":")[2] for line in card.text("/etc/group").splitlines()]
    assert len(numbers) == len(set(numbers))


def test_radios_are_off_and_the_policy_alone_turns_one_on(card: Card) -> None:
    line = (card.boot.read("cmdline.txt") or b"").decode()
    assert "rfkill.default_state=0" in line.split()
    for unit in (
        "bluetooth.service",
        "hciuart.service",
        "hostapd.service",
        "dnsmasq.service",
        "systemd-rfkill.service",
    ):
        assert card.target(f"{UNITS}/{unit}") == "/dev/null"
    assert "dtoverlay=disable-bt" in (card.boot.read("config.txt") or b"").decode().splitlines()
    for unit in ("NetworkManager.service", "wpa_supplicant.service"):
        assert "ConditionPathExists=/run/getuige-radio/wifi" in card.text(f"{UNITS}/{unit}.d/getuige.conf")
    # The kernel blocks every radio, and NetworkManager starts as it finds them.
    assert "ExecStartPre=/usr/sbin/rfkill unblock wlan\n" in card.text(f"{UNITS}/NetworkManager.service.d/getuige.conf")
    radio = card.text(f"{UNITS}/getuige-radio.service")
    for folder in ("getuige-radio", "NetworkManager/system-connections"):
        assert re.search(rf"^RuntimeDirectory=.*\b{folder}\b", radio, re.MULTILINE), "/run is read-only to it otherwise"
        assert f" /run/{folder}" in re.search(r"^ExecStart=.*$", radio, re.MULTILINE)[0]  # type: ignore[index]
    assert card.target(f"{UNITS}/multi-user.target.wants/NetworkManager.service").endswith("/NetworkManager.service")
    network = card.text("/etc/NetworkManager/conf.d/getuige.conf")
    assert "wifi.cloned-mac-address=random" in network
    assert "wifi.scan-rand-mac-address=yes" in network
    assert "install bluetooth /bin/false" in card.text("/etc/modprobe.d/getuige.conf")


def test_a_sensor_without_power_at_boot_can_be_bound_later(card: Card) -> None:
    place = "/sys/bus/i2c/drivers/imx708"
    assert card.text("/etc/modules-load.d/getuige-sensor.conf") == "imx708\n"
    assert card.text("/etc/tmpfiles.d/getuige-sensor.conf") == f"z {place}/bind 0220 root getuige - -\n"
    assert "After=systemd-modules-load" in card.text(f"{UNITS}/systemd-tmpfiles-setup.service.d/getuige.conf")
    for unit in ("getuige.service", "getuige-console.service"):
        assert card.text(f"{UNITS}/{unit}.d/sensor.conf") == f"[Service]\nReadWritePaths=-{place}\n"
    config = (card.boot.read("config.txt") or b"").decode().splitlines()
    assert config.index("camera_auto_detect=0") > config.index("[all]")
    assert "dtoverlay=imx708" in config


def test_what_the_pi_reads_before_linux(card: Card) -> None:
    config = (card.boot.read("config.txt") or b"").decode()
    begin, end = config.index("# --- getuige: begin"), config.index("# --- getuige: end")
    assert config.startswith("dtparam=audio=on\n")
    ours = config[begin:end].splitlines()
    assert ours[1] == "[all]"
    profile = tomllib.loads((ROOT / "hardware/boards/zero2w.toml").read_text())
    assert ours[2:] == profile["config_txt"]
    words = (card.boot.read("cmdline.txt") or b"").decode().split()
    assert {"root=PARTUUID=9a8b7c6d-02", "rootfstype=ext4", "rootwait", "ro", "cfg80211.ieee80211_regdom=NL"} <= set(
        words
    )
    assert not [word for word in words if word.startswith(("init=", "systemd.run", "console=serial", "console=ttyAMA"))]
    assert card.boot.read("ssh") is None
    assert card.boot.read("userconf.txt") is None


def test_the_program_and_its_packages_and_nothing_that_opens_evidence(card: Card) -> None:
    home = "/opt/getuige"
    there = card.root.names(home)
    assert {"capture", "drivers", "firmware", "hardware", "storage", "uplink", ".venv", "VERSION", "LICENSE"} <= set(
        there
    )
    assert not {"station", "tools", "tests"} & set(there)
    assert card.root.names(f"{home}/hardware") == ["boards", "companion"]
    assert card.target(f"{home}/.venv/bin/python3") == "/usr/bin/python3"
    site = f"{home}/.venv/lib/python3.13/site-packages"
    assert {"plain", "native", "plain_more.py", "plain-1.0.dist-info"} <= set(card.root.names(site))
    assert card.text(f"{site}/plain/script (dev).tmpl") == "a name with spaces\n"
    assert card.text(f"{home}/.venv/pyvenv.cfg").splitlines()[1] == "include-system-site-packages = true"
    assert card.status(f"{home}/firmware/__main__.py") == ("-rw-r--r--", 0, 0)


def test_packages_are_unpacked_and_on_record(card: Card) -> None:
    assert card.text("/usr/lib/rfkill.so") == "\x7fELF\n", "/lib is a link to /usr/lib"
    assert card.target("/lib") == "usr/lib"
    status = card.text("/var/lib/dpkg/status")
    assert status.startswith("Package: base-files\nStatus: install ok installed\n")
    stanza = next(part for part in status.split("\n\n") if part.startswith("Package: nftables\n"))
    assert stanza.splitlines()[1] == "Status: install ok unpacked"
    assert "/lib/nftables.so\n" in card.text("/var/lib/dpkg/info/nftables.list")
    assert card.status("/var/lib/dpkg/info/nftables.postinst")[0] == "-rwxr-xr-x"
    assert card.has("/usr/share/doc/nftables/copyright")
    assert not card.has("/usr/share/doc/nftables/README")


def test_every_unit_is_there_and_switched_on(card: Card) -> None:
    wanted = {
        "getuige.service": "multi-user.target", "getuige-radio.service": "multi-user.target",
        "getuige-settings.service": "getuige.service", "getuige-data.service": "local-fs.target",
        "getuige-console.service": "dev-ttyGS0.device", "getuige-link.service": "sys-subsystem-net-devices-usb0.device",
    }  # fmt: skip
    assert set(unit_names()) == {*wanted, "getuige-usb.service"}, "udev starts that one"
    for unit, target in wanted.items():
        assert card.target(f"{UNITS}/{target}.wants/{unit}") == f"../{unit}"
    for unit in unit_names():
        text = card.text(f"{UNITS}/{unit}")
        assert "@DISK@" not in text
        for program in re.findall(r"^ExecStart=(?:/usr/bin/python3 -I )?(/\S+)", text, re.MULTILINE):
            assert card.has(program), program
    assert r"dev-disk-by\x2dpartuuid-9a8b7c6d\x2d03.device" in card.text(f"{UNITS}/getuige-data.service")
    assert "getuige-usb.service" in card.text("/etc/udev/rules.d/90-getuige.rules")
    assert not card.has(f"{UNITS}/sysinit.target.wants/systemd-timesyncd.service")
    assert card.target(f"{UNITS}/sysinit.target.wants/nftables.service") == "/usr/lib/systemd/system/nftables.service"
    assert all(card.target(f"{UNITS}/{unit}") == "/dev/null" for unit in MASKED)


def test_the_settings_are_the_devices(card: Card) -> None:
    settings = tomllib.loads(card.text("/etc/getuige/device.toml.in"))
    assert settings["hardware"]["board"] == "zero2w"
    assert settings["store"] == {"flash": "/var/lib/getuige/flash", "state": "/var/lib/getuige/state"}
    assert settings["dock"]["address"] == "@DOCK_ADDRESS@"
    written = card.bench.folder / "device.toml"
    dock_link.write_settings(_saved(card, "/etc/getuige/device.toml.in"), written, "10000000abcdef01")
    loaded = load_settings(written)
    assert loaded.dock.address.startswith("169.254.")
    assert loaded.board.name == "zero2w"
    assert loaded.tls.key == Path("/var/lib/getuige/tls/device.key")
    assert card.target("/etc/getuige/device.toml") == "/run/getuige-settings/device.toml"
    assert card.status("/etc/getuige/device.toml.in") == ("-rw-r-----", 0, card.ids()[1])


def test_what_lies_beside_it(card: Card) -> None:
    image = card.made.image
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    assert digest == card.made.digest
    assert image.with_name("bodycam.img.sha256").read_text() == f"{digest}  bodycam.img\n"
    run(["sh", "-c", f"cd {image.parent} && sha256sum --check --status bodycam.img.sha256"])
    manifest = json.loads(image.with_name("bodycam.img.manifest.json").read_text())
    assert manifest["image"]["sha256"] == digest
    assert manifest["board"] == "zero2w"
    assert len(manifest["wheels"]) == 2
    assert len(manifest["debs"]) == 10
    assert manifest["left_out"] == []
    assert set(manifest["tools"]) == {"e2fsprogs", "mtools"}
    assert all(re.match(r"\d", version) for version in manifest["tools"].values())
    bill = json.loads(image.with_name("bodycam.img.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    check_schema(bill)
    parts = {part["bom-ref"]: part for part in bill["components"]}
    assert {"firmware", "base", "wheel:plain", "wheel:native", "deb:nftables"} <= set(parts)
    wheel = next((card.bench.folder / "wheels").glob("plain-*.whl"))
    assert parts["wheel:plain"]["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}
    ]
    assert parts["deb:nftables"]["purl"] == "pkg:deb/debian/nftables@1:2.0-1?arch=arm64&distro=trixie"
    assert {part["purl"] for ref, part in parts.items() if ref.startswith("base:")} == {
        "pkg:deb/debian/base-files@1?arch=arm64&distro=trixie",
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=arm64&distro=trixie",
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=armhf&distro=trixie",
        "pkg:deb/debian/python3.13@3.13.5-2?arch=arm64&distro=trixie",
        "pkg:deb/debian/tzdata@2026a-0?arch=all&distro=trixie",
    }
    needs = {item["ref"]: set(item.get("dependsOn", ())) for item in bill["dependencies"]}
    assert needs["base"] == {ref for ref in parts if ref.startswith("base:")}
    assert needs["image"] == parts.keys() - needs["base"], "what the base brings hangs from the base"
    assert not list(image.parent.glob(".image-*")), "nothing half-made is left"


def test_the_same_inputs_give_the_same_bytes(bench: Bench, base: Path, card: Card, tmp_path: Path) -> None:
    other = Bench(tmp_path)
    project = shutil.copytree(bench.folder / "project", tmp_path / "project")
    for path in project.rglob("*"):
        path.chmod(path.stat().st_mode | 0o070)
        os.utime(path, (1, 1))
    shutil.copytree(bench.folder / "wheels", tmp_path / "wheels")
    shutil.copytree(bench.debs(), tmp_path / "debs")
    compressed = tmp_path / "base.img"
    shutil.copyfile(base, compressed)
    order = other.order(compressed, project=project)
    script = (
        "import os, sys, time\n"
        "os.umask(0o077)\n"
        "from pathlib import Path\n"
        "from hardware.image.build import Order, build\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "order = Order(base=folder / 'base.img', board='zero2w', output=folder / 'bodycam.img',\n"
        "  project=folder / 'project',\n"
        f"  cache=folder / 'cache', wheels=folder / 'wheels', debs=folder / 'debs', compile=False, epoch_s={EPOCH_S})\n"
        "print(build(order, lambda text: None).digest)\n"
    )
    environment = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert done.stdout.strip() == card.made.digest
    for suffix in ("manifest.json", "cdx.json", "sha256"):
        one, two = (image.with_name(f"bodycam.img.{suffix}").read_bytes() for image in (card.made.image, order.output))
        assert one == two


def test_another_moment_is_another_image(bench: Bench, base: Path, card: Card, tmp_path: Path) -> None:
    order = replace(bench.order(base), output=tmp_path / "bodycam.img", epoch_s=EPOCH_S + 1)
    assert bench.build(order).digest != card.made.digest


def test_compressed_bookworm_for_a_board_with_a_cable(tmp_path: Path) -> None:
    bench = Bench(tmp_path, files=root_files("bookworm", "3.11"))
    bench.project()
    (tmp_path / "wheels" / f"native-2.1-{NATIVE}.whl").unlink()
    lock = tmp_path / "project" / "requirements" / "device.lock"
    text = lock.read_text()
    old = bench.wheel("old", "1", "py3-none-any")
    lock.write_text(text.replace("1" * 64, hashlib.sha256(old.read_bytes()).hexdigest()))
    image = bench.base()
    packed = tmp_path / "base.img.xz"
    packed.write_bytes(lzma.compress(image.read_bytes(), preset=0))
    image.unlink()
    card = Card(bench, bench.build(bench.order(packed, board="pi5")))
    assert card.has("/opt/getuige/.venv/lib/python3.11/site-packages/old/__init__.py")
    assert 'define dock = "eth0"' in card.text("/etc/nftables.conf")
    assert "--port /dev/serial0" in card.text(f"{UNITS}/getuige-console.service")
    assert card.target(f"{UNITS}/dev-serial0.device.wants/getuige-console.service") == "../getuige-console.service"
    assert "up eth0" in card.text(f"{UNITS}/getuige-link.service")
    assert not card.has(f"{UNITS}/getuige-usb.service")
    assert not card.has("/etc/modules-load.d/getuige-usb.conf")
    assert not card.has("/etc/modules-load.d/getuige-sensor.conf"), "its camera has power at boot"
    assert "i2c-dev" in card.text("/etc/modules-load.d/getuige.conf")


def test_a_base_with_little_room_is_made_larger(tmp_path: Path, bench: Bench) -> None:
    tight = Bench(tmp_path, root_bytes=12 * 1024 * 1024)
    tight.files["filler"] = b"x" * (6 * 1024 * 1024)
    order = replace(bench.order(tight.base()), output=tmp_path / "out.img")
    card = Card(tight, bench.build(order))
    assert card.parts[1].size_bytes > tight.root_bytes
    card.root.check("root")


def _saved(card: Card, path: str) -> Path:
    copy = card.bench.folder / Path(path).name
    copy.write_text(card.text(path))
    return copy


Spoil = Callable[[Bench], None]


def _no_python(bench: Bench) -> None:
    del bench.files["usr/bin/python3"]


def _debian(bench: Bench) -> None:
    del bench.files["etc/rpi-issue"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda bench: bench.files.update({"usr/bin/python3.13": elf(40, 1)}), "not for 64-bit ARM"),
        (lambda bench: bench.files.update({"usr/bin/python3.13": elf(62)}), "not for 64-bit ARM"),
        (lambda bench: bench.files.update({"usr/bin/python3.13": b"x"}), "not for 64-bit ARM"),
        (_no_python, "has no Python"),
        (_debian, "starts on no Pi"),
        (lambda bench: bench.files.update({"etc/os-release": "ID=ubuntu\nPRETTY_NAME=Ubuntu\n"}), "holds Ubuntu"),
        (lambda bench: bench.files.update({"etc/os-release": "ID=debian\nVERSION_CODENAME=buzz\n"}), "trixie"),
        (lambda bench: bench.files.update({"etc/rpi-issue": "pi-gen, stage4\n"}), "has a desktop"),
        (lambda bench: bench.files.update({"usr/bin/python3": "->pypy", "usr/bin/pypy": elf()}), "its Python is pypy"),
        (lambda bench: bench.files.update({"etc/passwd": "root:x:0\n"}), "/etc/passwd of the base is not"),
        (lambda bench: bench.files.update({"usr/bin/python3": "->python3"}), "go round in a circle"),
        (lambda bench: bench.files.update({"etc/sudoers.d/a\nb": "pi ALL"}), "a file of an impossible name"),
        (lambda bench: bench.files.update({"etc/sudoers.d/\udcff": "pi ALL"}), "cannot be removed"),
        (lambda bench: bench.files.update({f"{NETWORKS}/debugfs: stat x": ""}), "cannot be told from what debugfs"),
        (lambda bench: bench.files.update({"etc/group": "root:x:0:\ngpio:x:0:pi\n"}), "has root's number for gpio"),
        (lambda bench: setattr(bench, "cmdline", "console=tty1\n"), "does not name the root by its PARTUUID"),
        (lambda bench: setattr(bench, "cmdline", CMDLINE.replace("9a8b", "0000")), "names the root of another card"),
    ],
)  # fmt: skip
def test_a_foreign_base_is_refused_in_one_line(tmp_path: Path, bench: Bench, spoil: Spoil, says: str) -> None:
    strange = Bench(tmp_path)
    spoil(strange)
    order = replace(bench.order(strange.base()), output=tmp_path / "out.img")
    with pytest.raises(ImageError, match=re.escape(says)) as caught:
        bench.build(order)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out.img*"))
    assert not list(tmp_path.glob(".image-*"))


def _cut(data: bytes) -> bytes:
    return data[: len(data) - 4096]


def _no_table(data: bytes) -> bytes:
    return bytes(512) + data[512:]


def _gpt(data: bytes) -> bytes:
    return data[:450] + b"\xee" + data[451:]


def _third(data: bytes) -> bytes:
    return data[:482] + data[466:482] + data[498:]


def _one(data: bytes) -> bytes:
    return data[:462] + bytes(16) + data[478:]


def _swapped(data: bytes) -> bytes:
    return data[:450] + b"\x83" + data[451:]


def _overlapping(data: bytes) -> bytes:
    return data[:470] + (8193).to_bytes(4, "little") + data[474:]


def _bad_fat(data: bytes) -> bytes:
    at = 8192 * 512
    return data[:at] + bytes(65536) + data[at + 65536 :]


def _no_ext4(data: bytes) -> bytes:
    at = (8192 + 36 * 2048) * 512
    return data[:at] + bytes(8192) + data[at + 8192 :]


def _bad_ext4(data: bytes) -> bytes:
    at = (8192 + 36 * 2048) * 512 + 4096
    return data[:at] + b"\xaa" * 4096 + data[at + 4096 :]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_cut, "cut short"),
        (_no_table, "no partition table"),
        (_gpt, "has a GPT"),
        (_third, "has 3 partitions"),
        (_one, "has 1 partitions"),
        (_swapped, "not FAT32 and Linux"),
        (_overlapping, "overlap"),
        (_bad_fat, "boot partition"),
        (_no_ext4, "holds no ext4"),
        (_bad_ext4, "damaged"),
        (lambda data: b"", "is empty"),
        (lambda data: b"<html>not found</html>" * 100, "no partition table"),
        (lambda data: lzma.compress(data[: 1 << 20], preset=0)[:-40], "cut short"),
        (lambda data: lzma.compress(data[: 1 << 20], preset=0)[:300] + b"\xff" * 300, "damaged"),
    ],
)
def test_a_corrupt_base_is_refused_in_one_line(
    tmp_path: Path, bench: Bench, base: Path, spoil: Callable[[bytes], bytes], says: str
) -> None:
    broken = tmp_path / "broken.img"
    broken.write_bytes(spoil(base.read_bytes()))
    with pytest.raises(ImageError, match=re.escape(says)) as caught:
        bench.build(replace(bench.order(broken), output=tmp_path / "out.img"))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.img"]


def _lose_wheel(order: Order) -> Order:
    next((order.wheels or Path()).glob("plain-*.whl")).unlink()
    return order


def _change_wheel(order: Order) -> Order:
    path = next((order.wheels or Path()).glob("plain-*.whl"))
    path.write_bytes(path.read_bytes() + b"x")
    return order


def _lose_deb(order: Order) -> Order:
    next((order.debs or Path()).glob("nftables_*.deb")).unlink()
    return order


def _break_deb(order: Order) -> Order:
    next((order.debs or Path()).glob("nftables_*.deb")).write_bytes(b"!<arch>\nnothing")
    return order


def _foreign_deb(order: Order) -> Order:
    Bench(order.output.parent).deb("foreign", "amd64")
    return order


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_lose_wheel, "has no wheel of plain 1.0 for Python 3.13"),
        (_change_wheel, "is not the file of requirements/device.lock"),
        (_lose_deb, "lacks nftables"),
        (_break_deb, "no Debian package, or damaged"),
        (_foreign_deb, "is for amd64"),
        (lambda order: replace(order, board="pi3"), "BOARD is one of pi4, pi5, simulated, zero2w"),
        (lambda order: replace(order, board="pi3", identity="tpm"), "BOARD is one of pi4, pi5, simulated, zero2w"),
        (lambda order: replace(order, identity="hsm"), "identity 'hsm' is not known: IDENTITY is one of memory, tpm"),
        (lambda order: replace(order, identity=""), "identity '' is not known"),
        (lambda order: replace(order, board="simulated", identity="tpm"), "board 'simulated' has no TPM"),
        (lambda order: replace(order, identity="tpm"), "lacks python3-tpm2-pytss, and so does the base"),
        (
            lambda order: replace(order, identity="tpm", leave_out=frozenset({"python3-tpm2-pytss"})),
            "python3-tpm2-pytss cannot be left out: IDENTITY=tpm needs it",
        ),
        (lambda order: replace(order, base=order.base.with_name("none.img")), "there is no such file"),
        (lambda order: replace(order, output=order.base), "is the base image"),
        (lambda order: replace(order, output=order.output.parent / "none" / "out.img"), "is no folder"),
        (lambda order: replace(order, epoch_s=None), "set SOURCE_DATE_EPOCH"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_said_in_one_line(
    tmp_path: Path, bench: Bench, base: Path, change: Callable[[Order], Order], says: str
) -> None:
    own = Bench(tmp_path)
    shutil.copytree(bench.folder / "project", tmp_path / "project")
    shutil.copytree(bench.folder / "wheels", tmp_path / "wheels")
    shutil.copytree(bench.debs(), tmp_path / "debs")
    (tmp_path / "base.img").symlink_to(base)
    order = change(own.order(tmp_path / "base.img"))
    with pytest.raises(ImageError, match=re.escape(says)) as caught:
        own.build(order)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("bodycam.img*"))


def test_an_older_image_stays_until_the_new_one_is_whole(tmp_path: Path, bench: Bench, base: Path) -> None:
    order = replace(bench.order(base), output=tmp_path / "out.img")
    order.output.write_bytes(b"the old one")
    with pytest.raises(ImageError):
        bench.build(replace(order, board="none"))
    assert order.output.read_bytes() == b"the old one"
    made = bench.build(order)
    assert hashlib.sha256(order.output.read_bytes()).hexdigest() == made.digest


def test_the_command_line(tmp_path: Path, bench: Bench, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--base", str(base), "--board", "simulated", "--output", str(tmp_path / "out.img")]
    arguments += [
        "--wheels",
        str(bench.folder / "wheels"),
        "--debs",
        str(bench.debs()),
        "--cache",
        str(tmp_path / "cache"),
    ]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert main(arguments) == 2
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH_S))
    # The project's own lock names other wheels than these.
    assert main(arguments) == 2
    assert not list(tmp_path.iterdir())


def test_a_program_that_is_missing_is_named_with_its_package(
    bench: Bench, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "hardware.image.programs._find", lambda name: None if name in ("mcopy", "debugfs") else "/bin/x"
    )
    with pytest.raises(ImageError, match=r"^programs are missing on this machine: apt install e2fsprogs mtools$"):
        bench.build(bench.order(base))


def test_a_base_whose_python_cannot_be_run_is_refused(
    tmp_path: Path, bench: Bench, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = replace(bench.order(base), output=tmp_path / "out.img", compile=True)
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if "qemu" in name else found(name, path=path))
    with pytest.raises(ImageError, match=r"^programs are missing on this machine: apt install qemu-user-static$"):
        bench.build(order)
    monkeypatch.setattr(
        shutil, "which", lambda name, path=None: "/bin/true" if "qemu" in name else found(name, path=path)
    )
    with pytest.raises(ImageError, match=r"^the base has no ld-linux-aarch64\.so\.1; take it unchanged$"):
        bench.build(order)
    assert not list(tmp_path.iterdir())


def test_the_projects_own_rooms_are_whole_and_nothing_else() -> None:
    paths = {entry.path.removeprefix("/opt/getuige/") for entry in firmware_entries(source_of(ROOT))}
    tops = {path.split("/")[0] for path in paths}
    assert tops <= {
        "capture",
        "drivers",
        "firmware",
        "hardware",
        "storage",
        "uplink",
        "wire",
        "docs",
        "LICENSE",
        "VERSION",
    }
    assert {"firmware/__main__.py", "storage/store.py", "hardware/boards/zero2w.toml", "docs/SETTINGS.md"} <= paths
    assert any(path.startswith("hardware/companion/") for path in paths)
    assert not [path for path in paths if path.endswith(".pyc") or "station" in path.split("/")]
    own = {"capture", "drivers", "firmware", "storage", "uplink", "wire"}
    for path in sorted(path for path in paths if path.endswith(".py") and path.split("/")[0] in own):
        for module in re.findall(
            r"^\s*(?:from|import) (station|tools|tests|hardware)\b", (ROOT / path).read_text(), re.M
        ):
            pytest.fail(f"{path} imports {module}, which is not on the device")


@pytest.mark.parametrize("name", ["zero2w", "pi4", "pi5", "simulated"])
def test_every_board_of_ours_can_have_an_image(name: str) -> None:
    board = board_named(name)
    assert board.gadget is (name in ("zero2w", "pi4"))
    assert (board.link, board.console) == (("usb0", "ttyGS0") if board.gadget else ("eth0", "serial0"))
    assert Partition(0x83, 1, 2).end == 3


@pytest.mark.parametrize(
    "name", ["hardware/systemd/getuige.service", "hardware/image/root/etc/nftables.conf", "requirements/device.lock"]
)
def test_an_image_says_when_what_makes_it_differs_from_the_commit(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text("as committed")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1"\n')
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    assert not source_of(tmp_path).changed
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "new.py").write_text("")
    assert not source_of(tmp_path).changed
    path.write_text("otherwise")
    assert source_of(tmp_path).changed
    path.write_text("as committed")
    subprocess.run([*git, "config", "status.showUntrackedFiles", "no"], check=True)
    (path.parent / "new").write_text("")
    assert source_of(tmp_path).changed
    (tmp_path / ".git" / "index").write_bytes(b"no index")
    with pytest.raises(ImageError, match="git does not say whether"):
        source_of(tmp_path)


def test_a_package_that_nobody_wants_cannot_be_left_out(bench: Bench, base: Path, tmp_path: Path) -> None:
    order = replace(bench.order(base), output=tmp_path / "out.img", leave_out=frozenset({"nftabels"}))
    with pytest.raises(ImageError, match=r"nftabels is not among the packages that an image has: .*nftables"):
        bench.build(order)


@pytest.mark.parametrize(("given", "identity"), [([], "memory"), (["IDENTITY=tpm"], "tpm")])
def test_making_an_image_installs_nothing(given: list[str], identity: str) -> None:
    """What ``make image`` would run, with nothing to set up: the builder, and nothing else."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", ".venv/.installed", "image", "BASE=a", "BOARD=b", "OUTPUT=c",
         *given],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
        env={key: value for key, value in os.environ.items() if key != "IDENTITY"},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        f'.venv/bin/python -m hardware.image --base "a" --board "b" --output "c" --identity "{identity}" '
    ]


def test_room_is_reckoned_by_what_a_compressed_base_becomes(
    bench: Bench, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "base.img.xz"
    packed.write_bytes(lzma.compress(base.read_bytes(), preset=0))
    free = 2 * base.stat().st_size - 1
    assert free > 3 * packed.stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    with pytest.raises(ImageError, match=rf"has {free >> 20} MiB free, and about \d+ are needed: make room"):
        bench.build(replace(bench.order(packed), output=tmp_path / "out.img"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.img.xz"]
