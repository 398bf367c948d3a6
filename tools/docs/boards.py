"""Makes docs/boards/ from the board profiles: for each board a page with its wiring, and a drawing of its header.

`python -m tools.docs.boards` writes them anew; a test holds them to the profiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from firmware.board import BOARDS, Board, load_board
from firmware.board_wiring import Direction, Wire, wires
from tools.docs.header_drawing import draw_header

TARGET = Path(__file__).resolve().parents[2] / "docs" / "boards"
NAMES = {
    "companion": "companion controller",
    "camera": "camera",
    "camera_power": "camera power",
    "microphone": "microphone",
    "indicator": "recording light",
    "button": "record button",
    "buzzer": "buzzer",
    "haptics": "vibration motor",
    "battery": "battery gauge",
    "gnss": "GNSS receiver",
    "accelerometer": "accelerometer",
    "dock": "dock contact",
    "rtc": "real-time clock",
}
"""What people call the parts, in the order of the tables."""
_DIRECTIONS: dict[Direction, str] = {"out": "from the Pi", "in": "to the Pi", "both": "both ways", "power": "supply"}


def main() -> int:
    """Write every page and drawing."""
    TARGET.mkdir(parents=True, exist_ok=True)
    for path, text in sorted(made().items()):
        path.write_text(text, "utf-8")
    return 0


def made() -> dict[Path, str]:
    """Return what docs/boards/ has to hold."""
    found = {}
    for profile in sorted(BOARDS.glob("*.toml")):
        board = load_board(profile)
        found[TARGET / f"{board.name}.md"] = page(board)
        if wires(board):
            found[TARGET / f"{board.name}.svg"] = draw_header(board, NAMES)
    return found


def page(board: Board) -> str:
    """Return a board's page, as Markdown."""
    lines = [
        f"# {board.title}",
        "",
        f"<!-- Made by `python -m tools.docs.boards` from hardware/boards/{board.name}.toml: change that file. -->",
        "",
        f"Board profile `{board.name}`: [hardware/boards/{board.name}.toml](../../hardware/boards/{board.name}.toml).",
        "",
        "## Parts",
        "",
        *_table(["part", "driver", "settings"], [_part(board, name) for name in NAMES if getattr(board, name)]),
        "",
        "## Wiring",
        "",
    ]
    connections = wires(board)
    if not connections:
        return "\n".join([*lines, "None: nothing here is real.", ""])
    lines += [
        f"![The 40-pin header of this board]({board.name}.svg)",
        "",
        "*Pin* is the number on the 40-pin header, pin 1 being at the end of the microSD card; *BCM* is Broadcom's",
        "number, which the profile uses. Every input takes 3.3 V at most.",
        "",
        *_table(["part", "signal", "BCM", "pin", "direction", "note"], [_wire(wire) for wire in _sorted(connections)]),
    ]
    if board.config_txt:
        lines += ["", "## In the Pi's `config.txt`", "", "```", *board.config_txt, "```"]
    if (sensor := board.camera.sensor) is not None:
        lines += [
            "",
            f"The camera has no power while Linux starts, so its sensor is named: `dtoverlay={sensor}` above, and",
            "`sensor` under `[camera]`. With another module change both in the profile before the image is made",
            "(`imx708`: Camera Module 3; `imx219`: 2; `imx477`: High Quality). No board has started a camera so yet.",
        ]
    return "\n".join([*lines, ""])


def _part(board: Board, name: str) -> list[str]:
    part = getattr(board, name)
    driver = getattr(part, "driver", "serial line")
    said = [
        f"{field.name} {_shown(field.name, value)}"
        for field in fields(part)
        if field.name != "driver" and (value := getattr(part, field.name)) not in (None, _unsaid(field.default))
    ]
    return [NAMES[name], f"`{driver}`" if driver != "serial line" else driver, ", ".join(said)]


def _unsaid(default: object) -> object:
    """A yes or no that is as usual is not worth a word."""
    return default if isinstance(default, bool) else None


def _wire(wire: Wire) -> list[str]:
    bcm = "" if wire.bcm is None else str(wire.bcm)
    pin = "" if wire.header_pin is None else str(wire.header_pin)
    return [NAMES[wire.part], wire.signal, bcm, pin, _DIRECTIONS[wire.direction], wire.note]


def _sorted(connections: Sequence[Wire]) -> list[Wire]:
    order = list(NAMES)
    return sorted(connections, key=lambda wire: order.index(wire.part))  # stable: signals stay in their order


def _shown(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"0x{value:02x}" if key == "address" else str(value)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    raise SystemExit(main())
