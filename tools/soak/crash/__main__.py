"""``python -m tools.soak.crash``: every crash point, many kills, every injected error; the promises hold after each.

Writes ``build/soak/crash.json``, and with ``--write`` the table of docs/faults/storage.md.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tools.soak.crash import faults
from tools.soak.crash.faults import Fault, Result
from tools.soak.crash.points import Outcome, run_points
from tools.soak.crash.trace import TraceError

_DOCS = Path("docs/faults/storage.md")
_MEMORY = Path("/dev/shm")  # noqa: S108 - a place in memory; what is made there is in a folder of its own
MAKERS = 40
"""So many errors are injected: four kinds at five calls, once and from then on."""


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 if every promise held, 1 if one did not, 2 if this machine cannot trace."""
    parser = argparse.ArgumentParser(prog="crash", description=__doc__)
    parser.add_argument("--points", type=int, help="states of the disk to look at, about; all of them otherwise")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--errors", type=int, default=MAKERS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("build/soak/crash.json"))
    parser.add_argument("--write", action="store_true", help="write the table into docs/")
    options = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="getuige-crash-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        outcome = run_points(work / "points", seed=options.seed, most=options.points, observe=_progress)
        results = list(_run_faults(work, options.seed, options.kills, options.errors))
    except TraceError as error:
        sys.stderr.write(f"crash: {error}\n")
        return 2
    finally:
        shutil.rmtree(work, ignore_errors=True)
    text = page(outcome, results)
    sys.stdout.write("\n" + text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    found = {"points": asdict(outcome), "faults": [asdict(item) for item in results]}
    options.output.write_text(json.dumps(found, indent=1), "utf-8")
    if options.write:
        _DOCS.write_text(text, "utf-8")
    broken = outcome.broken + [f"{item.fault}: {item.broken}" for item in results if item.broken]
    for line in broken[:20]:
        sys.stderr.write(f"crash: {line}\n")
    return 1 if broken else 0


def _progress(outcome: Outcome) -> None:
    if outcome.points % 50 < 5 and sys.stdout.isatty():
        sys.stdout.write(f"\r{outcome.points} crash points, {len(outcome.broken)} broken promises ")
        sys.stdout.flush()


def _run_faults(work: Path, seed: int, kills: int, errors: int) -> Iterator[Result]:
    makers: list[Callable[[Path], Fault]] = [partial(_kill, seed, number) for number in range(kills)]
    makers += [partial(_error, seed, number) for number in range(errors)]
    makers += [partial(_short_write, seed, number) for number in range(max(1, errors // 10))]
    makers.append(lambda base: next(faults.slow(base)))
    for number, make in enumerate(makers):
        yield faults.apply(work / f"fault-{number}", make)


def _kill(seed: int, number: int, base: Path) -> Fault:
    return next(faults.kills(base, 1, _dice(seed, "kill", number)))


def _error(seed: int, number: int, base: Path) -> Fault:
    return list(faults.errors(base, _dice(seed, "error", number)))[number % MAKERS]


def _short_write(seed: int, number: int, _base: Path) -> Fault:
    return next(faults.short(_dice(seed, "short", number)))


def _dice(seed: int, what: str, number: int) -> random.Random:
    return random.Random(f"{seed} {what} {number}")  # noqa: S311 - faults that can be had again


def page(outcome: Outcome, results: list[Result]) -> str:
    """Write what was found as Markdown."""
    lines = [
        "<!-- Written by `python -m tools.soak.crash --write`; do not edit. -->",
        "",
        "| what the disk held when the power went | states | something set aside | promises broken |",
        "|---|---:|---:|---:|",
    ]
    for name, tally in sorted(outcome.kinds.items()):
        count = sum(f", {name}: " in item for item in outcome.broken)
        lines.append(f"| {name} | {tally.states} | {tally.torn} | {count} |")
    lines += [
        f"| **{outcome.points} crash points**, after each of {outcome.calls} write-side calls | | | "
        f"{len(outcome.broken)} |",
        "",
        f"Footage captured and not yet durable at any of them: {outcome.worst_loss_s:.2f} s at most, beside "
        "the chunk in the making.",
        "",
        "| fault of the medium | injected | the recorder | promises broken |",
        "|---|---:|---|---:|",
    ]
    for name, items in _grouped(results).items():
        ends = sorted({_without_paths(item.said) for item in items})
        lines.append(f"| {name} | {len(items)} | {'; '.join(ends)} | {sum(bool(item.broken) for item in items)} |")
    return "\n".join([*lines, ""])


def _grouped(results: list[Result]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for item in results:
        name = item.fault.split(" number ")[0]
        name = "a write cut short" if "cut short" in name else name
        groups.setdefault(f"{name}, lasting" if item.fault.endswith(" on") else name, []).append(item)
    return groups


def _without_paths(said: str) -> str:
    """Leave out paths, which are of the machine."""
    words = ["..." if "/" in word and len(word) > 12 else word for word in said.split()]
    return " ".join(words)[:110]


if __name__ == "__main__":
    sys.exit(main())
