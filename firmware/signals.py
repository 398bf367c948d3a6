"""SIGTERM and SIGINT end the device in good order: they become a power-off among its inputs.

A signal handler would run on the main thread, in the middle of whatever that does; where that is the queue of inputs,
the handler would wait for ever for a lock that its own thread holds. So the signals are held back and waited for.
"""

from __future__ import annotations

import queue
import signal
import threading

from firmware.inputs import Input, PowerOff

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
_PUT_S = 10.0


def hold_back() -> None:
    """Hold the ending signals back from now on. Call it before any thread is made: threads inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def power_off_on_signal(inputs: queue.Queue[Input]) -> None:
    """Wait for an ending signal on a thread named "signals", which lives as long as the process."""

    def wait() -> None:
        signal.sigwait(_ENDING)
        inputs.put(PowerOff(), timeout=_PUT_S)

    threading.Thread(target=wait, name="signals", daemon=True).start()
