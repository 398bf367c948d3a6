"""The controller's flash: a real LittleFS, as on an RP2040, on a block device in a file.

Named by the environment: COMPANION_FLASH (the file), COMPANION_CUT (a number: the power is gone in the middle of that
write or erasure). `mount` is called once.
"""

import os
import time

import vfs

BLOCK = 4096
PATH = "/flash"


class Blocks:
    """The extended block device protocol of MicroPython."""

    def __init__(self, path, cut):
        self._file = open(path, "r+b")
        self._count = os.stat(path)[6] // BLOCK
        self._left = cut
        self.operations = 0

    def readblocks(self, number, buffer, offset=0):
        self._file.seek(number * BLOCK + offset)
        self._file.readinto(buffer)

    def writeblocks(self, number, buffer, offset=0):
        cut = self._cuts()
        self._put(number * BLOCK + offset, bytes(buffer)[: len(buffer) // 2] if cut else buffer)
        if cut:
            self._die()

    def ioctl(self, what, argument):
        if what == 4:
            return self._count
        if what == 5:
            return BLOCK
        if what == 6:
            cut = self._cuts()
            self._put(argument * BLOCK, b"\xff" * (BLOCK // 2 if cut else BLOCK))
            if cut:
                self._die()
            return 0
        return 0

    def _put(self, at, data):
        self._file.seek(at)
        self._file.write(data)
        self._file.flush()

    def _cuts(self):
        self.operations += 1
        if self._left is None:
            return False
        self._left -= 1
        return self._left <= 0

    def _die(self):
        os.system("kill -9 $PPID")
        time.sleep(10)


def mount():
    cut = os.getenv("COMPANION_CUT")
    blocks = Blocks(os.getenv("COMPANION_FLASH"), int(cut) if cut else None)
    try:
        system = vfs.VfsLfs2(blocks)
    except OSError:
        vfs.VfsLfs2.mkfs(blocks)
        system = vfs.VfsLfs2(blocks)
    vfs.mount(system, PATH)
    os.chdir(PATH)
    return blocks


def take(folder):
    """Copy everything in a folder of the host onto the flash."""
    _copy(folder, "")


def give(folder):
    """Copy everything on the flash into a folder of the host."""
    _copy("", folder)


def _copy(source, target):
    for name, kind, *_ in list(os.ilistdir(source or PATH)):
        if name in (".", ".."):
            continue
        here, there = f"{source or PATH}/{name}", f"{target or PATH}/{name}"
        if kind == 0x4000:
            try:
                os.mkdir(there)
            except OSError as error:
                if error.errno != 17:
                    raise
            _copy(here, there)
        else:
            with open(here, "rb") as old, open(there, "wb") as new:
                while True:
                    data = old.read(4096)
                    if not data:
                        break
                    new.write(data)
