"""The age meter's file, `ages` in the state folder: deterministic CBOR with a checksum, replaced as a whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

from storage import cbor
from storage.age_meter import MOST_RUNS, Anchor, MeterState, Run
from storage.durable import replace_file
from storage.errors import FormatError, StoreFailedError
from storage.fields import as_bytes, as_int, as_list

_MOST_BYTES = 512 * 1024
_NS = 2**63 - 1


def save_ages(path: Path, state: MeterState) -> None:
    """Write the state durably.

    Raises:
        StoreFailedError: the medium refused; what was there before still is.
    """
    anchor = state.anchor
    body = cbor.encode(
        [
            1,
            state.meter_ns,
            [[run.boot, run.offset_ns] for run in state.runs],
            [] if anchor is None else [anchor.utc_ns, anchor.meter_ns, anchor.run],
            [[boot, meter_ns] for boot, meter_ns in sorted(state.strangers.items())][:MOST_RUNS],
        ]
    )
    try:
        replace_file(path, hashlib.sha256(body).digest() + body)
    except OSError as error:
        raise StoreFailedError(f"cannot write {path}: {error.strerror}") from error


def load_ages(path: Path) -> tuple[MeterState, str]:
    """Return the state, and in one line what is wrong with the file; without it everything counts as young."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return MeterState(), ""
    except OSError as error:
        return MeterState(), f"cannot read {path}: {error.strerror}; the age of what is stored counts from now"
    try:
        return _parse(data), ""
    except FormatError as error:
        return MeterState(), f"{path} is damaged ({error}); the age of what is stored counts from now"


def _parse(data: bytes) -> MeterState:
    digest, body = data[:32], data[32:]
    if len(data) > _MOST_BYTES or hashlib.sha256(body).digest() != digest:
        raise FormatError("its checksum is wrong")
    fields = cbor.decode_list(body, "the file", signed=True)
    if len(fields) != 5 or fields[0] != 1:
        raise FormatError("its version is unknown")
    runs = [
        Run(as_bytes(boot, "boot id", 16), _signed(offset_ns))
        for boot, offset_ns in (_pair(item) for item in as_list(fields[2], "runs", MOST_RUNS))
    ]
    anchor: Anchor | None = None
    if found := as_list(fields[3], "anchor", 3):
        if len(found) != 3:
            raise FormatError("its anchor is not [utc, meter, run]")
        anchor = Anchor(_signed(found[0]), as_int(found[1], "meter", _NS), as_int(found[2], "run", len(runs) - 1))
    strangers = {
        as_bytes(boot, "boot id", 16): as_int(meter_ns, "meter", _NS)
        for boot, meter_ns in (_pair(item) for item in as_list(fields[4], "strangers", MOST_RUNS))
    }
    return MeterState(runs, as_int(fields[1], "meter", _NS), anchor, strangers)


def _pair(item: object) -> tuple[object, object]:
    found = as_list(item, "a pair", 2)
    if len(found) != 2:
        raise FormatError("an item is not a pair")
    return found[0], found[1]


def _signed(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _NS:
        raise FormatError("a time is not an integer")
    return value
