"""An identity that is born in a TPM 2.0 and cannot leave it: ECDSA over P-256 (FIPS 186-5; TPM 2.0 Library, 1 to 3).

The key is made by the TPM's own generator, under the owner hierarchy, and kept at a persistent handle. It has no
password: a device starts by itself, and one that it had to keep would lie on its flash. For the same reason the lock
against guessing does not hold for it, so that guessing at another key cannot keep a device from signing.

Only what needs the TPM imports this file: `storage.signer` does so when a URI says ``tpm:``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2_ECC,
    TPM2_RC,
    TPM2_RH,
    TPM2_ST,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE_CREATE,
    TPMA_OBJECT,
    TPMS_ECC_PARMS,
    TPMT_PUBLIC,
    TPMT_SIG_SCHEME,
    TPMT_TK_HASHCHECK,
    TPMU_PUBLIC_PARMS,
    TCTILdr,
    TSS2_Exception,
)

from storage.errors import FormatError, TpmError
from storage.identity import P256_BYTES, encode_signature, is_signed

DEFAULT_TCTI = "device:/dev/tpmrm0"
"""The kernel's resource manager, which bounds every wait. Never what the library would look for by itself: it ends at
a simulator on the local network."""
MARK = hashlib.sha256(b"getuige/1 identity\0").digest()
"""Stands where a policy would, and no policy has it. It tells an identity from other keys of the same make, and nobody
can do to it what takes a policy, such as to change its password and be given the key wrapped anew."""
_BORN_HERE = TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.FIXEDPARENT | TPMA_OBJECT.SENSITIVEDATAORIGIN | TPMA_OBJECT.USERWITHAUTH
KEY_ATTRIBUTES = _BORN_HERE | TPMA_OBJECT.NODA | TPMA_OBJECT.SIGN_ENCRYPT | TPMA_OBJECT.ADMINWITHPOLICY
PARENT_ATTRIBUTES = _BORN_HERE | TPMA_OBJECT.NODA | TPMA_OBJECT.RESTRICTED | TPMA_OBJECT.DECRYPT
_URI = re.compile(r"(0[xX][0-9a-fA-F]{8})(?:\?tcti=([!-~]+))?")
_FIRST, _LAST = 0x81000000, 0x817FFFFF
_LAYERS_TPM, _LAYER_LINE = (0, 11), 10
"""Who speaks in the upper half of an error: the TPM itself or its resource manager; the TCTI."""
_TEXTS = {
    TPM2_RC.LOCKOUT: "it is locked after wrong passwords: wait until it opens again",
    TPM2_RC.BAD_AUTH: "its owner hierarchy has a password: enrolment needs one that has none",
    TPM2_RC.AUTH_FAIL: "its owner hierarchy, or the key, has a password: enrolment needs one that has none",
    TPM2_RC.HIERARCHY: "its owner hierarchy is switched off",
    TPM2_RC.NV_SPACE: "it has no room for another key: remove one that is not used",
    TPM2_RC.NV_DEFINED: "another key came to stand at that handle meanwhile",
    TPM2_RC.FAILURE: "it is in failure mode: switch it off and on",
}


@dataclass(frozen=True, slots=True)
class TpmPlace:
    """Where a key is: a persistent handle of the owner's, in the TPM that a TCTI leads to."""

    handle: int
    tcti: str = DEFAULT_TCTI

    @classmethod
    def parse(cls, rest: str) -> TpmPlace:
        """Parse what follows ``tpm:`` in a URI: ``0x81100001`` or ``0x81100001?tcti=NAME:CONFIGURATION``.

        Raises:
            TpmError: it is something else.
        """
        match = _URI.fullmatch(rest)
        handle = int(match[1], 16) if match else 0
        if not match or not _FIRST <= handle <= _LAST:
            raise TpmError(
                f"the key {f'tpm:{rest}'!r} is not understood: use tpm:0x81100001, or another persistent handle of the "
                f"owner's (0x{_FIRST:08x} to 0x{_LAST:08x}), and ?tcti=NAME:CONFIGURATION for another TPM than "
                f"{DEFAULT_TCTI}"
            )
        return cls(handle, match[2] or DEFAULT_TCTI)

    def __str__(self) -> str:
        return f"key 0x{self.handle:08x} in the TPM {self.tcti}"


