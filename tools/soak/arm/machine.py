"""Starts the image in an emulated arm64 machine: Debian's kernel, a disk larger than the image, a dummy USB controller.

It is no Pi: there is no companion controller, no camera and no serial number. What can be seen is that systemd starts
what it should in its sandboxes, and that the card is grown.
"""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
import threading
from pathlib import Path

from hardware.image.disk import SECTOR_BYTES, parse_three
from hardware.image.fat import Fat
from tools.soak.arm.base import ArmError, archive, download
from tools.soak.arm.card import run
from tools.soak.power.image import Cpio

_PACKAGES = ("linux-image-arm64", "busybox-static")
_MODULES = ("crc32c_generic", "virtio_blk", "virtio_rng", "ext4", "nf_tables", "nft_ct", "libcomposite", "usb_f_ncm",
            "usb_f_acm", "dummy_hcd", "cdc_ncm", "cdc_acm", "rfkill")  # fmt: skip
"""The root has no kernel and no modules of its own here: what it would load is loaded before."""
_DISK_BYTES = 4 * 1024**3
_LIMIT_S = 300
_INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
for module in {modules}; do /bin/busybox insmod /modules/$module || echo "BROKEN cannot load $module"; done
/bin/busybox mount -t ext4 -o ro /dev/vda2 /root || echo "BROKEN the root does not mount"
/bin/busybox umount /proc
exec /bin/busybox switch_root /root /usr/lib/systemd/systemd
"""
_SEEN = {
    "the packet filter is loaded": r"Finished nftables\.service",
    "the partition has grown": r"the data partition has \d{4} MB",
    "its file system has grown while mounted": r'Successfully resized "/var/lib/getuige" to 2\.\d+G',
    "the settings are there": r"Finished getuige-settings\.service",
    "the gadget is made": r"usb-gadget: network and console",
    "a host sees it": r"idVendor=1d6b, idProduct=0104",
    "without a unit there is no radio": r"radio off: the device has no unit",
    "NetworkManager is not started": r"NetworkManager\.service.*skipped.*ConditionPathExists=/run/getuige-radio/wifi",
    "the recorder is started, and looks for its companion": r"companion: /dev/serial0 cannot be opened",
    "the console is started": r"Starting getuige-console\.service",
}
_NEVER = r"ordering cycle|BROKEN|Failed at step|Kernel panic|emergency mode"


def start(image: Path, cache: Path, held: Path) -> list[str]:
    """Start it, and return what was not seen, or must not have been.

    Raises:
        ArmError: the kernel cannot be had.
    """
    kernel, initial = _kernel(cache, held)
    disk = held / "disk.img"
    run(["cp", "--sparse=always", str(image), str(disk)])
    with disk.open("r+b") as file:
        file.truncate(_DISK_BYTES)
        parts = parse_three(file.read(SECTOR_BYTES))
    line = (Fat(disk, parts[0].start_bytes, 1).read("cmdline.txt") or b"").decode().split()
    words = [word for word in line if word not in ("quiet", "loglevel=3", "console=tty1", "systemd.show_status=no")]
    words += [
        "console=ttyAMA0",
        "systemd.journald.forward_to_console=1",
        "systemd.log_color=no",
        "systemd.show_status=no",
    ]
    console = _run(
        ["nice", "-n", "5", "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024",
         "-nographic", "-no-reboot", "-nic", "none", "-kernel", str(kernel), "-initrd", str(initial), "-append",
         " ".join(words), "-drive", f"file={disk},format=raw,if=none,id=disk", "-device", "virtio-blk-pci,drive=disk",
         "-device", "virtio-rng-pci"]
    )  # fmt: skip
    (cache / "console.log").write_text(console, "utf-8")
    broken = [f"in an emulated machine it was not seen that {what}" for what in _unseen(console)]
    broken += [f"in an emulated machine: {found[0]}" for found in re.finditer(f".*(?:{_NEVER}).*", console)]
    with disk.open("rb") as file:
        data = parse_three(file.read(SECTOR_BYTES))[2]
    if data.end * SECTOR_BYTES != _DISK_BYTES:
        broken.append("the data partition does not reach to the end of the card")
    disk.unlink()
    return broken


def _unseen(console: str) -> list[str]:
    return [what for what, pattern in _SEEN.items() if not re.search(pattern, console)]


def _run(command: list[str]) -> str:
    """Run the machine until everything was seen, or time is up."""
    text = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    ) as machine:
        watch = threading.Timer(_LIMIT_S, machine.kill)
        watch.start()
        try:
            for line in machine.stdout or ():
                text += line.decode("utf-8", "replace")
                if not _unseen(text):
                    break
        finally:
            watch.cancel()
            machine.kill()
    return text


def _kernel(cache: Path, held: Path) -> tuple[Path, Path]:
    """Return Debian's kernel and an initial root that mounts the card's and goes there."""
    debs, unpacked = cache / "kernel-debs", held / "kernel"
    if not debs.exists():
        download(cache, archive(), debs, _PACKAGES)
    try:
        for name in ("linux-image-*", "busybox-static_*"):
            for path in debs.glob(f"{name}.deb"):
                run(["dpkg-deb", "-x", str(path), str(unpacked)])
        if not (unpacked / "lib").exists():
            (unpacked / "lib").symlink_to("usr/lib")
        (folder,) = (unpacked / "lib/modules").iterdir()
        run(["depmod", "-b", str(unpacked), folder.name])
        kernel = next((unpacked / "boot").glob("vmlinuz-*"))
        busybox = (unpacked / "usr/bin/busybox").read_bytes()
    except (OSError, subprocess.SubprocessError, ValueError, StopIteration) as error:
        raise ArmError(f"the arm64 kernel cannot be unpacked: {error}") from error
    modules = _modules(folder)
    initial = held / "initial.cpio"
    with initial.open("wb") as out:
        made = Cpio(out)
        for name in ("proc", "sys", "dev", "root"):
            made.folder(Path("/") / name)
        made.file(Path("/bin/busybox"), busybox, 0o755)
        names = [f"{number:02d}.ko" for number in range(len(modules))]
        made.file(Path("/init"), _INIT.format(modules=" ".join(names)).encode(), 0o755)
        for name, path in zip(names, modules, strict=True):
            data = path.read_bytes()
            made.file(Path("/modules") / name, lzma.decompress(data) if path.suffix == ".xz" else data, 0o644)
        made.end()
    shutil.rmtree(folder)
    return kernel, initial


def _modules(folder: Path) -> list[Path]:
    """Return the modules in the order in which they are to be loaded; what is built in is none."""
    needs = {
        name: rest.split()
        for name, _, rest in (line.partition(":") for line in (folder / "modules.dep").read_text("ascii").splitlines())
    }
    by_name = {Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []

    def add(path: str) -> None:
        for need in needs[path]:
            add(need)
        if path not in order:
            order.append(path)

    for name in _MODULES:
        if name in by_name:
            add(by_name[name])
    return [folder / path for path in order]
