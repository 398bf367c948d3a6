"""Who decides about live view: the unit's policy, then the officer. A station can ask. No I/O of its own.

Pictures may go out only while a recording is made, only where the policy allows it, and only while the light says so.
Three quick presses turn it on or off for the recording under way. Where the policy says *on* it begins by itself, and
the officer may refuse; where it says *ask* it begins when the officer says so. No ask changes that: it is felt, and
answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from firmware.cues import Note
from firmware.states import State
from storage.policy_fields import Live

_SECOND_NS = 1_000_000_000
_HELD_NS = 10 * _SECOND_NS
"""How long the light goes on to say *live* after the link broke: it may be back any moment, and no light flickers."""
_ASK_NS = 30 * _SECOND_NS
"""An ask is felt at most so often, and so long it can be answered."""
_ALLOWED = frozenset({State.RECORDING, State.STALLED, State.CLOSING, State.RESTARTING})
"""Not before the light is steady, and not while it is broken; the end of a recording still goes out."""
_RECORDS = frozenset({State.STARTING, State.RECORDING, State.STALLED, State.RECORDING_DARK})


class LivePort(Protocol):
    """What lets chunks out."""

    def allow(self, on: bool) -> None:
        """Let them out from now on, or none any more."""
        ...

    def answer(self, ask: str, answer: str) -> None:
        """Answer an ask."""
        ...


class Notes(Protocol):
    """Puts events on record."""

    def __call__(self, name: str, **details: str | int | bool | None) -> None:
        """Put one on record."""
        ...


class LiveView:
    """For the main thread alone."""

    def __init__(
        self,
        mode: Live,
        port: LivePort,
        note: Notes,
        play: Callable[[Note], None],
        monotonic_ns: Callable[[], int],
    ) -> None:
        self._mode = mode
        self._port = port
        self._note = note
        self._play = play
        self._monotonic_ns = monotonic_ns
        self._state = State.SELF_TEST
        self._yes = False
        """What the officer, or the policy in the officer's silence, says for this recording."""
        self._allowed = False
        self._link: bool | None = None
        """None until the first word of it."""
        self._link_lost_ns: int | None = None
        self._asked_ns: int | None = None
        self._ask = ""
        self.shown = False
        """The light is to say that pictures go out."""

    def state(self, state: State) -> None:
        """Take note of the device's state."""
        before, self._state = self._state, state
        if state in _RECORDS and before not in _RECORDS:
            # Each recording begins as the policy says.
            self._yes = self._mode is Live.ON
        self._decide()

    def chosen(self) -> None:
        """The officer has pressed three times."""
        self._yes = not self._yes
        self._note("live-choice", on=self._yes)
        self._answer("yes" if self._yes else "no")
        # Where pictures go out at once, or no longer, that has a note of its own.
        if self._yes and not self._link:
            self._play(Note.REFUSED)
        elif not self._yes and not self.shown:
            self._play(Note.LIVE_OFF)
        self._decide()

    def asked(self, ask: str, by: str) -> None:
        """A station asks."""
        now_ns = self._monotonic_ns()
        answer = "asked"
        if self._state not in _RECORDS:
            answer = "not-recording"
        elif self._yes:
            answer = "live"
        elif self._asked_ns is not None and now_ns - self._asked_ns < _ASK_NS:
            answer = "too-often"
        self._note("live-asked", by=by, answer=answer)
        self._port.answer(ask, answer)
        if answer == "asked":
            self._asked_ns, self._ask = now_ns, ask
            self._play(Note.LIVE_ASKED)

    def linked(self, up: bool, why: str) -> None:
        """The link is there, or gone."""
        if up is not self._link:
            self._link = up
            self._link_lost_ns = None if up else self._monotonic_ns()
            self._note("live-link", up=up, why=why or None)
        self.look(self._monotonic_ns())

    def look(self, now_ns: int) -> bool:
        """See whether what the light has to say has changed; return whether it has."""
        if self._ask and self._asked_ns is not None and now_ns - self._asked_ns >= _ASK_NS:
            self._answer("no-answer")
        held = self._link_lost_ns is not None and now_ns - self._link_lost_ns < _HELD_NS
        shown = self._allowed and (self._link is True or (self.shown and held))
        if shown is self.shown:
            return False
        self.shown = shown
        self._note("live", on=shown)
        self._play(Note.LIVE_ON if shown else Note.LIVE_OFF)
        return True

    def _decide(self) -> None:
        allowed = self._yes and self._state in _ALLOWED
        if allowed is not self._allowed:
            self._allowed = allowed
            self._port.allow(allowed)
        self.look(self._monotonic_ns())

    def _answer(self, answer: str) -> None:
        if self._ask:
            self._port.answer(self._ask, answer)
            self._ask = ""
