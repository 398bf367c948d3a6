"""The small programs that run on the device itself, and its units, rules and filters, as far as they can be asked."""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.image.device import dock_link, grow_data, usb_gadget
from hardware.image.disk import Partition, with_table

HARDWARE = Path(__file__).resolve().parents[2] / "hardware"
UNITS = sorted((HARDWARE / "systemd").glob("*.service"))
MAX_SCORE = 20
"""In tenths, of `systemd-analyze security`."""
SECTORS = 8192 * 4


def table(*parts: Partition) -> bytes:
    return with_table(bytes(512), list(parts))


THREE = table(Partition(0x0C, 2048, 2048), Partition(0x83, 4096, 4096), Partition(0x83, 8192, 8192))


def last(sector: bytes) -> tuple[int, int]:
    start, count = struct.unpack_from("<II", sector, 446 + 32 + 8)
    return start, count


def test_the_last_partition_reaches_to_the_end() -> None:
    new = grow_data.grown(THREE, 3, SECTORS)
    assert last(new) == (8192, SECTORS - 8192)
    assert new[:478] == THREE[:478], "nothing else changes"
    assert grow_data.grown(new, 3, SECTORS) == new
    assert grow_data.grown(new, 3, SECTORS - 1) == new, "it is never made smaller"


@given(st.integers(0, 2**40))
def test_whatever_the_card_it_never_shrinks_and_never_leaves_the_card(sectors: int) -> None:
    start, count = last(grow_data.grown(THREE, 3, sectors))
    assert start == 8192
    assert count >= 8192
    assert count == 8192 or start + count <= min(sectors, 2**32 - 1)


@given(st.binary(max_size=600), st.integers(-1, 6), st.integers(0, 2**33))
def test_garbage_is_no_table(sector: bytes, number: int, sectors: int) -> None:
    try:
        new = grow_data.grown(sector, number, sectors)
    except grow_data.GrowError:
        return
    assert len(new) == 512


