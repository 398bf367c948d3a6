"""The station's signed word that it destroyed a segment (docs/CUSTODY.md, "Proof of destruction"). No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from station.errors import StationError
from storage import cbor
from storage.errors import FormatError
from storage.fields import as_bytes, as_int, as_text, expect_keys
from storage.layout import SIGNATURE_BYTES
from storage.signer import Signer

_CONTEXT = b"getuige/1 destroyed\0"
_KEYS = frozenset({"v", "device", "segment", "recording", "bytes", "digest", "chunks", "chain", "why", "by", "when"})
_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DestructionProof:
    """What was destroyed, when, why and by whom: the hashes stay, the content is gone."""

    device: bytes
    segment: int
    recording: bytes
    """Zeros for a journal."""
    size_bytes: int
    digest: bytes
    """SHA-256 of the sealed file."""
    chunks: int
    chain: bytes
    """Its last chain value: what the next segment follows on."""
    why: str
    by: str
    """Personnel numbers, or ``station`` for the end of the time that it may be kept."""
    when_utc_ns: int

    def sign(self, station: Signer) -> bytes:
        """Return it as it is kept: CBOR and 64 bytes of signature."""
        body = cbor.encode(
            {
                "v": 1,
                "device": self.device,
                "segment": self.segment,
                "recording": self.recording,
                "bytes": self.size_bytes,
                "digest": self.digest,
                "chunks": self.chunks,
                "chain": self.chain,
                "why": self.why,
                "by": self.by,
                "when": self.when_utc_ns,
            }
        )
        return body + station.sign(_CONTEXT + body)


def parse_proof(data: bytes, station: bytes) -> DestructionProof:
    """Check and parse a proof; `station` is the station's raw public key.

    Raises:
        StationError: malformed, or not signed by it.
    """
    body, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    try:
        Ed25519PublicKey.from_public_bytes(station).verify(signature, _CONTEXT + body)
        fields = cbor.decode_map(body, "the proof")
        expect_keys(fields, "the proof", _KEYS)
        return DestructionProof(
            as_bytes(fields["device"], "device", 16),
            as_int(fields["segment"], "segment", _NUMBER),
            as_bytes(fields["recording"], "recording", 16),
            as_int(fields["bytes"], "bytes", _NUMBER),
            as_bytes(fields["digest"], "digest", 32),
            as_int(fields["chunks"], "chunks", _NUMBER),
            as_bytes(fields["chain"], "chain", 32),
            as_text(fields["why"], "why", 500),
            as_text(fields["by"], "by", 200),
            as_int(fields["when"], "when", _NUMBER),
        )
    except (InvalidSignature, FormatError) as error:
        raise StationError(f"the proof of destruction is not good: {error or 'not signed by this station'}") from None
