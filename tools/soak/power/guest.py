"""What runs inside the guest: check what the last run left on the disk, then record until the power goes.

``python -m tools.soak.power.guest FOLDER ORDERS``; ORDERS is JSON, padded with zeros: the reported chunks and the key.
Says one line each: ``OK how torn opened``, ``BROKEN text``, and then what `tools.soak.crash.writer` says.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from station.keys import StationKey, load_station_key
from storage.durable import replace_file
from storage.keyfiles import load_device_key
from storage.keyring_file import enrol_device
from storage.signer import MemorySigner
from tools.soak.checking import BrokenPromiseError, check_store
from tools.soak.crash import writer


def main(arguments: list[str]) -> int:
    """Check, then record for as long as the power lasts, or `turns` times."""
    folder, orders = Path(arguments[0]), read_orders(Path(arguments[1]))
    key = _key(orders["key"])
    replace_file(folder / "recipient", key.recipient.raw)
    if not (folder / "state" / "device.pub").exists():
        enrol_device(folder / "state", MemorySigner.generate())
        writer.say("OK new 0 0")
    else:
        reported = {(segment, chunk): chain for segment, chunk, chain in orders["reported"]}
        identity = load_device_key(folder / "state" / "device.pub")
        try:
            newest = max((segment for segment, _ in reported), default=0)
            found = check_store(folder, identity, key, reported, open_from=newest - 1)
        except BrokenPromiseError as error:
            writer.say(f"BROKEN {error}; there is {_listing(folder)}")
            return 1
        writer.say(f"OK {found.how} {found.torn_bytes} {found.opened}")
    for _ in range(orders["turns"]):
        options = argparse.Namespace(folder=folder, chunk_ms=100, seconds=3.0, chunk_bytes=20_000)
        if writer.record(options):
            return 1
    return 0


def _listing(folder: Path) -> str:
    """Say what lies at the end of the store, for whoever must find out what happened."""
    files = [path for name in ("flash/segments", "flash/torn", "state") for path in sorted((folder / name).iterdir())]
    told = [f"{path.name}:{path.stat().st_size}:{path.read_bytes()[:8].hex()}" for path in files]
    return " ".join(told[-12:])


def _key(pem: str) -> StationKey:
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem.encode())
        file.flush()
        return load_station_key(Path(file.name))


def read_orders(path: Path) -> dict[str, Any]:
    """Read the orders from a file or a block device."""
    found = json.loads(path.read_bytes().rstrip(b"\0"))
    return dict(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
