"""Timing in pairs: ours and the limit in turn, several times over, so that a drifting machine hurts both alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median seconds of ours and of the limit, and the median of the pairs' ratios (limit / ours; 1 is the limit)."""

    ours_s: float
    limit_s: float
    ratio: float


def seconds(run: Callable[[], object]) -> float:
    """Return how long one call takes."""
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(
    ours: Callable[[], object],
    limit: Callable[[], object],
    rounds: int = 7,
    *,
    tidy: Callable[[], object] = lambda: None,
) -> Ratio:
    """Time both in turn, once unmeasured and then `rounds` times; `tidy` runs after ours, outside the clock."""
    pairs = []
    for _ in range(rounds + 1):
        mine = seconds(ours)
        tidy()
        pairs.append((mine, seconds(limit)))
    del pairs[0]
    return Ratio(
        statistics.median(mine for mine, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        statistics.median(theirs / mine for mine, theirs in pairs),
    )
