"""The unit policy: what a unit decides for all of its devices, in one signed TOML file (docs/POLICY.md).

Device and station read a policy with this same code. Its fields are declared in `storage.policy_fields`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

from storage.errors import PolicyError
from storage.policy_fields import SECTIONS, Policy, keys_of
from storage.policy_file import sign_text, signed_text
from storage.policy_rules import shown
from storage.signer import Signer

FORMAT = 1
"""The one version of the format that this program reads."""


def sign_policy(text: bytes, signer: Signer) -> bytes:
    """Return the policy signed by the unit; what no device would take is not signed.

    Raises:
        PolicyError: the text is not a policy, or it is signed already.
    """
    signed = sign_text(text, signer)
    parse_policy(signed, signer.public)
    return signed


def parse_policy(data: bytes, unit: bytes) -> Policy:
    """Check the signature by the unit's raw 32-byte public key, and then every field.

    Raises:
        PolicyError: not signed by this unit, or malformed; the text names the key and the reason.
    """
    return _parse(signed_text(data, unit), hashlib.sha256(data).digest())


def parse_draft(text: bytes) -> Policy:
    """Check every field of a policy that is not signed yet. What it returns is not to be obeyed.

    Raises:
        PolicyError: malformed; the text names the key and the reason.
    """
    return _parse(text, hashlib.sha256(text).digest())


def _parse(text: bytes, digest: bytes) -> Policy:
    data = _toml(text)
    # First: a version that this program does not know may have any keys.
    version = data.pop("format", None)
    if isinstance(version, bool) or version != FORMAT:
        raise PolicyError(f"policy key format: {shown(version)} is unknown to this program, which reads {FORMAT}")
    sections = {}
    for name, kind in SECTIONS.items():
        table = data.pop(name, {})
        if not isinstance(table, dict):
            raise PolicyError(f"policy key {name}: {shown(table)} is not a table")
        sections[name] = kind(**_values(table, kind, f"{name}."))
    policy = Policy(digest=digest, **_values(data, Policy, ""), **sections)
    if policy.expires_utc_ns <= policy.issued_utc_ns:
        raise PolicyError("policy key expires: not later than issued")
    if policy.limits.critical_battery_percent >= policy.limits.low_battery_percent:
        raise PolicyError("policy key limits.critical_battery_percent: not below low_battery_percent")
    return policy


def _toml(text: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise PolicyError("the policy is not UTF-8 text") from None
    except RecursionError:
        raise PolicyError("the policy is not TOML that can be read: nested too deep") from None
    except ValueError as error:  # tomllib's own, and Python's limit to the length of a number
        raise PolicyError(f"the policy is not TOML: {error}") from None


def _values(table: Mapping[str, object], kind: type[Any], prefix: str) -> dict[str, Any]:
    """Read the keys of one table; those left out have their defaults."""
    known = keys_of(kind)
    for name in sorted(table.keys() - known.keys()):
        raise PolicyError(f"policy key {prefix}{shown(name)}: unknown; there are {', '.join(known)}")
    values = {}
    for name, (key, default) in known.items():
        if name in table:
            try:
                values[name] = key.rule.read(table[name])
            except PolicyError as error:
                raise PolicyError(f"policy key {prefix}{name}: {error}") from None
        elif default is MISSING:
            raise PolicyError(f"policy key {prefix}{name}: missing; it is {key.rule.says}")
    return values
