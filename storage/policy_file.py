"""The signature of a unit policy: its last line, a TOML comment (docs/POLICY.md, "The signature").

Ed25519 is RFC 8032. Nothing of the text is parsed before the signature has been found good.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from storage.errors import PolicyError
from storage.signer import Signer

MAX_POLICY_BYTES = 64 * 1024
"""Of the signed file, its last line included."""
MARK = b"# getuige-policy-signature: "
_CONTEXT = b"getuige/1 policy\0"
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64


def sign_text(text: bytes, signer: Signer) -> bytes:
    """Return `text`, in whole lines, with the signature as its last line.

    Raises:
        PolicyError: signed already, or too long.
    """
    if MARK in text:
        raise PolicyError("the policy has a signature line already: remove it before the policy is signed anew")
    if not text.endswith(b"\n"):
        text += b"\n"
    signed = text + MARK + base64.b64encode(signer.sign(_CONTEXT + text)) + b"\n"
    if len(signed) > MAX_POLICY_BYTES:
        raise PolicyError(f"the policy is longer than {MAX_POLICY_BYTES} bytes")
    return signed


def signed_text(data: bytes, unit: bytes) -> bytes:
    """Return the text of a signed policy: all but its last line, which is the signature by `unit`, a raw public key.

    Raises:
        PolicyError: too long, not signed, or not signed by this unit.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(f"the policy is longer than {MAX_POLICY_BYTES} bytes")
    text, mark, last = data.rpartition(MARK)
    if not mark:
        raise PolicyError("the policy is not signed: its last line is no signature")
    if not text.endswith(b"\n") or MARK in text:
        raise PolicyError("the policy is not signed as it should be: the signature must be one line, the last")
    try:
        _public_key(unit).verify(_signature(last), _CONTEXT + text)
    except InvalidSignature:
        raise PolicyError("the policy is not signed by this unit, or was changed after it was signed") from None
    return text


def require_key(unit: bytes) -> bytes:
    """Return `unit` if it can be a raw Ed25519 public key.

    Raises:
        PolicyError: it is not.
    """
    _public_key(unit)
    return unit


def _public_key(unit: bytes) -> Ed25519PublicKey:
    if len(unit) != _KEY_BYTES:
        raise PolicyError(f"the unit's key is not an Ed25519 public key of {_KEY_BYTES} bytes")
    return Ed25519PublicKey.from_public_bytes(unit)


def _signature(line: bytes) -> bytes:
    """Decode the base64 of the last line, in the one form that it may have (RFC 4648, 3.5: canonical)."""
    try:
        signature = base64.b64decode(line.removesuffix(b"\n"), validate=True)
    except binascii.Error:
        signature = b""
    if len(signature) != _SIGNATURE_BYTES or base64.b64encode(signature) + b"\n" != line:
        raise PolicyError(f"the policy's signature is not the base64 of {_SIGNATURE_BYTES} bytes and a line's end")
    return signature
