"""Who asked what goes on record before it is done: in the system's log, and in the chain (`firmware.acts`).

What only looks is on record once a session, so that a screen that looks every second fills no journal. Where the note
for the chain cannot be left, the log alone has it and what was asked is done all the same: a device whose card is
broken, or whose recorder does not run, is the very one that must be looked at and switched off. Where a recorder runs,
and will take what waits in a moment, nobody gets round it by asking for much at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from drivers.clock.protocol import Clock
from firmware.acts import Act, ActSpool
from wire.answering import Asked
from wire.credential import Credential
from wire.errors import RefusedError

LOOKING = frozenset({"status", "journal", "clock"})
_KEY_DIGITS = 16
_S = 1_000_000_000
_log = logging.getLogger("getuige")


class OnRecord:
    """Owned by the console's one thread."""

    def __init__(self, spool: ActSpool, clock: Clock, recorder_runs: Callable[[], bool]) -> None:
        self._spool = spool
        self._clock = clock
        self._recorder_runs = recorder_runs
        self._session = b""
        self._looked: set[tuple[str, bytes]] = set()

    def __call__(self, who: Credential, asked: Asked) -> None:
        """Put it on record.

        Raises:
            RefusedError: so much waits to be put on record that this would not be.
        """
        verb = asked.ask.verb
        if asked.ask.session != self._session:
            self._session = asked.ask.session
            self._looked.clear()
        if verb in LOOKING:
            if (verb, who.key) in self._looked:
                return
            self._looked.add((verb, who.key))
        _log.info("console: %s, by %s (key %s)", verb, who.name, who.key.hex()[:_KEY_DIGITS])
        act = Act(who.name, who.key.hex()[:_KEY_DIGITS], verb, max(0, self._clock.read().utc_ns // _S))
        try:
            left = self._spool.leave(act)
        except OSError as error:
            _log.warning("console: the chain will not have it: %s", error.strerror)
        else:
            if left:
                return
            if verb not in LOOKING and self._recorder_runs():
                raise RefusedError("too-many", "too much at once to be put on record: try again in half a minute")
            _log.warning("console: the chain will not have it: no recorder takes what waits already")
