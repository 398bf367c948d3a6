"""An identity in a real (software) TPM: born there, kept there, and not to be had from there."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2_CC,
    TPM2_RC,
    TPM2_RH,
    TPM2_SE,
    TPM2_ST,
    TPM2B_DATA,
    TPM2B_ENCRYPTED_SECRET,
    TPM2B_PUBLIC,
    TPM2B_SENSITIVE,
    TPM2B_SENSITIVE_CREATE,
    TPMA_OBJECT,
    TPMS_SENSITIVE_CREATE,
    TPMT_SIG_SCHEME,
    TPMT_SYM_DEF,
    TPMT_SYM_DEF_OBJECT,
    TPMT_TK_HASHCHECK,
    TSS2_Exception,
)

from storage import signer_tpm
from storage.errors import EnrolmentError, KeyFileError, TpmError
from storage.identity import P256_BYTES, is_signed
from storage.keyfiles import load_device_key
from storage.keyring_file import KeyringFile, enrol_device, is_enrolled
from storage.signer import signer_from_uri
from storage.signer_tpm import DEFAULT_TCTI, MARK, TpmPlace, TpmSigner, erase, explain
from tests.storage.swtpm import HANDLE, Interposer, SoftTpm, running

SECRET = b"secret"
S_AT = -32 - 5
"""Where a response to TPM2_Sign has s: the answer of a password's session follows it."""
NOTHING = ESYS_TR.NULL
NO_TICKET = TPMT_TK_HASHCHECK(tag=TPM2_ST.HASHCHECK, hierarchy=TPM2_RH.NULL)
NO_WRAP = TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL)


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[SoftTpm]:
    with running(tmp_path / "tpm") as made:
        yield made


def refused(raised: pytest.ExceptionInfo[KeyFileError], *said: str) -> None:
    """One line, that says what, where and what to do."""
    assert isinstance(raised.value, TpmError)
    text = str(raised.value)
    assert "\n" not in text
    for part in said:
        assert part in text


# --- Born there, kept there -------------------------------------------------------------------------------------------


def test_a_key_is_made_once_and_stays_over_power_cuts(tpm: SoftTpm) -> None:
    signer = signer_from_uri(tpm.uri)
    assert len(signer.public) == P256_BYTES
    first, second = signer.sign(b"data"), signer.sign(b"data")
    assert first != second, "ECDSA has a fresh number in every signature"
    for signature in (first, second):
        assert len(signature) == 64
        assert is_signed(signer.public, signature, b"data")
        assert not is_signed(signer.public, signature, b"other data")
    tpm.restart()
    again = TpmSigner.find(tpm.place)
    assert again.public == signer.public == signer_from_uri(tpm.uri).public
    assert is_signed(signer.public, again.sign(b"later"), b"later")
    assert repr(again) == f"TpmSigner(key 0x81100001 in the TPM {tpm.tcti}, public={signer.public.hex()})"


def test_every_signature_has_the_one_spelling_that_is_allowed(tpm: SoftTpm) -> None:
    """Half of what a TPM gives must be turned round; sixteen without one of either sort are a chance of 1 in 32 768."""
    raw: list[bool] = []

    def look(command: bytes, response: bytes) -> bytes:
        if command[6:10] == int(TPM2_CC.Sign).to_bytes(4, "big"):
            raw.append(response[S_AT] >= 0x80)
        return response

    between = Interposer(tpm, look)
    signer = TpmSigner.find_or_make(between.place)
    signatures = [signer.sign(bytes([number])) for number in range(16)]
    between.close()
    assert set(raw) == {True, False}
    assert all(is_signed(signer.public, item, bytes([number])) for number, item in enumerate(signatures))
    assert all(item[32] < 0x80 for item in signatures)


def test_its_attributes_are_those_of_a_key_that_cannot_leave(tpm: SoftTpm) -> None:
    signer_from_uri(tpm.uri)
    with tpm.open() as esys:
        found = esys.read_public(esys.tr_from_tpmpublic(HANDLE))[0].publicArea
    # fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, adminWithPolicy, noDA, sign; and none else, such as
    # restricted, decrypt, encryptedDuplication (TPM 2.0 Library, part 2, 8.3).
    assert int(found.objectAttributes) == sum(1 << bit for bit in (1, 4, 5, 6, 7, 10, 18))
    assert (found.type, found.nameAlg, bytes(found.authPolicy)) == (TPM2_ALG.ECC, TPM2_ALG.SHA256, MARK)


