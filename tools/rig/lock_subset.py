"""Print some packages of a hash-pinned lock file, or all but some, with their hashes: a lock file of its own."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection
from pathlib import Path

_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==")


def subset(lock: str, names: Collection[str], *, without: bool = False) -> str:
    """Keep the requirements called `names` (or all others) with their continuation lines; comments go.

    Raises:
        ValueError: a name is not in the lock.
    """
    kept: list[str] = []
    found: set[str] = set()
    keeping = False
    for line in lock.splitlines():
        start = _NAME.match(line)
        if start:
            name = start[1].lower()
            found.add(name)
            keeping = (name in names) != without
        elif not line.startswith(" "):
            keeping = False
        if keeping:
            kept.append(line)
    missing = sorted(set(names) - found)
    if missing:
        raise ValueError(f"not in the lock file: {', '.join(missing)}; update the names in tools/rig/venv.sh")
    return "\n".join(kept) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--without", action="store_true", help="all but these names")
    arguments = parser.parse_args()
    lock = arguments.lock.read_text(encoding="utf-8")
    sys.stdout.write(subset(lock, frozenset(arguments.names), without=arguments.without))


if __name__ == "__main__":
    main()