class TpmSigner:
    """An identity in a TPM. Each call opens the TPM and leaves it, so that there is nothing to close."""

    def __init__(self, place: TpmPlace, public: bytes) -> None:
        self._place = place
        self._public = public

    @classmethod
    def find(cls, place: TpmPlace) -> TpmSigner:
        """Return the identity at a handle.

        Raises:
            TpmError: there is none, something else stands there, or the TPM does not answer.
        """
        with _open(place) as tpm:
            return cls(place, _identity(tpm, place)[1])

    @classmethod
    def find_or_make(cls, place: TpmPlace) -> TpmSigner:
        """Return the identity at a handle, made there if the handle is free: interrupted, it may be called again.

        Raises:
            TpmError: something else stands there, or the TPM does not make a key.
        """
        with _open(place) as tpm:
            if _find(tpm, place) is None:
                _make(tpm, place)
            return cls(place, _identity(tpm, place)[1])

    @property
    def public(self) -> bytes:
        """The raw 33-byte public key."""
        return self._public

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature over `data`, checked: what the line to the TPM spoils does not go out.

        Raises:
            TpmError: the TPM does not answer, or another key stands at the handle now.
        """
        with _open(self._place) as tpm:
            key, public = _identity(tpm, self._place)
            if public != self._public:
                raise TpmError(f"the {self._place} is another than it was: this device's identity is gone")
            no_ticket = TPMT_TK_HASHCHECK(tag=TPM2_ST.HASHCHECK, hierarchy=TPM2_RH.NULL)
            digest = hashlib.sha256(data).digest()
            made = tpm.sign(key, digest, TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL), no_ticket)
            # `made` must live until its parts are read: they do not keep the memory that they lie in.
            pair = made.signature.ecdsa
            r, s = (int.from_bytes(bytes(number), "big") for number in (pair.signatureR, pair.signatureS))
        try:
            signature = encode_signature(r, s)
        except FormatError:
            signature = b""
        if not is_signed(self._public, signature, data):
            raise TpmError(f"the {self._place} gave a wrong signature: something is between it and this device")
        return signature

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place}, public={self._public.hex()})"


def erase(place: TpmPlace) -> bool:
    """Remove the identity at a handle from its TPM, for good; tell whether there was one.

    A device that is enrolled records on without it: its segment keys are on its flash.

    Raises:
        TpmError: something else stands there, or the TPM does not remove it.
    """
    with _open(place) as tpm:
        found = _find(tpm, place)
        if found:
            tpm.evict_control(ESYS_TR.OWNER, found[0], place.handle)
    return found is not None


@contextmanager
def _open(place: TpmPlace) -> Iterator[ESAPI]:
    # The library writes lines of its own to standard error, from C; what went wrong is in the error that is raised.
    os.environ.setdefault("TSS2_LOG", "all+NONE")
    name, _, configuration = place.tcti.partition(":")
    try:
        with TCTILdr(name, configuration or None) as line, ESAPI(line) as tpm:
            yield tpm
    except TSS2_Exception as error:
        raise TpmError(f"cannot use the {place}: {explain(error)}") from None


def explain(error: TSS2_Exception) -> str:
    """Return what an error of the TPM, or of the way to it, means to a technician."""
    layer, code = int(error.rc) >> 16, int(error.error) & 0xFFFF
    if layer == _LAYER_LINE:
        return f"no TPM answers there: is it fitted, switched on, and may this user open it? ({error})"
    return _TEXTS.get(code, str(error)) if layer in _LAYERS_TPM else str(error)


def _find(tpm: ESAPI, place: TpmPlace) -> tuple[ESYS_TR, bytes] | None:
    """Return the identity at the handle and its raw public key, or None where nothing stands.

    Raises:
        TpmError: what stands there is no identity.
    """
    try:
        handle = tpm.tr_from_tpmpublic(place.handle)
    except TSS2_Exception as error:
        if error.error == TPM2_RC.HANDLE:
            return None
        raise
    public = tpm.read_public(handle)[0]
    if not _is_ours(public):
        raise TpmError(f"the {place} is not an identity of ours: choose another handle, or remove it")
    point = public.publicArea.unique.ecc
    x, y = (int.from_bytes(bytes(number), "big") for number in (point.x, point.y))
    return handle, bytes([2 + (y & 1)]) + x.to_bytes(P256_BYTES - 1, "big")


def _identity(tpm: ESAPI, place: TpmPlace) -> tuple[ESYS_TR, bytes]:
    found = _find(tpm, place)
    if found is None:
        raise TpmError(f"there is no {place}: the device's identity is not, or no longer, in it")
    return found


def _is_ours(public: TPM2B_PUBLIC) -> bool:
    found = public.publicArea
    parameters = found.parameters.eccDetail
    point = found.unique.ecc
    return bool(
        found.type == TPM2_ALG.ECC
        and found.nameAlg == TPM2_ALG.SHA256
        and found.objectAttributes == KEY_ATTRIBUTES
        and bytes(found.authPolicy) == MARK
        and parameters.curveID == TPM2_ECC.NIST_P256
        and parameters.scheme.scheme == TPM2_ALG.ECDSA
        and parameters.scheme.details.ecdsa.hashAlg == TPM2_ALG.SHA256
        and max(len(bytes(point.x)), len(bytes(point.y))) < P256_BYTES
    )


def _make(tpm: ESAPI, place: TpmPlace) -> None:
    # A child, not a primary: that would follow from the owner's seed, and be the same one again after it was erased.
    with _held(tpm, tpm.create_primary(TPM2B_SENSITIVE_CREATE(), _parent_template(), ESYS_TR.OWNER)[0]) as parent:
        private, public = tpm.create(parent, TPM2B_SENSITIVE_CREATE(), _key_template())[:2]
        with _held(tpm, tpm.load(parent, private, public)) as key:
            tpm.evict_control(ESYS_TR.OWNER, key, place.handle)


@contextmanager
def _held(tpm: ESAPI, handle: ESYS_TR) -> Iterator[ESYS_TR]:
    try:
        yield handle
    finally:
        with suppress(TSS2_Exception):  # where the TPM is gone, so is what it held; the first error is the one to tell
            tpm.flush_context(handle)


def _key_template() -> TPM2B_PUBLIC:
    parameters = TPMS_ECC_PARMS(curveID=TPM2_ECC.NIST_P256)
    parameters.symmetric.algorithm = TPM2_ALG.NULL
    parameters.scheme.scheme = TPM2_ALG.ECDSA
    parameters.scheme.details.ecdsa.hashAlg = TPM2_ALG.SHA256
    parameters.kdf.scheme = TPM2_ALG.NULL
    return _template(KEY_ATTRIBUTES, parameters, MARK)


def _parent_template() -> TPM2B_PUBLIC:
    parameters = TPMS_ECC_PARMS(curveID=TPM2_ECC.NIST_P256)
    parameters.symmetric.algorithm = TPM2_ALG.AES
    parameters.symmetric.keyBits.aes = 128
    parameters.symmetric.mode.aes = TPM2_ALG.CFB
    parameters.scheme.scheme = TPM2_ALG.NULL
    parameters.kdf.scheme = TPM2_ALG.NULL
    return _template(PARENT_ATTRIBUTES, parameters, b"")


def _template(attributes: TPMA_OBJECT, parameters: TPMS_ECC_PARMS, policy: bytes) -> TPM2B_PUBLIC:
    return TPM2B_PUBLIC(
        TPMT_PUBLIC(
            type=TPM2_ALG.ECC,
            nameAlg=TPM2_ALG.SHA256,
            objectAttributes=attributes,
            authPolicy=policy,
            parameters=TPMU_PUBLIC_PARMS(eccDetail=parameters),
        )
    )