def test_erased_it_is_gone_and_the_next_is_another(tpm: SoftTpm) -> None:
    assert not erase(tpm.place)
    signer = TpmSigner.find_or_make(tpm.place)
    assert erase(tpm.place)
    for use in (lambda: TpmSigner.find(tpm.place), lambda: signer.sign(b"x")):
        with pytest.raises(TpmError) as raised:
            use()
        refused(raised, "there is no key 0x81100001 in the TPM swtpm:")
    another = TpmSigner.find_or_make(tpm.place)
    assert another.public != signer.public
    with pytest.raises(TpmError) as raised:
        signer.sign(b"x")
    refused(raised, "is another than it was", "identity is gone")


def test_asked_for_anew_it_is_another(tpm: SoftTpm) -> None:
    first = signer_from_uri(tpm.uri, anew=True)
    second = signer_from_uri(tpm.uri, anew=True)
    assert first.public != second.public == signer_from_uri(tpm.uri).public
    assert signer_from_uri("memory:", anew=True).public != signer_from_uri("memory:", anew=True).public


def test_the_lock_against_guessing_does_not_stop_a_device(tpm: SoftTpm) -> None:
    """Somebody guesses at another key until the TPM locks itself; the identity signs on."""
    signer = signer_from_uri(tpm.uri)
    with tpm.open() as esys:
        esys.dictionary_attack_parameters(1, 1000, 1000)
        attributes = TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.FIXEDPARENT | TPMA_OBJECT.SENSITIVEDATAORIGIN
        guarded = TPM2B_PUBLIC.parse(
            "ecc256:ecdsa-sha256:null",
            objectAttributes=attributes | TPMA_OBJECT.USERWITHAUTH | TPMA_OBJECT.SIGN_ENCRYPT,
        )
        locked = TPM2B_SENSITIVE_CREATE(TPMS_SENSITIVE_CREATE(userAuth=SECRET))
        key = esys.create_primary(locked, guarded)[0]
        esys.tr_set_auth(key, b"guess")
        for _ in range(3):
            with pytest.raises(TSS2_Exception) as raised:
                esys.sign(key, bytes(32), TPMT_SIG_SCHEME(scheme=TPM2_ALG.NULL), NO_TICKET)
        esys.flush_context(key)
    assert explain(raised.value) == "it is locked after wrong passwords: wait until it opens again"
    assert is_signed(signer.public, signer.sign(b"still"), b"still")


# --- It cannot be exported --------------------------------------------------------------------------------------------


def test_it_cannot_be_duplicated(tpm: SoftTpm) -> None:
    """TPM2_Duplicate wants a policy that was never given, and a key that is not fixed to its parent: neither is had."""
    signer_from_uri(tpm.uri)
    with tpm.open() as esys:
        key = esys.tr_from_tpmpublic(HANDLE)
        parent = esys.create_primary(TPM2B_SENSITIVE_CREATE(), signer_tpm._parent_template())[0]
        policy = _policy(esys)
        esys.policy_command_code(policy, TPM2_CC.Duplicate)
        template = signer_tpm._key_template()
        template.publicArea.objectAttributes = TPMA_OBJECT(
            signer_tpm.KEY_ATTRIBUTES & ~TPMA_OBJECT.FIXEDTPM & ~TPMA_OBJECT.FIXEDPARENT
        )  # the sort that can be duplicated
        template.publicArea.authPolicy = bytes(esys.policy_get_digest(policy))
        other = esys.load(parent, *esys.create(parent, TPM2B_SENSITIVE_CREATE(), template)[:2])
        assert bytes(esys.duplicate(other, NOTHING, TPM2B_DATA(), NO_WRAP, session1=policy)[1]), (
            "as it does with others"
        )
        esys.flush_context(other)
        esys.policy_command_code(policy, TPM2_CC.Duplicate)
        for session in (policy, ESYS_TR.PASSWORD):
            for target in (NOTHING, parent):
                with pytest.raises(TSS2_Exception) as raised:
                    esys.duplicate(key, target, TPM2B_DATA(), NO_WRAP, session1=session)
                assert int(raised.value.rc) >> 16 == 0, "it is the TPM that refuses"


