"""docs/POLICY.md: every key of the unit's policy, made from `storage/policy_fields.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING
from enum import Enum
from pathlib import Path
from typing import Any

from storage.policy_fields import SECTIONS, Policy, keys_of

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "POLICY.md"
_HEAD = """\
# The unit's policy

One TOML file, signed by the unit, says what all of its devices do: who can open the footage, how long it stays, what is
done when the light is broken. Devices obey it; anybody can read it, and check it with the unit's public key.

```
python -m station policy keygen --output unit.key
python -m station policy template --recipient station.pub --receipt-key signing.pub --unit "Team West" > draft.toml
python -m station policy sign draft.toml --key unit.key --output policy.toml
python -m station policy check policy.toml --unit unit.pub
python -m firmware enrol --settings device.toml --unit unit.pub --policy policy.toml
python -m firmware policy policy.toml --settings device.toml
```

`template` prints a policy with every key, its meaning and its default. `check` exits with 0 (good), 1 (refused, or
expired) or 2 (unusable input). `unit.key` never goes near a device.

"""
_FOOT = """
A key that is not here is refused, and so is a value out of range; the reason names the key. A device also refuses a
video profile that it does not know.

## The signature

The last line of the file is a TOML comment: `# getuige-policy-signature: ` and the standard base64 (RFC 4648) of an
Ed25519 signature (RFC 8032). Signed are the bytes `getuige/1 policy`, a zero byte, and the whole file before that line,
newline included. The file has at most 65,536 bytes and exactly one such line. Nothing of the text is parsed before the
signature has been found good.

## Replacement

A device belongs to one unit: its key is installed at enrolment, once. It takes a policy if that unit signed it, if it
is well-formed, and if its serial is higher than any that the device took before, even where the policy itself was lost;
the very same bytes again change nothing. Dates are judged only while the device's clock is in step with a reference:
expired, or issued more than a day from now, is refused. Whatever is refused, the last good one stays in force, and the
reason is said in one line.

A policy that expires in the field stays in force, with a warning and an event in the journal: an officer without a
witness serves nobody. A running device obeys a new policy from its next start on.

Without a policy, a unit or an identity a device is *unenrolled*: it says so with its own signal and records nothing.
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "\n".join(_tables()) + "\n" + _FOOT


def _tables() -> Iterator[str]:
    yield from _table("At the top", Policy)
    for name, kind in SECTIONS.items():
        yield from _table(f"`[{name}]`", kind)


def _table(title: str, kind: type[Any]) -> Iterator[str]:
    yield f"\n## {title}\n" if title != "At the top" else f"## {title}\n"
    yield "| key | what | value | default |"
    yield "|---|---|---|---|"
    if kind is Policy:
        yield "| `format` | version of this format | 1 | |"
    for name, (key, default) in keys_of(kind).items():
        yield f"| `{name}` | {key.meaning} | {key.rule.says} | {_shown(default)} |"


def _shown(default: object) -> str:
    if default is MISSING:
        return ""
    if isinstance(default, Enum):
        return f"`{default.value}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return ", ".join(_shown(item) for item in default)
    return f"`{default}`"


def main() -> None:
    """Write it."""
    _PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
