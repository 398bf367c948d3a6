"""Previews for live view: made on the recorder's thread, when the uplink cannot carry the recording itself."""

from __future__ import annotations

from typing import Protocol

from capture.chunk import CmafChunk
from capture.errors import CaptureError
from capture.preview import thin
from storage.errors import StorageError
from storage.layout import Flags, Stamp
from storage.store import Segment


class PreviewSink(Protocol):
    """Takes previews; it hands over and returns."""

    @property
    def wants_previews(self) -> bool:
        """Whether they are to be made now."""
        ...

    def preview(self, segment: int, number: int, record: bytes) -> None:
        """Take the preview of a chunk that is not durable yet."""
        ...


def offer_preview(
    sink: PreviewSink | None, segment: Segment, chunk: CmafChunk, stamp: Stamp, flags: Flags, key_interval_ns: int
) -> str:
    """Make and hand over the preview of the chunk that is sealed next, if anybody wants it; return why that failed.

    Whatever it is, the recording goes on: a preview is never worth a picture of it.
    """
    if sink is None or not sink.wants_previews:
        return ""
    try:
        body = thin(chunk, key_interval_ns)
        if body is not None:
            number = segment.chunks
            sink.preview(segment.number, number, segment.preview(stamp, body, flags))
    except (CaptureError, StorageError) as error:
        return str(error)
    return ""