def test_all_that_can_be_read_is_public(tpm: SoftTpm) -> None:
    """TPM2_ReadPublic, TPM2_ContextSave, TPM2_Unseal: no command gives the private part, in the clear or wrapped."""
    signer = TpmSigner.find_or_make(tpm.place)
    with tpm.open() as esys:
        key = esys.tr_from_tpmpublic(HANDLE)
        public, name, qualified = esys.read_public(key)
        shown = b"".join(bytes(part.marshal()) for part in (public, name, qualified))
        assert signer.public[1:] in shown
        for take in (esys.context_save, esys.unseal):
            with pytest.raises(TSS2_Exception) as raised:
                take(key)
            assert int(raised.value.rc) >> 16 == 0, "it is the TPM that refuses"


def test_nobody_is_given_it_wrapped_anew(tpm: SoftTpm) -> None:
    """TPM2_ObjectChangeAuth returns a key under its parent, whom anybody can make again; not this one."""
    signer_from_uri(tpm.uri)
    with tpm.open() as esys:
        parent = esys.create_primary(TPM2B_SENSITIVE_CREATE(), signer_tpm._parent_template())[0]
        template = signer_tpm._key_template()
        template.publicArea.objectAttributes = TPMA_OBJECT(signer_tpm.KEY_ATTRIBUTES & ~TPMA_OBJECT.ADMINWITHPOLICY)
        other = esys.load(parent, *esys.create(parent, TPM2B_SENSITIVE_CREATE(), template)[:2])
        assert bytes(esys.object_change_auth(other, parent, SECRET)), "as it is with others"
        esys.flush_context(other)
        key = esys.tr_from_tpmpublic(HANDLE)
        policy = _policy(esys)
        for session in (policy, ESYS_TR.PASSWORD):
            with pytest.raises(TSS2_Exception) as raised:
                esys.object_change_auth(key, parent, SECRET, session1=session)
            assert int(raised.value.rc) >> 16 == 0, "it is the TPM that refuses"


def _policy(esys: ESAPI) -> ESYS_TR:
    return esys.start_auth_session(
        ESYS_TR.NONE, ESYS_TR.NONE, TPM2_SE.POLICY, TPMT_SYM_DEF(algorithm=TPM2_ALG.NULL), TPM2_ALG.SHA256
    )


def test_what_leaves_a_tpm_at_birth_is_of_no_use_in_another(tpm: SoftTpm, tmp_path: Path) -> None:
    """The wrapped key that TPM2_Create returns, had somebody kept it, loads into its own TPM alone."""
    with tpm.open() as esys:
        parent = esys.create_primary(TPM2B_SENSITIVE_CREATE(), signer_tpm._parent_template())[0]
        private, public = esys.create(parent, TPM2B_SENSITIVE_CREATE(), signer_tpm._key_template())[:2]
        loaded = esys.load(parent, private, public)
        saved = esys.context_save(loaded)
        esys.flush_context(loaded)
    with running(tmp_path / "other") as other, other.open() as esys:
        parent = esys.create_primary(TPM2B_SENSITIVE_CREATE(), signer_tpm._parent_template())[0]
        ways: list[Callable[[], object]] = [
            lambda: esys.load(parent, private, public),
            lambda: esys.import_(parent, TPM2B_DATA(), public, private, TPM2B_ENCRYPTED_SECRET(), NO_WRAP),
            lambda: esys.context_load(saved),
        ]
        for steal in ways:
            with pytest.raises(TSS2_Exception) as raised:
                steal()
            assert int(raised.value.rc) >> 16 == 0, "it is the TPM that refuses"


def test_a_key_that_was_put_in_from_outside_is_not_taken_for_one_that_was_born_there(tpm: SoftTpm) -> None:
    """An imported key may have copies; it cannot say that it was made there."""
    known = ec.generate_private_key(ec.SECP256R1())
    template = signer_tpm._key_template().publicArea
    with tpm.open() as esys:
        pem = known.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = TPM2B_PUBLIC.from_pem(pem)
        template.unique.ecc.x, template.unique.ecc.y = (
            bytes(public.publicArea.unique.ecc.x), bytes(public.publicArea.unique.ecc.y),
        )  # fmt: skip
        with pytest.raises(TSS2_Exception) as raised:
            esys.load_external(TPM2B_PUBLIC(template), TPM2B_SENSITIVE.from_pem(pem), ESYS_TR.NULL)
        assert raised.value.error == TPM2_RC.ATTRIBUTES
        template.objectAttributes = TPMA_OBJECT.USERWITHAUTH | TPMA_OBJECT.SIGN_ENCRYPT | TPMA_OBJECT.NODA
        assert esys.load_external(TPM2B_PUBLIC(template), TPM2B_SENSITIVE.from_pem(pem), ESYS_TR.NULL)


