"""Makes a base image of real arm64 packages of Debian trixie, unpacked and never configured, in a minute."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.soak.apt import AptError, install
from tools.soak.arm.card import make_card, run

PACKAGES = (
    "base-files", "base-passwd", "bash", "coreutils", "dash", "dbus", "debian-archive-keyring", "dpkg", "e2fsprogs",
    "fdisk", "grep", "kmod", "libc-bin", "mount", "network-manager", "passwd", "python3", "sed", "systemd",
    "systemd-sysv", "systemd-timesyncd", "udev", "util-linux", "wpasupplicant",
)  # fmt: skip
CODENAME = "trixie"
_TOOLS = {
    "qemu-aarch64-static": "qemu-user-static", "debugfs": "e2fsprogs", "mcopy": "mtools", "mkfs.vfat": "dosfstools",
    "dpkg-deb": "dpkg", "tar": "tar", "depmod": "kmod", "qemu-system-aarch64": "qemu-system-arm",
}  # fmt: skip
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_ROOT_BYTES = 1280 * 1024 * 1024
_INODES = 60_000
_LEFT_OUT = ("--exclude=./usr/share/doc/*", "--exclude=./usr/share/man/*", "--exclude=./usr/share/locale/*")


class ArmError(Exception):
    """It cannot be run here; the text says what is missing and what to do."""


def require_tools() -> None:
    """Install what is missing.

    Raises:
        ArmError: it cannot be installed.
    """
    try:
        install(_TOOLS, "arm")
    except AptError as error:
        raise ArmError(str(error)) from error


def archive() -> str:
    """Return the address of the archive that this machine's apt uses for its own release.

    Raises:
        ArmError: it names none.
    """
    given = os.environ.get("GETUIGE_RIG_MIRROR")
    if given:
        return given
    told = run(["apt-get", "indextargets", "--format", "$(COMPONENT) $(CODENAME) $(REPO_URI)"])
    codename = re.search(r"^VERSION_CODENAME=(\S+)", Path("/etc/os-release").read_text("utf-8"), re.MULTILINE)
    for line in told.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[0] == "main" and codename is not None and fields[1] == codename[1]:
            return fields[2]
    raise ArmError("this machine's apt names no Debian archive: run apt-get update, or set GETUIGE_RIG_MIRROR to one")


def make_base(cache: Path) -> Path:
    """Return the base image, made once.

    Raises:
        ArmError: the archive does not have it.
    """
    image = cache / "base.img"
    if image.exists():
        return image
    mirror = archive()
    debs = cache / "base-debs"
    if not debs.exists():
        download(cache, mirror, debs, PACKAGES)
    tree = cache / "base-tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    try:
        status = _unpack(debs, tree)
        _write_etc(tree, mirror, status)
        temporary = cache / "base.new.img"
        make_card(temporary, tree, _ROOT_BYTES, inodes=_INODES)
        temporary.replace(image)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ArmError(f"the base could not be made: {getattr(error, 'stderr', '') or error}") from error
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    return image


def download(cache: Path, mirror: str, debs: Path, names: Sequence[str]) -> None:
    """Fetch packages and all that they need into a folder, which is new.

    Raises:
        ArmError: the archive does not have them.
    """
    place = cache / "apt"
    shutil.rmtree(place, ignore_errors=True)
    for name in ("state/lists/partial", "cache/archives/partial", "etc/parts", "etc/keys"):
        (place / name).mkdir(parents=True)
    (place / "state/status").write_text("")
    (place / "etc/sources.list").write_text(f"deb [arch=arm64 signed-by={_KEYRING}] {mirror} {CODENAME} main\n")
    given = {
        "Dir::State": "state", "Dir::State::status": "state/status", "Dir::Cache": "cache",
        "Dir::Etc::SourceList": "etc/sources.list", "Dir::Etc::SourceParts": "etc/parts",
    }  # fmt: skip
    options = [f"--option={key}={place / value}" for key, value in given.items()]
    options += ["--option=APT::Architecture=arm64", "--option=APT::Architectures::=arm64",
                "--option=APT::Sandbox::User=", "--option=Acquire::Languages=none"]  # fmt: skip
    try:
        run(["apt-get", "-q", "-q", *options, "update"])
        run(["apt-get", "-q", "-q", *options, "-y", "--no-install-recommends", "--download-only", "install", *names])
    except (OSError, subprocess.CalledProcessError) as error:
        raise ArmError(f"the arm64 packages could not be fetched: {getattr(error, 'stderr', '') or error}") from error
    (place / "cache/archives").rename(debs)
    shutil.rmtree(place)


def _unpack(debs: Path, tree: Path) -> str:
    """Unpack all of them, base-files first: it has the links that join /bin with /usr/bin. Return dpkg's record."""
    status = ""
    for path in sorted(debs.glob("*.deb"), key=lambda path: (not path.name.startswith("base-files_"), path.name)):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE) as unpacking:
            command = ["tar", "-C", str(tree), "--keep-directory-symlink", "-x", *_LEFT_OUT]
            subprocess.run(command, stdin=unpacking.stdout, check=True, timeout=300)
        head, _, rest = run(["dpkg-deb", "--field", str(path)]).strip().partition("\n")
        status += f"{head}\nStatus: install ok unpacked\n{rest}\n\n"
    return status


def _write_etc(tree: Path, mirror: str, status: str) -> None:
    """Write what scripts of the packages would have written."""
    masters = tree / "usr/share/base-passwd"
    passwd = (masters / "passwd.master").read_text("ascii").replace(":*:", ":x:")
    passwd += "pi:x:1000:1000:,,,:/home/pi:/bin/bash\n"
    group = (masters / "group.master").read_text("ascii").replace(":*:", ":x:") + "pi:x:1000:\n"
    names = [line.split(":")[0] for line in passwd.splitlines()]
    files = {
        "etc/passwd": passwd,
        "etc/group": group,
        "etc/shadow": "".join(f"{name}:*:20000:0:99999:7:::\n" for name in names),
        "etc/gshadow": "",
        "etc/rpi-issue": "Raspberry Pi reference: none, this is a test's\n",
        "etc/apt/sources.list": f"deb [signed-by={_KEYRING}] {mirror} {CODENAME} main\n",
        "var/lib/dpkg/status": status,
    }
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    # The users of systemd, the bus and others, by the root's own program.
    run(["qemu-aarch64-static", "-L", str(tree), str(tree / "usr/bin/systemd-sysusers"), f"--root={tree}"])
