"""A docked device in a process of its own: ``python -m tools.bench.dock_device STORE STATE TLS``; or a raw sender.

With ``raw FILE TLS`` it sends one file over a bare TLS socket, again and again. Both print their port, and end
when their standard input does. Used by `tools.bench.docking`.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from pathlib import Path

from storage.keyfiles import device_id, load_device_key
from storage.recovery import recover
from storage.tls import TlsFiles, server_context
from uplink.offload.application import Application, Duties
from uplink.offload.catalogue import Catalogue
from uplink.offload.server import OffloadServer

_BLOCK = 1024 * 1024


def main() -> int:
    """Serve."""
    if sys.argv[1] == "raw":
        return _raw(Path(sys.argv[2]), _files(Path(sys.argv[3])))
    root, state = Path(sys.argv[1]), Path(sys.argv[2])
    identity = load_device_key(state / "device.pub")
    previous = recover(root, identity).previous
    status = {
        "device": device_id(identity).hex(),
        "closed_segment": previous.segment,
        "chain": previous.tip.chain.hex(),
        "utc_ns": 0,
        "policy_serial": 1,
    }
    duties = Duties(lambda: status, *[lambda _data: "taken"] * 4)
    catalogue = Catalogue(root, lambda: None)
    catalogue.page(0)  # a device hashes its segments when it is docked; what is measured is the transfer
    with OffloadServer(Application(catalogue, duties), _files(Path(sys.argv[3])), "127.0.0.1", 0) as server:
        sys.stdout.write(f"{server.begin()}\n")
        sys.stdout.flush()
        sys.stdin.read()
    return 0


def _files(folder: Path) -> TlsFiles:
    return TlsFiles(folder / "ca.crt", folder / "device.crt", folder / "device.key")


def _raw(path: Path, files: TlsFiles) -> int:
    context = server_context(files)

    def serve(listener: socket.socket) -> None:
        while True:
            sock, _ = listener.accept()
            try:
                with context.wrap_socket(sock, server_side=True) as end, path.open("rb") as file:
                    buffer = memoryview(bytearray(_BLOCK))
                    while count := file.readinto(buffer):
                        end.sendall(buffer[:count])
            except (ssl.SSLError, OSError):
                continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), name="raw", daemon=True).start()
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