# --- What goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["rsa2048", "ecc256:ecdsa-sha256:null", "ecc256:ecdsa-sha256:null, but for the mark", "ecc384:ecdsa-sha384:null"],
)
def test_a_foreign_key_at_the_handle_is_left_alone(tpm: SoftTpm, kind: str) -> None:
    attributes = signer_tpm.KEY_ATTRIBUTES
    if kind == "ecc256:ecdsa-sha256:null":
        attributes = TPMA_OBJECT(attributes & ~TPMA_OBJECT.FIXEDTPM & ~TPMA_OBJECT.FIXEDPARENT)
    more = {} if kind == "rsa2048" else {"objectAttributes": attributes}
    template = TPM2B_PUBLIC.parse(kind.split(",")[0], **more)
    with tpm.open() as esys:
        key = esys.create_primary(TPM2B_SENSITIVE_CREATE(), template)[0]
        esys.evict_control(ESYS_TR.OWNER, key, HANDLE)
        before = bytes(esys.read_public(key)[1])
    for use in (
        lambda: signer_from_uri(tpm.uri),
        lambda: signer_from_uri(tpm.uri, anew=True),
        lambda: TpmSigner.find(tpm.place),
        lambda: erase(tpm.place),
    ):
        with pytest.raises(KeyFileError) as raised:
            use()
        refused(raised, "key 0x81100001 in the TPM swtpm:", "is not an identity of ours", "choose another handle")
    with tpm.open() as esys:
        assert bytes(esys.read_public(esys.tr_from_tpmpublic(HANDLE))[1]) == before


@pytest.mark.parametrize("place", ["device:/dev/none", "nonsense", "swtpm:port=1", "swtpm:nonsense"])
def test_no_tpm_there(place: str) -> None:
    with pytest.raises(KeyFileError) as raised:
        signer_from_uri(f"tpm:0x81100001?tcti={place}")
    refused(raised, place, "no TPM answers there")


def test_a_tpm_that_goes_away(tpm: SoftTpm) -> None:
    signer = TpmSigner.find_or_make(tpm.place)
    tpm.stop()
    with pytest.raises(TpmError) as raised:
        signer.sign(b"x")
    refused(raised, "key 0x81100001", "no TPM answers there")


@pytest.mark.parametrize("when", [TPM2_CC.ReadPublic, TPM2_CC.CreatePrimary, TPM2_CC.Create, TPM2_CC.Load,
                                  TPM2_CC.EvictControl])  # fmt: skip
def test_a_tpm_that_goes_away_while_the_key_is_made(tpm: SoftTpm, when: int) -> None:
    """Whatever had come about by then, the next attempt ends with one key."""
    code = int(when).to_bytes(4, "big")
    between = Interposer(tpm, lambda command, response: b"" if command[6:10] == code else response)
    with pytest.raises(TpmError) as raised:
        TpmSigner.find_or_make(between.place)
    between.close()
    refused(raised, "no TPM answers there")
    tpm.restart()
    signer = TpmSigner.find_or_make(tpm.place)
    assert is_signed(signer.public, signer.sign(b"x"), b"x")
    assert TpmSigner.find_or_make(tpm.place).public == signer.public


@pytest.mark.parametrize("how", ["a bit", "zeros"])
def test_a_signature_that_was_spoiled_on_the_line_does_not_go_out(tpm: SoftTpm, how: str) -> None:
    def change(command: bytes, response: bytes) -> bytes:
        if command[6:10] != int(TPM2_CC.Sign).to_bytes(4, "big"):
            return response
        spoiled = bytes(32) if how == "zeros" else bytes([response[S_AT] ^ 1]) + response[S_AT + 1 : S_AT + 32]
        return response[:S_AT] + spoiled + response[S_AT + 32 :]

    between = Interposer(tpm, change)
    signer = TpmSigner.find_or_make(between.place)
    with pytest.raises(TpmError) as raised:
        signer.sign(b"x")
    between.close()
    refused(raised, "gave a wrong signature")


