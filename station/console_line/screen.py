"""Showing it: plain lines, or rich's where somebody sits at a terminal. Texts are never taken as markup."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from station.console import say
from station.console_line.tell import Row, check_line, percent_line, text, values_line

Hear = Callable[[Mapping[str, Any]], None]


def at_a_terminal() -> bool:
    """Whether somebody sits there, at a terminal on which a line can be written over."""
    return sys.stdout.isatty() and not Console().is_dumb_terminal


def show_rows(rows: Sequence[Row], *, rich: bool) -> None:
    """Show a table."""
    if not rich:
        width = max(len(label) for label, _ in rows)
        for label, told in rows:
            say(f"{label:{width}}  {told}")
        return
    table = Table.grid(padding=(0, 2))
    for label, told in rows:
        loud = any(word in told for word in ("NOT", "UNUSABLE"))
        table.add_row(Text(label, "bold"), Text(told, "red" if loud else ""))
    Console().print(table)


@contextmanager
def watching(*, quiet: bool, rich: bool) -> Iterator[Hear]:
    """Return what shows checks, values and how far it is as they come.

    `quiet` leaves standard output alone: what somebody at the device is to do goes to standard error.
    """
    if quiet:
        yield _quiet
        return
    if not rich:
        yield _plain
        return
    console = Console()
    with Live(Text(""), console=console, refresh_per_second=4, transient=True) as live:

        def hear(fields: Mapping[str, Any]) -> None:
            if "check" in fields:
                line = check_line(fields)
                console.print(Text(line, "red" if line.endswith("FAILED") else ""))
            elif "say" in fields:
                live.update(Text(text(fields["say"]), "bold"))
            elif "values" in fields:
                live.update(Text(values_line(fields["values"])))
            elif "percent" in fields:
                live.update(Text(percent_line(fields["percent"]), "bold"))

        yield hear


def _quiet(fields: Mapping[str, Any]) -> None:
    if "say" in fields:
        with suppress(OSError):
            sys.stderr.write(text(fields["say"]) + "\n")


def _plain(fields: Mapping[str, Any]) -> None:
    if "check" in fields:
        say(check_line(fields))
    elif "say" in fields:
        say(text(fields["say"]))
    elif "values" in fields:
        say(values_line(fields["values"]))
    elif "percent" in fields:
        say(percent_line(fields["percent"]))


@contextmanager
def fetching_bar(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Return what shows how far a body is."""
    with Progress(
        "Fetching", BarColumn(), DownloadColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=quiet or not sys.stderr.isatty(), transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
