"""Records into a store as fast as it can, for ever, and prints each chunk once it is durable. To be killed.

Arguments: the folder of the device, its public recipient key, the recording's id in hex.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from storage.keyfiles import load_recipient
from storage.layout import Flags, Stamp
from storage.seal import SealedChunk
from storage.store import Store, StoreSettings
from tests.storage.kit import BOOT, INIT, media_bytes

CHUNKS = 7
SIZE = 3_000


def tell(chunk: SealedChunk) -> None:
    os.write(1, f"{chunk.segment} {chunk.number}\n".encode())


def main(base: Path, key: Path, recording: bytes) -> None:
    settings = StoreSettings([load_recipient(key)], reserve_bytes=0)
    with Store(base / "flash", base / "state", settings, BOOT, tell) as store:
        for part in itertools.count():
            segment = store.begin(Stamp(1, 2), recording=recording, part=part, profile="x", init=INIT)
            for number in range(CHUNKS):
                segment.media(Stamp(1, 2, 3), media_bytes(part, number, SIZE), Flags.KEY)
            segment.close("rotation", Stamp(1, 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), bytes.fromhex(sys.argv[3]))
