"""How long to wait before the broker is tried again: ever longer, and never in step with other devices."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Exponential, with full jitter from half the step on."""

    def __init__(self, chance: Callable[[], float], *, first_s: float = 0.5, longest_s: float = 30.0) -> None:
        """`chance` returns numbers from 0 to 1."""
        self._chance = chance
        self._first_s = first_s
        self._longest_s = longest_s
        self._step_s = first_s

    def next_s(self) -> float:
        """Return how long to wait this time."""
        step_s, self._step_s = self._step_s, min(2 * self._step_s, self._longest_s)
        return step_s * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """The link was good."""
        self._step_s = self._first_s
