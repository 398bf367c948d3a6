"""What is set, switched on, switched off and taken away in the base's system."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hardware.image.accounts import Accounts
from hardware.image.board import Board
from hardware.image.entries import Entry, file, folder, link
from hardware.image.errors import ImageError
from hardware.image.identity import Identity

HARDWARE = Path(__file__).resolve().parent.parent
_ROOT = Path(__file__).resolve().parent / "root"
_UNITS = "/etc/systemd/system"
_LIB = "/usr/lib/systemd/system"
_TOOLS = "/usr/lib/getuige"
DATA = "/var/lib/getuige"
LABEL = "getuige-data"
MASKED = (
    # Logging in, and listening.
    "ssh.service", "ssh.socket", "sshd.service", "sshd@.service", "sshswitch.service", "sshd-unix-local.socket",
    "regenerate_ssh_host_keys.service", "sshd-keygen.service", "getty@.service", "serial-getty@.service",
    "console-getty.service", "container-getty@.service", "autovt@.service", "debug-shell.service",
    "avahi-daemon.service", "avahi-daemon.socket", "cups.service", "cups.socket", "cups.path", "cups-browsed.service",
    "rpcbind.service", "rpcbind.socket", "rsync.service", "wayvnc.service", "wayvnc-control.service",
    "vncserver-x11-serviced.service", "rpi-connect.service", "systemd-journal-remote.socket",
    "systemd-journal-gatewayd.socket", "systemd-networkd.service", "systemd-networkd.socket", "dhcpcd.service",
    # Radios that are never used, and one that would come up by itself.
    "bluetooth.service", "hciuart.service", "bthelper@.service", "dbus-org.bluez.service", "hostapd.service",
    "hostapd@.service", "dnsmasq.service", "systemd-rfkill.service", "systemd-rfkill.socket", "ModemManager.service",
    "NetworkManager-wait-online.service", "wifi-country.service",
    # The base's own first start.
    "userconfig.service", "systemd-firstboot.service", "systemd-machine-id-commit.service", "resize2fs_once.service",
    "rpi-resize.service", "rpi-resize-swap-file.service", "cloud-init-local.service", "cloud-init-main.service",
    "cloud-init-network.service", "cloud-init.service", "cloud-config.service", "cloud-final.service",
    # What writes to the root, guesses the time, swaps, or mounts what is plugged in.
    "apt-daily.timer", "apt-daily-upgrade.timer", "apt-daily.service", "apt-daily-upgrade.service", "man-db.timer",
    "dpkg-db-backup.timer", "logrotate.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fake-hwclock.service",
    "fake-hwclock-load.service", "fake-hwclock-save.service", "fake-hwclock-save.timer", "dphys-swapfile.service",
    "rpi-zram-writeback.timer", "ldconfig.service", "systemd-binfmt.service", "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service", "systemd-update-done.service", "udisks2.service", "triggerhappy.service",
    "triggerhappy.socket",
    "rpi-eeprom-update.service", "raspi-config.service", "ctrl-alt-del.target",
)  # fmt: skip
REMOVED = (
    "/etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service",
    "/etc/systemd/system/getty@tty1.service.d/autologin.conf", "/etc/init.d/resize2fs_once",
    "/etc/rc3.d/S01resize2fs_once", "/var/lib/systemd/random-seed", "/etc/fake-hwclock.data",
)  # fmt: skip
EMPTIED = ("/etc/sudoers.d", "/etc/NetworkManager/system-connections")
"""Folders of which every file goes."""
_TMPFS = {
    "/tmp": ("64M", "1777"),  # noqa: S108 - the device's own
    "/var/tmp": ("32M", "1777"),  # noqa: S108
    "/var/log": ("16M", "0755"),
    "/var/spool": ("4M", "0755"),
    "/var/cache": ("16M", "0755"),
    "/var/lib/systemd": ("4M", "0755"),
    "/var/lib/NetworkManager": ("4M", "0700"),
}
_SETTINGS = """\
# The settings of every device of this image; docs/SETTINGS.md. The address is each device's own.
[store]
flash = "{data}/flash"
state = "{data}/state"

[hardware]
board = "{board}"

[dock]
address = "@DOCK_ADDRESS@"

[tls]
authority = "{data}/tls/ca.crt"
certificate = "{data}/tls/device.crt"
key = "{data}/tls/device.key"

[enrolment]
identity = "{identity}"

