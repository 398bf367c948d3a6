"""A real software TPM (swtpm) on free ports, and a line to one that can be spoiled."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tpm2_pytss import ESAPI, TCTILdr

from storage.signer_tpm import TpmPlace

HANDLE = 0x81100001
_WAIT_S = 20.0
_CTRL_CAPABILITY = bytes([0, 0, 0, 1])


class SoftTpm:
    """One TPM: its state lies in a folder and outlives the process, as a chip's outlives its power."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("swtpm")
        assert program, "swtpm is missing: run `make setup`"
        self.port, control = _listening_pair()
        with control:
            self._process = subprocess.Popen(
                [
                    program, "socket", "--tpm2", "--tpmstate", f"dir={self.folder}", "--flags",
                    "not-need-init,startup-clear", "--server", f"type=tcp,port={self.port}", "--ctrl",
                    f"type=tcp,fd={control.fileno()}", "--log", f"file={self.folder / 'log'}",
                ],
                pass_fds=[control.fileno()],
            )  # fmt: skip
        # It answers here once it listens there too: the socket was listening before it began.
        with socket.create_connection(("127.0.0.1", self.port + 1), _WAIT_S) as line:
            line.sendall(_CTRL_CAPABILITY)
            assert line.recv(64), (self.folder / "log").read_text()

    def stop(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_WAIT_S)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def tcti(self) -> str:
        return f"swtpm:host=127.0.0.1,port={self.port}"

    @property
    def uri(self) -> str:
        return f"tpm:0x{HANDLE:08x}?tcti={self.tcti}"

    @property
    def place(self) -> TpmPlace:
        return TpmPlace(HANDLE, self.tcti)

    @contextmanager
    def open(self) -> Iterator[ESAPI]:
        """Do with it what an attacker, or a technician with other tools, does."""
        with TCTILdr(*self.tcti.split(":", 1)) as line, ESAPI(line) as tpm:
            yield tpm


@contextmanager
def running(folder: Path) -> Iterator[SoftTpm]:
    tpm = SoftTpm(folder)
    tpm.start()
    try:
        yield tpm
    finally:
        tpm.stop()


def _listening_pair() -> tuple[int, socket.socket]:
    """Return a port that is free, and a socket that listens at the one after it: where the line's driver expects it."""
    while True:
        with socket.socket() as command:
            command.bind(("127.0.0.1", 0))
            port = int(command.getsockname()[1])
            control = socket.socket()
            control.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                control.bind(("127.0.0.1", port + 1))
                control.listen(1)
            except (OSError, OverflowError):
                control.close()
                continue
        return port, control


class Interposer:
    """Sits on the line to a TPM and changes, or cuts off, what it answers. One visitor at a time."""

    def __init__(self, tpm: SoftTpm, change: Callable[[bytes, bytes], bytes]) -> None:
        """`change` gets a command and its response, and returns the response that is passed on; empty cuts the line."""
        self._tpm = tpm
        self._change = change
        port, self._control = _listening_pair()
        self._command = socket.create_server(("127.0.0.1", port))
        self.place = TpmPlace(HANDLE, f"swtpm:host=127.0.0.1,port={port}")
        self._threads = [
            threading.Thread(target=self._serve, args=(self._command, tpm.port, change), name="interposer"),
            threading.Thread(target=self._serve, args=(self._control, tpm.port + 1, lambda _, got: got),
                             name="interposer-control"),
        ]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def _serve(self, listener: socket.socket, port: int, change: Callable[[bytes, bytes], bytes]) -> None:
        while True:
            try:
                near = listener.accept()[0]
            except OSError:
                return
            with near, socket.create_connection(("127.0.0.1", port), _WAIT_S) as far:
                near.settimeout(_WAIT_S)
                while command := near.recv(4096):
                    far.sendall(command)
                    response = change(command, far.recv(4096))
                    if not response:
                        break
                    near.sendall(response)

    def close(self) -> None:
        for listener in (self._command, self._control):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(_WAIT_S)
            assert not thread.is_alive()
