"""Stores that earlier identities of this device left: their footage grows old too, and is destroyed as any other.

Nobody receipts it, for the dock offers one chain alone; so age is all that ends it. A stub in its own chain is not
possible any more: that chain's keys are erased. What is destroyed is on record in the chain of now, as the event
``former-destroyed``, one round before it is done, so that the event is durable by then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from storage.destroy import destroy, examine, finish
from storage.errors import KeyFileError, StorageError, UnsoundError
from storage.inventory import SEGMENTS
from storage.keyfiles import device_id, load_device_key
from storage.layout import MAX_SEGMENT
from storage.retention import Due, due
from storage.segment_index import IndexedSegment, SegmentIndex

_S = 1_000_000_000
_NONE = bytes(16)


class Notes(Protocol):
    """The recorder, as far as it is needed here."""

    def note(self, name: str, **details: str | int | bool | None) -> None:
        """Put an event on record."""
        ...


@dataclass(slots=True)
class _Former:
    """One of them."""

    root: Path
    identity: bytes
    index: SegmentIndex
    segments: list[IndexedSegment] = field(default_factory=list)


class FormerStores:
    """Those beside the store in `flash`, named ``flash.before-…``. For one thread."""

    def __init__(self, flash: Path, notes: Notes) -> None:
        self._flash = flash
        self._notes = notes
        self._known: dict[Path, _Former] = {}
        self._stated: set[tuple[Path, int]] = set()

    def look(self) -> str:
        """See what there is; return what is the matter with one of them, or an empty text."""
        trouble = ""
        for root in sorted(self._flash.parent.glob(f"{self._flash.name}.before-*")):
            if not (root / SEGMENTS).is_dir():
                continue
            try:
                former = self._known.get(root) or _open(root)
                former.segments = former.index.refresh(MAX_SEGMENT + 1)
                self._known[root] = former
            except KeyFileError:
                trouble = f"{root.name} holds footage of an unknown identity: nothing destroys it; take it off the card"
            except StorageError as error:
                trouble = str(error)
        return trouble

    @property
    def boots(self) -> set[bytes]:
        """The runs in which something of it was made: as long as it is here, their ages must be kept."""
        return {item.boot for former in self._known.values() for item in former.segments}

    def destroy(self, age_ns: Callable[[IndexedSegment], int], limit_ns: int, busy: Callable[[], bool]) -> None:
        """Destroy what is too old and was stated so in an earlier round; state the rest.

        Raises:
            UnsoundError: something is not sound, and is left; all else was done.
            StorageError: the medium refused.
        """
        unsound: UnsoundError | None = None
        for former in self._known.values():
            finish(former.root, stop=busy)
            for item in list(due(former.segments, age_ns, limit_ns, under_way=_NONE)):
                if busy():
                    return
                try:
                    self._destroy(former, item, busy)
                except UnsoundError as error:  # for people to look at; the time of the others has come all the same
                    unsound = unsound or error
        if unsound is not None:
            raise unsound

    def _destroy(self, former: _Former, item: Due, busy: Callable[[], bool]) -> None:
        if (former.root, item.number) not in self._stated:
            self._state(former, item.number, item.age_ns)
        elif destroy(former.root, item.number, stop=busy) is not None:
            self._stated.discard((former.root, item.number))

    def _state(self, former: _Former, number: int, age_ns: int) -> None:
        what = examine(former.root, number, former.identity)
        self._notes.note(
            "former-destroyed",
            device=device_id(former.identity).hex(),
            segment=number,
            digest=what.digest.hex(),
            age_s=age_ns // _S,
        )
        self._stated.add((former.root, number))


def _open(root: Path) -> _Former:
    identity = load_device_key(root / "device.pub")
    return _Former(root, identity, SegmentIndex(root, device_id(identity)))
