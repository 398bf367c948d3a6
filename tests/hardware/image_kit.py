"""A small base image of the shape of Raspberry Pi OS Lite, a small project, wheels and packages: all in a second."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from hardware.image.build import Made, Order, build
from hardware.image.packages import ON_A_PI, WANTED
from tools.soak.arm.card import BOOT_FILES, CMDLINE, make_card, run

MIB = 1024 * 1024
EPOCH_S = 1_780_000_000
# What is there, in each of dpkg's states in which it is; what is not; and what an image brings anew.
STATUS = "".join(
    f"Package: {name}\nStatus: install ok {state}\nArchitecture: {architecture}\nVersion: {version}\n\n"
    for name, state, architecture, version in (
        ("base-files", "installed", "arm64", "1"), ("libc6", "triggers-pending", "arm64", "2.41-12+deb13u1"),
        ("libc6", "installed", "armhf", "2.41-12+deb13u1"), ("python3.13", "half-configured", "arm64", "3.13.5-2"),
        ("tzdata", "triggers-awaited", "all", "2026a-0"), ("exim4", "config-files", "all", "4"),
        ("rfkill", "installed", "arm64", "1"),
    )
)  # fmt: skip
SHADOW = "root:$y$j9T$secret:20000:0:99999:7:::\npi:$6$also:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n"


def elf(machine: int = 183, bits: int = 2) -> bytes:
    return (b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + struct.pack("<HH", 2, machine)).ljust(64, b"\0")


def root_files(codename: str = "trixie", python: str = "3.13") -> dict[str, bytes | str]:
    """What a base's root holds: content, or where a link leads (after ``->``)."""
    return {
        "etc/os-release": f'PRETTY_NAME="Debian GNU/Linux ({codename})"\nID=debian\nVERSION_CODENAME={codename}\n',
        "etc/rpi-issue": "Raspberry Pi reference 2026-01-01\nGenerated using pi-gen, stage2\n",
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000:,,,:/home/pi:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "etc/shadow": SHADOW,
        "etc/group": "root:x:0:\nvideo:x:44:pi\naudio:x:29:pi\ndialout:x:20:pi\ntty:x:5:\nshadow:x:42:\n"
        "gpio:x:986:pi\npi:x:1000:\nnogroup:x:65534:\n",
        "etc/gshadow": "root:*::\nvideo:!::pi\n",
        "etc/fstab": "PARTUUID=9a8b7c6d-02 / ext4 defaults,noatime 0 1\n",
        "etc/machine-id": "uninitialized\n",
        "etc/resolv.conf": "nameserver 192.0.2.1\n",
        "etc/ssh/ssh_host_ed25519_key": "PRIVATE\n",
        "etc/ssh/sshd_config": "Port 22\n",
        "etc/sudoers.d/010_pi-nopasswd": "pi ALL=(ALL) NOPASSWD: ALL\n",
        "etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service": "->/lib/systemd/system/x.service",
        "etc/systemd/system/getty.target.wants/getty@tty1.service": "->/lib/systemd/system/getty@.service",
        f"usr/bin/python{python}": elf(),
        "usr/bin/python3": f"->python{python}",
        "lib": "->usr/lib",
        "usr/lib/systemd/system/nftables.service": "[Unit]\n",
        "var/lib/dpkg/status": STATUS,
        "home/pi/.bashrc": "# nothing\n",
    }


