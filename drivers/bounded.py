"""Calls into foreign libraries that may never return."""

from __future__ import annotations

import threading
from collections.abc import Callable

from drivers.errors import DriverError


def call_bounded(what: str, function: Callable[[], object], timeout_s: float) -> None:
    """Run `function` on a thread called `what`, and wait for it no longer than `timeout_s`.

    Raises:
        DriverError: it raised, or did not return in time. Then its thread is left behind: nothing can end it.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised again, on the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, name=what, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise DriverError(f"{what} did not finish within {timeout_s:g} s; restart the process")
    if errors:
        raise DriverError(f"{what} failed ({type(errors[0]).__name__}: {errors[0]})") from errors[0]
