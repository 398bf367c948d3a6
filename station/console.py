"""Standard output of the command line."""

from __future__ import annotations

import os
import sys

import typer

from station.errors import StationError


def say(text: str) -> None:
    """Print to standard output. A failure is status 2: 1 would say something about what was judged.

    Raises:
        StationError: nothing can be written there.
    """
    try:
        typer.echo(text)
    except OSError as error:
        # What the buffer still holds would fail again when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise StationError(f"cannot write to standard output: {error.strerror}") from None
