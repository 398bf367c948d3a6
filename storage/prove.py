"""A device shows that it still has its identity's private key: only where that stays (a TPM), never after ``memory:``.

Who asks sends a challenge that was never used before, and checks the answer with `device.pub`. A card that was copied
into another device cannot answer: the key is in the TPM of the first. It shows that the TPM is in reach, no more.
"""

from __future__ import annotations

from storage.errors import FormatError
from storage.identity import is_signed
from storage.keyfiles import device_id
from storage.signer import Signer

CHALLENGE_BYTES = 32
_CONTEXT = b"getuige/1 prove\0"


def prove(identity: Signer, challenge: bytes) -> bytes:
    """Return the 64-byte answer to a challenge of 32 random bytes.

    Raises:
        FormatError: the challenge has another length.
        TpmError: the identity is in a TPM that cannot be used.
    """
    if len(challenge) != CHALLENGE_BYTES:
        raise FormatError(f"a challenge has {CHALLENGE_BYTES} bytes")
    return identity.sign(_statement(identity.public, challenge))


def is_proven(identity: bytes, challenge: bytes, answer: bytes) -> bool:
    """Whether `answer` is the one of the device with that raw public identity key, to that very challenge."""
    return len(challenge) == CHALLENGE_BYTES and is_signed(identity, answer, _statement(identity, challenge))


def _statement(identity: bytes, challenge: bytes) -> bytes:
    return _CONTEXT + device_id(identity) + challenge