@pytest.mark.parametrize(
    ("sector", "number", "says"),
    [
        (bytes(512), 3, "no partition table"),
        (THREE, 4, "no partition 4"),
        (THREE, 2, "something lies after partition 2"),
    ],
)
def test_what_cannot_grow_is_left_alone(sector: bytes, number: int, says: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(sector + bytes(4096))
    with pytest.raises(grow_data.GrowError, match=says):
        grow_data.grow(disk, number, SECTORS, 8192, not_told)
    assert disk.read_bytes() == sector + bytes(4096)


def not_told(*told: int) -> None:
    pytest.fail("the kernel was told of a table that is none")


def test_the_kernel_is_told_while_the_card_is_still_open(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(THREE + bytes(4096))
    told: list[tuple[int, int, int]] = []

    def tell(fd: int, number: int, start: int, count: int) -> None:
        assert os.pread(fd, 512, 0) == grow_data.grown(THREE, 3, SECTORS)
        told.append((number, start, count))

    assert grow_data.grow(disk, 3, SECTORS, 8192, tell) == SECTORS - 8192
    assert grow_data.grow(disk, 3, SECTORS, SECTORS - 8192, tell) == SECTORS - 8192
    assert told == [(3, 8192, SECTORS - 8192)], "and not again where it knows"
    assert grow_data.grow(disk, 3, SECTORS, 8192, tell) == SECTORS - 8192
    assert len(told) == 2, "but where a start was cut before it was told"
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        grow_data.grow(disk, 3, SECTORS, 8192)


@pytest.mark.parametrize("call", ["pwrite64", "fsync", "close"])
def test_killed_while_growing_there_is_the_old_table_or_the_new_one(tmp_path: Path, call: str) -> None:
    """At each system call that could be the last, and then again to the end."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not on this machine")
    disk = tmp_path / "disk"
    disk.write_bytes(THREE + bytes(4096))
    script = (
        "from pathlib import Path\n"
        "from hardware.image.device.grow_data import grow\n"
        f"grow(Path({str(disk)!r}), 3, {SECTORS}, 8192, lambda *told: None)\n"
    )
    command = [
        "strace",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        str(disk),
        "-e",
        f"inject={call}:signal=KILL",
        sys.executable,
        "-c",
    ]
    done = subprocess.run([*command, script], cwd=HARDWARE.parent, check=False, timeout=60)
    assert done.returncode == -9
    sector = disk.read_bytes()[:512]
    assert sector in (THREE, grow_data.grown(THREE, 3, SECTORS))
    grow_data.grow(disk, 3, SECTORS, 8192, lambda *told: None)
    assert disk.read_bytes()[:512] == grow_data.grown(THREE, 3, SECTORS)


def test_growing_without_a_card_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert grow_data.main([str(tmp_path / "none")]) == 1
    assert grow_data.main([]) == 1
    assert capsys.readouterr().err.count("\n") == 2


class Configfs:
    """A folder that stands for the kernel's, with one controller."""

    def __init__(self, folder: Path, controllers: tuple[str, ...] = ("fe980000.usb",)) -> None:
        self.gadgets, self.udc = folder / "usb_gadget", folder / "udc"
        self.gadgets.mkdir()
        for name in controllers:
            (self.udc / name).mkdir(parents=True)

    def read(self, name: str) -> str:
        return (self.gadgets / "getuige" / name).read_text().strip()


def test_network_and_console_on_the_port_and_nothing_else(tmp_path: Path) -> None:
    kernel = Configfs(tmp_path)
    assert usb_gadget.make("10000000abcdef01", kernel.gadgets, kernel.udc)
    assert kernel.read("UDC") == "fe980000.usb"
    functions = sorted(path.name for path in (kernel.gadgets / "getuige" / "functions").iterdir())
    assert functions == ["acm.gs0", "ncm.usb0"]
    linked = sorted(
        path.name for path in (kernel.gadgets / "getuige" / "configs" / "c.1").iterdir() if path.is_symlink()
    )
    assert linked == functions
    assert kernel.read("strings/0x409/serialnumber") == "10000000abcdef01"
    ends = {kernel.read("functions/ncm.usb0/dev_addr"), kernel.read("functions/ncm.usb0/host_addr")}
    assert len(ends) == 2
    assert all(int(address[:2], 16) & 3 == 2 for address in ends), "locally administered, one station's"
    assert not usb_gadget.make("10000000abcdef01", kernel.gadgets, kernel.udc), "again changes nothing"


def test_a_gadget_cut_in_the_middle_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut before each write and each link, and begun anew by a kernel that lets no linked function be changed."""
    gadget = tmp_path / "usb_gadget" / "getuige"
    write, link = Path.write_text, Path.symlink_to
    left = 0

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(5, "Input/output error")

    def writes(path: Path, text: str, encoding: str | None = None) -> int:
        step()
        if path.name in ("dev_addr", "host_addr") and (gadget / "configs/c.1/ncm.usb0").is_symlink():
            raise OSError(16, "Device or resource busy")
        return write(path, text, encoding)

    def links(path: Path, target: Path) -> None:
        step()
        link(path, target)

    kernel = Configfs(tmp_path)
    monkeypatch.setattr(Path, "write_text", writes)
    monkeypatch.setattr(Path, "symlink_to", links)
    cuts = 0
    for steps in range(40):
        left = steps
        try:
            made = usb_gadget.make("1", kernel.gadgets, kernel.udc)
        except OSError as error:
            if error.errno != 5:  # EBUSY is none of the cuts
                raise
            cuts += 1
        else:
            assert made
            break
    assert cuts >= 3
    assert kernel.read("UDC") == "fe980000.usb"
    left = 40
    write(gadget / "UDC", "\n")
    assert usb_gadget.make("1", kernel.gadgets, kernel.udc), "unbound, and bound again"
    assert kernel.read("UDC") == "fe980000.usb"


def test_without_a_controller_there_is_no_gadget(tmp_path: Path) -> None:
    kernel = Configfs(tmp_path, controllers=())
    with pytest.raises(FileNotFoundError, match="is its overlay in"):
        usb_gadget.make("1", kernel.gadgets, kernel.udc)


@given(st.text("0123456789abcdef", min_size=1, max_size=16))
def test_every_device_has_its_own_address_on_the_link(serial: str) -> None:
    numbers = [int(part) for part in dock_link.address_of(serial).split(".")]
    assert numbers[:2] == [169, 254]
    assert 1 <= numbers[2] <= 254, "RFC 3927 keeps the first and the last 256"
    assert 0 <= numbers[3] <= 255
    assert dock_link.address_of(serial) == dock_link.address_of(serial)


def test_addresses_are_spread_out() -> None:
    found = {dock_link.address_of(f"{number:016x}") for number in range(1000)}
    assert len(found) > 985


@pytest.mark.parametrize(("serial", "address"), [(b"10000000abcdef01\0", True), (b"", False), (b"\xff\xfe", False)])
def test_settings_with_the_devices_own_address(tmp_path: Path, serial: bytes, address: bool) -> None:
    template, output, number = tmp_path / "in", tmp_path / "device.toml", tmp_path / "serial"
    template.write_text('[dock]\naddress = "@DOCK_ADDRESS@"\n')
    number.write_bytes(serial)
    assert dock_link.main(["settings", str(template), str(output)], number) == 0
    wanted = dock_link.address_of("10000000abcdef01") if address else ""
    assert output.read_text() == f'[dock]\naddress = "{wanted}"\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device.toml", "in", "serial"]


def test_settings_that_cannot_be_written_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dock_link.main(["settings", str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    assert dock_link.main(["settings"]) == 1
    assert dock_link.main(["up", "usb0"], tmp_path / "none") == 1
    assert all(line.startswith("dock-link: ") for line in capsys.readouterr().err.splitlines())


def test_the_link_gets_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "told"
    ip = tmp_path / "ip"
    ip.write_text(f'#!/bin/sh\necho "$@" >>{told}\n')
    ip.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    dock_link.bring_up("usb0", "10000000abcdef01")
    address = dock_link.address_of("10000000abcdef01")
    assert told.read_text().splitlines() == [
        f"addr replace {address}/16 dev usb0 scope link", "link set dev usb0 up",
    ]  # fmt: skip


@pytest.mark.parametrize("program", ["grow_data", "usb_gadget", "dock_link"])
def test_the_programs_need_the_standard_library_alone(program: str) -> None:
    path = HARDWARE / "image" / "device" / f"{program}.py"
    imported = set(re.findall(r"^(?:from|import) (\w+)", path.read_text("utf-8"), re.MULTILINE))
    assert imported <= {*sys.stdlib_module_names}
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_every_unit_exposes_little(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MAX_SCORE}", "--no-pager", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:]


def test_systemd_understands_every_unit(tmp_path: Path) -> None:
    """In a root that has the programs, and the units of others that ours name."""
    place = tmp_path / "etc/systemd/system"
    place.mkdir(parents=True)
    for unit in UNITS:
        (place / unit.name).write_text(unit.read_text("utf-8").replace("@DISK@", "9a8b7c6d"), "utf-8")
    other = "[Unit]\nDescription=x\nDefaultDependencies=no\n"
    for name in ("nftables.service", "systemd-modules-load.service"):
        (place / name).write_text(f"{other}[Service]\nType=oneshot\nExecStart=/bin/true\n")
    for name in ("sysinit", "basic", "shutdown", "multi-user", "local-fs", "sockets"):
        (place / f"{name}.target").write_text(other)
    (place / "sys-kernel-config.mount").write_text(
        f"{other}[Mount]\nWhat=configfs\nWhere=/sys/kernel/config\nType=configfs\n"
    )
    (place / "var-lib-getuige.mount").write_text(f"{other}[Mount]\nWhat=/dev/x\nWhere=/var/lib/getuige\nType=ext4\n")
    for program in ("opt/getuige/.venv/bin/python", "usr/bin/python3", "bin/true"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2("/bin/true", tmp_path / program)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", *(unit.name for unit in UNITS)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "getuige" in line and "not executable" not in line]
    assert ours == []


def test_root_only_where_it_must_be() -> None:
    root = {unit.stem for unit in UNITS if not re.search(r"^User=getuige$", unit.read_text("utf-8"), re.MULTILINE)}
    assert root == {"getuige-data", "getuige-usb", "getuige-radio"}
    rights = {
        unit.stem: re.findall(r"^CapabilityBoundingSet=(.*)$", unit.read_text("utf-8"), re.MULTILINE) for unit in UNITS
    }
    assert {name: found for name, found in rights.items() if found != [""]} == {
        "getuige-data": ["CAP_SYS_ADMIN"], "getuige-link": ["CAP_NET_ADMIN"],
        "getuige-radio": ["CAP_DAC_READ_SEARCH"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("interface", "stays"),
    [("3/1/1", False), ("8/6/80", False), ("8/6/98", False), ("6/1/1", False), ("224/1/1", False), ("11/0/0", False),
     ("1/1/0", True), ("2/2/1", True), ("10/0/0", True), ("14/1/0", True), ("255/0/0", True), ("9/0/0", True)],
)  # fmt: skip
def test_what_nobody_shall_plug_in_is_let_go_of(interface: str, stays: bool) -> None:
    """Sound, serial lines, cameras and hubs stay; the rule is read here as udev(7) reads it."""
    rules = (HARDWARE / "udev" / "90-getuige.rules").read_text("utf-8")
    event = {"ACTION": "add", "SUBSYSTEM": "usb", "ENV{DEVTYPE}": "usb_interface", "ENV{INTERFACE}": interface}
    denied = False
    for line in rules.splitlines():
        terms = re.findall(r'([A-Z]+(?:\{\w+\})?)(==|=|\+=)"([^"]*)"', line)
        matches = all(
            any(fnmatchcase(event.get(key, ""), pattern) for pattern in value.split("|"))
            for key, operator, value in terms if operator == "=="
        )  # fmt: skip
        denied |= bool(terms) and matches and ("ATTR{authorized}", "=", "0") in terms
    assert denied is not stays


MODULE_OF = {
    "video4linux": "videodev", "media": "mc", "alsa": "snd", "i2c": "i2c-dev", "ttyUSB": "usbserial",
    "ttyACM": "cdc-acm", "tpm": "tpm",
}  # fmt: skip
"""What owns a kind of device, where Raspberry Pi's kernels have that as a module (bcm2711_defconfig)."""
BUILT_IN = {"gpiochip", "dma_heap", "ttyAMA", "ttyS", "rtc"}


@pytest.mark.parametrize("unit", ["getuige", "getuige-console"])
def test_every_kind_of_device_is_there_before_a_service_starts(unit: str) -> None:
    """systemd looks kinds up by name when it starts a service, and leaves out those that the kernel has not yet."""
    text = (HARDWARE / "systemd" / f"{unit}.service").read_text("utf-8")
    assert "DevicePolicy=closed" in text
    assert "DefaultDependencies" not in text, "after sysinit.target, and so after systemd-modules-load.service"
    kinds = set(re.findall(r"^DeviceAllow=char-(\w+) ", text, re.MULTILINE))
    assert kinds == BUILT_IN | MODULE_OF.keys()
    listed = (HARDWARE / "image/root/etc/modules-load.d/getuige.conf").read_text("utf-8").splitlines()
    assert {line for line in listed if not line.startswith("#")} == set(MODULE_OF.values())


def test_udev_gives_each_part_to_a_group_of_the_service() -> None:
    service = (HARDWARE / "systemd" / "getuige.service").read_text("utf-8")
    found = re.search(r"^SupplementaryGroups=(.+)$", service, re.MULTILINE)
    assert found is not None
    rules = (HARDWARE / "udev" / "90-getuige.rules").read_text("utf-8")
    groups = dict(re.findall(r'^SUBSYSTEM=="([\w-]+)".*GROUP="(\w+)"', rules, re.MULTILINE))
    assert groups == {
        "rtc": "getuige", "gpio": "gpio", "i2c-dev": "i2c", "video4linux": "video", "media": "video",
        "dma_heap": "video", "sound": "audio", "tty": "dialout", "tpmrm": "tss",
    }  # fmt: skip
    assert set(groups.values()) <= {*found[1].split(), "getuige"}
    assert not re.search(r'MODE="\d\d\d[1-7]"', rules), "nothing for everybody"


def test_the_packet_filter_is_understood_and_lets_in_the_dock_alone() -> None:
    rules = HARDWARE / "image" / "root" / "etc" / "nftables.conf"
    text = rules.read_text("utf-8")
    assert text.count("policy drop;") == 2
    accepted = re.findall(
        r"^\s+(.*) accept$", text[text.index("chain input") : text.index("chain forward")], re.MULTILINE
    )
    opened = [line for line in accepted if "dport" in line]
    assert opened == ["iifname $dock tcp dport 8443", "iifname $dock udp dport 5353"]
    nft = shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if nft is None or subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode:
        pytest.skip("nft, or the right to a network namespace, is not on this machine")
    done = subprocess.run(
        ["unshare", "-rn", nft, "--check", "--file", str(rules)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


POLKIT = """
var rule, polkit = {Result: {YES: "yes", NO: "no", NOT_HANDLED: "-"}, addRule: function (given) { rule = given; }};
%s
function ask(user, id, unit, verb) {
    var action = {id: id, lookup: function (name) { return {unit: unit, verb: verb}[name]; }};
    print(rule(action, {user: user}));
}
%s
"""


def test_the_console_may_ask_for_little(tmp_path: Path) -> None:
    units, clock, power = "systemd1.manage-units", "timedate1.set-time", "login1.power-off"
    cases = [
        ("getuige", units, "getuige.service", "restart", "yes"),
        ("getuige", units, "getuige.service", "stop", "yes"),
        ("getuige", units, "getuige.service", "start", "yes"),
        ("getuige", units, "getuige.service", "enable", "no"),
        ("getuige", units, "ssh.service", "start", "no"),
        ("getuige", units, "", "", "no"),
        ("getuige", "systemd1.manage-unit-files", "getuige.service", "enable", "no"),
        ("getuige", clock, "", "", "yes"),
        ("getuige", "timedate1.set-ntp", "", "", "no"),
        ("getuige", power, "", "", "yes"),
        ("getuige", "login1.reboot", "", "", "no"),
        ("getuige", "NetworkManager.enable-disable-wifi", "", "", "no"),
        ("pi", units, "getuige.service", "stop", "-"),
        ("pi", power, "", "", "-"),
    ]
    asked = "".join(
        f'ask("{user}", "org.freedesktop.{id_}", "{unit}", "{verb}");\n' for user, id_, unit, verb, _ in cases
    )
    script = tmp_path / "rules.js"
    script.write_text(POLKIT % ((HARDWARE / "polkit" / "50-getuige.rules").read_text("utf-8"), asked), "utf-8")
    done = subprocess.run(["duk", str(script)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [answer for *_, answer in cases]


def test_programs_of_the_root_are_scripts_that_a_shell_understands() -> None:
    for path in (HARDWARE / "image" / "root").rglob("*"):
        if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh"):
            assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0
            assert stat.S_ISREG(path.lstat().st_mode)
