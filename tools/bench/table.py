"""Rows of the table that `make bench` prints and writes as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: its value, what it is a ratio to, and the target."""

    name: str
    value: float
    unit: str
    detail: str
    target: float | None = None
    at_most: bool = False
    """The target is an upper bound."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def lines(rows: Sequence[Row]) -> list[str]:
    """Return the table as aligned text."""
    head = ("measurement", "value", "target", "", "detail")
    body = [
        (
            row.name,
            f"{row.value:.3g} {row.unit}".strip(),
            "" if row.target is None else f"{'<=' if row.at_most else '>='} {row.target:g}",
            {True: "met", False: "MISSED", None: ""}[row.met],
            row.detail,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [head, *body]) for column in range(4)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, [*widths, 0], strict=True)).rstrip()
        for line in [head, *body]
    ]


def write_json(path: Path, rows: Sequence[Row], machine: dict[str, str]) -> None:
    """Write the rows and the machine they were measured on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"machine": machine, "rows": [{**asdict(row), "met": row.met} for row in rows]}
    path.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
