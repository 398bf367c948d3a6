"""``python -m hardware.flash write``. Exit status: 0 all good, 1 a card failed, 2 nothing was begun."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hardware.flash.errors import FlashError
from hardware.flash.target import Target, look_at, same_as
from hardware.flash.writer import Image, load_image, write

_FAILED, _UNUSABLE = 1, 2
_GOOD = "written, and read back the same"
_KEPT = f"{_GOOD}; it cannot drop what it held before, and behind the image that is still there (docs/FLASH.md)"


def main(arguments: Sequence[str] | None = None, ask: Callable[[str], str] = input) -> int:
    """Run it."""
    options = _parser().parse_args(arguments)
    try:
        return _write(options.image, options.device, yes=options.yes, ask=ask)
    except FlashError as error:
        sys.stderr.write(f"flash: {error}\n")
        return _UNUSABLE
    except KeyboardInterrupt:
        sys.stderr.write("flash: stopped; a card that was being written must be written again\n")
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flash", description="Write an image to cards.")
    commands = parser.add_subparsers(dest="command", required=True)
    card = commands.add_parser("write", help="write an image to one or several cards at once, and read it back")
    card.add_argument("--image", type=Path, required=True)
    card.add_argument("--device", type=Path, required=True, action="append", help="such as /dev/sdX; once for each")
    card.add_argument("--yes", action="store_true", help="do not ask: for programs")
    return parser


def _write(path: Path, devices: list[Path], *, yes: bool, ask: Callable[[str], str]) -> int:
    image = load_image(path)
    targets = [look_at(device, image.size_bytes) for device in devices]
    cards = {same_as(device) for device in devices}
    if len(cards) != len(devices):
        raise FlashError("the same card is named twice")
    if same_as(path) in cards:
        raise FlashError(f"{path} is the image itself: name the card that it is to be written to")
    sys.stdout.write(f"{path}: {image.size_bytes} bytes, SHA-256 {image.digest.hex()}\n")
    sys.stdout.write("".join(f"  {target.described}\n" for target in targets))
    if not yes and _answer(ask, f"Everything on {len(targets)} card(s) is lost. Write? Type yes: ") != "yes":
        raise FlashError("nothing was written")
    said = _write_all(image, targets)
    for target in targets:
        sys.stdout.write(f"{target.path}: {said.get(target.path, 'FAILED: it was not begun')}\n")
    return 0 if all(said.get(target.path) in (_GOOD, _KEPT) for target in targets) else _FAILED


def _answer(ask: Callable[[str], str], question: str) -> str:
    try:
        return ask(question).strip()
    except EOFError:  # nobody is there to say yes
        sys.stdout.write("\n")
        return ""


def _write_all(image: Image, targets: list[Target]) -> dict[Path, str]:
    """Write all cards at once, a thread each; return how it ended with each."""
    said: dict[Path, str] = {}
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:

        def one(target: Target) -> None:
            try:
                task = bar.add_task(f"{target.path} writing", total=2 * image.size_bytes)

                def done(what: str, count: int) -> None:
                    bar.update(task, advance=count, description=f"{target.path} {what}")

                dropped = write(image, target, done)
            except FlashError as error:
                said[target.path] = f"FAILED: {error}"
            except Exception as error:  # noqa: BLE001 - whatever it is, this card is not good and the others go on
                said[target.path] = f"FAILED: {type(error).__name__}: {error}; write it again"
            else:
                said[target.path] = _GOOD if dropped or not target.block else _KEPT

        threads = [threading.Thread(target=one, args=(target,), name=f"flash-{target.path.name}") for target in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return said


if __name__ == "__main__":
    sys.exit(main())
