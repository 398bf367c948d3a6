"""What happened, as the journal keeps it: sealed, so that only the unit reads it (docs/FORMAT.md, "Events")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from storage import cbor
from storage.errors import FormatError
from storage.fields import as_int, as_list, as_map, as_text

Detail = str | int | bool | None
_MAX_EVENTS = 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, at a monotonic time, with details."""

    time_ns: int
    name: str
    details: Mapping[str, Detail] = field(default_factory=dict)


def encode_events(events: Sequence[Event]) -> bytes:
    """Return the plaintext body of an events chunk."""
    return cbor.encode([[event.time_ns, event.name, dict(event.details)] for event in events])


def parse_events(data: bytes) -> list[Event]:
    """Parse the plaintext body of an events chunk.

    Raises:
        FormatError: not the array that docs/FORMAT.md describes.
    """
    return [_event(item) for item in as_list(cbor.decode_list(data, "the events", signed=True), "events", _MAX_EVENTS)]


def _event(item: object) -> Event:
    items = as_list(item, "an event", 3)
    if len(items) != 3:
        raise FormatError("an event is not [time, name, details]")
    details = as_map(items[2], "an event's details")
    for value in details.values():
        if not isinstance(value, (str, int, bool, type(None))):
            raise FormatError("an event's detail is neither text, integer, boolean nor null")
    return Event(as_int(items[0], "event time"), as_text(items[1], "event name", 40), details)
