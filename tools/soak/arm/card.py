"""Makes an image of the shape of Raspberry Pi OS Lite: a FAT partition to start from, and an ext4 root."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hardware.image.disk import Partition, with_table

SIGNATURE = 0x9A8B7C6D
CMDLINE = (
    f"console=serial0,115200 console=tty1 root=PARTUUID={SIGNATURE:08x}-02 rootfstype=ext4 fsck.repair=yes rootwait "
    "quiet init=/usr/lib/raspberrypi-sys-mods/firstboot cfg80211.ieee80211_regdom=NL systemd.run=/boot/firstrun.sh\n"
)
CONFIG = "dtparam=audio=on\ncamera_auto_detect=1\n[cm4]\notg_mode=1\n"
BOOT_FILES = {"config.txt": CONFIG, "cmdline.txt": CMDLINE}
_BOOT_AT = 8192
_BOOT_BYTES = 36 * 1024 * 1024
"""About the least that is FAT32 and not FAT16."""
_MOMENT = "1700000000"


def make_card(
    image: Path, tree: Path, root_bytes: int, boot_files: Mapping[str, str] = BOOT_FILES, *, inodes: int = 4096
) -> None:
    """Make it of a folder with the root's files, room for `inodes` of them."""
    fat, ext = image.with_name(f"{image.name}.fat"), image.with_name(f"{image.name}.ext")
    for path, size in ((fat, _BOOT_BYTES), (ext, root_bytes)):
        path.write_bytes(b"")
        os.truncate(path, size)
    options = ["-d", str(tree), "-E", "root_owner=0:0", "-N", str(inodes), "-U", "12121212-3434-5656-7878-909090909090"]
    run(["mkfs.ext4", "-q", "-F", "-b", "4096", *options, str(ext)])
    run(["mkfs.vfat", "--invariant", "-F", "32", "-s", "1", str(fat)])
    for name, text in boot_files.items():
        source = image.with_name(f"{image.name}.{name}")
        source.write_text(text, "utf-8")
        run(["mcopy", "-i", str(fat), str(source), f"::{name}"])
        source.unlink()
    boot = Partition(0x0C, _BOOT_AT, _BOOT_BYTES // 512)
    root = Partition(0x83, boot.end, root_bytes // 512)
    sector = bytes(440) + struct.pack("<I", SIGNATURE) + bytes(68)
    with image.open("wb") as out:
        out.write(with_table(sector, [boot, root]))
        for part, content in ((boot, fat), (root, ext)):
            out.seek(part.start_bytes)
            with content.open("rb") as source_file:
                while block := source_file.read(1 << 22):
                    if block.strip(b"\0"):
                        out.write(block)
                    else:
                        out.seek(len(block), 1)
        out.truncate(root.end * 512)
    fat.unlink()
    ext.unlink()


def run(command: Sequence[str]) -> str:
    """Run one, at one moment; return what it printed.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    environment = dict(
        os.environ, E2FSPROGS_FAKE_TIME=_MOMENT, SOURCE_DATE_EPOCH=_MOMENT, TZ="UTC", LC_ALL="C.UTF-8",
        PATH=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
    )  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=600).stdout