@dataclass
class Bench:
    """A place to make images in."""

    folder: Path
    files: dict[str, bytes | str] = field(default_factory=root_files)
    root_bytes: int = 12 * MIB
    cmdline: str = CMDLINE
    boot_files: dict[str, str] = field(default_factory=lambda: {"ssh": "", "userconf.txt": "pi:hash"})

    def base(self, name: str = "base.img") -> Path:
        """Make the base image."""
        tree, image = self.folder / f"{name}.tree", self.folder / name
        for path, content in self.files.items():
            where = tree / path
            where.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str) and content.startswith("->"):
                where.symlink_to(content[2:])
            else:
                where.write_bytes(content.encode() if isinstance(content, str) else content)
        make_card(
            image, tree, self.root_bytes, {**BOOT_FILES, "cmdline.txt": self.cmdline, **self.boot_files}, inodes=2048
        )
        shutil.rmtree(tree)
        return image

    def project(self) -> Path:
        """Make a project of the shape of ours, with a lock of two wheels."""
        project = self.folder / "project"
        rooms = ("capture", "drivers", "firmware", "hardware/boards", "hardware/companion", "storage", "uplink", "wire")
        for room in (*rooms, "station", "tools", "tests", "hardware/image"):
            (project / room).mkdir(parents=True)
            (project / room / "__init__.py").write_text(f'"""{room}"""\n')
        (project / "firmware" / "__main__.py").write_text("print('witness')\n")
        (project / "LICENSE").write_text("EUPL\n")
        (project / "docs").mkdir()
        (project / "docs" / "SETTINGS.md").write_text("# Settings\n")
        (project / "pyproject.toml").write_text('[project]\nname = "getuige"\nversion = "0.1.0"\n')
        wheels = [self.wheel("plain", "1.0", "py3-none-any"), self.wheel("native", "2.1", NATIVE)]
        lock = "# a lock\n"
        for (name, version, marker), path in zip(
            (("plain", "1.0", ""), ("Native", "2.1", " ; python_full_version >= '3.12'")), wheels, strict=True
        ):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lock += f"{name}=={version}{marker} \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{digest}\n"
        lock += f"old==1 ; python_full_version < '3.12' \\\n    --hash=sha256:{'1' * 64}\n"
        lock += f"lgpio==0.2 \\\n    --hash=sha256:{'2' * 64}\n"
        (project / "requirements").mkdir()
        (project / "requirements" / "device.lock").write_text(lock)
        return project

    def wheel(self, name: str, version: str, tag: str, more: dict[str, bytes] | None = None) -> Path:
        """Make a wheel."""
        folder = self.folder / "wheels"
        folder.mkdir(exist_ok=True)
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}/__init__.py": f'"""{name}"""\n'.encode(),
            f"{name}/script (dev).tmpl": b"a name with spaces\n",
            f"{name}-{version}.data/scripts/tool": b"#!python\n",
            f"{name}-{version}.data/purelib/{name}_more.py": b"MORE = 1\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
            **(more or {}),
        }
        record = "".join(f"{path},sha256={_b64(data)},{len(data)}\n" for path, data in files.items())
        files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in files.items():
                archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), data)
        wheel = folder / f"{name}-{version}-{tag}.whl"
        wheel.write_bytes(held.getvalue())
        return wheel

    def debs(self) -> Path:
        """Make all the Debian packages that an image wants."""
        folder = self.folder / "debs"
        if not folder.exists():
            folder.mkdir()
            for name in (*WANTED, *ON_A_PI):
                self.deb(name)
        return folder

    def deb(
        self, name: str, architecture: str = "arm64", files: dict[str, bytes] | None = None, version: str = "1:2.0-1"
    ) -> Path:
        """Make one."""
        tree = self.folder / f"deb-{name}"
        content = {f"lib/{name}.so": b"\x7fELF\n", f"usr/share/doc/{name}/README": b"long\n",
                   f"usr/share/doc/{name}/copyright": b"free\n"}  # fmt: skip
        for path, data in (files or content).items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(data)
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: A <a@example.org>\n"
            f"Description: {name}\n more of it\n"
        )
        (tree / "DEBIAN" / "postinst").write_text("#!/bin/sh\nexit 1\n")
        (tree / "DEBIAN" / "postinst").chmod(0o755)
        out = self.folder / "debs" / f"{name}_2.0-1_{architecture}.deb"
        out.parent.mkdir(exist_ok=True)
        run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(out)])
        return out

    def order(
        self, base: Path, output: str = "bodycam.img", *, board: str = "zero2w", project: Path | None = None
    ) -> Order:
        """Order an image that needs no network."""
        return Order(
            base=base, board=board, output=self.folder / output, project=project or self.folder / "project",
            cache=self.folder / "cache", wheels=self.folder / "wheels", debs=self.debs(),
            epoch_s=EPOCH_S, compile=False,
        )  # fmt: skip

    def build(self, order: Order) -> Made:
        """Make it."""
        return build(order, lambda text: None)


NATIVE = "cp313-cp313-manylinux_2_28_aarch64"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