[console]
status = "/run/getuige/status.json"
system = "systemd"
"""


def system_entries(board: Board, identity: Identity, disk: str, accounts: Accounts) -> Iterator[Entry]:
    """Return all of it; `disk` is the card's signature, eight hexadecimal digits.

    Raises:
        ImageError: a file of ours is missing.
    """
    uid, gid = accounts.ids()
    yield file("/etc/passwd", accounts.passwd)
    yield file("/etc/group", accounts.group)
    yield file("/etc/shadow", accounts.shadow, 0o640, gid=_gid(accounts, "shadow"))
    yield file("/etc/gshadow", accounts.gshadow, 0o640, gid=_gid(accounts, "shadow"))
    yield file("/etc/fstab", fstab(disk))
    yield file("/etc/hostname", "getuige\n")
    yield file("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\tgetuige\n")
    yield file("/etc/machine-id", "", 0o444)
    yield link("/var/lib/dbus/machine-id", "/etc/machine-id")
    yield folder("/var/lib/private", 0o700)
    yield link("/etc/resolv.conf", "/run/NetworkManager/resolv.conf")
    yield link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
    yield folder(DATA, 0o700, uid, gid)
    yield from _settings(board, identity, gid)
    yield from _ours(board)
    yield from _units(board, disk)
    if identity.modules:
        yield file("/etc/modules-load.d/getuige-identity.conf", "".join(f"{name}\n" for name in identity.modules))
    if board.sensor is not None:
        yield from _sensor(board.sensor)


def _sensor(name: str) -> Iterator[Entry]:
    """Let the service have a sensor's driver bound once the camera has power (`drivers/camera/kernel_sensor.py`)."""
    place = f"/sys/bus/i2c/drivers/{name}"
    yield file("/etc/modules-load.d/getuige-sensor.conf", f"{name}\n")
    yield file("/etc/tmpfiles.d/getuige-sensor.conf", f"z {place}/bind 0220 root getuige - -\n")
    yield file(
        f"{_UNITS}/systemd-tmpfiles-setup.service.d/getuige.conf", "[Unit]\nAfter=systemd-modules-load.service\n"
    )
    # All of /sys is read-only to them but for this.
    for unit in ("getuige.service", "getuige-console.service"):
        yield file(f"{_UNITS}/{unit}.d/sensor.conf", f"[Service]\nReadWritePaths=-{place}\n")


def fstab(disk: str) -> str:
    """Return the table of file systems: the root for reading alone, the evidence without programs or devices."""
    lines = [
        "# A device's file systems: the root is never written to. What is in memory is gone after each start.",
        f"PARTUUID={disk}-02 / ext4 ro,noatime 0 1",
        f"PARTUUID={disk}-01 /boot/firmware vfat ro,noauto,nodev,noexec,nosuid,umask=0077 0 0",
        # nofail: without evidence's place the service does not start, and the system does not wait for a password that
        # nobody has.
        f"PARTUUID={disk}-03 {DATA} ext4 "
        "nodev,noexec,nosuid,noatime,errors=remount-ro,nofail,x-systemd.growfs,x-systemd.device-timeout=90s 0 2",
    ]
    lines += [
        f"tmpfs {path} tmpfs nodev,noexec,nosuid,size={size},mode={mode} 0 0"
        for path, (size, mode) in _TMPFS.items()
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _settings(board: Board, identity: Identity, gid: int) -> Iterator[Entry]:
    yield folder("/etc/getuige", 0o750, gid=gid)
    text = _SETTINGS.format(data=DATA, board=board.name, identity=identity.uri)
    yield file("/etc/getuige/device.toml.in", text, 0o640, gid=gid)
    yield link("/etc/getuige/device.toml", "/run/getuige-settings/device.toml")


def _ours(board: Board) -> Iterator[Entry]:
    for path in sorted(_ROOT.rglob("*")):
        if path.is_file():
            name = "/" + path.relative_to(_ROOT).as_posix()
            text = _read(path)
            if name == "/etc/nftables.conf":
                text = text.replace('define dock = "usb0"', f'define dock = "{board.link}"')
            if name == "/etc/modules-load.d/getuige-usb.conf" and not board.gadget:
                continue
            if name == "/etc/modules-load.d/getuige.conf" and not board.hardware:
                continue  # another kernel may lack them
            yield file(name, text, 0o755 if text.startswith("#!") else 0o644)
    for path in sorted((Path(__file__).resolve().parent / "device").glob("*.py")):
        if path.name != "__init__.py":
            yield file(f"{_TOOLS}/{path.name}", _read(path))
    yield file("/etc/udev/rules.d/90-getuige.rules", _read(HARDWARE / "udev" / "90-getuige.rules"))
    yield folder("/etc/polkit-1/rules.d")
    yield file("/etc/polkit-1/rules.d/50-getuige.rules", _read(HARDWARE / "polkit" / "50-getuige.rules"))


def _units(board: Board, disk: str) -> Iterator[Entry]:
    for name in MASKED:
        yield link(f"{_UNITS}/{name}", "/dev/null")
    yield link(f"{_UNITS}/default.target", f"{_LIB}/multi-user.target")
    yield link(f"{_UNITS}/sysinit.target.wants/nftables.service", f"{_LIB}/nftables.service")
    # It comes no further than its condition until the policy allows it.
    yield link(f"{_UNITS}/multi-user.target.wants/NetworkManager.service", f"{_LIB}/NetworkManager.service")
    for path in sorted((HARDWARE / "systemd").glob("*.service")):
        text = _read(path).replace("@DISK@", disk)
        if path.name in ("getuige-usb.service",) and not board.gadget:
            continue
        text = text.replace("ttyGS0", board.console).replace("devices-usb0", f"devices-{board.link}")
        text = text.replace("up usb0", f"up {board.link}")
        yield file(f"{_UNITS}/{path.name}", text)
        for target in re.findall(r"^WantedBy=(.+)$", text, re.MULTILINE):
            yield link(f"{_UNITS}/{target}.wants/{path.name}", f"../{path.name}")


def unit_names() -> list[str]:
    """Return the names of our units."""
    return sorted(path.name for path in (HARDWARE / "systemd").glob("*.service"))


def _gid(accounts: Accounts, name: str) -> int:
    found = re.search(rf"^{name}:[^:]*:(\d+):", accounts.group, re.MULTILINE)
    return int(found[1]) if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ImageError(f"the project lacks {path.name}: {error.strerror}") from None