def test_an_owner_with_a_password(tpm: SoftTpm) -> None:
    with tpm.open() as esys:
        esys.hierarchy_change_auth(ESYS_TR.OWNER, SECRET)
    with pytest.raises(KeyFileError) as raised:
        signer_from_uri(tpm.uri)
    refused(raised, "its owner hierarchy has a password")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0x101, "it is in failure mode"),
        (0x14B, "it has no room for another key"),
        (0x921, "it is locked after wrong passwords"),
        (0x000B0921, "it is locked after wrong passwords"),  # said by way of the kernel's resource manager
        (0x9A2, "its owner hierarchy has a password"),
        (0x185, "its owner hierarchy is switched off"),
        (0x000A000A, "no TPM answers there"),
        (0x00070001, "esapi:"),
        (0x922, "tpm:"),
    ],
)
def test_what_a_code_means(code: int, said: str) -> None:
    assert explain(TSS2_Exception(code)).startswith(said)


@pytest.mark.parametrize(
    "rest", ["x", "1", "0x81800000", "0x80ffffff", "0x40000001", "0x81100001?", "0x81100001?tcti=", "0x81100001?x=1",
             "0x811000010", " 0x81100001", "0x81100001?tcti=a b", "0x81100001?tcti=\udce9"],
)  # fmt: skip
def test_a_place_that_is_none(rest: str) -> None:
    with pytest.raises(KeyFileError) as raised:
        signer_from_uri(f"tpm:{rest}")
    refused(raised, repr(f"tpm:{rest}"), "use tpm:0x81100001")


def test_a_place() -> None:
    assert TpmPlace.parse("0x81100001") == TpmPlace(HANDLE, DEFAULT_TCTI)
    assert TpmPlace.parse("0X81000000?tcti=swtpm:port=1") == TpmPlace(0x81000000, "swtpm:port=1")
    assert TpmPlace.parse("0x817fffFF") == TpmPlace(0x817FFFFF)


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.text(max_size=40))
def test_no_text_is_more_than_refused(rest: str) -> None:
    with pytest.raises(TpmError) as raised:
        TpmPlace.parse(rest)
    assert len(str(raised.value).splitlines()) == 1


def test_a_device_without_the_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "storage.signer_tpm")
    monkeypatch.delattr("storage.signer_tpm")
    monkeypatch.setitem(sys.modules, "tpm2_pytss", None)
    with pytest.raises(KeyFileError) as raised:
        signer_from_uri("tpm:0x81100001")
    refused(raised, "needs the package tpm2-pytss (Debian: python3-tpm2-pytss)")
    assert len(signer_from_uri("memory:").public) == 32


def test_nothing_else_loads_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def watch(name: str, *more: object, **named: object) -> object:
        assert not name.startswith("tpm2_pytss")
        return real(name, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", watch)
    signer_from_uri("memory:")


# --- A device with it -------------------------------------------------------------------------------------------------


def test_a_device_is_enrolled_with_it(tpm: SoftTpm, tmp_path: Path) -> None:
    state = tmp_path / "state"
    identity = enrol_device(state, signer_from_uri(tpm.uri))
    assert load_device_key(state / "device.pub") == identity == TpmSigner.find(tpm.place).public
    assert KeyringFile(state).load().identity == identity
    with pytest.raises(EnrolmentError, match="enrolled already"):
        enrol_device(state, signer_from_uri(tpm.uri))


def test_enrolment_that_the_tpm_broke_off_is_taken_up_again(tpm: SoftTpm, tmp_path: Path) -> None:
    signed = 0

    def change(command: bytes, response: bytes) -> bytes:
        nonlocal signed
        signed += command[6:10] == int(TPM2_CC.Sign).to_bytes(4, "big")
        return response if signed < 20 else b""

    state = tmp_path / "state"
    between = Interposer(tpm, change)
    signer = TpmSigner.find_or_make(between.place)
    with pytest.raises(TpmError, match="no TPM answers there"):
        enrol_device(state, signer)
    between.close()
    assert signed == 20
    assert not is_enrolled(state)
    tpm.restart()
    assert enrol_device(state, signer_from_uri(tpm.uri)) == signer.public
    assert KeyringFile(state).load().identity == signer.public
