"""A measure of how different two rhythms are, for the tests of the patterns.

A rhythm is the alternation of high and low, without its levels, pitch or colour. Two rhythms count as distinct only
where somebody who does not compare them side by side would tell them apart:

- steady against changing, or steady high against steady dark; or
- another number of pulses (once played: up to four are counted at a glance; beyond that, half as many again); or
- in the same number of pulses, at least one pulse or pause that is twice as long *and* `LEAST_MS` longer. People notice
  a difference of a fifth in length; twice is far beyond that.

Rhythms that repeat have no beginning: they are compared from every pulse of one on, written out to equally many pulses.
"""

from __future__ import annotations

import math
from itertools import pairwise

from firmware.patterns import Lane, Step

RATIO = 2.0
LEAST_MS = 90
AT_A_GLANCE = 4

Rhythm = tuple[tuple[int, int], ...]
"""For each pulse: how long it is high, and how long low after it (0 at the end of what is played once)."""


def merged(lane: Lane) -> list[Step]:
    """Return the lane with neighbours of the same value made one."""
    found: list[Step] = []
    for step in lane:
        if found and found[-1].value == step.value:
            found[-1] = Step(step.value, found[-1].duration_ms + step.duration_ms)
        else:
            found.append(step)
    return found


def rhythm(lane: Lane, *, repeats: bool) -> Rhythm:
    """Return the rhythm of a lane; steady lanes have none. Of what repeats, high is all above the lowest value."""
    low = min((step.value for step in lane), default=0) if repeats else 0
    steps = merged(tuple(Step(float(step.value > low), step.duration_ms) for step in lane))
    if not any(step.value for step in steps):
        return ()
    if repeats:
        first = next(at for at, step in enumerate(steps) if step.value)
        steps = merged((*steps[first:], *steps[:first]))
        if steps[-1].value:  # high at the end and at the beginning are one pulse
            last = steps.pop()
            steps[0] = Step(last.value, steps[0].duration_ms + last.duration_ms)
    else:
        while not steps[0].value:
            steps = steps[1:]
    lengths = [step.duration_ms for step in steps]
    if len(lengths) % 2:
        lengths.append(0)
    return tuple(zip(lengths[::2], lengths[1::2], strict=True))


def _apart(one: int, other: int) -> bool:
    short, long = sorted((one, other))
    return long >= RATIO * short and long - short >= LEAST_MS


def _same_count_apart(one: Rhythm, other: Rhythm) -> bool:
    return any(_apart(a, b) for mine, its in zip(one, other, strict=True) for a, b in zip(mine, its, strict=True))


def distinct_once(one: Rhythm, other: Rhythm) -> bool:
    """Tell whether two rhythms that are played once are told apart."""
    few, many = sorted((len(one), len(other)))
    if few == many:
        return _same_count_apart(one, other)
    return few < AT_A_GLANCE or many >= 1.5 * few


def distinct_repeated(one: Lane, other: Lane) -> bool:
    """Tell whether two lanes that repeat are told apart by rhythm, or both being steady, by dark and lit."""
    mine, its = rhythm(one, repeats=True), rhythm(other, repeats=True)
    if not mine and not its:
        return any(step.value for step in one) != any(step.value for step in other)
    if not mine or not its:
        return True
    pulses = math.lcm(len(mine), len(its))
    mine, its = mine * (pulses // len(mine)), its * (pulses // len(its))
    return all(_same_count_apart(mine, its[turn:] + its[:turn]) for turn in range(pulses))


def most_flashes(levels: list[tuple[int, float]], *, window_ms: int = 1000) -> int:
    """Return the most flashes in any window; `levels` are (time in ms, level from then on), oldest first.

    A flash is a rise and a fall, or a fall and a rise, by a tenth of full light or more (WCAG 2.2, *general flash*).
    """
    times: dict[bool, list[int]] = {True: [], False: []}
    for (_, before), (time_ms, after) in pairwise(levels):
        if abs(after - before) >= 0.1:
            times[after > before].append(time_ms)
    most = 0
    for rises in times.values():
        for at, begin_ms in enumerate(rises):
            most = max(most, sum(1 for time_ms in rises[at:] if time_ms - begin_ms < window_ms))
    return most


def written_out(lane: Lane, whole_ms: int) -> list[tuple[int, float]]:
    """Return a repeated lane's levels from 0 to `whole_ms`."""
    found: list[tuple[int, float]] = []
    now_ms = 0
    while now_ms < whole_ms:
        for step in lane:
            found.append((now_ms, step.value))
            now_ms += step.duration_ms
    return found
