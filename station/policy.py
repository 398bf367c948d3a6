"""The unit's policy at the station: a template to fill in, and a summary to read (docs/POLICY.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from station.errors import StationError
from storage.envelope import Recipient
from storage.keyfiles import device_id, encode_recipient
from storage.policy import FORMAT, parse_draft
from storage.policy_fields import SECTIONS, Policy, keys_of
from storage.policy_file import MAX_POLICY_BYTES


def template(
    unit: str,
    serial: int,
    issued: datetime,
    days: int,
    recipients: Sequence[Recipient],
    receipt_keys: Sequence[bytes] = (),
) -> str:
    """Return a policy to fill in: every key with its meaning, its range, and its default.

    `receipt_keys` are the raw public signing keys of the stations whose receipts devices obey.

    Raises:
        PolicyError: what was given can be in no policy.
    """
    given = {
        "unit": unit,
        "serial": serial,
        "issued": issued,
        "expires": issued + timedelta(days=days),
        "recipients": tuple(recipients),
        "receipt_keys": tuple(key.hex() for key in receipt_keys),
    }
    lines = ["# A unit's policy: see docs/POLICY.md. It takes effect once it is signed.", ""]
    lines += ["# Version of this format.", f"format = {FORMAT}"]
    for name, kind in [("", Policy), *SECTIONS.items()]:
        if name:
            lines += ["", f"[{name}]"]
        for key, (what, default) in keys_of(kind).items():
            value = given.get(key, default)
            lines += [f"# {_sentence(what.meaning)}", f"# {_sentence(what.rule.says)}", f"{key} = {_toml(value)}"]
    text = "\n".join([*lines, ""])
    parse_draft(text.encode("utf-8", "surrogateescape"))  # a name typed in another encoding is refused there
    return text


def summary(policy: Policy, unit: bytes, now_ns: int) -> Iterator[str]:
    """Return a policy in words, line by line; `unit` is the key that signed it."""
    expired = policy.expired_at(now_ns)
    yield f"Policy      {policy.unit}, serial {policy.serial}"
    yield f"Issued      {policy.issued.isoformat()}"
    yield f"Expires     {policy.expires.isoformat()}" + (" (EXPIRED: no device takes it)" if expired else "")
    yield f"Signed by   unit key {device_id(unit).hex()}"
    yield f"SHA-256     {policy.digest.hex()}"
    for name in SECTIONS:
        table = getattr(policy, name)
        yield f"[{name}]"
        for key in keys_of(type(table)):
            value = getattr(table, key)
            shown = ", ".join(_recipient(item) for item in value) if key == "recipients" else _toml(value)
            yield f"  {key:24}  {shown}"


def read_policy_file(path: Path) -> bytes:
    """Return the bytes of a policy file; one that is too long comes cut, and is refused by whoever parses it.

    Raises:
        StationError: missing or unreadable.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise StationError(f"cannot read the policy {path}: {error.strerror}") from None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _recipient(recipient: Recipient) -> str:
    return f"{recipient.id.hex()} ({recipient.kem.value})"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            # JSON's texts are TOML's basic strings.
            return json.dumps(value, ensure_ascii=False)
        case datetime():
            return value.isoformat(timespec="seconds")
        case Enum():
            return _toml(value.value)
        case Recipient():
            return f'"""\n{encode_recipient(value).decode()}"""'
        case tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
    raise TypeError(f"no policy holds a {type(value).__name__}")
