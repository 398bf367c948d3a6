"""``make image BASE=… BOARD=… OUTPUT=…`` as the Makefile has it, of what little lies in $SMALL."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest.mock import patch

from hardware.image.__main__ import main


def run(arguments: list[str]) -> int:
    """Make it."""
    given = dict(item.split("=", 1) for item in arguments if "=" in item)
    small = Path(os.environ["SMALL"])
    with patch("hardware.image.__main__._PROJECT", small / "project"):
        return main([
            "--base", given["BASE"], "--board", given["BOARD"], "--output", given["OUTPUT"], "--no-compile",
            "--wheels", str(small / "wheels"), "--debs", str(small / "debs"), "--cache", str(small / "cache"),
        ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
