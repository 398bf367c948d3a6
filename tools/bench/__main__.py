"""``python -m tools.bench``."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tools.bench.docking import docking_rows
from tools.bench.live import live_rows
from tools.bench.pressing import pressing_rows
from tools.bench.recording import recording_rows
from tools.bench.recovering import recovering_rows
from tools.bench.sealing import sealing_rows
from tools.bench.storing import storing_rows
from tools.bench.table import Row, lines, write_json

_OUT = Path("build/bench/bench.json")


def _all() -> Iterator[Row]:
    for rows in (sealing_rows, storing_rows, recovering_rows, recording_rows, pressing_rows, live_rows, docking_rows):
        for row in rows():
            sys.stderr.write(f"  {row.name}\n")
            yield row


def main() -> int:
    """Measure everything, print the table, write the JSON; a missed target is said, not asserted."""
    sys.stderr.write("Measuring; this takes a few minutes.\n")
    rows = list(_all())
    machine = {
        "processor": _processor(),
        "python": platform.python_version(),
        "cryptography": version("cryptography"),
    }
    write_json(_OUT, rows, machine)
    sys.stdout.write("\n".join([f"{machine['processor']}, Python {machine['python']}", "", *lines(rows), ""]) + "\n")
    sys.stdout.write(f"Written to {_OUT}\n")
    return 0


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
