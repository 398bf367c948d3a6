"""What an image needs to know of a board: its part of config.txt, its link to the dock, its console."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from hardware.image.errors import ImageError

BOARDS = Path(__file__).resolve().parent.parent / "boards"
_LINE = re.compile(r"[A-Za-z0-9_]+=[A-Za-z0-9_,.=-]+")
_DRIVER = re.compile(r"[a-z0-9][a-z0-9_-]{1,30}")
# A Pi without a free USB controller talks to its dock by cable, and to a technician on its debug connector.
_OTHER_LINK, _OTHER_CONSOLE = "eth0", "serial0"


@dataclass(frozen=True, slots=True)
class Board:
    """One of `hardware/boards/`."""

    name: str
    title: str
    config_txt: tuple[str, ...]
    gadget: bool
    """Its USB port is a device's: network and console go over it."""
    sensor: str | None = None
    """The driver of the camera's sensor, where the camera has no power at boot."""

    @property
    def link(self) -> str:
        """The network interface to the dock."""
        return "usb0" if self.gadget else _OTHER_LINK

    @property
    def console(self) -> str:
        """The serial line to a technician, without ``/dev/``."""
        return "ttyGS0" if self.gadget else _OTHER_CONSOLE

    @property
    def hardware(self) -> bool:
        """It is a Pi, and not a simulation of one."""
        return self.name != "simulated"


def board_named(name: str, folder: Path = BOARDS) -> Board:
    """Load a board's profile.

    Raises:
        ImageError: there is none of that name, or it is not understood.
    """
    names = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in names:
        raise ImageError(f"board {name!r} is not known: BOARD is one of {', '.join(names)}")
    try:
        data = tomllib.loads((folder / f"{name}.toml").read_text("utf-8"))
        lines = tuple(data.get("config_txt", []))
        board = Board(name, str(data["title"]), lines, data["dock"]["driver"] == "udc", data["camera"].get("sensor"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImageError(f"the profile of board {name} is not understood: {error}") from None
    for line in lines:
        if not isinstance(line, str) or not _LINE.fullmatch(line):
            raise ImageError(f"the profile of board {name}: {line!r} is no line for config.txt")
    if board.sensor is not None and not (isinstance(board.sensor, str) and _DRIVER.fullmatch(board.sensor)):
        raise ImageError(f"the profile of board {name}: {board.sensor!r} is not the name of a sensor's driver")
    return board
