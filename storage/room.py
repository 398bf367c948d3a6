"""How much may still be written, and what gives way first. No I/O.

Media may fill the store up to its reserve. The reserve is for what must be written afterwards: the closing of the
recording that filled it, the journal, the keyring, what a recovery sets aside. The journal may not eat it up either:

1. media is refused when less than the reserve is free;
2. with less than a quarter of the reserve left, heartbeats become rare;
3. with less than a sixteenth left, heartbeats and events are given up (and counted): openings, closings, statements of
   destruction, the keyring and recovery still find room.

64 MiB of reserve are some 40 days of heartbeats every ten seconds before the second step, and years after it.
"""

from __future__ import annotations

from enum import Enum

RARE_HEARTBEATS = 60
"""Where heartbeats are rare, one in so many is written."""


class JournalRoom(Enum):
    """What the journal may write."""

    ALL = "all"
    RARE = "heartbeats are rare"
    NEEDED = "only what must be written"


def journal_room(free_bytes: int, reserve_bytes: int) -> JournalRoom:
    """Decide by what is free on the medium, the reserve included."""
    if free_bytes * 16 < reserve_bytes:
        return JournalRoom.NEEDED
    return JournalRoom.RARE if free_bytes * 4 < reserve_bytes else JournalRoom.ALL


def minutes_left(free_bytes: int, bytes_per_s: float) -> int:
    """Return how many whole minutes of recording fit into `free_bytes` beyond the reserve."""
    if bytes_per_s <= 0:
        raise ValueError(f"{bytes_per_s} bytes a second: give what a recording takes")
    return int(max(0, free_bytes) / bytes_per_s / 60)
