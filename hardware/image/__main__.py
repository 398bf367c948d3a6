"""``python -m hardware.image --base FILE --board NAME --output FILE``. Exit status: 0 made, 2 not made."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hardware.image.build import Order, build
from hardware.image.errors import ImageError

_UNUSABLE = 2
_PROJECT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; every error of ours is one line."""
    options = _parser().parse_args(arguments)
    try:
        order = Order(
            base=options.base, board=options.board, output=options.output, project=_PROJECT, cache=options.cache,
            wheels=options.wheels, debs=options.debs, leave_out=frozenset(options.leave_out),
            compile=not options.no_compile, identity=options.identity,
            epoch_s=_epoch(os.environ.get("SOURCE_DATE_EPOCH")),
        )  # fmt: skip
        made = build(order, _say)
    except ImageError as error:
        sys.stderr.write(f"image: {error}\n")
        return _UNUSABLE
    except KeyboardInterrupt:
        sys.stderr.write("image: stopped; nothing was made\n")
        return _UNUSABLE
    sys.stdout.write(
        f"{made.image}: {made.size_bytes} bytes, SHA-256 {made.digest}\n"
        f"  {made.wheels} wheels, {made.debs} Debian packages; beside it "
        f"{', '.join(path.name for path in made.beside)}\n"
    )
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"image: {text}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="image", description="Make a device's card image (docs/IMAGE.md).")
    parser.add_argument("--base", type=Path, required=True, help="Raspberry Pi OS Lite (64-bit), .img or .img.xz")
    parser.add_argument("--board", required=True, help="zero2w, pi4, pi5; simulated needs no Pi")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--identity", default="memory", metavar="memory|tpm", help="where the devices' identities are born"
    )
    parser.add_argument("--cache", type=Path, default=_PROJECT / ".cache" / "image", help="keeps what was fetched")
    parser.add_argument("--wheels", type=Path, help="a folder with the wheels; nothing is fetched")
    parser.add_argument("--debs", type=Path, help="a folder with all Debian packages; nothing is fetched")
    parser.add_argument("--no-compile", action="store_true", help="do not compile the Python ahead: slower to start")
    parser.add_argument(
        "--leave-out", action="append", default=[], metavar="PACKAGE", help="a Debian package not wanted"
    )
    return parser


def _epoch(text: str | None) -> int | None:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org), which names the moment that everything is made at."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**32:
        raise ImageError(f"SOURCE_DATE_EPOCH: {text!r} is no time in seconds since 1970")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
